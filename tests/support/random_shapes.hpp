#pragma once

#include "eckart/core/view.hpp"

#include <array>
#include <cstdint>
#include <random>
#include <vector>

/// Shapes for property tests.
namespace support {

/// The shapes at the edges: one entry, one row, one column, just beside square.
inline constexpr std::array<eckart::shape2, 8> degenerate_shapes{
    {{1, 1}, {1, 2}, {2, 1}, {1, 37}, {37, 1}, {2, 2}, {16, 17}, {17, 16}}};

/// The degenerate shapes, then `count` random ones with sides from 1 to `largest`.
inline auto property_shapes(int count, eckart::index_t largest, std::uint32_t seed)
    -> std::vector<eckart::shape2> {
  std::vector<eckart::shape2> result(degenerate_shapes.begin(), degenerate_shapes.end());
  std::mt19937 bits(seed);
  auto const side = [&] { return 1 + static_cast<eckart::index_t>(bits()) % largest; };
  for (int i = 0; i < count; ++i) {
    auto const rows = side();
    result.push_back({rows, side()});
  }
  return result;
}

}  // namespace support
