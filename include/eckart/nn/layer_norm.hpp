#pragma once

#include "eckart/backend/row_kernels.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/core/view.hpp"

#include <array>
#include <cmath>
#include <concepts>
#include <utility>

namespace eckart {
inline namespace v0 {

namespace detail {

/// Sum of f(0) + ... + f(n - 1) in 16 interleaved partial sums: more accurate than one running
/// sum, and the compiler can vectorize it without reassociating anything.
template <real T, class F>
auto lane_sum(index_t n, F f) -> T {
  constexpr index_t lanes = 16;
  std::array<T, lanes> partial{};
  index_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (index_t lane = 0; lane < lanes; ++lane) {
      partial[static_cast<std::size_t>(lane)] += f(i + lane);
    }
  }
  T total = 0;
  for (; i < n; ++i) {
    total += f(i);
  }
  for (T const p : partial) {
    total += p;
  }
  return total;
}

}  // namespace detail

/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias for each row, with the biased variance
/// (Ba, Kiros and Hinton 2016).
template <real T>
class layer_norm {
 public:
  layer_norm(vector<T> weight, vector<T> bias, T epsilon = T(1e-5))
      : weight_(std::move(weight)), bias_(std::move(bias)), epsilon_(epsilon) {
    if (weight_.size() != bias_.size() || weight_.size() == 0) {
      throw shape_error(
          message("layer_norm: ", weight_.size(), " weights, ", bias_.size(), " biases"));
    }
  }

  auto width() const -> index_t { return static_cast<index_t>(weight_.size()); }
  auto weight() const -> vector<T> const& { return weight_; }
  auto bias() const -> vector<T> const& { return bias_; }
  auto parameters() const -> std::uint64_t { return weight_.size() + bias_.size(); }

  /// x <- normalized x, row by row; x is (rows, width). About 8 FLOPs an entry.
  void operator()(matrix_view<T> x) const {
    check(x.cols);
    parallel_rows(x.rows, x.cols, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i) {
        add_and_normalize(nullptr, x.data + i * x.ld);
      }
    });
  }

  /// x <- normalized x + residual: the step after each sub-layer of a post-norm transformer.
  void add_and_normalize(std::type_identity_t<matrix_view<T const>> residual,
                         matrix_view<T> x) const {
    check(x.cols);
    if (residual.shape() != x.shape()) {
      throw shape_error(message("layer_norm: residual ", residual.shape(), " for ", x.shape()));
    }
    parallel_rows(x.rows, x.cols, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i) {
        add_and_normalize(residual.data + i * residual.ld, x.data + i * x.ld);
      }
    });
  }

 private:
  void check(index_t cols) const {
    if (cols != width()) {
      throw shape_error(message("layer_norm: rows of ", cols, " for width ", width()));
    }
  }

  // other may be null.
  void add_and_normalize(T const* other, T* row) const {
    auto const n = width();
#ifdef ECKART_HAS_ROW_KERNELS
    if constexpr (std::same_as<T, float>) {
      detail::best_row_kernels().add_and_normalize(row, other, weight_.data(), bias_.data(), n,
                                                   epsilon_);
      return;
    }
#endif
    for (index_t j = 0; other != nullptr && j < n; ++j) {
      row[j] += other[j];
    }
    auto const mean =
        detail::lane_sum<T>(n, [row](index_t j) { return row[j]; }) / static_cast<T>(n);
    auto const variance = detail::lane_sum<T>(n,
                                              [row, mean](index_t j) {
                                                auto const d = row[j] - mean;
                                                return d * d;
                                              }) /
                          static_cast<T>(n);
    auto const scale = T{1} / std::sqrt(variance + epsilon_);
    auto const* weight = weight_.data();
    auto const* bias = bias_.data();
    for (index_t j = 0; j < n; ++j) {
      row[j] = (row[j] - mean) * scale * weight[j] + bias[j];
    }
  }

  vector<T> weight_;  // (width)
  vector<T> bias_;    // (width)
  T epsilon_;
};

}  // namespace v0
}  // namespace eckart
