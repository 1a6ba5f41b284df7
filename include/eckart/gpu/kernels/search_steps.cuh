#pragma once

#include "eckart/gpu/kernels/process_scores.cuh"
#include "eckart/gpu/kernels/top_scores.cuh"

/// What a search does between two steps of the decoder, without the host.
namespace eckart {
inline namespace v0 {
namespace gpu {

/// A greedy search on the device.
struct greedy_state {
  int* position = nullptr;      ///< of the tokens that are fed next
  token_id* tokens = nullptr;   ///< (rows) fed next
  token_id* written = nullptr;  ///< (rows, capacity) fed so far
  int* lengths = nullptr;       ///< (rows) ids of a row that has ended; 0: it goes on
  int* open = nullptr;          ///< rows that go on; in memory that the host can read as well
  int* faults = nullptr;        ///< rows with a score that is no number; likewise
  int rows = 0;
  int capacity = 0;
  int max_length = 0;
  id_list eos;
  token_id pad = 0;  ///< fed to rows that have ended
};

namespace detail {

inline constexpr int accept_threads = 1024;

static __global__ void accept_greedy_kernel(scored_token const* best, greedy_state s) {
  __shared__ int going_on;
  __shared__ int not_numbers;
  after_previous();
  if (threadIdx.x == 0) {
    going_on = not_numbers = 0;
  }
  __syncthreads();
  int const now = *s.position;
  for (int row = static_cast<int>(threadIdx.x); row < s.rows; row += accept_threads) {
    token_id token = s.pad;
    if (s.lengths[row] == 0) {
      token = best[row].flat;
      bool ends = now + 2 >= s.max_length;  // the ids so far, and this one
      for (int i = 0; i < s.eos.size; ++i) {
        ends = ends || token == s.eos.ids[i];
      }
      if (isnan(best[row].score)) {
        atomicAdd(&not_numbers, 1);
      }
      if (ends) {
        s.lengths[row] = now + 2;
      } else {
        atomicAdd(&going_on, 1);
      }
    }
    s.tokens[row] = token;
    if (now + 1 < s.capacity) {
      s.written[static_cast<index_t>(row) * s.capacity + now + 1] = token;
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    *s.position = now + 1;
    *s.faults += not_numbers;
    *s.open = going_on;
  }
}

static __global__ void follow_parents_kernel(token_id const* tokens, int const* parents,
                                             int* ancestors, token_id* written, int rows,
                                             int capacity, int const* position) {
  after_previous();
  int const row = static_cast<int>(blockIdx.x);
  int const now = *position;
  auto const table = static_cast<index_t>(rows) * capacity;
  int const* const from =
      ancestors + (now + 1) % 2 * table + static_cast<index_t>(parents[row]) * capacity;
  int* const to = ancestors + now % 2 * table + static_cast<index_t>(row) * capacity;
  for (int p = static_cast<int>(threadIdx.x); p < now; p += blockDim.x) {
    to[p] = from[p];
  }
  if (threadIdx.x == 0) {
    to[now] = row;
    written[static_cast<index_t>(row) * capacity + now] = tokens[row];
  }
}

}  // namespace detail

/// Takes the best token of every row (rows), and counts on: rows whose token is an EOS or the last
/// that fits have ended. One block.
inline void accept_greedy(scored_token const* best, greedy_state const& state,
                          cudaStream_t stream) {
  launch("accept_greedy", detail::accept_greedy_kernel, {1, detail::accept_threads}, stream, best,
         state);
}

/// Row r continues what row parents[r] was and is fed tokens[r] at *position: the table of
/// ancestors of this position's parity becomes what the other one says of the parents.
inline void follow_parents(token_id const* tokens, int const* parents, int* ancestors,
                           token_id* written, index_t rows, index_t capacity, int const* position,
                           cudaStream_t stream) {
  constexpr int threads = 128;
  launch("follow_parents", detail::follow_parents_kernel, {grid_size(rows), threads}, stream,
         tokens, parents, ancestors, written, static_cast<int>(rows), static_cast<int>(capacity),
         position);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
