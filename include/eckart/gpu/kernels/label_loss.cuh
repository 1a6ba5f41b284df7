#pragma once

#include "eckart/gpu/kernels/log_softmax.cuh"

#include <cmath>

/// What a decoder is asked while it reads labels that are given.
namespace eckart {
inline namespace v0 {
namespace gpu {

/// Texts that are read step by step, all rows at once, in the memory of a device.
struct forced_texts {
  token_id const* inputs = nullptr;  ///< (steps + 1, rows) fed at each step; the last are not read
  token_id const* labels = nullptr;  ///< (steps, rows) predicted at each step; below 0: ignored
  double* nats = nullptr;            ///< (steps, rows)
  int* position = nullptr;           ///< of the step
};

namespace detail {

static __global__ void label_loss_kernel(float const* scores, index_t ld, int vocabulary,
                                         forced_texts texts) {
  auto const row = static_cast<index_t>(blockIdx.x);
  float const* const line = scores + row * ld;
  double const norm = log_sum_exp(line, vocabulary);
  if (threadIdx.x == 0) {
    auto const at = static_cast<index_t>(*texts.position) * gridDim.x + row;
    auto const label = texts.labels[at];
    texts.nats[at] = label < 0        ? 0.0
                     : isfinite(norm) ? norm - static_cast<double>(line[label])
                                      : static_cast<double>(NAN);
  }
}

static __global__ void feed_next_kernel(forced_texts texts, token_id* tokens, int rows) {
  int const next = *texts.position + 1;
  for (int row = static_cast<int>(threadIdx.x); row < rows; row += blockDim.x) {
    tokens[row] = texts.inputs[static_cast<index_t>(next) * rows + row];
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    *texts.position = next;
  }
}

}  // namespace detail

/// nats of the step = log sum_j exp(scores(i, j)) - scores(i, label) for every row i: the sum is
/// kept in double; NaN where it is not finite. Labels must be of the vocabulary or below 0, which
/// counts for nothing. A block a row.
inline void label_loss(device_view<float const> scores, forced_texts const& texts,
                       cudaStream_t stream) {
  if (scores.size() > 0) {
    detail::label_loss_kernel<<<grid_size(scores.rows), detail::vocabulary_threads, 0, stream>>>(
        scores.data, scores.ld, static_cast<int>(scores.cols), texts);
    check_launch("label_loss");
  }
}

/// tokens (rows) become those that the texts feed next, and the position moves on. One block.
inline void feed_next(forced_texts const& texts, token_id* tokens, index_t rows,
                      cudaStream_t stream) {
  constexpr int threads = 256;
  detail::feed_next_kernel<<<1, threads, 0, stream>>>(texts, tokens, static_cast<int>(rows));
  check_launch("feed_next");
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
