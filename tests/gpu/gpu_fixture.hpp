#pragma once

#include "eckart/backend/cublas.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

/// What the tests of a GPU share: a backend, numbers that were rounded on the way, and bounds.
namespace gpu {

using eckart::bfloat16;
using eckart::device_matrix;
using eckart::half;
using eckart::index_t;
using eckart::matrix;
using eckart::op;

/// The backend of the tests.
inline auto backend() -> eckart::cublas const& {
  static eckart::cublas const result;
  return result;
}

/// Half the distance from 1 to the next number: the largest relative error of one rounding.
template <eckart::device_number T>
constexpr auto unit() -> double {
  if constexpr (std::same_as<T, half>) {
    return 0x1p-11;
  } else if constexpr (std::same_as<T, bfloat16>) {
    return 0x1p-8;
  } else {
    return std::numeric_limits<T>::epsilon() / 2.0;
  }
}

/// Half the distance between the smallest numbers: what rounding to T costs near 0.
template <eckart::device_number T>
constexpr auto smallest_error() -> double {
  return std::same_as<T, half> ? 0x1p-25 : 0.0;  // the others reach far below every bound here
}

/// Relative error of one addition in what products of T are added up in. Tensor cores cut off where
/// others round: twice the error.
template <eckart::device_number T>
constexpr auto sum_error() -> double {
  return 2 * unit<eckart::accumulator_of<T>>();
}

/// rows x cols uniform in [-1, 1), rounded to T.
template <eckart::device_number T>
auto random(index_t rows, index_t cols, std::uint32_t seed) -> device_matrix<T> {
  return eckart::to_device<T>(support::random_matrix<double>(rows, cols, seed), backend());
}

/// Integers from -3 to 3: sums of up to 27 products of them and another are exact in all four
/// types.
template <eckart::device_number T>
auto integers(index_t rows, index_t cols, std::uint32_t seed) -> device_matrix<T> {
  return eckart::to_device<T>(support::integer_matrix<double>(rows, cols, seed), backend());
}
constexpr index_t exact_terms = 27;

/// The numbers on the device, as double.
template <eckart::device_operand A>
auto in_double(A const& device) -> matrix<double> {
  return support::in_double(eckart::to_host(device, backend()));
}

/// alpha p(a) q(b) + beta c in double, by plain loops; c is not read where beta is 0.
inline auto expected(op p, op q, double alpha, matrix<double> const& a, matrix<double> const& b,
                     double beta, matrix<double> c) -> matrix<double> {
  eckart::reference{}.gemm<double>(p, q, alpha, eckart::as_view(a), eckart::as_view(b), beta,
                                   eckart::as_view(c));
  return c;
}

/// What the entries of the same product in T may be away from it: with k terms, k + 2 errors of the
/// sum, each relative to the sum of the magnitudes (Higham 2002, section 3.1), and one rounding to
/// T.
template <eckart::device_number T>
auto product_bound(op p, op q, double alpha, matrix<double> const& a, matrix<double> const& b,
                   double beta, matrix<double> const& c) -> matrix<double> {
  auto const inner = eckart::shape_of(p, eckart::as_view(a).shape()).cols;
  auto bound = expected(p, q, std::abs(alpha), support::magnitudes(eckart::as_view(a)),
                        support::magnitudes(eckart::as_view(b)), std::abs(beta),
                        beta == 0 ? c : support::magnitudes(eckart::as_view(c)));
  auto const relative = static_cast<double>(inner + 2) * sum_error<T>() + unit<T>();
  for (auto& x : bound) {
    x = 1.001 * relative * x + smallest_error<T>();  // 1.001: products of two errors
  }
  return bound;
}

/// The largest |found - wanted| / bound; above 1 where one entry is outside. NaN counts as outside.
inline auto excess(matrix<double> const& found, matrix<double> const& wanted,
                   matrix<double> const& bound) -> double {
  if (eckart::as_view(found).shape() != eckart::as_view(wanted).shape()) {
    return std::numeric_limits<double>::infinity();
  }
  double worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    auto const distance = std::abs(found.data()[i] - wanted.data()[i]);
    auto const allowed = bound.data()[i];
    auto const ratio = distance == 0 ? 0 : distance / allowed;
    worst = std::isnan(ratio) ? std::numeric_limits<double>::infinity() : std::max(worst, ratio);
  }
  return worst;
}

}  // namespace gpu
