#pragma once

#include "eckart/linalg/qr.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace eckart {
inline namespace v0 {

/// a = vectors diag(values) vectors^T for a symmetric matrix of order n.
template <real T>
struct eigh_result {
  vector<T> values;   ///< (k), falling
  matrix<T> vectors;  ///< (n, k), orthonormal columns, largest entry of each positive
};

namespace detail {

template <real T>
void refuse_unsymmetric_use(matrix_view<T const> a) {
  if (a.rows != a.cols || a.rows == 0) {
    throw shape_error(message("eigh: of a ", a.shape(), " matrix"));
  }
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j <= i; ++j) {
      if (!std::isfinite(a(i, j))) {
        throw numerical_error(
            message("eigh: element (", i, ", ", j, ") of the ", a.shape(), " matrix is ", a(i, j)),
            0);
      }
    }
  }
}

/// Column-major copy of the lower triangle, which is all that LAPACK reads.
template <real T>
auto lower_triangle(matrix_view<T const> a) -> std::vector<T> {
  std::vector<T> result(static_cast<std::size_t>(a.size()));
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j <= i; ++j) {
      result[static_cast<std::size_t>(j * a.rows + i)] = a(i, j);
    }
  }
  return result;
}

/// LAPACK's rising pairs, vectors as rows of (k, n), as falling pairs with fixed signs.
template <real T>
auto falling_pairs(std::span<T const> values, matrix_view<T const> rows) -> eigh_result<T> {
  auto const k = rows.rows;
  eigh_result<T> result{make_vector<T>(k), make_matrix<T>({rows.cols, k})};
  auto const vectors = as_view(result.vectors);
  for (index_t j = 0; j < k; ++j) {
    auto const from = rows.row(k - 1 - j);
    result.values(static_cast<std::size_t>(j)) = values[static_cast<std::size_t>(k - 1 - j)];
    T extreme = 0;
    for (T const x : from) {
      extreme = std::abs(x) > std::abs(extreme) ? x : extreme;
    }
    for (index_t i = 0; i < rows.cols; ++i) {
      auto const x = from[static_cast<std::size_t>(i)];
      vectors(i, j) = extreme < 0 ? -x : x;
    }
  }
  return result;
}

}  // namespace detail

/// All eigenpairs of a symmetric matrix by divide and conquer (LAPACK syevd). Only the lower
/// triangle is read. About 9 n³ FLOPs (Golub and Van Loan, 4th ed., section 8.3). Throws
/// shape_error, numerical_error for non-finite input or if LAPACK does not converge.
template <matrix_operand A>
requires real<value_t<A>>
auto eigh(A const& a) -> eigh_result<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(a);
  matrix_view<T const> const input = as_view(operand);
  detail::refuse_unsymmetric_use(input);
  detail::ready_blas();
  auto const n = to_blas_int(input.rows);
  auto vectors = detail::lower_triangle(input);
  std::vector<T> values(static_cast<std::size_t>(n));
  T size = 0;
  lapack::integer integer_size = 0;
  lapack::syevd(n, vectors.data(), n, values.data(), &size, -1, &integer_size, -1);
  std::vector<T> work(static_cast<std::size_t>(detail::asked_worksize(size)));
  std::vector<lapack::integer> integers(static_cast<std::size_t>(integer_size));
  auto const info =
      lapack::syevd(n, vectors.data(), n, values.data(), work.data(),
                    to_blas_int(static_cast<index_t>(work.size())), integers.data(), integer_size);
  detail::check_lapack(info, "eigh", input.shape());
  return detail::falling_pairs<T>(values, matrix_view<T const>(vectors.data(), n, n));
}

/// The k largest eigenpairs (LAPACK syevr). Their vectors are less closely orthonormal than those
/// of all pairs: 44 n eps was seen. Throws as eigh, and shape_error for k outside 1 to n.
template <matrix_operand A>
requires real<value_t<A>>
auto eigh(A const& a, index_t k) -> eigh_result<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(a);
  matrix_view<T const> const input = as_view(operand);
  detail::refuse_unsymmetric_use(input);
  if (k < 1 || k > input.rows) {
    throw shape_error(message("eigh: ", k, " eigenpairs of a ", input.shape(), " matrix"));
  }
  detail::ready_blas();
  auto const n = to_blas_int(input.rows);
  auto const count = to_blas_int(k);
  auto copy_of_a = detail::lower_triangle(input);
  std::vector<T> values(static_cast<std::size_t>(n));
  std::vector<T> vectors(static_cast<std::size_t>(n) * static_cast<std::size_t>(k));
  std::vector<lapack::integer> support(2 * static_cast<std::size_t>(k));
  int found = 0;
  T size = 0;
  lapack::integer integer_size = 0;
  auto const run = [&](T* work, int work_size, lapack::integer* integers, int integers_size) {
    return lapack::syevr(n, copy_of_a.data(), n, n - count + 1, n, &found, values.data(),
                         vectors.data(), n, support.data(), work, work_size, integers,
                         integers_size);
  };
  run(&size, -1, &integer_size, -1);
  std::vector<T> work(static_cast<std::size_t>(detail::asked_worksize(size)));
  std::vector<lapack::integer> integers(static_cast<std::size_t>(integer_size));
  auto const info = run(work.data(), to_blas_int(static_cast<index_t>(work.size())),
                        integers.data(), integer_size);
  detail::check_lapack(info != 0 ? info : found - count, "eigh", input.shape());
  return detail::falling_pairs<T>(std::span<T const>(values).first(static_cast<std::size_t>(k)),
                                  matrix_view<T const>(vectors.data(), k, input.rows));
}

}  // namespace v0
}  // namespace eckart
