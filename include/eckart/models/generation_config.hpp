#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_value.hpp"
#include "eckart/models/generation_options.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Reads generation options from the JSON files that lie beside a checkpoint.
namespace eckart {
inline namespace v0 {
namespace detail {

/// A list of ids, or a lone id as a list of one; missing or null is the empty list.
template <class Json>
auto read_id_or_ids(Json const& config, std::string_view key, std::string_view name)
    -> std::vector<std::int32_t> {
  using ids = std::vector<std::int32_t>;
  auto const value = json_value_or<Json>(config, key, nullptr, name);
  return value.is_array() || value.is_null() ? json_value_or<ids>(config, key, {}, name)
                                             : ids{json_value<std::int32_t>(config, key, name)};
}

template <class Json>
auto read_early_stopping(Json const& config, std::string_view name) -> stop_early {
  std::string_view const key = "early_stopping";
  auto const value = json_value_or<Json>(config, key, false, name);
  if (!value.is_string()) {
    return json_value_or<bool>(config, key, false, name) ? stop_early::yes : stop_early::no;
  }
  if (value != "never") {
    throw format_error(message(name, ": key \"", key, "\": the only text allowed is \"never\""), 0);
  }
  return stop_early::never;
}

/// JSON cannot have sequences as keys, so GenerationConfig writes [[[ids...], bias], ...].
template <class Json>
auto read_sequence_bias(Json const& config, std::string_view name) -> std::vector<token_bias> {
  using list = std::vector<Json>;
  std::vector<token_bias> biases;
  for (auto const& entry : json_value_or<list>(config, "sequence_bias", {}, name)) {
    if (!entry.is_array() || entry.size() != 2) {
      throw format_error(message(name, ": key \"sequence_bias\": expected [[ids...], bias] as ",
                                 "element ", biases.size()),
                         0);
    }
    // Named apart, so that the getters can check and report the two halves.
    auto const pair = Json{{"sequence_bias", entry[0]}, {"sequence_bias bias", entry[1]}};
    biases.push_back({json_value<std::vector<std::int32_t>>(pair, "sequence_bias", name),
                      json_value<float>(pair, "sequence_bias bias", name)});
  }
  return biases;
}

template <class Json>
auto read_exponential_decay(Json const& config, std::string_view name)
    -> std::optional<exponential_decay> {
  std::string_view const key = "exponential_decay_length_penalty";
  auto const pair = json_value_or<std::vector<Json>>(config, key, {}, name);
  if (pair.empty()) {
    return std::nullopt;
  }
  if (pair.size() != 2) {
    throw format_error(message(name, ": key \"", key, "\": expected [start, factor], got ",
                               pair.size(), " elements"),
                       0);
  }
  // Named apart, so that the getters can check and report the two halves.
  auto const start = std::string(key) + " start";
  auto const factor = std::string(key) + " factor";
  auto const named = Json{{start, pair[0]}, {factor, pair[1]}};
  return exponential_decay{json_value<index_t>(named, start, name),
                           json_value<double>(named, factor, name)};
}

/// Options that would change the result and that no search here follows are never ignored.
template <class Json>
void refuse_unsupported(Json const& config, std::string_view name) {
  auto const refuse_if = [&](bool asked_for, std::string_view key) {
    if (asked_for) {
      throw error(message(name, ": generation option \"", key, "\" is not supported"));
    }
  };
  for (auto const* key : {"do_sample", "token_healing", "use_mtp", "low_memory"}) {
    refuse_if(json_value_or<bool>(config, key, false, name), key);
  }
  refuse_if(json_value_or<double>(config, "guidance_scale", 1.0, name) != 1.0, "guidance_scale");
  refuse_if(json_value_or<index_t>(config, "num_beam_groups", 1, name) > 1, "num_beam_groups");
  for (auto const* key : {"diversity_penalty", "penalty_alpha"}) {
    refuse_if(json_value_or<double>(config, key, 0.0, name) != 0.0, key);
  }
  for (auto const* key :
       {"constraints", "force_words_ids", "stop_strings", "max_time", "watermarking_config",
        "dola_layers", "prompt_lookup_num_tokens", "assistant_early_exit"}) {
    refuse_if(!json_value_or<Json>(config, key, nullptr, name).is_null(), key);
  }
}

template <class Json>
void read_special_tokens(Json const& config, std::string_view name, generation_options& options) {
  auto const id = [&](std::string_view key) {
    return json_value_or<std::optional<std::int32_t>>(config, key, std::nullopt, name);
  };
  auto const ids = [&](std::string_view key) {
    return json_value_or<std::vector<std::int32_t>>(config, key, {}, name);
  };
  options.bos_token_id = id("bos_token_id");
  options.pad_token_id = id("pad_token_id");
  options.decoder_start_token_id = id("decoder_start_token_id");
  options.eos_token_id = read_id_or_ids(config, "eos_token_id", name);
  options.forced_bos_token_id = id("forced_bos_token_id");
  options.forced_eos_token_id = read_id_or_ids(config, "forced_eos_token_id", name);
  options.suppress_tokens = ids("suppress_tokens");
  options.begin_suppress_tokens = ids("begin_suppress_tokens");
  // Configurations of transformers 3 say it this way (facebook/bart-large-cnn still does).
  if (json_value_or<bool>(config, "force_bos_token_to_be_generated", false, name)) {
    options.forced_bos_token_id = options.bos_token_id;
  }
}

}  // namespace detail

/// Options from the content of a generation_config.json, or of a config.json where that file is
/// absent; `name` is the file's, for messages. Missing keys and null keep the default, unknown
/// keys are ignored; what a model class adds by default (BART: forced EOS) is not known here.
/// Throws format_error naming file and key for a wrong type, error for an option that the
/// searches do not support (sampling, guidance, beam groups, constraints, ...).
template <class Json = nlohmann::json>
auto read_generation_options(Json const& config, std::string_view name) -> generation_options {
  detail::refuse_unsupported(config, name);
  generation_options options;
  auto const read = [&]<class T>(std::string_view key, T& value) {
    value = json_value_or<T>(config, key, std::move(value), name);
  };
  read("max_length", options.max_length);
  read("max_new_tokens", options.max_new_tokens);
  read("min_length", options.min_length);
  read("min_new_tokens", options.min_new_tokens);
  read("num_beams", options.num_beams);
  read("num_return_sequences", options.num_return_sequences);
  options.early_stopping = detail::read_early_stopping(config, name);
  read("length_penalty", options.length_penalty);
  read("no_repeat_ngram_size", options.no_repeat_ngram_size);
  read("encoder_no_repeat_ngram_size", options.encoder_no_repeat_ngram_size);
  read("repetition_penalty", options.repetition_penalty);
  read("encoder_repetition_penalty", options.encoder_repetition_penalty);
  read("bad_words_ids", options.bad_words_ids);
  options.sequence_bias = detail::read_sequence_bias(config, name);
  options.exponential_decay_length_penalty = detail::read_exponential_decay(config, name);
  read("remove_invalid_values", options.remove_invalid_values);
  read("renormalize_logits", options.renormalize_logits);
  detail::read_special_tokens(config, name, options);
  return options;
}

}  // namespace v0
}  // namespace eckart
