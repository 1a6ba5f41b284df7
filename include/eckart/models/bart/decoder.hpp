#pragma once

#include "eckart/models/bart/schema.hpp"
#include "eckart/nn/attention.hpp"
#include "eckart/nn/embedding.hpp"
#include "eckart/nn/feed_forward.hpp"
#include "eckart/nn/layer_norm.hpp"

#include <algorithm>
#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// What a decoder remembers between tokens: for each layer the keys and values of the tokens so
/// far (one history a running row) and of the encoded sources (one a sentence, shared by its rows).
template <real T>
struct bart_decoder_state {
  std::vector<kv_cache<T>> self;   ///< one a layer
  std::vector<kv_cache<T>> cross;  ///< one a layer
  std::vector<index_t> source_of;  ///< (rows) sentence that a row writes for
  std::vector<index_t>
      key_lengths;  ///< (sentences) source tokens before the padding; empty: no padding

  auto rows() const -> index_t { return static_cast<index_t>(source_of.size()); }
  auto length() const -> index_t { return self.empty() ? steps_ : self.front().length(); }

  /// Row r continues what was row parents[r].
  void reorder(std::span<index_t const> parents) {
    for (auto& cache : self) {
      cache.reorder(parents);
    }
    spare_.clear();
    for (auto const parent : parents) {
      spare_.push_back(source_of.at(static_cast<std::size_t>(parent)));
    }
    std::swap(source_of, spare_);
  }

  index_t steps_ = 0;           // tokens so far, where there is no layer to ask
  std::vector<index_t> spare_;  // (rows)
};

/// Self-attention, cross-attention and feed-forward, each followed by LayerNorm(x + update).
template <real T>
struct bart_decoder_layer {
  multi_head_attention<T> self_attn;
  layer_norm<T> self_attn_layer_norm;
  multi_head_attention<T> encoder_attn;
  layer_norm<T> encoder_attn_layer_norm;
  feed_forward<T> ffn;
  layer_norm<T> final_layer_norm;

  template <class Weights>
  bart_decoder_layer(Weights const& weights, std::string const& name, index_t heads)
      : self_attn(weights.template read_attention<T>(name + ".self_attn", heads)),
        self_attn_layer_norm(weights.template read_layer_norm<T>(name + ".self_attn_layer_norm")),
        encoder_attn(weights.template read_attention<T>(name + ".encoder_attn", heads)),
        encoder_attn_layer_norm(
            weights.template read_layer_norm<T>(name + ".encoder_attn_layer_norm")),
        ffn(weights.template read_feed_forward<T>(name)),
        final_layer_norm(weights.template read_layer_norm<T>(name + ".final_layer_norm")) {}

  /// Elements of workspace for one token of every row, with no more keys than these.
  auto worksize(index_t rows, index_t keys) const -> std::size_t {
    auto const update = workspace<T>::footprint(rows, self_attn.out_proj.shape().rows);
    return update + std::max({self_attn.worksize(rows, 1, keys),
                              encoder_attn.worksize(rows, rows, keys), ffn.worksize(rows)});
  }

  /// x (rows * steps, d_model), in place; the new tokens are appended to the cache `own`.
  template <blas_backend<T> B>
  void operator()(matrix_view<T> x, kv_cache<T>& own, kv_cache<T> const& memory,
                  bart_decoder_state<T> const& state, workspace<T>& scratch,
                  B const& backend) const {
    auto const frame = scratch.frame();
    auto const update = scratch.take_matrix(x.rows, x.cols);
    self_attn.self(x, own, update, scratch, backend);
    self_attn_layer_norm.add_and_normalize(update, x);
    encoder_attn.cross(x, memory, state.source_of, state.key_lengths, update, scratch, backend);
    encoder_attn_layer_norm.add_and_normalize(update, x);
    ffn(x, update, scratch, backend);
    final_layer_norm.add_and_normalize(update, x);
  }
};

/// The stack that writes: causal, and looking at the encoder's output.
template <real T>
struct bart_decoder {
  embedding<T> embed;
  layer_norm<T> layernorm_embedding;
  std::vector<bart_decoder_layer<T>> layers;

  /// (2 layers width, d_model): k | v of the first layer's cross-attention, of the second's and so
  /// on, in place of a layer each, for all read the encoder's output. None if each has its own.
  std::optional<linear<T>> cross_kv_proj;

