#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/core/view.hpp"

#include <algorithm>
#include <span>

namespace eckart {
inline namespace v0 {

/// Makes each row of y the given one, on all threads where it is worth waking them. Throws
/// shape_error.
template <scalar T>
void fill_rows(std::span<T const> row, matrix_view<T> y) {
  if (static_cast<index_t>(row.size()) != y.cols) {
    throw shape_error(message("fill_rows: ", row.size(), " numbers into ", y.shape()));
  }
  parallel_rows(y.rows, y.cols, [&](index_t first, index_t last) {
    for (index_t i = first; i < last; ++i) {
      std::ranges::copy(row, y.row(i).begin());
    }
  });
}

}  // namespace v0
}  // namespace eckart
