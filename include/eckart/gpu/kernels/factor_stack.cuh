#pragma once

#include "eckart/gpu/kernels/numbers.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// Layers with one input in factors of one rank: y_i = x (L_i R_i)^T, i < parts, side by side.
template <kernel_number T>
struct factor_stack {
  device_view<T const> right;  ///< (parts * rank, n)
  device_view<T const> left;   ///< (parts * outputs, rank)
  index_t parts = 1;

  auto rank() const -> index_t { return left.cols; }
  auto inputs() const -> index_t { return right.cols; }
  auto outputs() const -> index_t { return left.rows / parts; }
};

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
