#pragma once

#include "eckart/backend/openblas.hpp"
#include "eckart/core/fill_rows.hpp"

#include <span>

namespace eckart {
inline namespace v0 {

/// What is added to a product y (rows, m): beta times y itself, which is not read for beta 0, or a
/// row (m) to every row, a layer's bias.
template <real T>
struct addend {
  T beta = 0;
  std::span<T const> row = {};

  addend(T factor = 0) : beta(factor) {}                        // NOLINT: a factor is an addend
  addend(std::span<T const> to_all_rows) : row(to_all_rows) {}  // NOLINT
};

namespace detail {

/// y = a w^T + the addend. Where the backend can, a row is added while y is written.
template <real T, blas_backend<T> B>
void add_to_product(matrix_view<T const> a, matrix_view<T const> w, addend<T> more,
                    matrix_view<T> y, B const& backend) {
  if (more.row.empty()) {
    backend.gemm(op::none, op::transpose, T{1}, a, w, more.beta, y);
  } else if constexpr (requires { backend.add_row_to_product(a, w, more.row, y); }) {
    backend.add_row_to_product(a, w, more.row, y);
  } else {
    fill_rows(more.row, y);
    backend.gemm(op::none, op::transpose, T{1}, a, w, T{1}, y);
  }
}

/// inner = a right^T, y = inner left^T + the addend. Where the backend can, both at once.
template <real T, blas_backend<T> B>
void product_through(matrix_view<T const> a, matrix_view<T const> right, matrix_view<T> inner,
                     matrix_view<T const> left, addend<T> more, matrix_view<T> y,
                     B const& backend) {
  if constexpr (requires {
                  backend.product_through(a, right, inner, left, more.beta, more.row, y);
                }) {
    backend.product_through(a, right, inner, left, more.beta, more.row, y);
  } else {
    backend.gemm(op::none, op::transpose, T{1}, a, right, T{0}, inner);
    add_to_product(matrix_view<T const>(inner), left, more, y, backend);
  }
}

}  // namespace detail

}  // namespace v0
}  // namespace eckart
