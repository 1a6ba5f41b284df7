#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

/// Fibonacci numbers by addition, in integers.
namespace textbook {

inline constexpr int last = 93;  // the last Fibonacci number that fits 64 bits

inline constexpr auto exact = [] {
  std::array<std::uint64_t, last + 1> f{0, 1};
  for (std::size_t n = 2; n <= last; ++n) {
    f[n] = f[n - 1] + f[n - 2];
  }
  return f;
}();

/// F_n for n from 0 to `last`.
inline auto exact_at(int n) -> std::uint64_t {
  return exact[static_cast<std::size_t>(n)];
}

}  // namespace textbook
