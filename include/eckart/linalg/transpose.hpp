#pragma once

#include "eckart/core/view.hpp"

#include <algorithm>
#include <type_traits>

namespace eckart {
inline namespace v0 {
namespace detail {

/// to = from^T, not conjugated, tile by tile. The shapes must fit.
template <scalar T>
void transpose(std::type_identity_t<matrix_view<T const>> from, matrix_view<T> to) {
  constexpr index_t tile = 32;  // both tiles stay in the first-level cache
  for (index_t top = 0; top < from.rows; top += tile) {
    for (index_t left = 0; left < from.cols; left += tile) {
      for (index_t i = top; i < std::min(top + tile, from.rows); ++i) {
        for (index_t j = left; j < std::min(left + tile, from.cols); ++j) {
          to(j, i) = from(i, j);
        }
      }
    }
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
