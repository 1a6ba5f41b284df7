#pragma once

#include "eckart/backend/openblas.hpp"
#include "eckart/core/workspace.hpp"
#include "eckart/linalg/norm.hpp"
#include "eckart/linalg/transpose.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <concepts>
#include <span>
#include <type_traits>

namespace eckart {
inline namespace v0 {

/// A backend that can factor: `svd(method, a, s, u, vt, work)` answers LAPACK's info.
template <class B, class T>
concept lapack_backend = requires(B const& backend, svd_method method, matrix_view<T> a,
                                  std::span<real_of<T>> s, std::span<T> work) {
  { backend.svd(method, a, s, a, a, work) } -> std::same_as<int>;
  { backend.template svd_worksize<T>(method, a.shape()) } -> std::same_as<index_t>;
};

struct svd_options {
  svd_method method = svd_method::divide_and_conquer;
  bool check_finite = true;  ///< refuse NaN and infinity before LAPACK sees them
};

/// Thin singular value decomposition a = u diag(s) vt of an m x n matrix, k = min(m, n). For a
/// complex matrix vt is V^H.
template <scalar T>
struct svd_result {
  matrix<T> u;           ///< (m, k), orthonormal columns
  vector<real_of<T>> s;  ///< (k), falling, not negative
  matrix<T> vt;          ///< (k, n), orthonormal rows
};

namespace detail {

/// Makes the entry of largest magnitude in each left vector positive (the first one, if several
/// are equal), so that the decomposition does not depend on LAPACK's choice of signs. A complex
/// pair of vectors is turned by a phase, which real numbers have two of.
template <scalar T>
void fix_signs(matrix_view<T> u, matrix_view<T> vt) {
  for (index_t j = 0; j < u.cols; ++j) {
    index_t extreme = 0;
    for (index_t i = 1; i < u.rows; ++i) {
      if (std::abs(u(i, j)) > std::abs(u(extreme, j))) {
        extreme = i;
      }
    }
    if constexpr (complex_number<T>) {
      auto const size = std::abs(u(extreme, j));
      auto const phase = size > 0 ? u(extreme, j) / size : T{1};
      for (index_t i = 0; i < u.rows; ++i) {
        u(i, j) *= std::conj(phase);
      }
      if (u.rows > 0) {
        u(extreme, j) = size;  // to the last bit
      }
      std::ranges::transform(vt.row(j), vt.row(j).begin(), [phase](T x) { return x * phase; });
    } else if (u.rows > 0 && u(extreme, j) < 0) {
      for (index_t i = 0; i < u.rows; ++i) {
        u(i, j) = -u(i, j);
      }
      std::ranges::transform(vt.row(j), vt.row(j).begin(), [](T x) { return -x; });
    }
  }
}

}  // namespace detail

/// Elements of workspace that svd_work takes for a matrix of this shape.
template <scalar T, lapack_backend<T> B = openblas>
auto svd_worksize(shape2 a, B const& backend = {}) -> std::size_t {
  auto const small = std::min(a.rows, a.cols);
  auto const wide = shape2{small, std::max(a.rows, a.cols)};
  auto const driver =
      std::max(backend.template svd_worksize<T>(svd_method::divide_and_conquer, wide),
               backend.template svd_worksize<T>(svd_method::qr_iteration, wide));
  using scratch = workspace<T>;
  auto const factors =
      a.rows > a.cols ? scratch::footprint(wide.rows, small) + scratch::footprint(small, wide.cols)
                      : 0;
  return scratch::footprint(wide.rows, wide.cols) + factors +
         scratch::footprint(static_cast<std::size_t>(driver));
}

/// Thin SVD of a real or complex matrix into u (m, k), s (k), vt (k, n) without allocating; a stays
/// as it is. A tall matrix
/// is factored as its transpose, which suits LAPACK better on some processors; the others need no
/// transposition at all. If gesdd does not converge, gesvd tries again. Cost: about 4 m n k + 22 k³
/// FLOPs (Golub and Van Loan, Matrix Computations, 4th ed., section 8.6). Throws shape_error, and
/// numerical_error for non-finite input or if no driver converges.
template <scalar T, lapack_backend<T> B = openblas>
void svd_work(std::type_identity_t<matrix_view<T const>> a, std::span<real_of<T>> s,
              matrix_view<T> u, matrix_view<T> vt, workspace<T>& scratch, svd_options options = {},
              B const& backend = {}) {
  auto const k = std::min(a.rows, a.cols);
  if (k == 0) {
    throw shape_error(message("svd: a ", a.shape(), " matrix has no singular values"));
  }
  if (static_cast<index_t>(s.size()) != k || u.shape() != shape2{a.rows, k} ||
      vt.shape() != shape2{k, a.cols}) {
    throw shape_error(message("svd: outputs (", u.shape(), "), ", s.size(), ", (", vt.shape(),
                              ") do not fit a ", a.shape(), " matrix"));
  }
  if (options.check_finite) {
    detail::refuse_non_finite(a, "svd");
  }
  auto const frame = scratch.frame();
  bool const tall = a.rows > a.cols;
  auto const copy_of_a =
      tall ? scratch.take_matrix(a.cols, a.rows) : scratch.take_matrix(a.rows, a.cols);
  auto const left = tall ? scratch.take_matrix(a.cols, k) : u;
  auto const right = tall ? scratch.take_matrix(k, a.rows) : vt;
  auto const run = [&](svd_method method) {
    if (tall) {
      detail::transpose(a, copy_of_a);
    } else {
      copy(a, copy_of_a);
    }
    auto const inner = scratch.frame();
    auto const work =
        scratch.take_span(backend.template svd_worksize<T>(method, copy_of_a.shape()));
    return backend.svd(method, copy_of_a, s, left, right, work);
  };
  auto info = run(options.method);
  if (info > 0 && options.method == svd_method::divide_and_conquer) {
    info = run(svd_method::qr_iteration);
  }
  if (info != 0) {
    throw numerical_error(
        message("svd: LAPACK gave up on the ", a.shape(), " matrix with info ", info), info);
  }
  if (tall) {
    detail::transpose(right, u);
    detail::transpose(left, vt);
  }
  detail::fix_signs(u, vt);
}

/// Thin SVD of a dense row-major matrix. See svd_work for method, cost and errors.
template <matrix_operand A, lapack_backend<value_t<A>> B = openblas>
auto svd(A const& a, svd_options options = {}, B const& backend = {}) -> svd_result<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(a);
  auto const input = as_view(operand);
  auto const k = std::min(input.rows, input.cols);
  // The query refuses what LAPACK cannot count, before anything large is allocated.
  workspace<T> scratch(k > 0 ? svd_worksize<T>(input.shape(), backend) : 0);
  svd_result<T> result{make_matrix<T>({input.rows, k}), make_vector<real_of<T>>(k),
                       make_matrix<T>({k, input.cols})};
  svd_work(input, as_span(result.s), as_view(result.u), as_view(result.vt), scratch, options,
           backend);
  return result;
}

}  // namespace v0
}  // namespace eckart
