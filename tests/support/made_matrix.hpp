#pragma once

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

/// Matrices of a known rank or scale, and the error that tests of decompositions allow.
namespace support {

/// A backward stable decomposition is off by p(m, n) eps ||a|| with a slowly growing p. LAPACK's
/// own tests accept p = 50 max(m, n) (its file svd.in); a fifth of it is above what is seen, and
/// below what any mistake makes.
template <class T>
auto backward_tolerance(eckart::shape2 a) -> double {
  return 10 * static_cast<double>(std::max(a.rows, a.cols)) * epsilon<T>;
}

/// a times scale.
template <class T>
auto scaled(eckart::matrix<T> a, double scale) -> eckart::matrix<T> {
  for (auto& x : a) {
    x *= static_cast<T>(scale);
  }
  return a;
}

/// A product of small integers, exact in float: its rank is `rank` at most.
template <class T>
auto of_rank(eckart::shape2 shape, index_t rank, std::uint32_t left_seed, std::uint32_t right_seed)
    -> eckart::matrix<T> {
  auto const left = in_double(integer_matrix<T>(shape.rows, rank, left_seed));
  auto const right = in_double(integer_matrix<T>(rank, shape.cols, right_seed));
  auto a = eckart::make_matrix<T>(shape);
  std::ranges::transform(product(left, right), a.begin(),
                         [](double x) { return static_cast<T>(x); });
  return a;
}

template <class T>
auto zeros(eckart::shape2 shape) -> eckart::matrix<T> {
  auto a = eckart::make_matrix<T>(shape);
  a.fill(T{0});
  return a;
}

/// The matrix (m, m) with these square blocks along its diagonal, entry by entry.
inline auto along_diagonal(std::vector<eckart::matrix<double>> const& blocks, index_t m)
    -> eckart::matrix<double> {
  auto result = eckart::make_matrix<double>({m, m});
  result.fill(0);
  index_t first = 0;
  for (auto const& block : blocks) {
    auto const view = eckart::as_view(block);
    for (index_t i = 0; i < view.rows; ++i) {
      for (index_t j = 0; j < view.rows; ++j) {
        eckart::as_view(result)(first + i, first + j) = view(i, j);
      }
    }
    first += view.rows;
  }
  return result;
}

}  // namespace support
