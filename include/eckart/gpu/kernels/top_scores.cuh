#pragma once

#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/reduce.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// A continuation of a sentence: flat = beam * vocabulary + token, or -1 for none.
struct scored_token {
  float score;
  int flat;
};

/// What every score of a row is changed by where it is read, on the device; null: by nothing.
struct row_terms {
  double const* norms = nullptr;   ///< (rows) subtracted in double, as log_softmax does
  float const* running = nullptr;  ///< (rows) then added in float: what the hypothesis has so far
};

/// A scored token as a number: the larger, the better. Of equal scores the lower position is the
/// better one. NaN is larger than every score, because it must not be missed. 0 is none.
using rank_key = unsigned long long;

__device__ inline auto rising_of(float score) -> unsigned {
  score += 0.0F;  // -0 and +0 are equal
  auto const bits = __float_as_uint(score);
  return isnan(score) ? ~0U : bits ^ (bits >> 31 != 0 ? ~0U : 0x80000000U);
}
__device__ inline auto rank_of(unsigned rising, int flat) -> rank_key {
  return rank_key{rising} << 32 | ~static_cast<unsigned>(flat);
}
__device__ inline auto token_of(rank_key key) -> scored_token {
  if (key == 0) {
    return {0.0F, -1};
  }
  auto const rising = static_cast<unsigned>(key >> 32);
  auto const bits = rising >> 31 != 0 ? rising ^ 0x80000000U : ~rising;
  return {rising == ~0U ? NAN : __uint_as_float(bits),
          static_cast<int>(~static_cast<unsigned>(key))};
}

inline constexpr int top_threads = 256;
inline constexpr int scores_a_thread = 16;  ///< kept in registers

/// Pieces that a row of scores is cut into: what the threads of a block keep.
inline auto score_pieces(index_t vocabulary) -> index_t {
  constexpr index_t numbers = top_threads * scores_a_thread;
  return std::max<index_t>(1, (vocabulary + numbers - 1) / numbers);
}

namespace detail {

// Values of which the threads of a block have at least k, together, that reach it: so many of the
// threads' best are as large, or 0. Of equal values one counts.
__device__ inline auto reached_by(unsigned own, int k) -> unsigned {
  __shared__ unsigned best_of_warps[top_threads];
  int const lane = static_cast<int>(threadIdx.x) % warp_size;
  // The k-th largest of a warp, and what comes before it in the lanes.
  auto const kth_of_warp = [&](unsigned value, unsigned& sorted) {
    unsigned best = ~0U;
    for (int n = 0; n < k; ++n) {
      best = warp_max(value);
      value = value == best ? 0 : value;
      sorted = lane == n ? best : sorted;
    }
    return best;
  };
  unsigned sorted = 0;
  kth_of_warp(own, sorted);
  best_of_warps[threadIdx.x] = sorted;
  __syncthreads();
  // The same of the best of all warps, those first that are first in their warps.
  unsigned most = 0;
  for (int i = lane; i < top_threads; i += warp_size) {
    int const warp = i % (top_threads / warp_size);
    most = max(most, best_of_warps[warp * warp_size + i / (top_threads / warp_size)]);
  }
  return kth_of_warp(most, sorted);
}

// The k best of a block, best first, to `out`. each(f) calls f(key) for a thread's own keys. Those
// that reach the block's k-th best or nearly are few, and each counts which are better; if many are
// equal the best are taken one by one.
template <class Each>
__device__ void select_top(int k, Each each, scored_token* out) {
  __shared__ rank_key kept[top_threads];
  __shared__ int reached;
  int const thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    reached = 0;
  }
  unsigned most = 0;
  each([&](rank_key key) { most = max(most, static_cast<unsigned>(key >> 32)); });
  unsigned const bound = reached_by(most, k);
  each([&](rank_key key) {
    if (key != 0 && static_cast<unsigned>(key >> 32) >= bound) {
      if (int const place = atomicAdd(&reached, 1); place < top_threads) {
        kept[place] = key;
      }
    }
  });
  __syncthreads();
  if (reached <= top_threads) {
    if (thread < reached) {
      int better = 0;
      for (int i = 0; i < reached; ++i) {
        better += kept[i] > kept[thread] ? 1 : 0;
      }
      if (better < k) {
        out[better] = token_of(kept[thread]);
      }
    }
    for (int n = reached + thread; n < k; n += top_threads) {
      out[n] = token_of(0);
    }
    return;
  }
  auto taken = ~rank_key{0};
  for (int n = 0; n < k; ++n) {
    rank_key own = 0;
    each([&](rank_key key) { own = key < taken && key > own ? key : own; });
    taken = block_reduce(own, rank_key{0}, larger{});
    if (thread == 0) {
      out[n] = token_of(taken);
    }
  }
}

