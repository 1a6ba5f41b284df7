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

/// A scored token as a number: the larger, the better. Of equal scores the lower position is the
/// better one. NaN is larger than every score, because it must not be missed. 0 is none.
using rank_key = unsigned long long;

__device__ inline auto rank_of(float score, int flat) -> rank_key {
  score += 0.0F;  // -0 and +0 are equal
  auto const bits = __float_as_uint(score);
  auto const rising = isnan(score) ? ~0U : bits ^ (bits >> 31 != 0 ? ~0U : 0x80000000U);
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

// The k best of a block, best first, to `out`. next(taken) is the best of a thread's own that is
// worse than the one that was taken; the thread whose best was taken looks again.
template <class Next>
__device__ void select_top(int k, Next next, scored_token* out) {
  auto own = next(~rank_key{0});
  for (int n = 0; n < k; ++n) {
    auto const best = block_reduce(own, rank_key{0}, larger{});
    if (threadIdx.x == 0) {
      out[n] = token_of(best);
    }
    if (best != 0 && own == best) {
      own = next(best);
    }
  }
}

static __global__ void top_of_piece_kernel(float const* scores, index_t ld, int vocabulary,
                                           float const* running, int beams, int k,
                                           scored_token* out) {
  after_previous();
  int const piece = static_cast<int>(blockIdx.x);
  int const pieces = static_cast<int>(gridDim.x);
  auto const row = static_cast<index_t>(blockIdx.y);
  int const first = piece * top_threads * scores_a_thread + static_cast<int>(threadIdx.x);
  float const* const from = scores + row * ld;
  float const added = running == nullptr ? 0.0F : running[row];
  int const flat = static_cast<int>(row % beams) * vocabulary;
  rank_key own[scores_a_thread];
#pragma unroll
  for (int i = 0; i < scores_a_thread; ++i) {
    int const j = first + i * top_threads;
    own[i] = j < vocabulary ? rank_of(from[j] + added, flat + j) : 0;
  }
  auto const next = [&](rank_key taken) {
    rank_key best = 0;
#pragma unroll
    for (int i = 0; i < scores_a_thread; ++i) {
      best = own[i] < taken && own[i] > best ? own[i] : best;
    }
    return best;
  };
  select_top(k, next, out + (row * pieces + piece) * k);
}

static __global__ void top_of_sentence_kernel(scored_token const* pieces, int count, int k,
                                              scored_token* out) {
  after_previous();
  auto const sentence = static_cast<index_t>(blockIdx.x);
  scored_token const* const from = pieces + sentence * count;
  auto const next = [&](rank_key taken) {
    rank_key best = 0;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += top_threads) {
      auto const one = from[i].flat < 0 ? 0 : rank_of(from[i].score, from[i].flat);
      best = one < taken && one > best ? one : best;
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
  launch("top_of_piece", detail::top_of_piece_kernel,
         {dim3(grid_size(count), grid_size(scores.rows, grid_limit)), top_threads}, stream,
         scores.data, scores.ld, static_cast<int>(scores.cols), running, beams, static_cast<int>(k),
         pieces);
  launch("top_of_sentence", detail::top_of_sentence_kernel, {grid_size(sentences), top_threads},
         stream, pieces, beams * static_cast<int>(count * k), static_cast<int>(k), best);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
