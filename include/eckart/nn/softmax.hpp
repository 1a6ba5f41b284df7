#pragma once

#include "eckart/backend/row_kernels.hpp"
#include "eckart/core/view.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <iterator>
#include <limits>
#include <span>

namespace eckart {
inline namespace v0 {

/// x_i <- exp(x_i - max x) / sum_j exp(x_j - max x), in place; x must not be empty. In float an
/// exponential below 1e-38 is 0.
template <real T>
void softmax(std::span<T> x) {
#ifdef ECKART_HAS_ROW_KERNELS
  if constexpr (std::same_as<T, float>) {
    detail::best_row_kernels().softmax(x.data(), std::ssize(x));
    return;
  }
#endif
  auto const largest = *std::ranges::max_element(x);
  T sum = 0;
  for (auto& value : x) {
    value = std::exp(value - largest);
    sum += value;
  }
  auto const scale = T{1} / sum;
  for (auto& value : x) {
    value *= scale;
  }
}

/// log sum_j exp(x_j), shifted by the largest entry and summed in double; x must not be empty.
template <real T>
auto log_sum_exp(std::span<T const> x) -> double {
#ifdef ECKART_HAS_ROW_KERNELS
  if constexpr (std::same_as<T, float>) {
    float most = 0;
    auto const total = detail::best_row_kernels().exp_sum(x.data(), std::ssize(x), most);
    return std::isfinite(most) ? static_cast<double>(most) + std::log(total)
                               : static_cast<double>(most);
  }
#endif
  auto const largest = static_cast<double>(*std::ranges::max_element(x));
  if (!std::isfinite(largest)) {
    return largest;
  }
  double sum = 0;
  for (auto const value : x) {
    sum += static_cast<double>(std::exp(value - static_cast<T>(largest)));
  }
  return largest + std::log(sum);
}

/// x_i <- x_i - log sum_j exp(x_j), in place: the logarithms of softmax without their underflow.
/// The sum is kept in double: over 50,265 scores a sum in float would lose the digits by which
/// hypotheses differ. NaN or +inf among the scores makes all NaN. x must not be empty.
template <real T>
void log_softmax(std::span<T> x) {
  auto norm = log_sum_exp(std::span<T const>(x));
  if (norm == std::numeric_limits<double>::infinity()) {
    norm = std::numeric_limits<double>::quiet_NaN();
  }
  for (auto& value : x) {
    value = static_cast<T>(static_cast<double>(value) - norm);
  }
}

}  // namespace v0
}  // namespace eckart
