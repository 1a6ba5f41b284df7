#pragma once

#include "eckart/backend/blas_info.hpp"
#include "eckart/backend/concept.hpp"
#include "eckart/backend/lapack.hpp"
#include "eckart/backend/many_rows.hpp"
#include "eckart/backend/row_kernels.hpp"
#include "eckart/backend/row_products.hpp"
#include "eckart/core/fill_rows.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <concepts>
#include <cstdint>
#include <limits>
#include <new>
#include <type_traits>

// xblas_config.hpp must come before cxxblas: it says that there is a CBLAS. Without it the gateway
// falls back to plain loops without a word.
#include <xtensor-blas/xblas_config.hpp>
//
#include <xflens/cxxblas/cxxblas.cxx>

#ifndef CXXBLAS_DRIVERS_CBLAS_H
#error "xtensor-blas was included without HAVE_CBLAS: products would silently run as plain loops"
#endif

namespace eckart {
inline namespace v0 {

/// Drivers of the singular value decomposition.
enum class svd_method {
  divide_and_conquer,  ///< LAPACK gesdd: several times faster
  qr_iteration         ///< LAPACK gesvd: small singular values to higher relative accuracy
};

/// OpenBLAS and its LAPACK, the default backend. Stateless.
struct openblas {
  using memory = host_memory;

  /// c = alpha p(a) q(b) + beta c. Floats go to kernels of this library where a is not transposed:
  /// few rows times a transposed matrix to row_products.hpp, few rows times a
  /// narrow matrix to row_kernels.hpp, many rows to many_rows.hpp. Else BLAS, rows or columns of
  /// real numbers by gemv. 2 m n k FLOPs, 8 m n k for complex numbers.
  template <scalar T>
  void gemm(op p, op q, T alpha, matrix_view<T const> a, matrix_view<T const> b, T beta,
            matrix_view<T> c) const {
    auto const k = check_product(p, q, a, b, c);
    if (c.rows == 0 || c.cols == 0) {
      return;
    }
    if constexpr (std::same_as<T, float>) {
      if (p == op::none && q != op::none && detail::row_product::fits(c.shape())) {
        detail::multiply(detail::row_product(alpha, a, b, beta, nullptr, c));
        return;
      }
      if (p == op::none && k > 0 && detail::can_multiply_strips(c.shape())) {
        detail::many_rows_product(alpha, a, detail::right_factor{b, q != op::none},
                                  detail::tile_addend{beta, c.data, c.ld}, c);
        return;
      }
#ifdef ECKART_HAS_ROW_KERNELS
      if (p == op::none && q == op::none && c.rows <= detail::few_rows_limit && c.cols > 1 &&
          c.cols <= detail::weighted_columns_limit && k <= detail::weighted_terms_limit) {
        detail::best_row_kernels().weighted_rows(alpha, a.data, a.ld, a.rows, b.data, b.ld, k, beta,
                                                 c.data, c.ld, c.cols);
        return;
      }
#endif
    }
    detail::ready_blas();
    if constexpr (real<T>) {
      if (c.rows == 1 || c.cols == 1) {
        vector_product(p, q, alpha, a, b, beta, c);
        return;
      }
    }
    matrix_product(p, q, alpha, a, b, beta, c, k);
  }

  /// As gemm, by BLAS whatever the shape: to compare with. c has rows and columns.
  template <scalar T>
  void plain_gemm(op p, op q, T alpha, matrix_view<T const> a, matrix_view<T const> b, T beta,
                  matrix_view<T> c) const {
    auto const k = check_product(p, q, a, b, c);
    detail::ready_blas();
    matrix_product(p, q, alpha, a, b, beta, c, k);
  }

  /// c = a w^T + the row in every row of c. What a linear layer does: where a kernel of this
  /// library multiplies, c is written once. 2 m n k + m n FLOPs.
  template <real T>
  void add_row_to_product(matrix_view<T const> a, matrix_view<T const> w, std::span<T const> row,
                          matrix_view<T> c) const {
    auto const k = check_product(op::none, op::transpose, a, w, c);
    check_row(static_cast<index_t>(row.size()), c);
    if constexpr (std::same_as<T, float>) {
      if (c.rows > 0 && detail::row_product::fits(c.shape())) {
        detail::multiply(detail::row_product(1, a, w, 0, row.data(), c));
        return;
      }
      if (k > 0 && detail::can_multiply_strips(c.shape())) {
        detail::many_rows_product(1, a, detail::right_factor{w, true},
                                  detail::tile_addend{1, row.data(), 0}, c);
        return;
      }
    }
    fill_rows(row, c);
    gemm(op::none, op::transpose, T{1}, a, w, T{1}, c);
  }

  /// inner = a right^T and c = inner left^T + beta c, or, where a row is given, + that row in every
  /// row of c: a product through two factors. Of few rows of floats threads are woken once for
  /// both. 2 k (m + n) FLOPs a row for a (rows, n), right (k, n), left (m, k).
  template <real T>
  void product_through(matrix_view<T const> a, matrix_view<T const> right, matrix_view<T> inner,
                       matrix_view<T const> left, T beta, std::span<T const> row,
                       matrix_view<T> c) const {
    check_product(op::none, op::transpose, a, right, inner);
    check_product(op::none, op::transpose, matrix_view<T const>(inner), left, c);
    check_row(row.empty() ? c.cols : static_cast<index_t>(row.size()), c);
    if constexpr (std::same_as<T, float>) {
      auto const fits = [](matrix_view<T> y) {
        return y.rows > 0 && detail::row_product::fits(y.shape());
      };
      if (fits(inner) && fits(c)) {
        detail::multiply_in_turn(
            detail::row_product(1, a, right, 0, nullptr, inner),
            detail::row_product(1, inner, left, beta, row.empty() ? nullptr : row.data(), c));
        return;
      }
    }
    gemm(op::none, op::transpose, T{1}, a, right, T{0}, inner);
    if (row.empty()) {
      gemm(op::none, op::transpose, T{1}, matrix_view<T const>(inner), left, beta, c);
    } else {
      add_row_to_product(matrix_view<T const>(inner), left, row, c);
    }
  }

  /// The upper triangle of c = x^T x; what is below is not touched. n (n + 1) FLOPs a row of n.
  template <real T>
  void upper_gram(matrix_view<T const> x, matrix_view<T> c) const {
    if (c.rows != x.cols || c.cols != x.cols) {
      throw shape_error(message("upper_gram: of ", x.shape(), " into ", c.shape()));
    }
    detail::ready_blas();
    cxxblas::syrk<int>(cxxblas::RowMajor, cxxblas::Upper, cxxblas::Trans, to_blas_int(x.cols),
                       to_blas_int(x.rows), T{1}, x.data, leading(x), T{0}, c.data, leading(c));
  }

  /// c(i, j) *= d[j].
  template <scalar T>
  void scale_columns(std::span<T const> d, matrix_view<T> c) const {
    check_scale_columns(d, c);
    for (index_t i = 0; i < c.rows; ++i) {
      auto* row = c.data + i * c.ld;
      for (index_t j = 0; j < c.cols; ++j) {
        row[j] *= d[static_cast<std::size_t>(j)];
      }
    }
  }

  /// Elements of T that `svd` needs as scratch for an m x n matrix, integers included.
  template <scalar T>
  auto svd_worksize(svd_method method, shape2 a) const -> index_t {
    T query = 0;
    auto const none = matrix_view<T>{};
    real_of<T>* const no_reals = nullptr;
    lapack::integer no_integers = 0;
    call_svd(method, a, none.data, a.cols, no_reals, none.data, std::max<index_t>(1, rank_bound(a)),
             none.data, a.cols, &query, -1, no_reals, &no_integers);
    // LAPACK before 3.10.1 rounds large sizes to the nearest float, perhaps below what it needs.
    auto const enough = std::nextafter(std::real(query), std::numeric_limits<real_of<T>>::max());
    return static_cast<index_t>(enough) + 1 + real_elements<T>(a) + integer_elements<T>(a);
  }

  /// Thin SVD a = u diag(s) vt, k = min(m, n): u (m, k), s (k), vt (k, n). Overwrites a. Answers
  /// LAPACK's info. LAPACK reads a row-major matrix as its transpose, so that u and vt change
  /// places (also for complex numbers: a^T = conj(V) diag(s) u^T) and nothing is copied.
  template <scalar T>
  auto svd(svd_method method, matrix_view<T> a, std::span<real_of<T>> s, matrix_view<T> u,
           matrix_view<T> vt, std::span<T> work) const -> int {
    detail::ready_blas();
    auto const integers = static_cast<std::size_t>(integer_elements<T>(a.shape()));
    auto* const integer_work = ::new (static_cast<void*>(work.data()))
        lapack::integer[integers * sizeof(T) / sizeof(lapack::integer)];
    auto const reals = static_cast<std::size_t>(real_elements<T>(a.shape()));
    // A complex number may be read as two reals ([complex.numbers.general]).
    auto* const real_work = reinterpret_cast<real_of<T>*>(work.subspan(integers).data());
    auto const rest = work.subspan(integers + reals);
    return call_svd(method, a.shape(), a.data, a.ld, s.data(), u.data, u.ld, vt.data, vt.ld,
                    rest.data(), to_blas_int(static_cast<index_t>(rest.size())), real_work,
                    integer_work);
  }

 private:
  template <class T>
  static void check_row(index_t size, matrix_view<T> c) {
    if (size != c.cols) {
      throw shape_error(message("gemm: a row of ", size, " numbers for ", c.shape()));
    }
  }

  static auto transposed(op p) -> cxxblas::Transpose {
    return p == op::none        ? cxxblas::NoTrans
           : p == op::transpose ? cxxblas::Trans
                                : cxxblas::ConjTrans;
  }

  template <class T>
  static auto leading(matrix_view<T> v) -> int {
    return to_blas_int(std::max<index_t>(1, v.ld));
  }

  template <scalar T>
  static void matrix_product(op p, op q, T alpha, matrix_view<T const> a, matrix_view<T const> b,
                             T beta, matrix_view<T> c, index_t k) {
    cxxblas::gemm<int>(cxxblas::RowMajor, transposed(p), transposed(q), to_blas_int(c.rows),
                       to_blas_int(c.cols), to_blas_int(k), alpha, a.data, leading(a), b.data,
                       leading(b), beta, c.data, leading(c));
  }

  // gemm for a result of one row or one column.
  template <real T>
  static void vector_product(op p, op q, T alpha, matrix_view<T const> a, matrix_view<T const> b,
                             T beta, matrix_view<T> c) {
    if (c.rows == 1) {
      auto const step = p == op::none ? index_t{1} : a.ld;
      gemv(q == op::none ? op::transpose : op::none, alpha, b, a.data, step, beta, c.data, 1);
    } else {
      auto const step = q == op::none ? b.ld : index_t{1};
      gemv(p, alpha, a, b.data, step, beta, c.data, c.ld);
    }
  }

  // y = alpha p(a) x + beta y, elements of x and y at the given distances.
  template <real T>
  static void gemv(op p, T alpha, matrix_view<T const> a, T const* x, index_t step_x, T beta, T* y,
                   index_t step_y) {
    // All sizes are converted, and perhaps refused, before anything is written.
    auto const rows = to_blas_int(a.rows);
    auto const cols = to_blas_int(a.cols);
    auto const lda = leading(a);
    auto const distance_x = to_blas_int(std::max<index_t>(1, step_x));
    auto const distance_y = to_blas_int(std::max<index_t>(1, step_y));
    auto const [length, inner] = shape_of(p, a.shape());
    // y may hold NaN, which 0 * y would keep, and gemv forgets beta where there is nothing to add.
    if (beta == T{0} || inner == 0) {
      for (index_t i = 0; i < length; ++i) {
        y[i * step_y] = beta == T{0} ? T{0} : beta * y[i * step_y];
      }
      beta = T{1};
    }
    cxxblas::gemv<int>(cxxblas::RowMajor, transposed(p), rows, cols, alpha, a.data, lda, x,
                       distance_x, beta, y, distance_y);
  }

  static auto rank_bound(shape2 a) -> index_t {
    return std::min(a.rows, a.cols);
  }

  // Elements of T that hold the reals which complex drivers want.
  template <scalar T>
  static auto real_elements(shape2 a) -> index_t {
    return (lapack::gesdd_reals<T>(a.rows, a.cols) + 1) / 2;
  }

  // gesdd wants 8 min(m, n) integers: the elements of T that hold them.
  template <scalar T>
  static auto integer_elements(shape2 a) -> index_t {
    auto const bytes = 8 * rank_bound(a) * static_cast<index_t>(sizeof(lapack::integer));
    auto const size = static_cast<index_t>(sizeof(T));
    return (bytes + size - 1) / size;
  }

  template <scalar T>
  static auto call_svd(svd_method method, shape2 a, T* data, index_t ld, real_of<T>* s, T* u,
                       index_t ldu, T* vt, index_t ldvt, T* work, int work_size, real_of<T>* reals,
                       lapack::integer* integers) -> int {
    auto const m = to_blas_int(a.cols);  // LAPACK's matrix is the transpose
    auto const n = to_blas_int(a.rows);
    auto const lda = to_blas_int(ld);
    auto const ld_left = to_blas_int(ldvt);
    auto const ld_right = to_blas_int(ldu);
    return method == svd_method::divide_and_conquer
               ? lapack::gesdd(m, n, data, lda, s, vt, ld_left, u, ld_right, work, work_size, reals,
                               integers)
               : lapack::gesvd(m, n, data, lda, s, vt, ld_left, u, ld_right, work, work_size,
                               reals);
  }
};

}  // namespace v0
}  // namespace eckart
