#pragma once

#include "eckart/core/random.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/qr.hpp"
#include "eckart/linalg/svd.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>

namespace eckart {
inline namespace v0 {

struct rsvd_options {
  index_t oversample = 10;   ///< columns of the random sketch beyond the rank
  int power_iterations = 2;  ///< multiplications by a a^T: sharpen a spectrum that falls slowly
  std::uint64_t seed = 0;
};

/// Approximate truncated SVD a ~ u diag(s) vt of rank k.
template <real T>
struct rsvd_result {
  svd_result<T> factors;   ///< u (m, k), s (k), vt (k, n)
  double error_bound = 0;  ///< ||a - u diag(s) vt||_2 is below it, except with probability 1e-10
};

namespace detail {

/// Vectors in the sketch of a matrix for rank k. Throws shape_error for what rsvd refuses.
inline auto sketch_width(shape2 a, index_t k, rsvd_options const& options) -> index_t {
  auto const full = std::min(a.rows, a.cols);
  if (k < 1 || k > full || options.oversample < 0 || options.power_iterations < 0) {
    throw shape_error(message("rsvd: rank ", k, ", oversample ", options.oversample, ", ",
                              options.power_iterations, " power iterations for a ", a, " matrix"));
  }
  return k + std::min(options.oversample, full - k);
}

/// ||a - q q^T a||_2 <= 10 sqrt(2 / pi) max_i ||(a - q q^T a) w_i|| for ten normal vectors w_i,
/// except with probability 1e-10 (Halko, Martinsson and Tropp 2011, eq. 4.3).
template <real T>
auto sketch_error_bound(matrix_view<T const> a, matrix_view<T const> q, std::uint64_t seed)
    -> double {
  constexpr index_t probes = 10;
  auto omega = make_matrix<T>({a.cols, probes});
  fill_normal(std::span<T>(omega.data(), omega.size()), seed);
  auto image = matmul(a, as_view(omega));                                  // (m, probes)
  auto const inside = matmul(op::transpose, q, op::none, as_view(image));  // (l, probes)
  openblas{}.gemm(op::none, op::none, T{-1}, q, matrix_view<T const>(as_view(inside)), T{1},
                  as_view(image));
  double largest = 0;
  auto const rest = as_view(image);
  for (index_t j = 0; j < probes; ++j) {
    largest = std::max(largest, frobenius_norm(rest.col_range(j, 1)));
  }
  return 10 * std::sqrt(2 / std::numbers::pi) * largest;
}

}  // namespace detail

/// Randomized SVD of rank k (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1): the range
/// of a is sketched by k + oversample random vectors, powers are orthonormalized between the steps,
/// and the small projected matrix is decomposed exactly. 4 (1 + q) m n (k + p) FLOPs and small
/// terms, against 4 m n min(m, n) and more of svd. The expected error is near the optimum where the
/// spectrum falls. error_bound is known afterwards. Throws shape_error for
/// k outside 1 to min(m, n) and for negative options, numerical_error for non-finite input.
template <matrix_operand A>
requires real<value_t<A>>
auto rsvd(A const& a, index_t k, rsvd_options options = {}) -> rsvd_result<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(a);
  matrix_view<T const> const input = as_view(operand);
  auto const width = detail::sketch_width(input.shape(), k, options);
  detail::refuse_non_finite(input, "rsvd");
  auto omega = make_matrix<T>({input.cols, width});
  fill_normal(std::span<T>(omega.data(), omega.size()), options.seed);
  auto q = qr(matmul(input, as_view(omega))).q;  // (m, width)
  for (int i = 0; i < options.power_iterations; ++i) {
    auto const back = qr(matmul(op::transpose, input, op::none, as_view(q))).q;  // (n, width)
    q = qr(matmul(input, as_view(back))).q;
  }
  auto const small = svd(matmul(op::transpose, as_view(q), op::none, input));  // of (width, n)
  auto s = make_vector<T>(k);
  std::copy_n(small.s.begin(), k, s.begin());
  rsvd_result<T> result{
      {make_matrix<T>({input.rows, k}), std::move(s), to_matrix(as_view(small.vt).row_range(0, k))},
      0};
  matmul(as_view(q), as_view(small.u).col_range(0, k), as_view(result.factors.u));
  detail::fix_signs(as_view(result.factors.u), as_view(result.factors.vt));
  // ||a - u s vt|| <= ||a - q q^T a|| + ||q^T a - its rank k||, and the latter is s_(k+1).
  result.error_bound =
      detail::sketch_error_bound(input, matrix_view<T const>(as_view(q)), options.seed + 1) +
      (width > k ? static_cast<double>(small.s(static_cast<std::size_t>(k))) : 0);
  return result;
}

}  // namespace v0
}  // namespace eckart
