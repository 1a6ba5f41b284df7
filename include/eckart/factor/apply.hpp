#pragma once

#include "eckart/backend/merge_columns.hpp"
#include "eckart/core/workspace.hpp"
#include "eckart/factor/addend.hpp"
#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/pivoted.hpp"

#include <cstddef>
#include <span>

/// y = x W^T through the factors, from the narrow side out: with x (rows, n) and W (m, n) of rank
/// k the intermediate results are (rows, k).
namespace eckart {
inline namespace v0 {

namespace detail {

/// y(i, places[j]) = from(i, j) + beta y(i, places[j]).
template <real T>
void put_columns(matrix_view<T const> from, std::span<index_t const> places, T beta,
                 matrix_view<T> y) {
  for (index_t i = 0; i < y.rows; ++i) {
    for (index_t j = 0; j < from.cols; ++j) {
      auto& to = y(i, places[static_cast<std::size_t>(j)]);
      to = beta * to + from(i, j);
    }
  }
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

/// y = x (L R)^T + the addend: x R^T is (rows, k). 2 k (m+n) FLOPs a row.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, low_rank<T, two_factor> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {},
                std::type_identity_t<addend<T>> more = {}) {
  auto const frame = scratch.frame();
  auto const inner = scratch.take_matrix(x.rows, w.rank());
  detail::product_through(x, w.right(), inner, w.left(), more, y, backend);
}

/// y = x (U diag(s) Vt)^T + the addend. 2 k (m+n) + k FLOPs a row.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, low_rank<T, diagonal_core> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {},
                std::type_identity_t<addend<T>> more = {}) {
  auto const frame = scratch.frame();
  auto const inner = scratch.take_matrix(x.rows, w.rank());
  backend.gemm(op::none, op::transpose, T{1}, x, w.vt(), T{0}, inner);
  backend.scale_columns(w.s(), inner);
  detail::add_to_product(matrix_view<T const>(inner), w.u(), more, y, backend);
}

/// y = x (U S Vt)^T + the addend: the thesis's three products. 2 k (m+k+n) FLOPs a row.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, low_rank<T, full_core> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {},
                std::type_identity_t<addend<T>> more = {}) {
  auto const frame = scratch.frame();
  auto const first = scratch.take_matrix(x.rows, w.rank());
  auto const second = scratch.take_matrix(x.rows, w.rank());
  backend.gemm(op::none, op::transpose, T{1}, x, w.vt(), T{0}, first);
  backend.gemm(op::none, op::transpose, T{1}, matrix_view<T const>(first), w.core(), T{0}, second);
  detail::add_to_product(matrix_view<T const>(second), w.u(), more, y, backend);
}

/// y = x (P [1; C] K)^T + the addend: the kept rows of W give x K^T (rows, k), of which the others
/// are combinations. These are written to the end of y, where nothing else is kept there, and both
/// are merged in place. 2 k (m+n-k) FLOPs a row.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, low_rank<T, pivoted> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {},
                std::type_identity_t<addend<T>> more = {}) {
  auto const k = w.rank();
  auto const m = w.shape().rows;
  if (y.rows != x.rows || y.cols != m || (!more.row.empty() && std::ssize(more.row) != m)) {
    throw shape_error(message("apply: ", x.shape(), " times a pivoted ", w.shape(), " into ",
                              y.shape(), ", a row of ", more.row.size()));
  }
  auto const places = w.rows();
  auto const of_kept = places.first(static_cast<std::size_t>(k));
  auto const frame = scratch.frame();
  auto const kept = scratch.take_matrix(x.rows, k);
  auto const combine = [&](matrix_view<T> others) {
    detail::product_through<T>(x, w.kept(), kept, w.combinations(), {}, others, backend);
  };
  if (more.beta == T{0}) {
    combine(y.col_range(k, m - k));
    detail::merge_columns(matrix_view<T const>(kept), of_kept,
                          more.row.empty() ? nullptr : more.row.data(), y);
    return;
  }
  auto const others = scratch.take_matrix(x.rows, m - k);
  combine(others);
  detail::put_columns(matrix_view<T const>(kept), of_kept, more.beta, y);
  detail::put_columns(matrix_view<T const>(others), places.subspan(static_cast<std::size_t>(k)),
                      more.beta, y);
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
