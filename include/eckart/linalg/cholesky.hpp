#pragma once

#include "eckart/backend/openblas.hpp"
#include "eckart/linalg/norm.hpp"

#include <algorithm>

namespace eckart {
inline namespace v0 {

/// a is not positive definite: the leading block of this order is not.
struct not_positive_definite : numerical_error {
  index_t pivot;  ///< counted from 0

  explicit not_positive_definite(index_t failing_pivot, shape2 a)
      : numerical_error(message("cholesky: the ", a, " matrix is not positive definite, pivot ",
                                failing_pivot, " fails"),
                        static_cast<int>(failing_pivot) + 1),
        pivot(failing_pivot) {}
};

/// a = L L^T in place: the lower triangle of a symmetric positive definite matrix becomes L and the
/// upper one zero; the upper triangle is not read. n³ / 3 FLOPs (Golub and Van Loan, 4th ed.,
/// section 4.2). Throws shape_error, numerical_error for a non-finite lower triangle, and
/// not_positive_definite, after which a is undefined.
template <real T>
void cholesky_work(matrix_view<T> a) {
  if (a.rows != a.cols || a.rows == 0) {
    throw shape_error(message("cholesky: of a ", a.shape(), " matrix"));
  }
  for (index_t i = 0; i < a.rows; ++i) {
    std::ranges::fill(a.row(i).subspan(static_cast<std::size_t>(i) + 1), T{0});
  }
  detail::refuse_non_finite(matrix_view<T const>(a), "cholesky");
  detail::ready_blas();
  // Row-major lower is column-major upper.
  auto const info = lapack::potrf(to_blas_int(a.rows), a.data, to_blas_int(a.ld));
  if (info > 0) {
    throw not_positive_definite(info - 1, a.shape());
  }
}

/// The lower triangular L of a = L L^T. See cholesky_work.
template <matrix_operand A>
requires real<value_t<A>>
auto cholesky(A const& a) -> matrix<value_t<A>> {
  auto const operand = evaluated(a);
  auto l = to_matrix(as_view(operand));
  cholesky_work(as_view(l));
  return l;
}

/// b <- b a^-1 for b (m, n) and the lower triangular L (n, n) of a = L L^T: each row of b becomes
/// the solution x of a x = row. 2 m n² FLOPs, in place. Throws shape_error.
template <real T>
void cholesky_solve_work(std::type_identity_t<matrix_view<T const>> l, matrix_view<T> b) {
  if (l.rows != l.cols || b.cols != l.rows) {
    throw shape_error(message("cholesky_solve: a ", l.shape(), " factor for rows of ", b.cols));
  }
  detail::ready_blas();
  // Row-major, L is an upper triangle and the rows of b are the columns that LAPACK solves for.
  lapack::potrs(to_blas_int(l.rows), to_blas_int(b.rows), l.data, to_blas_int(l.ld), b.data,
                to_blas_int(b.ld));
}

}  // namespace v0
}  // namespace eckart
