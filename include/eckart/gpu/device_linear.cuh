#pragma once

#include "eckart/gpu/cublaslt.hpp"
#include "eckart/gpu/kernels/both_factors.cuh"
#include "eckart/gpu/kernels/few_rows.cuh"
#include "eckart/gpu/upload.cuh"
#include "eckart/nn/linear.hpp"

#include <algorithm>
#include <concepts>
#include <optional>
#include <span>
#include <variant>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

/// The weight of a layer as two factors. A core goes into the factors, kept rows become a factor
/// with ones (exact): on a device every form is two products, whose time the ranks alone decide.
inline auto device_factors(linear<float> const& layer) -> low_rank<float, two_factor> {
  return std::visit(
      [&](auto const& w) -> low_rank<float, two_factor> {
        if constexpr (requires { to_two_factor(w); }) {
          return to_two_factor(w);
        } else {
          throw shape_error(
              message("device_linear: no factors in a ", name_of(layer.stored_as()), " layer"));
        }
      },
      layer.stored_weight());
}

}  // namespace detail

/// Layers with one input on a device, whose outputs stand side by side: y = x W^T + b with W dense,
/// the layers one below the other, or in two factors of one shape, which stand one below the other
/// as well. Ranks are padded with zeros to whole packets of 16 bytes, which changes no result.
/// Diagonal, full and pivoted cores become two factors.
template <kernel_number T>
class device_linear {
 public:
  device_linear(linear<float> const& layer, cublas const& backend)
      : device_linear(std::vector<linear<float> const*>{&layer}, backend) {}

  /// Throws shape_error for layers of 8-bit numbers and for layers that do not go together.
  device_linear(std::vector<linear<float> const*> const& layers, cublas const& backend) {
    for (auto const* layer : layers) {
      if (!go_together(*layer, *layers.front())) {
        throw shape_error(message("device_linear: layers ", layers.front()->shape(), " and ",
                                  layer->shape(), " do not go together"));
      }
      shape_ = {shape_.rows + layer->shape().rows, layer->shape().cols};
    }
    if (is_dense(*layers.front())) {
      take_dense(layers, backend);
    } else {
      take_factors(layers, backend);
    }
    take_bias(layers, backend);
  }

  /// Whether two layers can be held as one: the same input, and both dense, or factors of one shape
  /// (after padding). Throws shape_error for a layer of 8-bit numbers.
  static auto go_together(linear<float> const& a, linear<float> const& b) -> bool {
    if (a.shape().cols != b.shape().cols || is_dense(a) != is_dense(b)) {
      return false;
    }
    return is_dense(a) || (a.shape() == b.shape() && padded(a.rank()) == padded(b.rank()));
  }

  auto shape() const -> shape2 { return shape_; }
  /// Columns of the working memory that a call takes: the padded ranks; 0 if dense.
  auto inner_width() const -> index_t { return rank_ == 0 ? 0 : right_.shape().rows; }
  auto bytes() const -> std::size_t {
    return static_cast<std::size_t>(right_.view().size() + left_.view().size() + bias_.size()) *
           sizeof(T);
  }

  /// y (rows, m) = f(x W^T + b) from x (rows, n); inner (rows, inner_width()) is working memory.
  /// Kernels of our own for few rows, both factors in one where that is faster (multiply_by_both),
  /// else cuBLASLt. Throws shape_error.
  template <kernel_number Out>
  void operator()(device_view<std::type_identity_t<T> const> x, device_view<Out> y, T* inner,
                  cublaslt const& products, std::optional<activation> f = std::nullopt) const {
    if (x.cols != shape_.cols || y.cols != shape_.rows || x.rows != y.rows) {
      throw shape_error(
          message("device_linear: input ", x.shape(), ", weight ", shape_, ", output ", y.shape()));
    }
    T const* const bias = bias_.data();
    if (rank_ == 0) {
      product(x, right_.view(), bias, f, y, products);
      return;
    }
    auto const factors = gpu::factor_stack<T>{right_.view(), left_.view(), shape_.rows / outputs_};
    if (gpu::multiply_by_both(x, factors, bias, f, y, products.backend().stream())) {
      return;
    }
    auto const narrow = device_view<T>(inner, x.rows, inner_width());
    product(x, right_.view(), static_cast<T const*>(nullptr), std::nullopt, narrow, products);
    product(narrow, left_.view(), bias, f, y, products, factors.parts);
  }

 private:
  static auto is_dense(linear<float> const& layer) -> bool {
    if (layer.stored_as() == form::int8) {
      throw shape_error("device_linear: a layer of 8-bit numbers has no form on a device");
    }
    return layer.stored_as() == form::dense;
  }

