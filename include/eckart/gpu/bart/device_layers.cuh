#pragma once

#include "eckart/gpu/bart/device_arena.cuh"
#include "eckart/gpu/device_linear.cuh"
#include "eckart/gpu/kernels/embedding.cuh"
#include "eckart/gpu/kernels/layer_norm.cuh"
#include "eckart/models/bart/bart.hpp"

#include <map>
#include <memory>
#include <vector>

/// The parts of a BART in the memory of a device.
namespace eckart {
inline namespace v0 {

class device_layer_norm {
 public:
  device_layer_norm(layer_norm<float> const& norm, cublas const& backend)
      : weight_(gpu::upload<float>(as_span(norm.weight()), backend.stream())),
        bias_(gpu::upload<float>(as_span(norm.bias()), backend.stream())) {}

  auto view() const -> gpu::layer_norm_view {
    return {weight_.data(), bias_.data(), static_cast<int>(weight_.size()), 1e-5F};
  }
  auto bytes() const -> std::size_t {
    return static_cast<std::size_t>(weight_.size() + bias_.size()) * sizeof(float);
  }

 private:
  device_buffer<float> weight_;  // (width)
  device_buffer<float> bias_;    // (width)
};

/// Tables of word embeddings, each once however many parts use it. Rows of zeros follow up to a
/// multiple of 8: the product with a table that is no such multiple is several times slower.
template <kernel_number T>
class device_tables {
 public:
  using table = std::shared_ptr<device_matrix<T> const>;

  explicit device_tables(cublas const& backend) : backend_(&backend) {}

  static auto padded(index_t vocabulary) -> index_t { return (vocabulary + 7) / 8 * 8; }

  /// (padded(vocabulary), width).
  auto operator()(matrix_view<float const> host) -> table {
    auto& known = tables_[host.data];
    if (!known) {
      auto made = std::make_shared<device_matrix<T>>(shape2{padded(host.rows), host.cols});
      auto const size = static_cast<std::size_t>(made->view().size()) * sizeof(T);
      check_cuda(cudaMemsetAsync(made->view().data, 0, size, backend_->stream()),
                 "cudaMemsetAsync");
      gpu::upload<T>(host, made->view().row_range(0, host.rows), backend_->stream());
      bytes_ += size;
      known = std::move(made);
    }
    return known;
  }
  auto bytes() const -> std::size_t { return bytes_; }

 private:
  cublas const* backend_;
  std::map<float const*, table> tables_;
  std::size_t bytes_ = 0;
};

/// Token embedding, positions and the LayerNorm behind them.
template <kernel_number T>
class device_embedding {
 public:
  device_embedding(embedding<float> const& embed, layer_norm<float> const& norm,
                   bart_config const& c, device_tables<T>& tables, cublas const& backend)
      : tokens_(tables(as_view(*embed.tokens()))),
        positions_(embed.positions().shape()),
        scale_(embedding_scale<float>(c)),
        norm_(norm, backend) {
    gpu::upload<T>(embed.positions(), positions_.view(), backend.stream());
  }

  auto view() const -> gpu::embedding_view<T> {
    return {tokens_->view(), positions_.view(), static_cast<int>(bart_config::position_offset),
            scale_, norm_.view()};
  }
  auto bytes() const -> std::size_t {
    auto const s = positions_.shape();
    return static_cast<std::size_t>(s.rows * s.cols) * sizeof(T) + norm_.bytes();
  }

 private:
  typename device_tables<T>::table tokens_;  // (vocabulary, d_model)
  device_matrix<T> positions_;               // (offset + positions, d_model)
  float scale_;
  device_layer_norm norm_;
};

namespace detail {

/// The layers that an attention reads its own sequence with, in the order q, k, v.
inline auto input_layers(multi_head_attention<float> const& a)
    -> std::vector<linear<float> const*> {
  if (a.qkv_proj) {
    return {&*a.qkv_proj};
  }
  if (!a.k_proj) {
    return {&*a.q_proj};
  }
  return {&*a.q_proj, &*a.k_proj, &*a.v_proj};
}

}  // namespace detail

/// An attention of a decoder or encoder: what reads its input, and what joins its heads.
template <kernel_number T>
struct device_attention {
  device_projection<T> input;  ///< (3 width or width, d_model): q | k | v, or q alone
  device_linear<T> out_proj;   ///< (d_model, width)
  device_layer_norm norm;      ///< behind it
  index_t heads;
  index_t width;
  float scale;

  device_attention(multi_head_attention<float> const& a,
                   std::vector<linear<float> const*> const& inputs, layer_norm<float> const& behind,
                   cublas const& backend)
      : input(inputs, backend),
        out_proj(a.out_proj, backend),
        norm(behind, backend),
        heads(a.heads),
        width(a.width()),
        scale(a.scale) {}

  auto inner_width() const -> index_t {
    return std::max(input.inner_width(), out_proj.inner_width());
  }
  auto bytes() const -> std::size_t { return input.bytes() + out_proj.bytes() + norm.bytes(); }
};

template <kernel_number T>
struct device_feed_forward {
  device_linear<T> fc1;
  device_linear<T> fc2;
  device_layer_norm norm;  ///< behind it
  activation f;

  device_feed_forward(feed_forward<float> const& ffn, layer_norm<float> const& behind,
                      cublas const& backend)
      : fc1(ffn.fc1, backend), fc2(ffn.fc2, backend), norm(behind, backend), f(ffn.f) {}

  auto hidden() const -> index_t { return fc1.shape().rows; }
  auto inner_width() const -> index_t { return std::max(fc1.inner_width(), fc2.inner_width()); }
  auto bytes() const -> std::size_t { return fc1.bytes() + fc2.bytes() + norm.bytes(); }

  /// x <- LayerNorm(x + fc2(f(fc1(x)))): x and update (rows, d_model), wide (rows, hidden()).
  void operator()(device_view<T> x, device_view<T> update, T* wide, T* inner,
                  cublaslt const& products) const {
    auto const stream = products.backend().stream();
    auto const between = device_view<T>(wide, x.rows, hidden());
    fc1(x, between, inner, products, f);
    fc2(between, update, inner, products);
    gpu::add_and_normalize<T>(update, norm.view(), x, stream);
  }
};

}  // namespace v0
}  // namespace eckart