  template <class Weights>
  bart_decoder(Weights const& weights, bart_config const& c, shared_matrix<T> tokens)
      : embed(std::move(tokens),
              weights.template matrix_of<T>("model.decoder.embed_positions.weight"),
              bart_config::position_offset, embedding_scale<T>(c)),
        layernorm_embedding(
            weights.template read_layer_norm<T>("model.decoder.layernorm_embedding")),
        cross_kv_proj(weights.template read_linear_if<T>(std::string(cross_kv_name))) {
    for (index_t i = 0; i < c.decoder_layers; ++i) {
      layers.emplace_back(weights, layer_name("decoder", i), c.decoder_attention_heads);
    }
  }

  /// A state for rows that have written nothing yet. memory (sentences * tokens, d_model) is the
  /// encoder's output, its keys and values are computed here, once. source_of (rows) names the
  /// sentence of each row; capacity is the number of tokens to make room for.
  template <blas_backend<T> B = openblas>
  auto start(std::type_identity_t<matrix_view<T const>> memory, index_t sentences,
             std::span<index_t const> key_lengths, std::span<index_t const> source_of,
             index_t capacity, workspace<T>& scratch, B const& backend = {}) const
      -> bart_decoder_state<T> {
    bart_decoder_state<T> state;
    state.source_of.assign(source_of.begin(), source_of.end());
    state.spare_.reserve(source_of.size());
    state.key_lengths.assign(key_lengths.begin(), key_lengths.end());
    for (auto const& layer : layers) {
      state.self.push_back(layer.self_attn.make_cache());
      state.self.back().reset(state.rows(), capacity);
      state.cross.push_back(layer.encoder_attn.make_cache());
      if (!cross_kv_proj) {
        layer.encoder_attn.remember(memory, sentences, state.cross.back(), scratch, backend);
      }
    }
    if (cross_kv_proj) {
      remember_all(memory, sentences, state, scratch, backend);
    }
    return state;
  }

  /// Elements of workspace for one token of every row: keys are the longest source or history.
  auto worksize(index_t rows, index_t keys) const -> std::size_t {
    std::size_t most = 0;
    for (auto const& layer : layers) {
      most = std::max(most, layer.worksize(rows, keys));
    }
    return most;
  }

  /// Hidden states x (rows * steps, d_model) of the next `steps` tokens of every row, ids
  /// (rows * steps) row after row; the state then holds them. observe(i, states) sees the input of
  /// layer i and, at last, the output.
  template <std::invocable<index_t, matrix_view<T const>> Observe, blas_backend<T> B = openblas>
  void operator()(std::span<token_id const> ids, bart_decoder_state<T>& state, matrix_view<T> x,
                  workspace<T>& scratch, Observe observe, B const& backend = {}) const {
    auto const count = static_cast<index_t>(ids.size());
    auto const rows = state.rows();
    if (rows < 1 || count == 0 || count % rows != 0) {
      throw shape_error(message("decoder: ", count, " tokens for ", rows, " rows"));
    }
    if (x.rows != count) {
      throw shape_error(message("decoder: ", count, " tokens into ", x.shape()));
    }
    auto const steps = count / rows;
    for (index_t r = 0; r < rows; ++r) {
      embed(ids.subspan(static_cast<std::size_t>(r * steps), static_cast<std::size_t>(steps)),
            state.length(), x.row_range(r * steps, steps));
    }
    layernorm_embedding(x);
    index_t i = 0;
    observe(i, matrix_view<T const>(x));
    for (auto const& layer : layers) {
      auto const at = static_cast<std::size_t>(i);
      layer(x, state.self[at], state.cross[at], state, scratch, backend);
      observe(++i, matrix_view<T const>(x));
    }
    state.steps_ += steps;
  }

  template <blas_backend<T> B = openblas>
  void operator()(std::span<token_id const> ids, bart_decoder_state<T>& state, matrix_view<T> x,
                  workspace<T>& scratch, B const& backend = {}) const {
    (*this)(
        ids, state, x, scratch, [](index_t, matrix_view<T const>) {}, backend);
  }

 private:
  template <class B>
  void remember_all(matrix_view<T const> memory, index_t sentences, bart_decoder_state<T>& state,
                    workspace<T>& scratch, B const& backend) const {
    auto const frame = scratch.frame();
    auto const kv = scratch.take_matrix(memory.rows, cross_kv_proj->shape().rows);
    (*cross_kv_proj)(memory, kv, scratch, backend);
    index_t first = 0;
    for (auto& cache : state.cross) {
      auto const width = cache.width();
      cache.reset(sentences, memory.rows / sentences);
      cache.append(kv.col_range(first, width), kv.col_range(first + width, width));
      first += 2 * width;
    }
  }
};

}  // namespace v0
}  // namespace eckart
