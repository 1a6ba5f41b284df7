#pragma once

#include "support/random.hpp"

#include <array>
#include <cmath>
#include <cstddef>

/// Daily returns of stocks that follow a market, their sector and their own news.
namespace textbook {

using eckart::index_t;
using matrix = eckart::matrix<double>;

inline constexpr index_t days = 1000, stocks = 200;
inline constexpr std::array sector_names{"energy", "banks", "health", "retail", "software"};
inline constexpr std::array sector_strength{0.65, 0.56, 0.46, 0.36, 0.17};  // against the market
inline constexpr auto sectors = static_cast<index_t>(sector_names.size());
inline constexpr index_t sector_size = stocks / sectors;

/// return = volatility (sqrt(0.4) (a market + b sector) + sqrt(0.6) own news), a^2 + b^2 = 1
inline auto simulate(matrix const& market, matrix const& sector) -> matrix {  // (days, stocks)
  auto returns = normal_matrix(days, stocks, 3);
  auto const nature = normal_matrix(stocks, 2, 4);
  for (index_t i = 0; i < stocks; ++i) {
    auto const c = i / sector_size;
    auto const b = sector_strength[static_cast<std::size_t>(c)] + 0.05 * std::tanh(nature(i, 0));
    for (index_t t = 0; t < days; ++t) {
      auto const factors = std::sqrt(1 - b * b) * market(t, 0) + b * sector(t, c);
      returns(t, i) = std::exp(0.5 * nature(i, 1)) *
                      (std::sqrt(0.4) * factors + std::sqrt(0.6) * returns(t, i));
    }
  }
  return returns;
}

}  // namespace textbook
