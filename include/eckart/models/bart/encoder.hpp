#pragma once

#include "eckart/core/parallel.hpp"
#include "eckart/models/bart/schema.hpp"
#include "eckart/nn/attention.hpp"
#include "eckart/nn/embedding.hpp"
#include "eckart/nn/feed_forward.hpp"
#include "eckart/nn/layer_norm.hpp"

#include <algorithm>
#include <concepts>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// x <- LayerNorm(x + Attention(x)), then x <- LayerNorm(x + FeedForward(x)).
template <real T>
struct bart_encoder_layer {
  multi_head_attention<T> self_attn;
  layer_norm<T> self_attn_layer_norm;
  feed_forward<T> ffn;
  layer_norm<T> final_layer_norm;

  template <class Weights>
  bart_encoder_layer(Weights const& weights, std::string const& name, index_t heads)
      : self_attn(weights.template read_attention<T>(name + ".self_attn", heads)),
        self_attn_layer_norm(weights.template read_layer_norm<T>(name + ".self_attn_layer_norm")),
        ffn(weights.template read_feed_forward<T>(name)),
        final_layer_norm(weights.template read_layer_norm<T>(name + ".final_layer_norm")) {}

  /// x (batch * tokens, d_model), in place; some sentences after the others, so that what passes
  /// between the products stays in the third cache.
  template <blas_backend<T> B>
  void operator()(matrix_view<T> x, index_t batch, std::span<index_t const> key_lengths,
                  workspace<T>& scratch, B const& backend) const {
    auto const rows_at_once = encoder_rows * worker_count();
    auto const tokens = x.rows / batch;
    auto const parts = std::min(batch, (x.rows + rows_at_once - 1) / rows_at_once);
    for (index_t part = 0; part < parts; ++part) {
      auto const first = part * batch / parts;
      auto const sentences = (part + 1) * batch / parts - first;
      auto const lengths = key_lengths.empty()
                               ? key_lengths
                               : key_lengths.subspan(static_cast<std::size_t>(first),
                                                     static_cast<std::size_t>(sentences));
      run(x.row_range(first * tokens, sentences * tokens), sentences, lengths, scratch, backend);
    }
  }

 private:
  static constexpr index_t encoder_rows = 512;  // of x, for each thread

  template <class B>
  void run(matrix_view<T> x, index_t batch, std::span<index_t const> key_lengths,
           workspace<T>& scratch, B const& backend) const {
    auto const frame = scratch.frame();
    auto const update = scratch.take_matrix(x.rows, x.cols);
    self_attn.self(x, batch, key_lengths, false, update, scratch, backend);
    self_attn_layer_norm.add_and_normalize(update, x);
    ffn(x, update, scratch, backend);
    final_layer_norm.add_and_normalize(update, x);
  }
};

/// The stack that reads the source text.
template <real T>
struct bart_encoder {
  embedding<T> embed;
  layer_norm<T> layernorm_embedding;
  std::vector<bart_encoder_layer<T>> layers;

  template <class Weights>
  bart_encoder(Weights const& weights, bart_config const& c, shared_matrix<T> tokens)
      : embed(std::move(tokens),
              weights.template matrix_of<T>("model.encoder.embed_positions.weight"),
              bart_config::position_offset, embedding_scale<T>(c)),
        layernorm_embedding(
            weights.template read_layer_norm<T>("model.encoder.layernorm_embedding")) {
    for (index_t i = 0; i < c.encoder_layers; ++i) {
      layers.emplace_back(weights, layer_name("encoder", i), c.encoder_attention_heads);
    }
  }

  /// Hidden states x (batch * tokens, d_model) of ids (batch * tokens), sentence after sentence,
  /// each padded to the same number of tokens. key_lengths (batch) are the tokens before the
  /// padding, empty for none. observe(i, states) sees the input of layer i and, at last, the
  /// output. Throws shape_error for ids or lengths that the tables do not hold.
  template <std::invocable<index_t, matrix_view<T const>> Observe, blas_backend<T> B = openblas>
  void operator()(std::span<token_id const> ids, index_t batch,
                  std::span<index_t const> key_lengths, matrix_view<T> x, workspace<T>& scratch,
                  Observe observe, B const& backend = {}) const {
    auto const count = static_cast<index_t>(ids.size());
    if (batch < 1 || count == 0 || count % batch != 0) {
      throw shape_error(message("encoder: ", count, " tokens in a batch of ", batch));
    }
    if (x.rows != count) {
      throw shape_error(message("encoder: ", count, " tokens into ", x.shape()));
    }
    if (!key_lengths.empty() && static_cast<index_t>(key_lengths.size()) != batch) {
      throw shape_error(
          message("encoder: a batch of ", batch, " with ", key_lengths.size(), " key lengths"));
    }
    auto const tokens = count / batch;
    for (index_t b = 0; b < batch; ++b) {
      auto const first = static_cast<std::size_t>(b * tokens);
      embed(ids.subspan(first, static_cast<std::size_t>(tokens)), 0,
            x.row_range(b * tokens, tokens));
    }
    layernorm_embedding(x);
    index_t i = 0;
    observe(i, matrix_view<T const>(x));
    for (auto const& layer : layers) {
      layer(x, batch, key_lengths, scratch, backend);
      observe(++i, matrix_view<T const>(x));
    }
  }

  template <blas_backend<T> B = openblas>
  void operator()(std::span<token_id const> ids, index_t batch,
                  std::span<index_t const> key_lengths, matrix_view<T> x, workspace<T>& scratch,
                  B const& backend = {}) const {
    (*this)(
        ids, batch, key_lengths, x, scratch, [](index_t, matrix_view<T const>) {}, backend);
  }
};

}  // namespace v0
}  // namespace eckart
