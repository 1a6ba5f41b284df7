#pragma once

#include "eckart/core/view.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

/// The temperatures of a day at several places, without noise.
namespace textbook {

inline constexpr eckart::index_t hours = 6;   // every four hours
inline constexpr eckart::index_t places = 5;  // valley, coast, city, desert, summit

/// Temperature at hour h and place p: mean_p + swing_p cos(2 pi (h - 15) / 24), a matrix of rank 2.
inline auto weather() -> eckart::matrix<double> {
  constexpr auto mean = std::array{14.0, 16.0, 18.0, 24.0, 4.0};
  constexpr auto swing = std::array{6.0, 2.0, 5.0, 13.0, 4.0};
  auto t = eckart::make_matrix<double>({hours, places});
  for (std::size_t i = 0; i < hours; ++i) {
    for (std::size_t p = 0; p < places; ++p) {
      auto const since_warmest = 4.0 * static_cast<double>(i) - 15;
      t(i, p) = mean[p] + swing[p] * std::cos(2 * std::numbers::pi * since_warmest / 24);
    }
  }
  return t;
}

}  // namespace textbook
