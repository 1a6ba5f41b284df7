#pragma once

#include "eckart/core/view.hpp"

#include <cmath>
#include <cstdint>
#include <random>

/// Matrices that are the same on every platform for one seed: the generator's bits are specified by
/// the standard, its distributions are not and stay unused.
namespace support {

using eckart::index_t;

/// rows x cols, entries uniform in [-1, 1).
template <eckart::real T>
auto random_matrix(index_t rows, index_t cols, std::uint32_t seed) -> eckart::matrix<T> {
  std::mt19937 bits(seed);
  auto result = eckart::make_matrix<T>({rows, cols});
  for (auto& x : result) {
    x = static_cast<T>(std::ldexp(static_cast<double>(bits() >> 9), -22) - 1);
  }
  return result;
}

/// rows x cols integers from -3 to 3: their products and sums are exact in float.
template <eckart::real T>
auto integer_matrix(index_t rows, index_t cols, std::uint32_t seed) -> eckart::matrix<T> {
  std::mt19937 bits(seed);
  auto result = eckart::make_matrix<T>({rows, cols});
  for (auto& x : result) {
    x = static_cast<T>(static_cast<int>(bits() % 7) - 3);
  }
  return result;
}

/// Uniform entries in (0, 1].
template <eckart::real T>
auto positive_vector(index_t n, std::uint32_t seed) -> eckart::vector<T> {
  std::mt19937 bits(seed);
  auto result = eckart::make_vector<T>(n);
  for (auto& x : result) {
    x = static_cast<T>(std::ldexp(static_cast<double>((bits() >> 9) + 1), -23));
  }
  return result;
}

}  // namespace support
