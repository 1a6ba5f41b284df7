#pragma once

#include "eckart/core/concepts.hpp"

#include <cstdint>

namespace eckart {
inline namespace v0 {
namespace detail {

/// Rows of weights and of x end at a multiple of so many bytes, those of W filled up with zeros.
inline constexpr index_t int8_line = 64;
inline constexpr auto int8_length(index_t n) -> index_t {
  return (n + int8_line - 1) / int8_line * int8_line;
}

/// W (rows, cols): W_ij = scales[i] data[i * ld + j]; sums[i] is the sum of the row's bytes.
struct int8_weights {
  std::int8_t const* data;
  float const* scales;
  std::int32_t const* sums;
  index_t rows;
  index_t cols;
  auto ld() const -> index_t { return int8_length(cols); }
};

}  // namespace detail
}  // namespace v0
}  // namespace eckart
