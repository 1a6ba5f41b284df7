#pragma once

#include "eckart/gpu/kernels/tiled_attention.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// out = softmax(scale q k^T + mask) v for every head of every sentence. Throws shape_error.
template <kernel_number T>
void attention(attention_operands<T> const& a, index_t sentences, cudaStream_t stream) {
  tiled_attention(a, sentences, stream);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
