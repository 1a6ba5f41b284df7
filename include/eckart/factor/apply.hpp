#pragma once

#include "eckart/core/parallel.hpp"
#include "eckart/core/workspace.hpp"
#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/pivoted.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

/// y = x W^T through the factors, from the narrow side out: with x (rows, n) and W (m, n) of rank
/// k the intermediate results are (rows, k).
namespace eckart {
inline namespace v0 {

namespace detail {

/// y(i, places[j]) = from(i, j) + beta y(i, places[j]) for Rows rows from `first` on: a place is
/// read once for all of them. y is not read where beta is 0.
template <index_t Rows, real T>
void put_columns_of_rows(matrix_view<T const> from, std::span<index_t const> places, T beta,
                         matrix_view<T> y, index_t first) {
  auto const* const source = from.data + first * from.ld;
  auto* const target = y.data + first * y.ld;
  if (beta == T{0}) {
    for (index_t j = 0; j < from.cols; ++j) {
      auto* const to = target + places[static_cast<std::size_t>(j)];
      for (index_t i = 0; i < Rows; ++i) {
        to[i * y.ld] = source[i * from.ld + j];
      }
    }
  } else {
    for (index_t j = 0; j < from.cols; ++j) {
      auto* const to = target + places[static_cast<std::size_t>(j)];
      for (index_t i = 0; i < Rows; ++i) {
        to[i * y.ld] = beta * to[i * y.ld] + source[i * from.ld + j];
      }
    }
  }
}

/// The same for all rows, on all threads where they are many.
template <real T>
void put_columns(matrix_view<T const> from, std::span<index_t const> places, T beta,
                 matrix_view<T> y) {
  // More rows, which may lie a power of 2 apart, push each other out of the first cache.
  constexpr index_t at_once = 2;
  parallel_rows((y.rows + at_once - 1) / at_once, at_once * from.cols,
                [&](index_t first_group, index_t last_group) {
                  auto i = first_group * at_once;
                  auto const end = std::min(y.rows, last_group * at_once);
                  for (; i + at_once <= end; i += at_once) {
                    put_columns_of_rows<at_once>(from, places, beta, y, i);
                  }
                  for (; i < end; ++i) {
                    put_columns_of_rows<1>(from, places, beta, y, i);
                  }
                });
}

}  // namespace detail

/// Elements of workspace that apply_work takes for `rows` rows of x.
template <real T, class Form>
auto apply_worksize(low_rank<T, Form> const& w, index_t rows) -> std::size_t {
  auto const once = workspace<T>::footprint(rows, w.rank());
  if constexpr (std::same_as<Form, pivoted>) {
    return once + workspace<T>::footprint(rows, w.shape().rows - w.rank());
  } else {
    return std::same_as<Form, full_core> ? 2 * once : once;
  }
}

/// y = x (L R)^T + beta y: x R^T is (rows, k). 2 k (m+n) FLOPs a row.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, low_rank<T, two_factor> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {}, T beta = 0) {
  auto const frame = scratch.frame();
  auto const inner = scratch.take_matrix(x.rows, w.rank());
  backend.gemm(op::none, op::transpose, T{1}, x, w.right(), T{0}, inner);
  backend.gemm(op::none, op::transpose, T{1}, matrix_view<T const>(inner), w.left(), beta, y);
}

/// y = x (U diag(s) Vt)^T + beta y. 2 k (m+n) + k FLOPs a row.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, low_rank<T, diagonal_core> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {}, T beta = 0) {
  auto const frame = scratch.frame();
  auto const inner = scratch.take_matrix(x.rows, w.rank());
  backend.gemm(op::none, op::transpose, T{1}, x, w.vt(), T{0}, inner);
  backend.scale_columns(w.s(), inner);
  backend.gemm(op::none, op::transpose, T{1}, matrix_view<T const>(inner), w.u(), beta, y);
}

/// y = x (U S Vt)^T + beta y: the thesis's three products. 2 k (m+k+n) FLOPs a row.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, low_rank<T, full_core> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {}, T beta = 0) {
  auto const frame = scratch.frame();
  auto const first = scratch.take_matrix(x.rows, w.rank());
  auto const second = scratch.take_matrix(x.rows, w.rank());
  backend.gemm(op::none, op::transpose, T{1}, x, w.vt(), T{0}, first);
  backend.gemm(op::none, op::transpose, T{1}, matrix_view<T const>(first), w.core(), T{0}, second);
  backend.gemm(op::none, op::transpose, T{1}, matrix_view<T const>(second), w.u(), beta, y);
}

/// y = x (P [1; C] K)^T + beta y: the kept rows of W give x K^T (rows, k), of which the others are
/// combinations; both are written to their places. 2 k (m+n-k) FLOPs a row.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, low_rank<T, pivoted> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {}, T beta = 0) {
  auto const k = w.rank();
  if (y.rows != x.rows || y.cols != w.shape().rows) {
    throw shape_error(
        message("apply: ", x.shape(), " times a pivoted ", w.shape(), " into ", y.shape()));
  }
  auto const frame = scratch.frame();
  auto const kept = scratch.take_matrix(x.rows, k);
  auto const others = scratch.take_matrix(x.rows, y.cols - k);
  backend.gemm(op::none, op::transpose, T{1}, x, w.kept(), T{0}, kept);
  backend.gemm(op::none, op::transpose, T{1}, matrix_view<T const>(kept), w.combinations(), T{0},
               others);
  detail::put_columns(matrix_view<T const>(kept), w.rows().first(static_cast<std::size_t>(k)), beta,
                      y);
  detail::put_columns(matrix_view<T const>(others), w.rows().subspan(static_cast<std::size_t>(k)),
                      beta, y);
}

/// `apply(x, w)`: x W^T as a new (rows, m) matrix. Throws shape_error. An object and not a function
/// because std::apply would win every unqualified call by argument-dependent lookup.
struct apply_function {
  template <matrix_operand X, class Form, blas_backend<value_t<X>> B = openblas>
  auto operator()(X const& x, low_rank<value_t<X>, Form> const& w, B const& backend = {}) const
      -> matrix<value_t<X>> {
    using T = value_t<X>;
    auto const operand = evaluated(x);
    auto const input = as_view(operand);
    auto y = make_matrix<T>({input.rows, w.shape().rows});
    workspace<T> scratch(apply_worksize(w, input.rows));
    apply_work(input, w, as_view(y), scratch, backend);
    return y;
  }

  /// The same on an accelerator, by the layer that knows its matrices.
  template <class X, class W, class B>
  requires requires(X const& x, W const& w, B const& backend) { apply_on_device(x, w, backend); }
  auto operator()(X const& x, W const& w, B const& backend) const {
    return apply_on_device(x, w, backend);
  }
};
inline constexpr apply_function apply{};

}  // namespace v0
}  // namespace eckart
