#pragma once

#include "eckart/core/view.hpp"

#include <concepts>
#include <limits>
#include <span>

namespace eckart {
inline namespace v0 {

/// How a factor enters a product: as it stands, transposed, or transposed and conjugated. For real
/// matrices the latter two are the same.
enum class op : char { none, transpose, adjoint };

/// A place where matrix products happen. It is a value: pass another one and the same algorithm
/// runs elsewhere. `gemm(p, q, alpha, a, b, beta, c)` computes c = alpha p(a) q(b) + beta c and
/// does not read c when beta is 0; `scale_columns(d, c)` computes c(i, j) *= d[j], the product
/// with a diagonal matrix. Both throw shape_error before they write anything.
template <class B, class T>
concept blas_backend = requires(B const& backend, matrix_view<T const> a, matrix_view<T> c,
                                std::span<T const> d, T scalar) {
  typename B::memory;
  { backend.gemm(op::none, op::none, scalar, a, a, scalar, c) } -> std::same_as<void>;
  { backend.scale_columns(d, c) } -> std::same_as<void>;
};

/// Rows and columns of p(a).
constexpr auto shape_of(op p, shape2 a) -> shape2 {
  return p == op::none ? a : shape2{a.cols, a.rows};
}

/// Throws shape_error unless c = p(a) q(b) has fitting shapes. Answers the inner dimension.
template <class T, class Memory>
auto check_product(op p, op q, matrix_view<T const, Memory> a, matrix_view<T const, Memory> b,
                   matrix_view<T, Memory> c) -> index_t {
  auto const left = shape_of(p, a.shape());
  auto const right = shape_of(q, b.shape());
  if (left.cols != right.rows || left.rows != c.rows || right.cols != c.cols) {
    throw shape_error(message("gemm: (", left, ") times (", right, ") into (", c.shape(), ")"));
  }
  return left.cols;
}

/// Throws shape_error unless d has one entry for each column of c.
template <class T>
void check_scale_columns(std::span<T const> d, matrix_view<T> c) {
  if (static_cast<index_t>(d.size()) != c.cols) {
    throw shape_error(message("scale_columns: ", d.size(), " factors for ", c.cols, " columns"));
  }
}

/// Size as a BLAS integer. Throws shape_error where it does not fit.
inline auto to_blas_int(index_t n) -> int {
  if (n < 0 || n > std::numeric_limits<int>::max()) {
    throw shape_error(message("BLAS counts with 32 bits: ", n, " does not fit"));
  }
  return static_cast<int>(n);
}

}  // namespace v0
}  // namespace eckart
