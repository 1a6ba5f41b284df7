#pragma once

#include "support/random.hpp"

#include <cmath>

/// A picture that has something of everything: smooth shades, edges along the axes and not,
/// texture.
namespace textbook {

constexpr int side = 256;

/// Brightness, 0 black to 1 white, at x (to the right) and y (down), both in 0..1.
inline auto landscape(double x, double y) -> double {
  auto const near = 0.72 + 0.05 * std::sin(9 * x) + 0.02 * std::sin(31 * x);
  auto const far = 0.55 - 0.14 * std::exp(-40 * std::pow(x - 0.3, 2)) + 0.02 * std::sin(23 * x);
  if (x > 0.62 && x < 0.82 && y > 0.40 && y < 0.78) {  // a house: edges along rows and columns
    auto const window = std::fmod(x - 0.62, 0.05) > 0.02 && std::fmod(y - 0.40, 0.06) > 0.03;
    return window ? 0.92 : 0.25;
  }
  if (y > near) {  // a meadow: slanting waves
    return 0.35 + 0.10 * std::sin(60 * x + 110 * y) + 0.3 * (y - near);
  }
  if (y > far) {  // hills: an edge along neither rows nor columns
    return 0.45 + 0.2 * (y - far);
  }
  auto const to_sun = std::hypot(x - 0.25, y - 0.2);  // the sky: smooth, but for the sun's rim
  return to_sun < 0.08 ? 0.95 : 0.5 + 0.3 * y + 0.25 * std::exp(-10 * to_sun * to_sun);
}

/// The landscape with the grain of a photograph: normal noise.
inline auto photograph(double grain) -> eckart::matrix<double> {
  auto result = normal_matrix(side, side, 3);
  for (int i = 0; i < side; ++i) {
    for (int j = 0; j < side; ++j) {
      auto& pixel = eckart::as_view(result)(i, j);
      pixel = landscape((j + 0.5) / side, (i + 0.5) / side) + grain * pixel;
    }
  }
  return result;
}

}  // namespace textbook
