#pragma once

#include "eckart/gpu/bart/device_layers.cuh"
#include "eckart/gpu/kernels/attention.cuh"

#include <algorithm>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Ids of sources in the memory of a device, padded to one length.
struct device_sources {
  token_id const* ids = nullptr;     ///< (sentences, tokens)
  int const* key_lengths = nullptr;  ///< (sentences) tokens before the padding
  index_t sentences = 0;
  index_t tokens = 0;

  auto rows() const -> index_t { return sentences * tokens; }
  /// `count` sentences from this one on.
  auto part(index_t first, index_t count) const -> device_sources {
    return {ids + first * tokens, key_lengths + first, count, tokens};
  }
};

/// The stack that reads the source text.
template <kernel_number T>
class device_encoder {
 public:
  device_encoder(bart<float> const& model, device_tables<T>& tables, cublas const& backend)
      : embed_(model.encoder().embed, model.encoder().layernorm_embedding, model.config(), tables,
               backend) {
    for (auto const& layer : model.encoder().layers) {
      layers_.push_back({{layer.self_attn, detail::input_layers(layer.self_attn),
                          layer.self_attn_layer_norm, backend},
                         {layer.ffn, layer.final_layer_norm, backend}});
    }
  }

  auto bytes() const -> std::size_t {
    auto total = embed_.bytes();
    for (auto const& layer : layers_) {
      total += layer.attention.bytes() + layer.ffn.bytes();
    }
    return total;
  }

  /// Working memory of a call for so many rows.
  struct scratch {
    device_view<T> update;  // (rows, d_model)
    T* wide = nullptr;      // (rows, the widest of: q | k | v and their context, hidden)
    T* inner = nullptr;     // (rows, the largest padded rank)
  };
  auto make_scratch(index_t rows, device_arena& arena) const -> scratch {
    index_t wide = 0;
    index_t inner = 0;
    for (auto const& layer : layers_) {
      wide = std::max({wide, 4 * layer.attention.width, layer.ffn.hidden()});
      inner = std::max({inner, layer.attention.inner_width(), layer.ffn.inner_width()});
    }
    return {arena.take_matrix<T>(rows, embed_.view().norm.width), arena.take<T>(rows * wide),
            arena.take<T>(rows * inner)};
  }

  /// Hidden states x (sentences * tokens, d_model). observe(i, x) sees the input of layer i and, at
  /// last, the output. Throws shape_error and backend_error. Does not wait.
  template <class Observe>
  void operator()(device_sources const& sources, device_view<T> x, scratch const& work,
                  cublaslt const& products, Observe observe) const {
    auto const stream = products.backend().stream();
    gpu::embed(sources.ids, sources.tokens, nullptr, embed_.view(), x, stream);
    index_t i = 0;
    observe(i, x);
    for (auto const& layer : layers_) {
      attend(layer.attention, sources, x, work, products);
      layer.ffn(x, work.update, work.wide, work.inner, products);
      observe(++i, x);
    }
  }
  void operator()(device_sources const& sources, device_view<T> x, scratch const& work,
                  cublaslt const& products) const {
    (*this)(sources, x, work, products, [](index_t, device_view<T>) {});
  }

 private:
  struct layer_type {
    device_attention<T> attention;
    device_feed_forward<T> ffn;
  };

  static void attend(device_attention<T> const& a, device_sources const& sources, device_view<T> x,
                     scratch const& work, cublaslt const& products) {
    auto const stream = products.backend().stream();
    auto const qkv = device_view<T>(work.wide, x.rows, 3 * a.width);
    auto const context = device_view<T>(work.wide + x.rows * 3 * a.width, x.rows, a.width);
    a.input(x, qkv, work.inner, products);
    gpu::attention(gpu::attention_operands<T>{.q = qkv.data,
                                              .k = qkv.data + a.width,
                                              .v = qkv.data + 2 * a.width,
                                              .ld = qkv.ld,
                                              .out = context.data,
                                              .tokens = static_cast<int>(sources.tokens),
                                              .heads = static_cast<int>(a.heads),
                                              .head_width = static_cast<int>(a.width / a.heads),
                                              .key_lengths = sources.key_lengths,
                                              .scale = a.scale},
                   sources.sentences, stream);
    a.out_proj(context, work.update, work.inner, products);
    gpu::add_and_normalize<T>(work.update, a.norm.view(), x, stream);
  }

  device_embedding<T> embed_;
  std::vector<layer_type> layers_;
};

}  // namespace v0
}  // namespace eckart