  template <kernel_number Out>
  static void product(device_view<T const> x, device_view<T const> w, T const* bias,
                      std::optional<activation> f, device_view<Out> y, cublaslt const& products,
                      index_t parts = 1) {
    auto const stream = products.backend().stream();
    if (gpu::fits_few_rows(x, w)) {
      gpu::few_rows_product(x, w, bias, f, y, stream, parts);
      return;
    }
    if constexpr (std::same_as<T, Out>) {
      products(x, w, bias, y, parts);
    } else {
      if (bias != nullptr) {
        throw shape_error("device_linear: a bias of another type than the output");
      }
      products(x, w, static_cast<Out const*>(nullptr), y, parts);
    }
    if (f) {
      gpu::activate(*f, y, stream);
    }
  }

  void take_dense(std::vector<linear<float> const*> const& layers, cublas const& backend) {
    right_ = device_matrix<T>(shape_);
    index_t first = 0;
    for (auto const* layer : layers) {
      auto const& w = std::get<matrix<float>>(layer->stored_weight());
      auto const view = as_view(w);
      gpu::upload<T>(view, right_.view().row_range(first, view.rows), backend.stream());
      first += view.rows;
    }
  }

  void take_factors(std::vector<linear<float> const*> const& layers, cublas const& backend) {
    auto const stream = backend.stream();
    auto const parts = static_cast<index_t>(layers.size());
    rank_ = padded(layers.front()->rank());
    outputs_ = layers.front()->shape().rows;
    right_ = zeros({parts * rank_, shape_.cols}, stream);
    left_ = zeros({parts * outputs_, rank_}, stream);
    for (index_t part = 0; part < parts; ++part) {
      auto const f = detail::device_factors(*layers[static_cast<std::size_t>(part)]);
      gpu::upload<T>(f.right(), right_.view().row_range(part * rank_, f.rank()), stream);
      gpu::upload<T>(f.left(), left_.view().block(part * outputs_, 0, outputs_, f.rank()), stream);
    }
  }

  void take_bias(std::vector<linear<float> const*> const& layers, cublas const& backend) {
    std::vector<float> values;
    bool any = false;
    for (auto const* layer : layers) {
      auto const& own = layer->bias();
      any = any || own.has_value();
      auto const end = values.size() + static_cast<std::size_t>(layer->shape().rows);
      if (own) {
        values.insert(values.end(), own->begin(), own->end());
      }
      values.resize(end, 0.0F);
    }
    if (any) {
      bias_ = gpu::upload<T>(std::span<float const>(values), backend.stream());
    }
  }

  static auto padded(index_t rank) -> index_t {
    constexpr index_t n = gpu::packet_size<T>;
    return (rank + n - 1) / n * n;
  }
  static auto zeros(shape2 shape, cudaStream_t stream) -> device_matrix<T> {
    device_matrix<T> result(shape);
    auto const bytes = static_cast<std::size_t>(shape.rows * shape.cols) * sizeof(T);
    check_cuda(cudaMemsetAsync(result.view().data, 0, bytes, stream), "cudaMemsetAsync");
    return result;
  }

  shape2 shape_;
  index_t rank_ = 0;        // padded, of a layer's factors; 0 if dense
  index_t outputs_ = 0;     // of a layer in factors
  device_matrix<T> right_;  // (m, n) dense, or the right factors (layers * rank, n)
  device_matrix<T> left_;   // (m, rank) or none
  device_buffer<T> bias_;   // (m) or none
};

/// Any layers with one input, whose outputs stand side by side: neighbours that are alike become
/// one device_linear.
template <kernel_number T>
class device_projection {
 public:
  device_projection(std::vector<linear<float> const*> const& layers, cublas const& backend) {
    for (auto first = layers.begin(); first != layers.end();) {
      auto const last = std::find_if(first, layers.end(), [&](auto const* layer) {
        return !device_linear<T>::go_together(*layer, **first);
      });
      parts_.emplace_back(std::vector<linear<float> const*>(first, last), backend);
      first = last;
    }
  }

  auto outputs() const -> index_t {
    index_t total = 0;
    for (auto const& part : parts_) {
      total += part.shape().rows;
    }
    return total;
  }
  auto inner_width() const -> index_t {
    index_t most = 0;
    for (auto const& part : parts_) {
      most = std::max(most, part.inner_width());
    }
    return most;
  }
  auto bytes() const -> std::size_t {
    std::size_t total = 0;
    for (auto const& part : parts_) {
      total += part.bytes();
    }
    return total;
  }

  /// y (rows, outputs()) from x; inner (rows, inner_width()).
  void operator()(device_view<std::type_identity_t<T> const> x, device_view<T> y, T* inner,
                  cublaslt const& products) const {
    index_t first = 0;
    for (auto const& part : parts_) {
      part(x, y.col_range(first, part.shape().rows), inner, products);
      first += part.shape().rows;
    }
  }

 private:
  std::vector<device_linear<T>> parts_;
};

}  // namespace v0
}  // namespace eckart
