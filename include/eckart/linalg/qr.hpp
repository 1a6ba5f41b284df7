#pragma once

#include "eckart/backend/openblas.hpp"
#include "eckart/core/workspace.hpp"
#include "eckart/linalg/norm.hpp"
#include "eckart/linalg/transpose.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Thin QR decomposition a = q r of an m x n matrix, k = min(m, n).
template <real T>
struct qr_result {
  matrix<T> q;  ///< (m, k), orthonormal columns
  matrix<T> r;  ///< (k, n), upper triangular, diagonal not negative
};

/// QR decomposition with column pivoting: a with its columns in the order of `columns` is q r.
template <real T>
struct pivoted_qr_result {
  matrix<T> q;                   ///< (m, k), orthonormal columns
  matrix<T> r;                   ///< (k, n), upper triangular, |r_ii| falling
  std::vector<index_t> columns;  ///< (n) column of a that stands in place j
  index_t rank = 0;              ///< diagonal entries above the tolerance
};

namespace detail {

/// The best work size that a LAPACK routine answers to a query.
template <real T>
auto asked_worksize(T answer) -> index_t {
  return static_cast<index_t>(std::nextafter(answer, std::numeric_limits<T>::max())) + 1;
}

inline void check_lapack(int info, char const* name, shape2 a) {
  if (info != 0) {
    throw numerical_error(message(name, ": LAPACK gave up on the ", a, " matrix with info ", info),
                          info);
  }
}

inline void refuse_empty(shape2 a, char const* name) {
  if (a.rows == 0 || a.cols == 0) {
    throw shape_error(message(name, ": of a ", a, " matrix"));
  }
}

/// Elements of work that gelqf and orglq want for the transpose of an m x n matrix.
template <real T>
auto lq_worksize(shape2 a) -> index_t {
  auto const m = to_blas_int(a.cols);
  auto const n = to_blas_int(a.rows);
  auto const k = std::min(m, n);
  T first = 0;
  T second = 0;
  T* const none = nullptr;
  lapack::gelqf(m, n, none, m, none, &first, -1);
  lapack::orglq(k, n, k, none, m, none, &second, -1);
  return std::max(asked_worksize(first), asked_worksize(second));
}

}  // namespace detail

/// Elements of workspace that qr_work takes.
template <real T>
auto qr_worksize(shape2 a) -> std::size_t {
  using scratch = workspace<T>;
  return scratch::footprint(a.rows, a.cols) + scratch::footprint(std::min(a.rows, a.cols), 1) +
         scratch::footprint(detail::lq_worksize<T>(a), 1);
}

/// Thin QR into q (m, k) and r (k, n) without allocating, by Householder reflections. LAPACK reads
/// the row-major matrix as its transpose and factors that as L Q, so nothing is transposed. Unique
/// for full column rank, because the diagonal of r is made not negative. About 4 m n k FLOPs
/// (Golub and Van Loan, 4th ed., section 5.2). Throws shape_error, numerical_error for non-finite
/// input.
template <real T>
void qr_work(std::type_identity_t<matrix_view<T const>> a, matrix_view<T> q, matrix_view<T> r,
             workspace<T>& scratch) {
  detail::refuse_empty(a.shape(), "qr");
  auto const k = std::min(a.rows, a.cols);
  if (q.shape() != shape2{a.rows, k} || r.shape() != shape2{k, a.cols}) {
    throw shape_error(message("qr: outputs (", q.shape(), "), (", r.shape(), ") do not fit a ",
                              a.shape(), " matrix"));
  }
  detail::refuse_non_finite(a, "qr");
  detail::ready_blas();
  auto const frame = scratch.frame();
  auto const reflectors = scratch.take_matrix(a.rows, a.cols);
  auto const tau = scratch.take_span(k);
  auto const work = scratch.take_span(detail::lq_worksize<T>(a.shape()));
  auto const m = to_blas_int(a.cols);
  auto const n = to_blas_int(a.rows);
  auto const work_size = to_blas_int(static_cast<index_t>(work.size()));
  copy(a, reflectors);
  auto info = lapack::gelqf(m, n, reflectors.data, m, tau.data(), work.data(), work_size);
  detail::check_lapack(info, "qr", a.shape());
  for (index_t i = 0; i < k; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      r(i, j) = j < i ? T{0} : reflectors(i, j);
    }
  }
  info = lapack::orglq(to_blas_int(k), n, to_blas_int(k), reflectors.data, m, tau.data(),
                       work.data(), work_size);
  detail::check_lapack(info, "qr", a.shape());
  copy(reflectors.col_range(0, k), q);
  for (index_t i = 0; i < k; ++i) {
    if (r(i, i) < 0) {
      std::ranges::transform(r.row(i), r.row(i).begin(), [](T x) { return -x; });
      for (index_t row = 0; row < q.rows; ++row) {
        q(row, i) = -q(row, i);
      }
    }
  }
}

