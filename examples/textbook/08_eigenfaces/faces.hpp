#pragma once

#include "support/png.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <span>

/// Pictures of people who do not exist. A person is ten numbers, a picture of the person five more.
namespace textbook {

constexpr int side = 48, people = 30;

using appearance = std::array<double, 10>;  ///< the person: standard normal numbers
using situation = std::array<double, 5>;    ///< gaze, brows, smile, two directions of the light

/// 1 within an ellipse around (cx, cy), 0 outside, with a soft rim.
inline auto ellipse(double x, double y, double cx, double cy, double rx, double ry) -> double {
  return 1 / (1 + std::exp(14 * (std::hypot((x - cx) / rx, (y - cy) / ry) - 1)));
}

/// Brightness at x (to the right) and y (down) in -1..1. 0 is black, 1 white.
inline auto face(appearance const& who, situation const& how, double x, double y) -> double {
  double level = 0.5;
  auto const paint = [&](double cover, double tone) { level += cover * (tone - level); };
  auto const skin = 0.70 + 0.05 * who[0];
  auto const hair = 0.25 + 0.10 * who[1];
  auto const width = 0.55 + 0.05 * who[2];
  auto const eyes = -0.08 + 0.03 * who[3];
  paint(ellipse(x, y, 0, -0.15, width + 0.1, 0.75 + 0.05 * who[4]), hair);
  paint(ellipse(x, y, 0, 0.15, width, 0.70), skin);
  for (auto const half : {-1, 1}) {
    auto const eye = half * (0.23 + 0.03 * who[5]);
    paint(ellipse(x, y, eye, eyes, 0.12, 0.07 + 0.01 * who[6]), 0.95);
    paint(ellipse(x, y, eye + 0.02 * how[0], eyes, 0.05, 0.06), 0.05);         // the gaze
    paint(ellipse(x, y, eye, eyes - 0.16 - 0.01 * how[1], 0.14, 0.05), hair);  // the brows
  }
  paint(0.5 * ellipse(x, y, 0, eyes + 0.24, 0.06, 0.18 + 0.03 * who[7]), 0.6 * skin);
  auto const bent = y + (0.5 * how[2] + 0.2 * who[8]) * x * x;  // a smile or its opposite
  paint(ellipse(x, bent, 0, 0.52, 0.26 + 0.04 * who[9], 0.06), 0.3);
  return level * (1 + 0.25 * how[3] * x + 0.25 * how[4] * y);  // light from the side, from above
}

/// `count` pictures of everybody, one after another, one a row, with noise of deviation 0.05.
inline auto photograph_all(int count, std::uint64_t seed) -> eckart::matrix<double> {
  auto result = normal_matrix(people * count, side * side, seed);
  for (int n = 0; n < people * count; ++n) {
    appearance who{};
    situation how{};
    eckart::fill_normal(std::span<double>(who), static_cast<std::uint64_t>(n / count));
    eckart::fill_normal(std::span<double>(how), seed + 1 + static_cast<std::uint64_t>(n));
    for (int i = 0; i < side * side; ++i) {
      auto const middle = [](int cell) { return (2 * cell + 1.0) / side - 1; };
      auto& pixel = eckart::as_view(result)(n, i);
      pixel = face(who, how, middle(i % side), middle(i / side)) + 0.05 * pixel;
    }
  }
  return result;
}

/// Writes the rows of x as pictures, up to eight side by side: 0.5 + gain (x - centre).
inline void write_sheet(std::filesystem::path const& file, eckart::matrix_view<double const> x,
                        double gain, double centre) {
  auto const across = std::min<eckart::index_t>(8, x.rows);
  auto sheet = eckart::make_matrix<double>({x.rows / across * side, across * side});
  for (eckart::index_t n = 0; n < x.rows; ++n) {
    for (eckart::index_t i = 0; i < side * side; ++i) {
      eckart::as_view(sheet)(n / across * side + i / side, n % across * side + i % side) =
          0.5 + gain * (x(n, i) - centre);
    }
  }
  write_png(file, eckart::as_view(sheet));
}

}  // namespace textbook
