#pragma once

#include "eckart/models/bart/compression.hpp"
#include "eckart/nn/activation.hpp"
#include "eckart/nn/embedding.hpp"

#include <cmath>
#include <optional>

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

  /// What a checkpoint stores in place of the published layers; nothing: all are dense. A model
  /// that was read has none here, its layers say themselves what they are.
  std::optional<bart_compression> compression = std::nullopt;

  /// Rows of the position tables that no token uses: position p stands in row p + 2.
  static constexpr index_t position_offset = 2;

  auto operator==(bart_config const&) const -> bool = default;
};

/// Factor of the token embeddings.
template <real T>
auto embedding_scale(bart_config const& c) -> T {
  return c.scale_embedding ? std::sqrt(static_cast<T>(c.d_model)) : T{1};
}

}  // namespace v0
}  // namespace eckart
