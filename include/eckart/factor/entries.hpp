#pragma once

#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/pivoted.hpp"
#include "eckart/linalg/matmul.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>

/// Rows, columns and single elements of a matrix that exists only as factors.
namespace eckart {
inline namespace v0 {
namespace detail {

inline void check_position(char const* name, index_t i, index_t count, shape2 w) {
  if (i < 0 || i >= count) {
    throw shape_error(
        message(name, ": ", i, " is not in 0 to ", count - 1, " of a ", w, " matrix"));
  }
}

/// Row i of the left factor with the core in it, (1, k): row i of W is this times inner_rows(w).
template <real T>
auto left_row(low_rank<T, two_factor> const& w, index_t i) -> matrix<T> {
  return to_matrix(w.left().row_range(i, 1));
}
template <real T>
auto left_row(low_rank<T, diagonal_core> const& w, index_t i) -> matrix<T> {
  auto result = to_matrix(w.u().row_range(i, 1));
  std::ranges::transform(result, w.s(), result.begin(), std::multiplies<T>{});
  return result;
}
template <real T>
auto left_row(low_rank<T, full_core> const& w, index_t i) -> matrix<T> {
  return matmul(w.u().row_range(i, 1), w.core());
}
template <real T>
auto left_row(low_rank<T, pivoted> const& w, index_t i) -> matrix<T> {
  auto const place = std::distance(w.rows().begin(), std::ranges::find(w.rows(), i));
  if (place >= w.rank()) {
    return to_matrix(w.combinations().row_range(place - w.rank(), 1));
  }
  auto result = make_matrix<T>({1, w.rank()});
  result.fill(T{0});
  as_view(result)(0, place) = T{1};
  return result;
}

/// The right factor, (k, n).
template <real T, class Form>
auto inner_rows(low_rank<T, Form> const& w) -> matrix_view<T const> {
  if constexpr (std::same_as<Form, two_factor>) {
    return w.right();
  } else if constexpr (std::same_as<Form, pivoted>) {
    return w.kept();
  } else {
    return w.vt();
  }
}

/// y (m, 1) = the left factor with the core in it, times x (k, 1).
template <real T>
void multiply_left(low_rank<T, two_factor> const& w, matrix_view<T> x, matrix_view<T> y) {
  matmul(w.left(), x, y);
}
template <real T>
void multiply_left(low_rank<T, diagonal_core> const& w, matrix_view<T> x, matrix_view<T> y) {
  for (index_t i = 0; i < w.rank(); ++i) {
    x(i, 0) *= w.s()[static_cast<std::size_t>(i)];
  }
  matmul(w.u(), x, y);
}
template <real T>
void multiply_left(low_rank<T, full_core> const& w, matrix_view<T> x, matrix_view<T> y) {
  auto const inner = matmul(w.core(), x);
  matmul(w.u(), as_view(inner), y);
}
template <real T>
void multiply_left(low_rank<T, pivoted> const& w, matrix_view<T> x, matrix_view<T> y) {
  auto const others = matmul(w.combinations(), x);
  for (index_t i = 0; i < y.rows; ++i) {
    y(w.rows()[static_cast<std::size_t>(i)], 0) =
        i < w.rank() ? x(i, 0) : as_view(others)(i - w.rank(), 0);
  }
}

}  // namespace detail

/// Row i of A, (n). 2 k n FLOPs, 2 k² more for a full core. Throws shape_error.
template <real T, class Form>
auto row(low_rank<T, Form> const& a, index_t i) -> vector<T> {
  detail::check_position("row", i, a.shape().rows, a.shape());
  auto const left = detail::left_row(a, i);
  auto result = make_vector<T>(a.shape().cols);
  matmul(as_view(left), detail::inner_rows(a), matrix_view<T>(result.data(), 1, a.shape().cols));
  return result;
}

/// Column j of A, (m). 2 k m FLOPs, 2 k² more for a full core. Throws shape_error.
template <real T, class Form>
auto column(low_rank<T, Form> const& a, index_t j) -> vector<T> {
  detail::check_position("column", j, a.shape().cols, a.shape());
  auto right = to_matrix(detail::inner_rows(a).col_range(j, 1));
  auto result = make_vector<T>(a.shape().rows);
  detail::multiply_left(a, as_view(right), matrix_view<T>(result.data(), a.shape().rows, 1));
  return result;
}

/// A(i, j), summed in double. 2 k FLOPs, 2 k² more for a full core; pivots are looked for among m
/// places. Throws shape_error.
template <real T, class Form>
auto element(low_rank<T, Form> const& a, index_t i, index_t j) -> T {
  detail::check_position("element, row", i, a.shape().rows, a.shape());
  detail::check_position("element, column", j, a.shape().cols, a.shape());
  auto const left = detail::left_row(a, i);
  auto const right = detail::inner_rows(a);
  double sum = 0;
  for (index_t l = 0; l < a.rank(); ++l) {
    sum += static_cast<double>(as_view(left)(0, l)) * static_cast<double>(right(l, j));
  }
  return static_cast<T>(sum);
}

}  // namespace v0
}  // namespace eckart
