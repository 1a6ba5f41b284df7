#pragma once

#include "eckart/gpu/kernels/numbers.cuh"

/// Keys and values that the attention of one new token reads.
namespace eckart {
inline namespace v0 {
namespace gpu {

/// Where the history of each row stands: at position p row r continues what row ancestors[r][p]
/// wrote there. Two tables, of which a step reads the one that its position's parity names: so
/// beams change places without a copy of their keys and values. Null: every row continues itself.
struct history_view {
  int const* ancestors = nullptr;  ///< (2, rows, capacity)
  int rows = 0;
  int capacity = 0;  ///< positions

  __device__ auto table(int position) const -> int const* {
    return ancestors == nullptr ? nullptr
                                : ancestors + static_cast<index_t>(position % 2) * rows * capacity;
  }
};

/// Keys and values of the tokens so far, of one layer.
template <kernel_number T>
struct self_cache_view {
  T* data = nullptr;  ///< (capacity, rows, 2 width): keys | values
  history_view history;
};

/// Keys and values of the encoded sources, of one layer.
template <kernel_number T>
struct cross_cache_view {
  T const* keys = nullptr;    ///< (sentences * tokens, width), rows ld apart
  T const* values = nullptr;  ///< the same
  index_t ld = 0;
  int tokens = 0;                    ///< of a padded sentence
  int const* key_lengths = nullptr;  ///< (sentences) tokens before the padding
};

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
