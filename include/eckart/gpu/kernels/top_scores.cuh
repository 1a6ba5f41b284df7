#pragma once

#include "eckart/gpu/kernels/reduce.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// A continuation of a sentence: flat = beam * vocabulary + token, or -1 for none.
struct scored_token {
  float score;
  int flat;
};

/// Higher scores first, of equal ones the lower position; none last. NaN comes first: it must not
/// be missed.
__device__ inline auto ranks_before(scored_token a, scored_token b) -> bool {
  if (a.flat < 0 || b.flat < 0) {
    return a.flat >= 0 && b.flat < 0;
  }
  if (isnan(a.score) || isnan(b.score)) {
    return isnan(a.score) && (!isnan(b.score) || a.flat < b.flat);
  }
  return a.score > b.score || (a.score == b.score && a.flat < b.flat);
}

inline constexpr int top_threads = 256;
inline constexpr int scores_a_thread = 16;  ///< kept in registers

/// Pieces that a row of scores is cut into: what the threads of a block keep.
inline auto score_pieces(index_t vocabulary) -> index_t {
  constexpr index_t numbers = top_threads * scores_a_thread;
  return std::max<index_t>(1, (vocabulary + numbers - 1) / numbers);
}

namespace detail {

struct better {
  __device__ auto operator()(scored_token a, scored_token b) const -> scored_token {
    return ranks_before(a, b) ? a : b;
  }
};

// The shuffles know numbers alone.
__device__ inline auto best_of_block(scored_token own) -> scored_token {
  __shared__ scored_token of_warp[top_threads / warp_size];
#pragma unroll
  for (int step = warp_size / 2; step > 0; step /= 2) {
    scored_token const other{__shfl_xor_sync(all_lanes, own.score, step),
                             __shfl_xor_sync(all_lanes, own.flat, step)};
    own = better{}(own, other);
  }
  __syncthreads();
  if (threadIdx.x % warp_size == 0) {
    of_warp[threadIdx.x / warp_size] = own;
  }
  __syncthreads();
  scored_token best = of_warp[0];
  for (int w = 1; w < top_threads / warp_size; ++w) {
    best = better{}(best, of_warp[w]);
  }
  return best;
}

// The k best elements of a block, best first, to `out`. next(taken) is the best of a thread's own
// behind the one that was taken, all of them at first; the thread whose best was taken looks again.
template <class Next>
__device__ void select_top(int k, Next next, scored_token* out) {
  auto own = next(nullptr);
  for (int n = 0; n < k; ++n) {
    auto const best = best_of_block(own);
    if (threadIdx.x == 0) {
      out[n] = best;
    }
    if (best.flat >= 0 && own.flat == best.flat) {
      own = next(&best);
    }
  }
}

static __global__ void top_of_piece_kernel(float const* scores, index_t ld, int vocabulary,
                                           float const* running, int beams, int k,
                                           scored_token* out) {
  int const piece = static_cast<int>(blockIdx.x);
  int const pieces = static_cast<int>(gridDim.x);
  auto const row = static_cast<index_t>(blockIdx.y);
  int const first = piece * top_threads * scores_a_thread + static_cast<int>(threadIdx.x);
  float const* const from = scores + row * ld;
  float const added = running == nullptr ? 0.0F : running[row];
  int const flat = static_cast<int>(row % beams) * vocabulary;
  float own[scores_a_thread];
#pragma unroll
  for (int i = 0; i < scores_a_thread; ++i) {
    int const j = first + i * top_threads;
    own[i] = j < vocabulary ? from[j] + added : 0.0F;
  }
  auto const next = [&](scored_token const* taken) {
    auto best = scored_token{0.0F, -1};
#pragma unroll
    for (int i = 0; i < scores_a_thread; ++i) {
      int const j = first + i * top_threads;
      auto const one = scored_token{own[i], j < vocabulary ? flat + j : -1};
      if ((taken == nullptr || ranks_before(*taken, one)) && ranks_before(one, best)) {
        best = one;
      }
    }
    return best;
  };
  select_top(k, next, out + (row * pieces + piece) * k);
}

static __global__ void top_of_sentence_kernel(scored_token const* pieces, int count, int k,
                                              scored_token* out) {
  auto const sentence = static_cast<index_t>(blockIdx.x);
  scored_token const* const from = pieces + sentence * count;
  auto const next = [&](scored_token const* taken) {
    auto best = scored_token{0.0F, -1};
    for (int i = static_cast<int>(threadIdx.x); i < count; i += top_threads) {
      auto const one = from[i];
      if ((taken == nullptr || ranks_before(*taken, one)) && ranks_before(one, best)) {
        best = one;
      }
    }
    return best;
  };
  select_top(k, next, out + sentence * k);
}

}  // namespace detail

/// The k best continuations of every sentence, best first, none (-1) where there are fewer: scores
/// (sentences * beams, vocabulary), to each of which running[row] is added (null: nothing).
/// pieces (rows * score_pieces(vocabulary) * k) is working memory, best (sentences, k) the answer,
/// all on the device. A score that is NaN comes first. Throws shape_error.
inline void top_scores(device_view<float const> scores, float const* running, index_t sentences,
                       index_t k, scored_token* pieces, scored_token* best, cudaStream_t stream) {
  if (sentences < 1 || scores.rows % sentences != 0 || k < 1 ||
      scores.rows / sentences >
          std::numeric_limits<int>::max() / std::max<index_t>(1, scores.cols)) {
    throw shape_error(message("top_scores: the ", k, " best of ", scores.shape(), " scores of ",
                              sentences, " sentences"));
  }
  auto const beams = static_cast<int>(scores.rows / sentences);
  auto const count = score_pieces(scores.cols);
  detail::top_of_piece_kernel<<<dim3(grid_size(count), grid_size(scores.rows, grid_limit)),
                                top_threads, 0, stream>>>(scores.data, scores.ld,
                                                          static_cast<int>(scores.cols), running,
                                                          beams, static_cast<int>(k), pieces);
  check_launch("top_of_piece");
  detail::top_of_sentence_kernel<<<grid_size(sentences), top_threads, 0, stream>>>(
      pieces, beams * static_cast<int>(count * k), static_cast<int>(k), best);
  check_launch("top_of_sentence");
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
