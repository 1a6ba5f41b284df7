#pragma once

#include "eckart/gpu/kernels/fused_attention.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// out = softmax(scale q k^T + mask) v for every head of every sentence: on the tensor cores where
/// fused_attention can, else by tiled_attention. Throws shape_error.
template <kernel_number T>
void attention(attention_operands<T> const& a, index_t sentences, cudaStream_t stream) {
  if constexpr (sizeof(T) == 2) {
    if (fits_fused_attention(a)) {
      fused_attention(a, sentences, stream);
      return;
    }
  }
  tiled_attention(a, sentences, stream);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
