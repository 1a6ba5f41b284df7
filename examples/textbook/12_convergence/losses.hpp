#pragma once

#include "support/plot.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

/// What the losses of a method, one a step, say about its speed.
namespace textbook {

/// Factor of the error a step, the root of that of the loss; over the last fifth.
inline auto measured_rate(std::vector<double> const& loss) -> double {
  auto const steps = loss.size() / 5;
  return std::pow(loss.back() / loss[loss.size() - 1 - steps], 0.5 / static_cast<double>(steps));
}

inline auto steps_to_a_millionth(std::vector<double> const& loss) -> std::ptrdiff_t {
  auto const reached = [&](double y) { return y < 1e-6 * loss[0]; };
  return std::find_if(loss.begin(), loss.end(), reached) - loss.begin();
}

/// Adds the first 800 steps to a picture, and the line of the predicted rate if that is not 0.
inline void draw(plot& picture, std::string const& name, std::vector<double> loss,
                 double predicted_rate) {
  loss.resize(std::min<std::size_t>(loss.size(), 801));
  auto steps = std::vector<double>(loss.size());
  std::iota(steps.begin(), steps.end(), 0.0);
  auto const end = steps.back(), start = loss[0];
  picture.lines.push_back({name, steps, loss});
  if (predicted_rate > 0) {
    picture.lines.push_back(
        {name + ", predicted", {0, end}, {start, start * std::pow(predicted_rate, 2 * end)}});
  }
}

}  // namespace textbook
