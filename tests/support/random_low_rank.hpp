#pragma once

#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/pivoted.hpp"
#include "support/random_matrix.hpp"

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

/// Factors that come from no decomposition: any numbers that fit together.
namespace support {

template <eckart::real T>
auto random_full_core(eckart::shape2 w, index_t k, std::uint32_t seed)
    -> eckart::low_rank<T, eckart::full_core> {
  return {random_matrix<T>(w.rows, k, seed), random_matrix<T>(k, k, seed + 1),
          random_matrix<T>(k, w.cols, seed + 2)};
}

template <eckart::real T>
auto random_diagonal_core(eckart::shape2 w, index_t k, std::uint32_t seed)
    -> eckart::low_rank<T, eckart::diagonal_core> {
  return {random_matrix<T>(w.rows, k, seed), positive_vector<T>(k, seed + 1),
          random_matrix<T>(k, w.cols, seed + 2)};
}

template <eckart::real T>
auto random_two_factor(eckart::shape2 w, index_t k, std::uint32_t seed)
    -> eckart::low_rank<T, eckart::two_factor> {
  return {random_matrix<T>(w.rows, k, seed), random_matrix<T>(k, w.cols, seed + 1)};
}

/// Kept rows and combinations, in random places.
template <eckart::real T>
auto random_pivoted(eckart::shape2 w, index_t k, std::uint32_t seed)
    -> eckart::low_rank<T, eckart::pivoted> {
  std::vector<index_t> rows(static_cast<std::size_t>(w.rows));
  std::iota(rows.begin(), rows.end(), index_t{0});
  std::mt19937 bits(seed);
  for (auto i = rows.size(); i > 1; --i) {
    std::swap(rows[i - 1], rows[bits() % i]);
  }
  return {random_matrix<T>(k, w.cols, seed + 1), random_matrix<T>(w.rows - k, k, seed + 2),
          std::move(rows)};
}

}  // namespace support
