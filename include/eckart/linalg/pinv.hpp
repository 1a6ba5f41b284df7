#pragma once

#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/norm.hpp"
#include "eckart/linalg/qr.hpp"
#include "eckart/linalg/svd.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// The shortest of all x that minimize ||a x - b|| for each column of b.
template <real T>
struct least_squares_result {
  matrix<T> x;                         ///< (n, columns)
  index_t rank = 0;                    ///< singular values of a that count
  std::vector<double> residual_norms;  ///< (columns), ||a x - b|| of each
};

namespace detail {

/// A decomposition of which the first `rank` values count as not 0.
template <real T>
struct ranked_svd {
  svd_result<T> factors;
  index_t rank = 0;
};

/// SVD with the rank by tolerance. Throws for what pinv and least_squares refuse.
template <real T>
auto svd_with_rank(matrix_view<T const> a, double tolerance, char const* name) -> ranked_svd<T> {
  refuse_empty(a.shape(), name);
  if (std::isnan(tolerance)) {
    throw shape_error(message(name, ": tolerance ", tolerance));
  }
  refuse_non_finite(a, name);
  ranked_svd<T> result{svd(a, {.check_finite = false}), 0};
  auto const s = as_span(std::as_const(result.factors.s));
  auto const eps = static_cast<double>(std::numeric_limits<T>::epsilon());
  auto const relative =
      tolerance < 0 ? static_cast<double>(std::max(a.rows, a.cols)) * eps : tolerance;
  auto const cutoff = relative * static_cast<double>(s.front());
  result.rank = std::ranges::count_if(s, [&](T x) { return static_cast<double>(x) > cutoff; });
  if (result.rank > 0) {
    auto const smallest = s[static_cast<std::size_t>(result.rank - 1)];
    if (!std::isfinite(T{1} / smallest)) {
      throw numerical_error(
          message(name, ": the reciprocal of the singular value ", smallest, " is not finite"), 0);
    }
  }
  return result;
}

/// Divides row i by s[i].
template <real T>
void divide_rows(matrix_view<T> a, std::span<T const> s) {
  for (index_t i = 0; i < a.rows; ++i) {
    auto const divisor = s[static_cast<std::size_t>(i)];
    std::ranges::transform(a.row(i), a.row(i).begin(), [&](T x) { return x / divisor; });
  }
}

}  // namespace detail

/// The pseudoinverse (n, m) of a (m, n) by Moore and Penrose (1955), v diag(1 / s) u^T over the
/// singular values above tolerance times the largest (Golub and Van Loan, 4th ed., section 5.5);
/// a negative tolerance stands for max(m, n) eps. Cost: that of svd, and 2 m n rank FLOPs. To solve
/// systems, least_squares is cheaper and more accurate. Throws shape_error for an empty matrix and
/// a NaN as tolerance, numerical_error for non-finite input and a reciprocal that overflows.
template <matrix_operand A>
requires real<value_t<A>>
auto pinv(A const& a, double tolerance = -1) -> matrix<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(a);
  matrix_view<T const> const input = as_view(operand);
  auto f = detail::svd_with_rank(input, tolerance, "pinv");
  auto result = make_matrix<T>({input.cols, input.rows});
  if (f.rank == 0) {
    result.fill(T{0});
    return result;
  }
  auto const right = as_view(f.factors.vt).row_range(0, f.rank);  // (rank, n)
  detail::divide_rows(right, as_span(std::as_const(f.factors.s)));
  matmul(op::transpose, right, op::transpose, as_view(f.factors.u).col_range(0, f.rank),
         as_view(result));
  return result;
}

/// Minimizes ||a x - b|| for each column of b (m, columns), a (m, n) of any shape and rank, by the
/// SVD; among all minimizers x is the shortest (Golub and Van Loan, 4th ed., section 5.5).
/// Singular values up to tolerance times the largest count as 0; a negative tolerance stands for
/// max(m, n) eps. Cost: that of svd, and 2 (m + n) (rank + n) FLOPs a column at most. Throws
/// shape_error for an empty a, another number of rows and a NaN as tolerance, numerical_error for
/// non-finite input and a reciprocal that overflows.
template <matrix_operand A, matrix_operand B>
requires real<value_t<A>> && std::same_as<value_t<A>, value_t<B>>
auto least_squares(A const& a, B const& b, double tolerance = -1)
    -> least_squares_result<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(a);
  matrix_view<T const> const input = as_view(operand);
  auto const right_hand_side = evaluated(b);
  matrix_view<T const> const wanted = as_view(right_hand_side);
  if (input.rows != wanted.rows) {
    throw shape_error(
        message("least_squares: ", input.shape(), " matrix, ", wanted.shape(), " right-hand side"));
  }
  detail::refuse_non_finite(wanted, "least_squares: right-hand side");
  auto const f = detail::svd_with_rank(input, tolerance, "least_squares");
  least_squares_result<T> result{make_matrix<T>({input.cols, wanted.cols}), f.rank, {}};
  result.x.fill(T{0});
  auto residual = to_matrix(wanted);  // b - a x
  if (f.rank > 0) {
    auto const left = as_view(f.factors.u).col_range(0, f.rank);    // (m, rank)
    auto const right = as_view(f.factors.vt).row_range(0, f.rank);  // (rank, n)
    auto scaled = matmul(op::transpose, left, op::none, wanted);    // (rank, columns)
    detail::divide_rows(as_view(scaled), as_span(f.factors.s));
    matmul(op::transpose, right, op::none, as_view(scaled), as_view(result.x));
    openblas{}.gemm(op::none, op::none, T{-1}, input, matrix_view<T const>(as_view(result.x)), T{1},
                    as_view(residual));
  }
  for (index_t j = 0; j < wanted.cols; ++j) {
    result.residual_norms.push_back(frobenius_norm(as_view(residual).col_range(j, 1)));
  }
  return result;
}

}  // namespace v0
}  // namespace eckart
