#pragma once

#include "eckart/core/concepts.hpp"

#include <complex>
#include <concepts>

#include <lapacke.h>

/// LAPACK's routines by one name for all scalars, column-major as in Fortran, without checks
/// and without allocation. Each answers info. Only backend/ and linalg/ call them.
namespace eckart {
inline namespace v0 {
namespace lapack {

using integer = lapack_int;

/// The C complex numbers that LAPACKE's prototypes name; both languages lay them out as two reals.
inline auto c(std::complex<float>* p) -> lapack_complex_float* {
  return reinterpret_cast<lapack_complex_float*>(p);
}
inline auto c(std::complex<double>* p) -> lapack_complex_double* {
  return reinterpret_cast<lapack_complex_double*>(p);
}

/// A = U diag(s) V^H, divide and conquer, thin. integers: 8 min(m, n). reals: see gesdd_reals, not
/// used for real matrices.
template <scalar T>
auto gesdd(int m, int n, T* a, int lda, real_of<T>* s, T* u, int ldu, T* vt, int ldvt, T* work,
           int work_size, [[maybe_unused]] real_of<T>* reals, integer* integers) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_sgesdd_work(LAPACK_COL_MAJOR, 'S', m, n, a, lda, s, u, ldu, vt, ldvt, work,
                               work_size, integers);
  } else if constexpr (std::same_as<T, std::complex<float>>) {
    return LAPACKE_cgesdd_work(LAPACK_COL_MAJOR, 'S', m, n, c(a), lda, s, c(u), ldu, c(vt), ldvt,
                               c(work), work_size, reals, integers);
  } else if constexpr (std::same_as<T, std::complex<double>>) {
    return LAPACKE_zgesdd_work(LAPACK_COL_MAJOR, 'S', m, n, c(a), lda, s, c(u), ldu, c(vt), ldvt,
                               c(work), work_size, reals, integers);
  } else {
    return LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', m, n, a, lda, s, u, ldu, vt, ldvt, work,
                               work_size, integers);
  }
}

/// Reals that gesdd wants for a complex m x n matrix; gesvd wants 5 min(m, n), which is less. The
/// larger one of what LAPACK documented before and after 3.7.
template <scalar T>
constexpr auto gesdd_reals(index_t m, index_t n) -> index_t {
  if constexpr (complex_number<T>) {
    auto const small = m < n ? m : n;
    auto const large = m < n ? n : m;
    auto const square = 5 * small * small + 7 * small;
    auto const tall = 2 * large * small + 2 * small * small + small;
    return square > tall ? square : tall;
  } else {
    return 0;
  }
}

/// A = U diag(s) V^H, QR iteration, thin.
template <scalar T>
auto gesvd(int m, int n, T* a, int lda, real_of<T>* s, T* u, int ldu, T* vt, int ldvt, T* work,
           int work_size, [[maybe_unused]] real_of<T>* reals) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_sgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', m, n, a, lda, s, u, ldu, vt, ldvt, work,
                               work_size);
  } else if constexpr (std::same_as<T, std::complex<float>>) {
    return LAPACKE_cgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', m, n, c(a), lda, s, c(u), ldu, c(vt),
                               ldvt, c(work), work_size, reals);
  } else if constexpr (std::same_as<T, std::complex<double>>) {
    return LAPACKE_zgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', m, n, c(a), lda, s, c(u), ldu, c(vt),
                               ldvt, c(work), work_size, reals);
  } else {
    return LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', m, n, a, lda, s, u, ldu, vt, ldvt, work,
                               work_size);
  }
}

/// A = L Q, Q in reflectors.
template <real T>
auto gelqf(int m, int n, T* a, int lda, T* tau, T* work, int work_size) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_sgelqf_work(LAPACK_COL_MAJOR, m, n, a, lda, tau, work, work_size);
  } else {
    return LAPACKE_dgelqf_work(LAPACK_COL_MAJOR, m, n, a, lda, tau, work, work_size);
  }
}

/// The first m rows of the Q of gelqf, from k reflectors.
template <real T>
auto orglq(int m, int n, int k, T* a, int lda, T const* tau, T* work, int work_size) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_sorglq_work(LAPACK_COL_MAJOR, m, n, k, a, lda, tau, work, work_size);
  } else {
    return LAPACKE_dorglq_work(LAPACK_COL_MAJOR, m, n, k, a, lda, tau, work, work_size);
  }
}

/// A P = Q R with falling |r_ii|. pivots (n): 0 on entry for free columns, counted from 1 on exit.
template <real T>
auto geqp3(int m, int n, T* a, int lda, integer* pivots, T* tau, T* work, int work_size) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_sgeqp3_work(LAPACK_COL_MAJOR, m, n, a, lda, pivots, tau, work, work_size);
  } else {
    return LAPACKE_dgeqp3_work(LAPACK_COL_MAJOR, m, n, a, lda, pivots, tau, work, work_size);
  }
}

/// The first n columns of the Q of geqp3, from k reflectors.
template <real T>
auto orgqr(int m, int n, int k, T* a, int lda, T const* tau, T* work, int work_size) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_sorgqr_work(LAPACK_COL_MAJOR, m, n, k, a, lda, tau, work, work_size);
  } else {
    return LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, m, n, k, a, lda, tau, work, work_size);
  }
}

/// B <- R^-1 B for an upper triangular R (n, n) and B (n, columns).
template <real T>
auto solve_upper(int n, int columns, T const* r, int ldr, T* b, int ldb) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_strtrs_work(LAPACK_COL_MAJOR, 'U', 'N', 'N', n, columns, r, ldr, b, ldb);
  } else {
    return LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, 'U', 'N', 'N', n, columns, r, ldr, b, ldb);
  }
}

/// A = R^T R from the upper triangle of A, which becomes R. info > 0: the pivot that failed.
template <real T>
auto potrf(int n, T* a, int lda) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', n, a, lda);
  } else {
    return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', n, a, lda);
  }
}

/// B <- A^-1 B for B (n, columns) from the upper triangle R of potrf.
template <real T>
auto potrs(int n, int columns, T const* r, int ldr, T* b, int ldb) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_spotrs_work(LAPACK_COL_MAJOR, 'U', n, columns, r, ldr, b, ldb);
  } else {
    return LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'U', n, columns, r, ldr, b, ldb);
  }
}

/// A = V diag(w) V^T from the lower triangle of A, which becomes V; w rises.
template <real T>
auto syevd(int n, T* a, int lda, T* w, T* work, int work_size, integer* integers, int integer_size)
    -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_ssyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, a, lda, w, work, work_size, integers,
                               integer_size);
  } else {
    return LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, a, lda, w, work, work_size, integers,
                               integer_size);
  }
}

/// The eigenpairs from number `first` to `last` (counted from 1, rising) of the lower triangle.
template <real T>
auto syevr(int n, T* a, int lda, int first, int last, int* found, T* w, T* z, int ldz,
           integer* support, T* work, int work_size, integer* integers, int integer_size) -> int {
  if constexpr (std::same_as<T, float>) {
    return LAPACKE_ssyevr_work(LAPACK_COL_MAJOR, 'V', 'I', 'L', n, a, lda, 0, 0, first, last, 0,
                               found, w, z, ldz, support, work, work_size, integers, integer_size);
  } else {
    return LAPACKE_dsyevr_work(LAPACK_COL_MAJOR, 'V', 'I', 'L', n, a, lda, 0, 0, first, last, 0,
                               found, w, z, ldz, support, work, work_size, integers, integer_size);
  }
}

}  // namespace lapack
}  // namespace v0
}  // namespace eckart
