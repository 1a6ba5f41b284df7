#pragma once

#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_parser.hpp"
#include "eckart/models/bart/bart.hpp"
#include "eckart/models/bart/config_json.hpp"
#include "eckart/models/bart/step_decoder.hpp"
#include "eckart/models/generation_config.hpp"
#include "eckart/models/padded_batch.hpp"
#include "eckart/models/search.hpp"

#include <algorithm>
#include <concepts>
#include <filesystem>
#include <span>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Continues each source with the best sequences that greedy or beam search finds, as Hugging
/// Face's generate() does for the same options: one entry a source with num_return_sequences
/// sequences. Throws shape_error for empty or too long sources and for options that do not fit.
template <std::same_as<float> T>
auto generate(bart<T> const& model, std::span<std::vector<token_id> const> sources,
              generation_options const& options) -> std::vector<std::vector<generated>> {
  auto const& c = model.config();
  validate(options, c.vocab_size);
  auto const lengths = resolve_lengths(options, c.max_position_embeddings);
  auto const batch = pad_batch(sources, options.pad_token_id.value_or(c.pad_token_id));
  if (batch.tokens > c.max_position_embeddings) {
    throw shape_error(message("generate: a source of ", batch.tokens, " tokens, the model has ",
                              c.max_position_embeddings, " positions"));
  }
  constexpr index_t room = 64;  // tokens for which caches are made at once; longer ones double it
  bart_step_decoder decoder(model, batch, options.num_beams, std::min(lengths.max_length, room));
  return search(decoder, sources, options, c.max_position_embeddings);
}

/// The generation options of a model directory: generation_config.json or, in its absence, what
/// config.json says of generation. Special tokens that neither names are BART's own.
template <class Json = nlohmann::json>
auto load_generation_options(std::filesystem::path const& directory) -> generation_options {
  auto const config_file = directory / "config.json";
  auto const config = read_json<Json>(config_file);
  auto const c = read_bart_config(config, config_file.string());
  auto const own_file = directory / "generation_config.json";
  generation_options options;
  if (std::filesystem::exists(own_file)) {
    options = read_generation_options(read_json<Json>(own_file), own_file.string());
  } else {
    options = read_generation_options(config, config_file.string());
    if (!config.contains("forced_eos_token_id")) {
      options.forced_eos_token_id = {2};  // the default of BART's configuration class
    }
  }
  options.bos_token_id = options.bos_token_id.value_or(c.bos_token_id);
  options.pad_token_id = options.pad_token_id.value_or(c.pad_token_id);
  options.decoder_start_token_id =
      options.decoder_start_token_id.value_or(c.decoder_start_token_id);
  if (options.eos_token_id.empty()) {
    options.eos_token_id = {c.eos_token_id};
  }
  return options;
}

}  // namespace v0
}  // namespace eckart
