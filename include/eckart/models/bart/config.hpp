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

/// Reads and checks a config.json. Throws format_error or error that name the file and the key.
inline auto read_bart_config(nlohmann::json const& json, std::string_view name) -> bart_config {
  auto const type = json_value_or<std::string>(json, "model_type", "bart", name);
  if (type != "bart") {
    throw format_error(message(name, ": model_type is '", type, "', expected 'bart'"), 0);
  }
  bart_config c;
  auto const size = [&](std::string_view key, index_t& value, index_t least) {
    value = json_value_or<index_t>(json, key, value, name);
    constexpr index_t most = index_t{1} << 31;
    if (value < least || value > most) {
      throw format_error(message(name, ": ", key, " is ", value), 0);
    }
  };
  size("d_model", c.d_model, 1);
  size("encoder_layers", c.encoder_layers, 0);
  size("decoder_layers", c.decoder_layers, 0);
  size("encoder_attention_heads", c.encoder_attention_heads, 1);
  size("decoder_attention_heads", c.decoder_attention_heads, 1);
  size("encoder_ffn_dim", c.encoder_ffn_dim, 1);
  size("decoder_ffn_dim", c.decoder_ffn_dim, 1);
  size("vocab_size", c.vocab_size, 1);
  size("max_position_embeddings", c.max_position_embeddings, 1);
  for (auto const heads : {c.encoder_attention_heads, c.decoder_attention_heads}) {
    if (c.d_model % heads != 0) {
      throw format_error(
          message(name, ": d_model ", c.d_model, " is no multiple of ", heads, " heads"), 0);
    }
  }
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
  c.bos_token_id = json_value_or<token_id>(json, "bos_token_id", 0, name);
  c.pad_token_id = json_value_or<token_id>(json, "pad_token_id", 1, name);
  c.eos_token_id = json_value_or<token_id>(json, "eos_token_id", 2, name);
  c.decoder_start_token_id = json_value_or<token_id>(json, "decoder_start_token_id", 2, name);
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
