#pragma once

#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/pivoted.hpp"
#include "eckart/linalg/qr.hpp"
#include "eckart/linalg/svd.hpp"
#include "eckart/linalg/transpose.hpp"

#include <algorithm>
#include <concepts>
#include <utility>

/// Every form of factors becomes every other one; no conversion forms the m x n matrix. Here are
/// those that low_rank.hpp and pivoted.hpp have not:
///
///   to              from           how                                        FLOPs
///   two_factor      full_core      (U S) Vt                                   2 m k²
///                   diagonal_core  U diag(s) Vt, the core on either side      k (m + n)
///                   pivoted        (P [1; C]) K, exact                        none
///   full_core       two_factor     L 1 R, exact                               none
///                   diagonal_core  U diag(s) Vt with the zeros, exact         none
///                   pivoted        (P [1; C]) 1 K, exact                      none
///   diagonal_core   any            QR of both factors, SVD of the small core  6 (m + n) k² + 28 k³
///   pivoted         any            QR with pivoting of the left factor        3 m k² + 2 k² n
namespace eckart {
inline namespace v0 {
namespace detail {

template <real T>
auto transposed(matrix_view<T const> a) -> matrix<T> {
  auto result = make_matrix<T>({a.cols, a.rows});
  transpose(a, as_view(result));
  return result;
}

/// W = q_left (u diag(s) vt) q_right^T: an SVD of W whose products with u and vt are not yet made.
template <real T>
struct factored_product {
  matrix<T> q_left;    // (m, min(m, k)), orthonormal columns
  svd_result<T> core;  // of the (min(m, k), min(n, k)) core
  matrix<T> q_right;   // (n, min(n, k)), orthonormal columns
};

/// L R = Q_L (R_L R_R^T) Q_R^T by QR of L and of R^T, and the SVD of the core between them. Its
/// error is some eps ||L|| ||R||. 4 (m + n) k² + 28 k³ FLOPs.
template <real T>
auto factor_product(low_rank<T, two_factor> const& w) -> factored_product<T> {
  auto left = qr(w.left());
  auto right = qr(transposed(w.right()));
  auto core = svd(matmul(op::none, left.r, op::transpose, right.r));
  return {std::move(left.q), std::move(core), std::move(right.q)};
}

/// The k leading layers of the SVD. 2 (m + n) k K FLOPs for a product of K columns and rows.
template <real T>
auto leading_layers(factored_product<T> const& f, index_t k) -> low_rank<T, diagonal_core> {
  auto const core_u = as_view(f.core.u).col_range(0, k);
  auto const core_vt = as_view(f.core.vt).row_range(0, k);
  auto u = matmul(f.q_left, core_u);
  auto vt = matmul(op::none, core_vt, op::transpose, f.q_right);
  auto s = make_vector<T>(k);
  std::copy_n(f.core.s.begin(), k, s.begin());
  fix_signs(as_view(u), as_view(vt));  // the signs of the core are not those of the whole
  return {std::move(u), std::move(s), std::move(vt)};
}

/// L R with a core, if there is one, in L.
template <real T, class Form>
auto two_factors_of(low_rank<T, Form> const& w) -> low_rank<T, two_factor> {
  if constexpr (std::same_as<Form, diagonal_core>) {
    return to_two_factor(w, absorb::left);
  } else {
    return to_two_factor(w);
  }
}

}  // namespace detail

/// A copy: code that is generic over the form need not ask.
template <real T>
auto to_two_factor(low_rank<T, two_factor> w) -> low_rank<T, two_factor> {
  return w;
}

/// The singular value decomposition of the matrix that the factors stand for: U and Vt orthonormal,
/// s falling and not negative, signs as by svd. Also of a diagonal core whose factors are not
/// orthonormal. The rank of the storage stays, so factors of a smaller rank give values that are 0
/// up to rounding, with orthonormal vectors all the same; only a k above min(m, n) becomes
/// min(m, n), as there are no more orthonormal vectors. Every value is exact to some
/// eps ||L|| ||R||. 6 (m + n) k² + 28 k³ FLOPs; truncate(w, policy) keeps less. Throws
/// numerical_error for factors that are not finite.
template <real T, class Form>
auto to_diagonal_core(low_rank<T, Form> const& w) -> low_rank<T, diagonal_core> {
  auto const f = detail::factor_product(detail::two_factors_of(w));
  return detail::leading_layers(f, static_cast<index_t>(f.core.s.size()));
}

/// L 1 R. Exact, with k² numbers more. For an orthonormal U and Vt: to_full_core(
/// to_diagonal_core(w)).
template <real T>
auto to_full_core(low_rank<T, two_factor> const& w) -> low_rank<T, full_core> {
  auto const k = w.rank();
  auto core = make_matrix<T>({k, k});
  core.fill(T{0});
  for (index_t i = 0; i < k; ++i) {
    as_view(core)(i, i) = T{1};
  }
  return {to_matrix(w.left()), std::move(core), to_matrix(w.right())};
}

/// (P [1; C]) 1 K. Exact.
template <real T>
auto to_full_core(low_rank<T, pivoted> const& w) -> low_rank<T, full_core> {
  return to_full_core(to_two_factor(w));
}

/// A copy.
template <real T>
auto to_full_core(low_rank<T, full_core> w) -> low_rank<T, full_core> {
  return w;
}

/// U (S Vt) as kept rows and combinations: the rows are picked from U, which has full rank even
/// where S has not. 3 m k² + 4 k² n FLOPs. Throws as to_pivoted of two factors.
template <real T>
auto to_pivoted(low_rank<T, full_core> const& w, double max_growth = 4) -> low_rank<T, pivoted> {
  low_rank<T, two_factor> const two(to_matrix(w.u()), matmul(w.core(), w.vt()));
  return to_pivoted(two, max_growth);
}

/// A copy if no combination exceeds max_growth, and else other rows that keep to it. Throws
/// shape_error for max_growth not above 1.
template <real T>
auto to_pivoted(low_rank<T, pivoted> const& w, double max_growth = 4) -> low_rank<T, pivoted> {
  if (max_growth > 1 && w.growth() <= max_growth) {
    return w;
  }
  return to_pivoted(to_two_factor(w), max_growth);
}

/// The same matrix in the form that is named: `convert_to<pivoted>(w)`. A copy if it has that form
/// already, also of a diagonal core that is no SVD.
template <class Form, real T, class From>
auto convert_to(low_rank<T, From> const& w) -> low_rank<T, Form> {
  if constexpr (std::same_as<Form, From>) {
    return w;
  } else if constexpr (std::same_as<Form, two_factor>) {
    return to_two_factor(w);
  } else if constexpr (std::same_as<Form, diagonal_core>) {
    return to_diagonal_core(w);
  } else if constexpr (std::same_as<Form, full_core>) {
    return to_full_core(w);
  } else {
    static_assert(std::same_as<Form, pivoted>, "the forms are those of low_rank");
    return to_pivoted(w);
  }
}

}  // namespace v0
}  // namespace eckart
