#pragma once

#include "eckart/gpu/bart/device_encoder.cuh"
#include "eckart/gpu/kernels/step_attention.cuh"

#include <algorithm>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Rows that a decoder on a device writes: `beams` for each sentence, one sentence after another.
struct device_rows {
  index_t sentences = 0;
  index_t beams = 1;
  index_t source_tokens = 0;  ///< of a padded source
  index_t capacity = 0;       ///< ids of a row at most

  auto count() const -> index_t { return sentences * beams; }
};

/// The stack that writes: one token of every row a call.
template <kernel_number T>
class device_decoder {
 public:
  device_decoder(bart<float> const& model, device_tables<T>& tables, cublas const& backend)
      : embed_(model.decoder().embed, model.decoder().layernorm_embedding, model.config(), tables,
               backend),
        cross_kv_(cross_layers(model.decoder()), backend) {
    for (auto const& layer : model.decoder().layers) {
      auto const& cross = layer.encoder_attn;
      layers_.push_back({{layer.self_attn, detail::input_layers(layer.self_attn),
                          layer.self_attn_layer_norm, backend},
                         {cross, {&cross.q_proj.value()}, layer.encoder_attn_layer_norm, backend},
                         {layer.ffn, layer.final_layer_norm, backend}});
    }
  }

  auto bytes() const -> std::size_t {
    auto total = embed_.bytes() + cross_kv_.bytes();
    for (auto const& layer : layers_) {
      total += layer.self.bytes() + layer.cross.bytes() + layer.ffn.bytes();
    }
    return total;
  }

  /// Keys and values of the sources for all layers: (sentences * tokens, cross_width()).
  auto cross_width() const -> index_t { return cross_kv_.outputs(); }
  auto cross_inner_width() const -> index_t { return cross_kv_.inner_width(); }
  /// From the encoder's output memory (rows, d_model).
  void remember(device_view<T const> memory, device_view<T> cross, T* inner,
                cublaslt const& products) const {
    cross_kv_(memory, cross, inner, products);
  }

  /// What a decoder remembers between steps, and its working memory.
  struct state {
    device_rows rows;
    device_view<T> cross;              // (sentences * source tokens, cross_width())
    int const* key_lengths = nullptr;  // (sentences)
    gpu::history_view history;
    int const* position = nullptr;  // of the tokens that are fed
    std::vector<T*> self;           // a layer each: (capacity - 1, rows, 2 width)
    device_view<T> x;               // (rows, d_model)
    device_view<T> update;          // (rows, d_model)
    T* wide = nullptr;              // (rows, the widest of: q | k | v and their context, hidden)
    T* inner = nullptr;             // (rows, the largest padded rank)
  };
  /// The state without cross, key_lengths, history and position.
  auto make_state(device_rows rows, device_arena& arena) const -> state {
    state s;
    s.rows = rows;
    auto const count = rows.count();
    index_t wide = 0;
    index_t inner = 0;
    for (auto const& layer : layers_) {
      // The last id of a row is never read.
      s.self.push_back(arena.take<T>((rows.capacity - 1) * count * 2 * layer.self.width));
      wide = std::max({wide, 4 * layer.self.width, 2 * layer.cross.width, layer.ffn.hidden()});
      inner = std::max(
          {inner, layer.self.inner_width(), layer.cross.inner_width(), layer.ffn.inner_width()});
    }
    auto const d_model = static_cast<index_t>(embed_.view().norm.width);
    s.x = arena.take_matrix<T>(count, d_model);
    s.update = arena.take_matrix<T>(count, d_model);
    s.wide = arena.take<T>(count * wide);
    s.inner = arena.take<T>(count * inner);
    return s;
  }
  /// Bytes of the keys and values of a state.
  auto cache_bytes(device_rows rows) const -> std::size_t {
    auto total = rows.sentences * rows.source_tokens * cross_width();
    for (auto const& layer : layers_) {
      total += (rows.capacity - 1) * rows.count() * 2 * layer.self.width;
    }
    return static_cast<std::size_t>(total) * sizeof(T);
  }

  /// Hidden states s.x of tokens (rows), which stand at *s.position; the caches then hold them.
  /// observe(i, x) sees the input of layer i and, at last, the output. Does not wait.
  template <class Observe>
  void operator()(token_id const* tokens, state const& s, cublaslt const& products,
                  Observe observe) const {
    auto const stream = products.backend().stream();
    gpu::embed(tokens, 1, s.position, embed_.view(), s.x, stream);
    index_t cross_column = 0;
    observe(index_t{0}, s.x);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      auto const& layer = layers_[i];
      attend_self(layer.self, s, i, products);
      attend_cross(layer.cross, s, cross_column, products);
      cross_column += 2 * layer.cross.width;
      layer.ffn(s.x, s.update, s.wide, s.inner, products);
      observe(static_cast<index_t>(i + 1), s.x);
    }
  }
  void operator()(token_id const* tokens, state const& s, cublaslt const& products) const {
    (*this)(tokens, s, products, [](index_t, device_view<T>) {});
  }

 private:
  struct layer_type {
    device_attention<T> self;
    device_attention<T> cross;
    device_feed_forward<T> ffn;
  };

  // Keys and values of the first layer's cross-attention, of the second's and so on.
  static auto cross_layers(bart_decoder<float> const& decoder)
      -> std::vector<linear<float> const*> {
    if (decoder.cross_kv_proj) {
      return {&*decoder.cross_kv_proj};
    }
    std::vector<linear<float> const*> layers;
    for (auto const& layer : decoder.layers) {
      layers.push_back(&layer.encoder_attn.k_proj.value());
      layers.push_back(&layer.encoder_attn.v_proj.value());
    }
    return layers;
  }

  static void attend_self(device_attention<T> const& a, state const& s, std::size_t layer,
                          cublaslt const& products) {
    auto const stream = products.backend().stream();
    auto const rows = s.x.rows;
    auto const qkv = device_view<T>(s.wide, rows, 3 * a.width);
    auto const context = device_view<T>(s.wide + rows * 3 * a.width, rows, a.width);
    a.input(s.x, qkv, s.inner, products);
    gpu::step_self_attention<T>(qkv, a.heads, a.scale, {s.self[layer], s.history}, s.position,
                                context, stream);
    a.out_proj(context, s.update, s.inner, products);
    gpu::add_and_normalize<T>(s.update, a.norm.view(), s.x, stream);
  }

  static void attend_cross(device_attention<T> const& a, state const& s, index_t column,
                           cublaslt const& products) {
    auto const stream = products.backend().stream();
    auto const rows = s.x.rows;
    auto const q = device_view<T>(s.wide, rows, a.width);
    auto const context = device_view<T>(s.wide + rows * a.width, rows, a.width);
    a.input(s.x, q, s.inner, products);
    auto const* const keys = s.cross.data + column;
    gpu::step_cross_attention<T>(
        q, s.rows.sentences, a.heads, a.scale,
        {keys, keys + a.width, s.cross.ld, static_cast<int>(s.rows.source_tokens), s.key_lengths},
        context, stream);
    a.out_proj(context, s.update, s.inner, products);
    gpu::add_and_normalize<T>(s.update, a.norm.view(), s.x, stream);
  }

  device_embedding<T> embed_;
  device_projection<T> cross_kv_;
  std::vector<layer_type> layers_;
};

}  // namespace v0
}  // namespace eckart
