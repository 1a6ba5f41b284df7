#pragma once

#include "eckart/factor/convert.hpp"
#include "eckart/factor/rank_policy.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/norm.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

/// Sums, products and norms of matrices that exist only as factors. Nothing here forms an m x n
/// matrix. The forms may be mixed: a sum of pivoted and full_core factors is a sum.
namespace eckart {
inline namespace v0 {
namespace detail {

/// (a b): (m, p + q) of (m, p) and (m, q).
template <real T>
auto side_by_side(matrix_view<T const> a, matrix_view<T const> b) -> matrix<T> {
  auto result = make_matrix<T>({a.rows, a.cols + b.cols});
  copy(a, as_view(result).col_range(0, a.cols));
  copy(b, as_view(result).col_range(a.cols, b.cols));
  return result;
}

/// a above b: (p + q, n) of (p, n) and (q, n).
template <real T>
auto stacked(matrix_view<T const> a, matrix_view<T const> b) -> matrix<T> {
  auto result = make_matrix<T>({a.rows + b.rows, a.cols});
  copy(a, as_view(result).row_range(0, a.rows));
  copy(b, as_view(result).row_range(a.rows, b.rows));
  return result;
}

template <real T>
auto multiplied(matrix_view<T const> a, T alpha) -> matrix<T> {
  auto result = to_matrix(a);
  std::ranges::transform(result, result.begin(), [alpha](T x) { return x * alpha; });
  return result;
}

inline void refuse_unequal_shapes(char const* name, shape2 a, shape2 b) {
  if (a != b) {
    throw shape_error(message(name, ": a ", a, " and a ", b, " matrix"));
  }
}

}  // namespace detail

/// The best approximation of a factored matrix at the rank of the policy, as its leading layers
/// (Eckart and Young 1936). The policy sees all min(m, n) singular values, those above k being 0;
/// if it asks for more than k, it gets k. 4 (m+n) k² + 28 k³ FLOPs, and 2 (m+n) k a layer kept.
/// Throws shape_error for a rank outside 1 to min(m, n), numerical_error for non-finite factors.
template <real T, class Form, rank_policy P>
auto truncate(low_rank<T, Form> const& w, P const& policy) -> low_rank<T, diagonal_core> {
  auto const f = detail::factor_product(detail::two_factors_of(w));
  auto const [m, n] = w.shape();
  auto const full = std::min(m, n);
  std::vector<double> values(f.core.s.begin(), f.core.s.end());
  values.resize(static_cast<std::size_t>(full), 0.0);
  index_t const k = choose_rank(policy, spectrum(values), w.shape());
  if (k < 1 || k > full) {
    throw shape_error(message("truncate: rank ", k, " of a ", w.shape(), " matrix"));
  }
  return detail::leading_layers(f, std::min(k, static_cast<index_t>(f.core.s.size())));
}

/// A + B = (L_A | L_B) (R_A above R_B), of rank k1 + k2. Exact but for the rounding of cores, which
/// are absorbed. Throws shape_error.
template <real T, class F, class G>
auto add(low_rank<T, F> const& a, low_rank<T, G> const& b) -> low_rank<T, two_factor> {
  detail::refuse_unequal_shapes("add", a.shape(), b.shape());
  auto const x = detail::two_factors_of(a);
  auto const y = detail::two_factors_of(b);
  return {detail::side_by_side(x.left(), y.left()), detail::stacked(x.right(), y.right())};
}

/// A + B at the rank of the policy: the best approximation of the sum at that rank. With
/// k = k1 + k2 O((m+n) k²), see truncate. Throws shape_error, numerical_error for non-finite
/// factors.
template <real T, class F, class G, rank_policy P>
auto add(low_rank<T, F> const& a, low_rank<T, G> const& b, P const& policy)
    -> low_rank<T, diagonal_core> {
  return truncate(add(a, b), policy);
}

/// alpha A, with L multiplied. m k multiplications.
template <real T>
auto scale(low_rank<T, two_factor> const& a, std::type_identity_t<T> alpha)
    -> low_rank<T, two_factor> {
  return {detail::multiplied(a.left(), alpha), to_matrix(a.right())};
}

/// alpha A, with s multiplied by |alpha| and the signs of Vt turned if alpha is negative, so that
/// an SVD stays one. k multiplications.
template <real T>
auto scale(low_rank<T, diagonal_core> const& a, std::type_identity_t<T> alpha)
    -> low_rank<T, diagonal_core> {
  auto s = make_vector<T>(a.rank());
  std::ranges::transform(a.s(), s.begin(), [&](T x) { return x * std::abs(alpha); });
  auto vt = std::signbit(alpha) ? detail::multiplied(a.vt(), T{-1}) : to_matrix(a.vt());
  return {to_matrix(a.u()), std::move(s), std::move(vt)};
}

/// alpha A, with the core multiplied. k² multiplications.
template <real T>
auto scale(low_rank<T, full_core> const& a, std::type_identity_t<T> alpha)
    -> low_rank<T, full_core> {
  return {to_matrix(a.u()), detail::multiplied(a.core(), alpha), to_matrix(a.vt())};
}

/// alpha A, with only the kept rows multiplied: the others are combinations of them. k n
/// multiplications.
template <real T>
auto scale(low_rank<T, pivoted> const& a, std::type_identity_t<T> alpha) -> low_rank<T, pivoted> {
  return {detail::multiplied(a.kept(), alpha), to_matrix(a.combinations()),
          std::vector<index_t>(a.rows().begin(), a.rows().end())};
}

/// A^T = R^T L^T. Exact, as are the three below.
template <real T>
auto transpose(low_rank<T, two_factor> const& a) -> low_rank<T, two_factor> {
  return {detail::transposed(a.right()), detail::transposed(a.left())};
}

/// A^T = V diag(s) U^T.
template <real T>
auto transpose(low_rank<T, diagonal_core> const& a) -> low_rank<T, diagonal_core> {
  auto s = make_vector<T>(a.rank());
  std::ranges::copy(a.s(), s.begin());
  return {detail::transposed(a.vt()), std::move(s), detail::transposed(a.u())};
}

/// A^T = V S^T U^T.
template <real T>
auto transpose(low_rank<T, full_core> const& a) -> low_rank<T, full_core> {
  return {detail::transposed(a.vt()), detail::transposed(a.core()), detail::transposed(a.u())};
}

/// A^T = K^T [1 C^T] P^T in two factors: the form keeps rows, and k rows of A are k columns of A^T.
template <real T>
auto transpose(low_rank<T, pivoted> const& a) -> low_rank<T, two_factor> {
  return transpose(to_two_factor(a));
}

/// A B of (m, p) and (p, n), of rank min(k1, k2): the core R_A L_B goes to the side of the larger
/// rank. 2 k1 k2 (p + n) FLOPs for k1 <= k2 and else 2 k1 k2 (p + m). Throws shape_error.
template <real T, class F, class G>
auto multiply(low_rank<T, F> const& a, low_rank<T, G> const& b) -> low_rank<T, two_factor> {
  if (a.shape().cols != b.shape().rows) {
    throw shape_error(message("multiply: a ", a.shape(), " times a ", b.shape(), " matrix"));
  }
  auto const x = detail::two_factors_of(a);
  auto const y = detail::two_factors_of(b);
  auto const core = matmul(x.right(), y.left());  // (k1, k2)
  if (a.rank() <= b.rank()) {
    return {to_matrix(x.left()), matmul(core, y.right())};
  }
  return {matmul(x.left(), core), to_matrix(y.right())};
}

/// <A, B> = trace(A^T B), the sum of all a(i, j) b(i, j): that of (L_A^T L_B) and (R_A R_B^T).
/// 2 k1 k2 (m + n) FLOPs. Its error is some eps ||L_A|| ||L_B|| ||R_A|| ||R_B||. Throws
/// shape_error.
template <real T, class F, class G>
auto inner_product(low_rank<T, F> const& a, low_rank<T, G> const& b) -> double {
  detail::refuse_unequal_shapes("inner_product", a.shape(), b.shape());
  auto const x = detail::two_factors_of(a);
  auto const y = detail::two_factors_of(b);
  auto const left = matmul(op::transpose, x.left(), op::none, y.left());     // (k1, k2)
  auto const right = matmul(op::none, x.right(), op::transpose, y.right());  // (k1, k2)
  double sum = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    sum += static_cast<double>(left.data()[i]) * static_cast<double>(right.data()[i]);
  }
  return sum;
}

/// ||A|| in the Frobenius norm: that of R_L R with L = Q R_L. sqrt(inner_product(a, a)) has an
/// error of sqrt(eps) where A is the small difference of large factors, this one of eps
/// ||L|| ||R||. 4 m k² + 2 k² n FLOPs. Throws numerical_error for a left factor that is not finite.
template <real T, class Form>
auto frobenius_norm(low_rank<T, Form> const& a) -> double {
  auto const w = detail::two_factors_of(a);
  return frobenius_norm(matmul(qr(w.left()).r, w.right()));
}

}  // namespace v0
}  // namespace eckart
