#pragma once

#include "eckart/backend/reference.hpp"
#include "eckart/linalg/norm.hpp"
#include "support/refusal.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>

/// What tests measure matrices with. Everything is computed in double by plain loops.
namespace support {

using eckart::index_t;

/// Distance from 1 to the next T: twice the largest relative error of one operation.
template <class T>
inline constexpr double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());

template <class T>
inline constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();

/// The elements as double.
template <class T>
auto in_double(eckart::matrix_view<T> a) -> eckart::matrix<double> {
  auto result = eckart::make_matrix<double>(a.shape());
  auto const to = eckart::as_view(result);
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      to(i, j) = static_cast<double>(a(i, j));
    }
  }
  return result;
}

template <eckart::dense_matrix A>
auto in_double(A const& a) -> eckart::matrix<double> {
  return in_double(eckart::as_view(a));
}

/// The magnitudes as double.
template <class T>
auto magnitudes(eckart::matrix_view<T> a) -> eckart::matrix<double> {
  auto result = in_double(a);
  for (auto& x : result) {
    x = std::abs(x);
  }
  return result;
}

/// p(a) q(b) in double.
inline auto product(eckart::op p, eckart::matrix<double> const& a, eckart::op q,
                    eckart::matrix<double> const& b) -> eckart::matrix<double> {
  auto const left = eckart::as_view(a);
  auto const right = eckart::as_view(b);
  auto result = eckart::make_matrix<double>(
      {eckart::shape_of(p, left.shape()).rows, eckart::shape_of(q, right.shape()).cols});
  eckart::reference{}.gemm(p, q, 1.0, left, right, 0.0, eckart::as_view(result));
  return result;
}

inline auto product(eckart::matrix<double> const& a, eckart::matrix<double> const& b)
    -> eckart::matrix<double> {
  return product(eckart::op::none, a, eckart::op::none, b);
}

/// The first k columns of u times diag(s) times the first k rows of vt, in double.
template <class T>
auto layers(eckart::matrix_view<T const> u, std::span<T const> s, eckart::matrix_view<T const> vt,
            index_t k) -> eckart::matrix<double> {
  auto left = in_double(u.col_range(0, k));
  for (index_t i = 0; i < u.rows; ++i) {
    for (index_t j = 0; j < k; ++j) {
      eckart::as_view(left)(i, j) *= static_cast<double>(s[static_cast<std::size_t>(j)]);
    }
  }
  return product(left, in_double(vt.row_range(0, k)));
}

/// ||a - b|| in the Frobenius norm; infinite if the shapes differ.
template <class L, class R>
auto distance(eckart::matrix_view<L> a, eckart::matrix_view<R> b) -> double {
  if (a.shape() != b.shape()) {
    return std::numeric_limits<double>::infinity();
  }
  auto difference = in_double(a);
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      eckart::as_view(difference)(i, j) -= static_cast<double>(b(i, j));
    }
  }
  return eckart::frobenius_norm(difference);
}

template <eckart::dense_matrix L, eckart::dense_matrix R>
auto distance(L const& a, R const& b) -> double {
  return distance(eckart::as_view(a), eckart::as_view(b));
}

/// ||a^T a - 1||: 0 if the columns of a are orthonormal.
template <class T>
auto distance_from_orthonormal_columns(eckart::matrix_view<T> a) -> double {
  auto const columns = in_double(a);
  auto gram = product(eckart::op::transpose, columns, eckart::op::none, columns);
  for (index_t i = 0; i < a.cols; ++i) {
    eckart::as_view(gram)(i, i) -= 1;
  }
  return eckart::frobenius_norm(gram);
}

/// ||a a^T - 1||: 0 if the rows of a are orthonormal.
template <class T>
auto distance_from_orthonormal_rows(eckart::matrix_view<T> a) -> double {
  auto const rows = in_double(a);
  auto gram = product(eckart::op::none, rows, eckart::op::transpose, rows);
  for (index_t i = 0; i < a.rows; ++i) {
    eckart::as_view(gram)(i, i) -= 1;
  }
  return eckart::frobenius_norm(gram);
}

/// Same shape and same elements, to the last bit.
template <eckart::dense_matrix L, eckart::dense_matrix R>
auto identical(L const& a, R const& b) -> bool {
  auto const x = eckart::as_view(a);
  auto const y = eckart::as_view(b);
  if (x.shape() != y.shape()) {
    return false;
  }
  for (index_t i = 0; i < x.rows; ++i) {
    if (!std::ranges::equal(x.row(i), y.row(i))) {
      return false;
    }
  }
  return true;
}

}  // namespace support
