#pragma once

#include "market.hpp"

#include <fmt/format.h>

#include <cmath>

/// What eigenvectors of the stocks say about their sectors.
namespace textbook {

/// The eigenvectors that are no noise and the next two, by their mean weight in each sector.
inline void print_eigenvectors(eckart::vector<double> const& values, matrix const& v,
                               index_t found) {
  fmt::print(
      "\n   eigenvalue  variance   mean weight of the stocks of a sector (1: all alike)\n{:24}",
      "");
  for (auto const* name : sector_names) {
    fmt::print("{:>10}", name);
  }
  for (index_t k = 0; k < found + 2; ++k) {
    fmt::print("\n{:2}{:11.2f}{:9.1f}%", k + 1, values(k), 100 * values(k) / stocks);
    for (index_t first = 0; first < stocks; first += sector_size) {
      auto const weights = xt::view(v, xt::range(first, first + sector_size), k);
      auto const mean = std::sqrt(1.0 * stocks) * xt::mean(weights)();
      fmt::print("{:10.2f}", std::round(100 * mean) / 100 + 0.0);  // + 0.0: never "-0.00"
    }
    fmt::print("{}", k < found ? "" : "   noise");
  }
}

/// The share of stocks whose nearest other stock, by eigenvectors first to last, is of its sector.
inline auto neighbours_in_sector(matrix const& v, index_t first, index_t last) -> double {
  index_t right = 0;
  for (index_t i = 0; i < stocks; ++i) {
    index_t nearest = i;
    double least = 4;  // no two rows of an orthogonal matrix are so far apart
    for (index_t j = 0; j < stocks; ++j) {
      double distance = 0;
      for (index_t k = first; k <= last; ++k) {
        distance += std::pow(v(i, k) - v(j, k), 2);
      }
      if (j != i && distance < least) {
        least = distance;
        nearest = j;
      }
    }
    right += nearest / sector_size == i / sector_size ? 1 : 0;
  }
  return static_cast<double>(right) / stocks;
}

}  // namespace textbook