/// Thin QR decomposition of a dense row-major matrix. See qr_work.
template <matrix_operand A>
requires real<value_t<A>>
auto qr(A const& a) -> qr_result<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(a);
  auto const input = as_view(operand);
  auto const k = std::min(input.rows, input.cols);
  qr_result<T> result{make_matrix<T>({input.rows, k}), make_matrix<T>({k, input.cols})};
  workspace<T> scratch;
  qr_work(input, as_view(result.q), as_view(result.r), scratch);
  return result;
}

namespace detail {

/// geqp3 of the transpose of a row-major matrix: picks rows of `rows` (m, k') one after another,
/// each the one that is farthest from the span of those before. Afterwards `rows`, read
/// column-major (k', m), holds R and the reflectors. Answers the rows in the order of the pivots.
template <real T>
auto pivot_rows(matrix_view<T> rows, std::span<T> tau) -> std::vector<index_t> {
  ready_blas();
  auto const m = to_blas_int(rows.cols);
  auto const n = to_blas_int(rows.rows);
  std::vector<lapack::integer> pivots(static_cast<std::size_t>(n), 0);
  T query = 0;
  auto const lda = to_blas_int(rows.ld);
  lapack::geqp3(m, n, rows.data, lda, pivots.data(), tau.data(), &query, -1);
  std::vector<T> work(static_cast<std::size_t>(asked_worksize(query)));
  auto const info = lapack::geqp3(m, n, rows.data, lda, pivots.data(), tau.data(), work.data(),
                                  to_blas_int(static_cast<index_t>(work.size())));
  check_lapack(info, "pivoted qr", {rows.cols, rows.rows});
  std::vector<index_t> order(pivots.begin(), pivots.end());
  std::ranges::transform(order, order.begin(), [](index_t one_based) { return one_based - 1; });
  return order;
}

}  // namespace detail

/// QR with column pivoting (Businger and Golub 1965): each step takes the column that is farthest
/// from the span of those before it. The rank counts |r_ii| > tolerance |r_00|; a negative
/// tolerance stands for max(m, n) eps. About 4 m n k FLOPs, and two transpositions. Throws
/// shape_error, numerical_error for non-finite input.
template <matrix_operand A>
requires real<value_t<A>>
auto pivoted_qr(A const& a, double tolerance = -1) -> pivoted_qr_result<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(a);
  auto const input = as_view(operand);
  detail::refuse_empty(input.shape(), "pivoted_qr");
  detail::refuse_non_finite(matrix_view<T const>(input), "pivoted_qr");
  auto const k = std::min(input.rows, input.cols);
  auto columns = make_matrix<T>({input.cols, input.rows});  // rows of it are columns of a
  auto const view = as_view(columns);
  detail::transpose(input, view);
  std::vector<T> tau(static_cast<std::size_t>(k));
  pivoted_qr_result<T> result{make_matrix<T>({input.rows, k}), make_matrix<T>({k, input.cols}),
                              detail::pivot_rows(view, std::span(tau)), 0};
  auto const r = as_view(result.r);
  for (index_t i = 0; i < k; ++i) {
    for (index_t j = 0; j < input.cols; ++j) {
      r(i, j) = j < i ? T{0} : view(j, i);
    }
  }
  auto const m = to_blas_int(input.rows);
  auto const small = to_blas_int(k);
  T query = 0;
  lapack::orgqr(m, small, small, view.data, m, tau.data(), &query, -1);
  std::vector<T> work(static_cast<std::size_t>(detail::asked_worksize(query)));
  auto const info = lapack::orgqr(m, small, small, view.data, m, tau.data(), work.data(),
                                  to_blas_int(static_cast<index_t>(work.size())));
  detail::check_lapack(info, "pivoted_qr", input.shape());
  detail::transpose(view.row_range(0, k), as_view(result.q));
  auto const eps = static_cast<double>(std::numeric_limits<T>::epsilon());
  auto const size = static_cast<double>(std::max(input.rows, input.cols));
  auto const bound =
      (tolerance < 0 ? size * eps : tolerance) * std::abs(static_cast<double>(r(0, 0)));
  while (result.rank < k && std::abs(static_cast<double>(r(result.rank, result.rank))) > bound) {
    ++result.rank;
  }
  return result;
}

}  // namespace v0
}  // namespace eckart
