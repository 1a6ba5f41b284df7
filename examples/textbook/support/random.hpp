#pragma once

#include "eckart/core/random.hpp"
#include "eckart/core/view.hpp"

#include <cstdint>
#include <span>

/// Random matrices of the textbook programs.
namespace textbook {

/// Independent standard normal numbers. The same seed gives the same matrix.
inline auto normal_matrix(eckart::index_t rows, eckart::index_t cols, std::uint64_t seed)
    -> eckart::matrix<double> {
  auto a = eckart::make_matrix<double>({rows, cols});
  eckart::fill_normal(std::span<double>(a.data(), a.size()), seed);
  return a;
}

}  // namespace textbook
