#pragma once

#include "eckart/gpu/kernels/reduce.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

inline constexpr int vocabulary_threads = 512;  // of the block that has a row of scores

static __global__ void log_softmax_kernel(float* scores, index_t ld, int vocabulary) {
  float* const row = scores + static_cast<index_t>(blockIdx.x) * ld;
  int const thread = static_cast<int>(threadIdx.x);
  bool is_nan = false;
  float most = -INFINITY;
  for (int j = thread; j < vocabulary; j += vocabulary_threads) {
    is_nan = is_nan || isnan(row[j]);
    most = fmaxf(most, row[j]);
  }
  most = block_reduce(most, -INFINITY, larger{});
  double sum = 0;  // in double, as on the host: the digits by which hypotheses differ
  for (int j = thread; j < vocabulary; j += vocabulary_threads) {
    sum += static_cast<double>(expf(row[j] - most));
  }
  double const norm = static_cast<double>(most) + log(block_reduce(sum, 0.0, add{}));
  bool const fails = __syncthreads_or(is_nan || most == INFINITY) != 0;
  for (int j = thread; j < vocabulary; j += vocabulary_threads) {
    row[j] = fails ? NAN : static_cast<float>(static_cast<double>(row[j]) - norm);
  }
}

static __global__ void add_row_kernel(float const* row, float* scores, index_t ld, int vocabulary) {
  float* const to = scores + static_cast<index_t>(blockIdx.x) * ld;
  for (int j = static_cast<int>(threadIdx.x); j < vocabulary; j += vocabulary_threads) {
    to[j] += row[j];
  }
}

}  // namespace detail

/// scores(i, j) += row[j] with the row (cols) in the memory of the device.
inline void add_row(float const* row, device_view<float> scores, cudaStream_t stream) {
  if (scores.size() > 0) {
    detail::add_row_kernel<<<grid_size(scores.rows), detail::vocabulary_threads, 0, stream>>>(
        row, scores.data, scores.ld, static_cast<int>(scores.cols));
    check_launch("add_row");
  }
}

/// scores(i, j) <- scores(i, j) - log sum_j exp(scores(i, j)), in place, a block a row; the sum is
/// kept in double. NaN or +inf in a row makes all of it NaN.
inline void log_softmax(device_view<float> scores, cudaStream_t stream) {
  if (scores.size() > 0) {
    detail::log_softmax_kernel<<<grid_size(scores.rows), detail::vocabulary_threads, 0, stream>>>(
        scores.data, scores.ld, static_cast<int>(scores.cols));
    check_launch("log_softmax");
  }
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
