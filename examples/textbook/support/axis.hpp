#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

/// Axes of the textbook programs' plots: range, position and ticks.
namespace textbook {
namespace detail {

/// The 1, 2 or 5 times a power of ten that divides `range` into about six parts.
inline auto nice_step(double range) -> double {
  auto const power = std::pow(10.0, std::floor(std::log10(range / 6)));
  auto const part = range / 6 / power;
  return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

inline auto linear_ticks(double low, double high) -> std::vector<double> {
  auto const step = nice_step(high - low);
  std::vector<double> ticks;
  // Multiples, not a running sum; + 0.0 makes the zero among them positive.
  for (auto i = std::ceil(low / step - 1e-9); i <= high / step + 1e-9; ++i) {
    ticks.push_back(i * step + 0.0);
  }
  return ticks;
}

/// Powers of ten between two decimal logarithms, at most nine, with 2 and 5 between if they are
/// few.
inline auto log_ticks(double low, double high) -> std::vector<double> {
  auto const stride = std::max(1, static_cast<int>(std::ceil((high - low) / 8)));
  std::vector<double> ticks;
  for (auto power = static_cast<int>(std::floor(low)); power <= high + 1e-9; ++power) {
    for (auto const factor : {1, 2, 5}) {
      auto const at = power + std::log10(factor);
      auto const wanted = factor == 1 ? power % stride == 0 : high - low <= 2.5;
      if (wanted && at >= low - 1e-9 && at <= high + 1e-9) {
        ticks.push_back(factor * std::pow(10.0, power));
      }
    }
  }
  return ticks.size() < 3 ? linear_ticks(std::pow(10.0, low), std::pow(10.0, high)) : ticks;
}

enum class axis_ends { exact, at_ticks };

/// Maps values to 0..1.
class axis {
 public:
  explicit axis(bool log) : log_(log) {}

  std::vector<double> ticks{};

  auto shows(double value) const -> bool { return std::isfinite(value) && (!log_ || value > 0); }
  auto position(double value) const -> double { return (scaled(value) - low_) / (high_ - low_); }

  /// Widens the range so that it contains `value`.
  void include(double value) {
    if (shows(value)) {
      low_ = std::min(low_, scaled(value));
      high_ = std::max(high_, scaled(value));
    }
  }

  /// Sets the ticks; `at_ticks` widens a linear axis to the next ticks and a log axis a little.
  void finish(axis_ends ends) {
    if (low_ > high_) {  // nothing was included
      low_ = 0, high_ = 1;
    } else if (high_ - low_ <= 1e-12 * std::abs(high_) || high_ == low_) {
      auto const around = log_ || high_ == 0 ? 0.5 : std::abs(high_) / 2;
      low_ -= around, high_ += around;
    }
    if (ends == axis_ends::at_ticks) {
      auto const margin = 0.04 * (high_ - low_);
      auto const step = nice_step(high_ - low_);
      low_ = log_ ? low_ - margin : step * std::floor(low_ / step + 1e-9);
      high_ = log_ ? high_ + margin : step * std::ceil(high_ / step - 1e-9);
    }
    ticks = log_ ? log_ticks(low_, high_) : linear_ticks(low_, high_);
  }

 private:
  auto scaled(double value) const -> double { return log_ ? std::log10(value) : value; }

  bool log_;
  double low_ = std::numeric_limits<double>::infinity();  // of the logarithms on a log axis
  double high_ = -std::numeric_limits<double>::infinity();
};

}  // namespace detail
}  // namespace textbook
