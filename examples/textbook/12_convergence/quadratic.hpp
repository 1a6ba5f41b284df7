#pragma once

#include "support/random.hpp"

#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/qr.hpp"

#include <cstddef>

/// Functions 1/2 x^T A x - b^T x of 30 numbers with a known minimum.
namespace textbook {

using matrix = eckart::matrix<double>;

inline constexpr eckart::index_t n = 30;

struct quadratic {
  matrix a, solution;  // (n, n), (n, 1); b = A solution

  /// A x - b.
  auto gradient(matrix const& x) const -> matrix { return eckart::matmul(a, matrix(x - solution)); }
  /// Above the minimum: 1/2 (x - solution)^T A (x - solution).
  auto loss(matrix const& x) const -> double {
    matrix const error = x - solution;
    return eckart::matmul(eckart::op::transpose, error, eckart::op::none, gradient(x))(0, 0) / 2;
  }
};

/// A = Q diag(l) Q^T, l from 1 to kappa in equal steps. Q is I or a random rotation, which takes
/// the solution with it: both are the same problem in different coordinates.
inline auto make_quadratic(double kappa, bool rotated) -> quadratic {
  matrix a({n, n}, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    a(i, i) = 1 + (kappa - 1) * static_cast<double>(i) / (n - 1);
  }
  auto const x = normal_matrix(n, 1, 1964);
  if (!rotated) {
    return {a, x};
  }
  auto const q = eckart::qr(normal_matrix(n, n, 2014)).q;
  a = eckart::matmul(eckart::op::none, eckart::matmul(q, a), eckart::op::transpose, q);
  return {a, eckart::matmul(q, x)};
}

}  // namespace textbook
