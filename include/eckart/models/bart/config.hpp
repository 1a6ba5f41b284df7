#pragma once

#include "eckart/io/json.hpp"
#include "eckart/nn/activation.hpp"
#include "eckart/nn/embedding.hpp"

#include <cmath>
#include <filesystem>
#include <string>
#include <string_view>

namespace eckart {
inline namespace v0 {

/// Shape and special tokens of a BART (Lewis et al. 2019). Defaults are those of the published
/// configuration class, which stand in for keys that a config.json leaves out.
struct bart_config {
  index_t d_model = 1024;
  index_t encoder_layers = 12;
  index_t decoder_layers = 12;
  index_t encoder_attention_heads = 16;
  index_t decoder_attention_heads = 16;
  index_t encoder_ffn_dim = 4096;
  index_t decoder_ffn_dim = 4096;
  index_t vocab_size = 50265;
  index_t max_position_embeddings = 1024;
  activation activation_function = activation::gelu;
  bool scale_embedding = false;     ///< multiply token embeddings by sqrt(d_model)
  bool tie_word_embeddings = true;  ///< one table for both inputs and the output
  token_id bos_token_id = 0;
  token_id pad_token_id = 1;
  token_id eos_token_id = 2;
  token_id decoder_start_token_id = 2;

  /// Rows of the position tables that no token uses: position p stands in row p + 2.
  static constexpr index_t position_offset = 2;
};

namespace detail {

inline void read_bart_sizes(nlohmann::json const& json, std::string_view name, bart_config& c) {
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

inline void read_bart_tokens(nlohmann::json const& json, std::string_view name, bart_config& c) {
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

/// Reads and checks a config.json. Throws format_error that names the file and the key.
inline auto read_bart_config(nlohmann::json const& json, std::string_view name) -> bart_config {
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
  return c;
}

/// Factor of the token embeddings.
template <real T>
auto embedding_scale(bart_config const& c) -> T {
  return c.scale_embedding ? std::sqrt(static_cast<T>(c.d_model)) : T{1};
}

inline auto read_bart_config(std::filesystem::path const& file) -> bart_config {
  return read_bart_config(read_json(file), file.string());
}

}  // namespace v0
}  // namespace eckart