static __global__ void top_of_piece_kernel(float const* scores, index_t ld, int vocabulary,
                                           row_terms terms, int beams, int k, scored_token* out) {
  after_previous();
  int const piece = static_cast<int>(blockIdx.x);
  int const pieces = static_cast<int>(gridDim.x);
  auto const row = static_cast<index_t>(blockIdx.y);
  int const first = piece * top_threads * scores_a_thread + static_cast<int>(threadIdx.x);
  float const* const from = scores + row * ld;
  bool const has_norm = terms.norms != nullptr;
  double const norm = has_norm ? terms.norms[row] : 0.0;
  float const added = terms.running == nullptr ? 0.0F : terms.running[row];
  int const flat = static_cast<int>(row % beams) * vocabulary + first;
  unsigned own[scores_a_thread];
#pragma unroll
  for (int i = 0; i < scores_a_thread; ++i) {
    int const j = first + i * top_threads;
    own[i] = 0;
    if (j < vocabulary) {
      auto const score =
          has_norm ? static_cast<float>(static_cast<double>(from[j]) - norm) : from[j];
      own[i] = rising_of(score + added);
    }
  }
  auto const each = [&](auto visit) {
#pragma unroll
    for (int i = 0; i < scores_a_thread; ++i) {
      visit(own[i] == 0 ? rank_key{0} : rank_of(own[i], flat + i * top_threads));
    }
  };
  select_top(k, each, out + (row * pieces + piece) * k);
}

static __global__ void top_of_sentence_kernel(scored_token const* pieces, int count, int k,
                                              scored_token* out) {
  after_previous();
  auto const sentence = static_cast<index_t>(blockIdx.x);
  scored_token const* const from = pieces + sentence * count;
  auto const each = [&](auto visit) {
    for (int i = static_cast<int>(threadIdx.x); i < count; i += top_threads) {
      visit(from[i].flat < 0 ? rank_key{0} : rank_of(rising_of(from[i].score), from[i].flat));
    }
  };
  select_top(k, each, out + sentence * k);
}

}  // namespace detail

/// The k best continuations of every sentence, best first, none (-1) where there are fewer: scores
/// (sentences * beams, vocabulary), changed by their row's terms. pieces (rows *
/// score_pieces(vocabulary) * k) is working memory, best (sentences, k) the answer, all on the
/// device. A score that is NaN comes first. Throws shape_error.
inline void top_scores(device_view<float const> scores, row_terms terms, index_t sentences,
                       index_t k, scored_token* pieces, scored_token* best, cudaStream_t stream) {
  if (sentences < 1 || scores.rows % sentences != 0 || k < 1 ||
      scores.rows / sentences >
          std::numeric_limits<int>::max() / std::max<index_t>(1, scores.cols)) {
    throw shape_error(message("top_scores: the ", k, " best of ", scores.shape(), " scores of ",
                              sentences, " sentences"));
  }
  auto const beams = static_cast<int>(scores.rows / sentences);
  auto const count = score_pieces(scores.cols);
  launch("top_of_piece", detail::top_of_piece_kernel,
         {dim3(grid_size(count), grid_size(scores.rows, grid_limit)), top_threads}, stream,
         scores.data, scores.ld, static_cast<int>(scores.cols), terms, beams, static_cast<int>(k),
         pieces);
  launch("top_of_sentence", detail::top_of_sentence_kernel, {grid_size(sentences), top_threads},
         stream, pieces, beams * static_cast<int>(count * k), static_cast<int>(k), best);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
