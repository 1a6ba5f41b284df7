#pragma once

#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/reduce.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

inline constexpr int vocabulary_threads = 1024;  // of the block that has a row of scores

// The largest of a thread's scores, and the sum of their exponentials relative to it: in double, as
// on the host, because of the digits by which hypotheses differ.
struct exponential_sum {
  float most = -INFINITY;
  double sum = 0;

  template <int N>
  __device__ void add(float const (&scores)[N]) {
    float now = most;
#pragma unroll
    for (float const score : scores) {
      now = fmaxf(now, score);
    }
    if (now > most) {
      sum *= static_cast<double>(expf(most - now));
      most = now;
    }
#pragma unroll
    for (float const score : scores) {
      // Also NaN comes here and stays; -inf minus -inf must not.
      sum += score == -INFINITY ? 0.0 : static_cast<double>(expf(score - most));
    }
  }
};

// log sum_j exp(row[j]), for every thread of the block.
__device__ inline auto log_sum_exp(float const* row, int vocabulary) -> double {
  constexpr int at_once = 8;  // scores that a thread waits for together
  exponential_sum own;
  for (int first = static_cast<int>(threadIdx.x); first < vocabulary;
       first += at_once * vocabulary_threads) {
    float scores[at_once];
#pragma unroll
    for (int i = 0; i < at_once; ++i) {
      int const j = first + i * vocabulary_threads;
      scores[i] = j < vocabulary ? row[j] : -INFINITY;
    }
    own.add(scores);
  }
  float const most = block_reduce(own.most, -INFINITY, larger{});
  double const relative =
      own.most == -INFINITY ? own.sum : own.sum * static_cast<double>(expf(own.most - most));
  return static_cast<double>(most) + log(block_reduce(relative, 0.0, gpu::add{}));
}

static __global__ void log_softmax_kernel(float* scores, index_t ld, int vocabulary) {
  after_previous();
  float* const row = scores + static_cast<index_t>(blockIdx.x) * ld;
  double const norm = log_sum_exp(row, vocabulary);
  for (int j = static_cast<int>(threadIdx.x); j < vocabulary; j += vocabulary_threads) {
    row[j] = static_cast<float>(static_cast<double>(row[j]) - norm);
  }
}

static __global__ void log_norms_kernel(float const* scores, index_t ld, int vocabulary,
                                        double* norms) {
  after_previous();
  auto const row = static_cast<index_t>(blockIdx.x);
  double const norm = log_sum_exp(scores + row * ld, vocabulary);
  if (threadIdx.x == 0) {
    norms[row] = norm;
  }
}

static __global__ void add_row_kernel(float const* row, float* scores, index_t ld, int vocabulary) {
  after_previous();
  float* const to = scores + static_cast<index_t>(blockIdx.x) * ld;
  for (int j = static_cast<int>(threadIdx.x); j < vocabulary; j += vocabulary_threads) {
    to[j] += row[j];
  }
}

}  // namespace detail

/// scores(i, j) += row[j] with the row (cols) in the memory of the device.
inline void add_row(float const* row, device_view<float> scores, cudaStream_t stream) {
  if (scores.size() > 0) {
    launch("add_row", detail::add_row_kernel, {grid_size(scores.rows), detail::vocabulary_threads},
           stream, row, scores.data, scores.ld, static_cast<int>(scores.cols));
  }
}

/// norms[i] = log sum_j exp(scores(i, j)) for every row, in the memory of the device: what
/// log_softmax subtracts, for those that subtract it where they read. A block a row; the sum is
/// kept in double. NaN for a row with NaN or +inf.
inline void log_norms(device_view<float const> scores, double* norms, cudaStream_t stream) {
  if (scores.size() > 0) {
    launch("log_norms", detail::log_norms_kernel,
           {grid_size(scores.rows), detail::vocabulary_threads}, stream, scores.data, scores.ld,
           static_cast<int>(scores.cols), norms);
  }
}

/// scores(i, j) <- scores(i, j) - log sum_j exp(scores(i, j)), in place, a block a row; the sum is
/// kept in double. NaN or +inf in a row makes all of it NaN.
inline void log_softmax(device_view<float> scores, cudaStream_t stream) {
  if (scores.size() > 0) {
    launch("log_softmax", detail::log_softmax_kernel,
           {grid_size(scores.rows), detail::vocabulary_threads}, stream, scores.data, scores.ld,
           static_cast<int>(scores.cols));
  }
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
