#pragma once

#include "eckart/factor/low_rank.hpp"
#include "support/random_matrix.hpp"

#include <cstdint>

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

}  // namespace support
