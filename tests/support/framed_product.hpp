#pragma once

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <algorithm>
#include <cmath>

/// Products y = alpha x w^T + beta y of views with other columns beside them, against the
/// textbook's loops.
namespace support {

struct framed_operands {
  eckart::matrix<float> x;  // (rows, k + 3)
  eckart::matrix<float> w;  // (n, k + 5)
  eckart::matrix<float> y;  // (rows, n + 2)
  index_t k;

  framed_operands(index_t rows, index_t n, index_t k_)
      : x(random_matrix<float>(rows, k_ + 3, 1)),
        w(random_matrix<float>(n, k_ + 5, 2)),
        y(random_matrix<float>(rows, n + 2, 3)),
        k(k_) {}

  auto left() const -> eckart::matrix_view<float const> {
    return eckart::as_view(x).col_range(1, k);
  }
  auto right() const -> eckart::matrix_view<float const> {
    return eckart::as_view(w).col_range(2, k);
  }
  auto outputs() const -> index_t { return eckart::as_view(w).rows; }
};

/// Entries that `multiply(alpha, x, w, beta, y)` leaves further from the textbook's loops than both
/// may be from the exact sum, k + 3 roundings each of at most |alpha| |x| |w| + |beta| |y|, and
/// entries beside y that it changes. y holds NaN where beta is 0: it must not be read.
template <class F>
auto count_wrong(framed_operands const& from, float alpha, float beta, F&& multiply) -> int {
  auto got = from.y;
  auto expected = from.y;
  auto const before = eckart::as_view(from.y);
  auto const n = from.outputs();
  auto const result = eckart::as_view(got).col_range(1, n);
  if (beta == 0) {
    for (index_t i = 0; i < result.rows; ++i) {
      std::ranges::fill(result.row(i), not_a_number<float>);
    }
  }
  multiply(alpha, from.left(), from.right(), beta, result);
  eckart::reference{}.gemm(eckart::op::none, eckart::op::transpose, alpha, from.left(),
                           from.right(), beta, eckart::as_view(expected).col_range(1, n));
  auto const bound = product(eckart::op::none, magnitudes(from.left()), eckart::op::transpose,
                             magnitudes(from.right()));
  int wrong = 0;
  for (index_t i = 0; i < result.rows; ++i) {
    for (index_t j = 0; j < n + 2; ++j) {
      auto const value = eckart::as_view(got)(i, j);
      if (j == 0 || j == n + 1) {
        wrong += value != before(i, j);
        continue;
      }
      auto const size = std::abs(static_cast<double>(alpha)) * eckart::as_view(bound)(i, j - 1) +
                        std::abs(static_cast<double>(beta * before(i, j)));
      auto const error = std::abs(static_cast<double>(value - eckart::as_view(expected)(i, j)));
      wrong += !(error <= (static_cast<double>(from.k) + 4) * epsilon<float> * size);
    }
  }
  return wrong;
}

}  // namespace support
