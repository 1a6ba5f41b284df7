#pragma once

#include "eckart/core/concepts.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>

namespace eckart {
inline namespace v0 {

namespace detail {

/// The n-th number of the sequence of a seed (Steele, Lea and Flood 2014, SplitMix64). Counter
/// based: any part of the sequence can be computed by itself.
constexpr auto random_bits(std::uint64_t seed, std::uint64_t n) -> std::uint64_t {
  auto z = seed + (n + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

/// In (0, 1), 52 bits: with 53 the sum needs a 54th and would round to 1.
constexpr auto random_unit(std::uint64_t seed, std::uint64_t n) -> double {
  return (static_cast<double>(random_bits(seed, n) >> 12U) + 0.5) * 0x1p-52;
}

}  // namespace detail

/// Independent standard normal numbers (Box and Muller 1958). The same seed gives the same numbers
/// on every machine and with any number of threads.
template <real T>
void fill_normal(std::span<T> values, std::uint64_t seed) {
  for (std::size_t i = 0; i < values.size(); i += 2) {
    auto const radius = std::sqrt(-2 * std::log(detail::random_unit(seed, i)));
    auto const angle = 2 * std::numbers::pi * detail::random_unit(seed, i + 1);
    values[i] = static_cast<T>(radius * std::cos(angle));
    if (i + 1 < values.size()) {
      values[i + 1] = static_cast<T>(radius * std::sin(angle));
    }
  }
}

}  // namespace v0
}  // namespace eckart
