#pragma once

#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_parser.hpp"
#include "eckart/io/json_value.hpp"
#include "eckart/models/bart/compression_json.hpp"
#include "eckart/models/bart/config.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace eckart {
inline namespace v0 {
namespace detail {

template <class Json>
void read_bart_sizes(Json const& json, std::string_view name, bart_config& c) {
  auto const size = [&](std::string_view key, index_t& value, index_t least, index_t most) {
    value = json_value_or<index_t>(json, key, value, name);
    if (value < least || value > most) {
      throw format_error(message(name, ": ", key, " is ", value), 0);
    }
  };
  constexpr index_t largest = index_t{1} << 31;
  constexpr index_t most_layers = 1000;  // the schema lists the tensors of each
  size("d_model", c.d_model, 1, largest);
  size("encoder_layers", c.encoder_layers, 0, most_layers);
  size("decoder_layers", c.decoder_layers, 0, most_layers);
  size("encoder_attention_heads", c.encoder_attention_heads, 1, largest);
  size("decoder_attention_heads", c.decoder_attention_heads, 1, largest);
  size("encoder_ffn_dim", c.encoder_ffn_dim, 1, largest);
  size("decoder_ffn_dim", c.decoder_ffn_dim, 1, largest);
  size("vocab_size", c.vocab_size, 1, largest);
  size("max_position_embeddings", c.max_position_embeddings, 1, largest);
  for (auto const heads : {c.encoder_attention_heads, c.decoder_attention_heads}) {
    if (c.d_model % heads != 0) {
      throw format_error(
          message(name, ": d_model ", c.d_model, " is no multiple of ", heads, " heads"), 0);
    }
  }
}

template <class Json>
void read_bart_tokens(Json const& json, std::string_view name, bart_config& c) {
  auto const token = [&](std::string_view key, token_id& value) {
    value = json_value_or<token_id>(json, key, value, name);
    if (value < 0 || value >= c.vocab_size) {
      throw format_error(
          message(name, ": ", key, " is ", value, ", the vocabulary has ", c.vocab_size), 0);
    }
  };
  token("bos_token_id", c.bos_token_id);
  token("pad_token_id", c.pad_token_id);
  token("eos_token_id", c.eos_token_id);
  token("decoder_start_token_id", c.decoder_start_token_id);
}

}  // namespace detail

/// Checks the content of a config.json; `name` is the file's. Throws format_error that names the
/// file and the key.
template <class Json = nlohmann::json>
auto read_bart_config(Json const& json, std::string_view name) -> bart_config {
  auto const type = json_value_or<std::string>(json, "model_type", "bart", name);
  if (type != "bart") {
    throw format_error(message(name, ": model_type is '", type, "', expected 'bart'"), 0);
  }
  bart_config c;
  detail::read_bart_sizes(json, name, c);
  try {
    c.activation_function =
        activation_named(json_value_or<std::string>(json, "activation_function", "gelu", name));
  } catch (format_error const&) {
    throw;
  } catch (error const& unknown) {
    throw format_error(message(name, ": ", unknown.what()), 0);
  }
  c.scale_embedding = json_value_or<bool>(json, "scale_embedding", false, name);
  c.tie_word_embeddings = json_value_or<bool>(json, "tie_word_embeddings", true, name);
  detail::read_bart_tokens(json, name, c);
  c.compression = read_bart_compression(json, c, name);
  return c;
}

/// Reads and checks a config.json. Throws io_error, and format_error that names the file and the
/// key.
template <class Json = nlohmann::json>
auto read_bart_config(std::filesystem::path const& file) -> bart_config {
  return read_bart_config(read_json<Json>(file), file.string());
}

}  // namespace v0
}  // namespace eckart
