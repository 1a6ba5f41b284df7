#pragma once

#include "eckart/gpu/kernels/one_query_attention.cuh"

#include <algorithm>

namespace eckart {
inline namespace v0 {
namespace gpu {

/// Queries, keys and values of `sentences` sentences of equal length, all heads side by side.
template <kernel_number T>
struct attention_operands {
  T const* q = nullptr;  ///< (sentences * tokens, width), rows ld apart
  T const* k = nullptr;  ///< the same
  T const* v = nullptr;  ///< the same
  index_t ld = 0;
  T* out = nullptr;  ///< (sentences * tokens, width) without gaps
  int tokens = 0;
  int heads = 0;
  int head_width = 0;
  int const* key_lengths = nullptr;  ///< (sentences) keys before the padding; null: all
  float scale = 1;                   ///< of the scores
  bool causal = false;               ///< query i sees the keys up to i

  __device__ auto keys_of(int sentence) const -> int {
    return key_lengths == nullptr ? tokens : key_lengths[sentence];
  }
};

namespace detail {

inline constexpr int tile = 64;           // queries and keys of a block
inline constexpr int tile_threads = 256;  // 16 x 16, each for 4 x 4 scores
inline constexpr int tile_side = 16;

// Rows of a tile: 64 of d numbers, in float, one number longer so that columns fall in other banks.
template <class T>
__device__ void load_tile(T const* from, index_t ld, int rows, int d, float* to) {
  for (int at = static_cast<int>(threadIdx.x); at < tile * d; at += tile_threads) {
    int const row = at / d;
    int const column = at % d;
    to[row * (d + 1) + column] = row < rows ? to_float(from[row * ld + column]) : 0.0F;
  }
}

// What a thread knows of its 4 queries: columns tile_side apart, from its own on.
template <int Columns>
struct query_rows {
  float values[4][Columns] = {};
  float most[4] = {below_all_scores, below_all_scores, below_all_scores, below_all_scores};
  float sum[4] = {};

  // 4 x 4 scores of keys tile_side apart become probabilities relative to the largest so far, which
  // go to rows of `to`. 16 threads have a row of scores.
  __device__ void soften(float (&score)[4][4], float* to) {
    for (int i = 0; i < 4; ++i) {
      float largest = most[i];
      for (float const s : score[i]) {
        largest = fmaxf(largest, s);
      }
      largest = lane_reduce<tile_side>(largest, larger{});
      float const scale = exp2f(most[i] - largest);
      most[i] = largest;
      float total = 0;
      for (int j = 0; j < 4; ++j) {
        float const p = exp2f(score[i][j] - largest);
        to[i * (tile + 1) + tile_side * j] = p;
        total += p;
      }
      sum[i] = sum[i] * scale + lane_reduce<tile_side>(total, add{});
      for (auto& v : values[i]) {
        v *= scale;
      }
    }
  }

  // values += p v: p 4 rows of probabilities, v `keys` rows of values from the thread's column on.
  __device__ void add_values(float const* p, float const* v, int keys, int d, int column) {
    for (int j = 0; j < keys; ++j) {
      for (int c = 0; c < Columns; ++c) {
        float const value =
            column + tile_side * c < d ? v[j * (d + 1) + column + tile_side * c] : 0.0F;
        for (int i = 0; i < 4; ++i) {
          values[i][c] += p[i * (tile + 1) + j] * value;
        }
      }
    }
  }
};

// 4 x 4 products of 4 queries, one below the other, and 4 keys tile_side apart.
__device__ inline void score_tile(float const* queries, float const* keys, int d,
                                  float (&score)[4][4]) {
  for (int c = 0; c < d; ++c) {
    float q[4];
    float k[4];
    for (int i = 0; i < 4; ++i) {
      q[i] = queries[i * (d + 1) + c];
      k[i] = keys[tile_side * i * (d + 1) + c];
    }
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) {
        score[i][j] += q[i] * k[j];
      }
    }
  }
}

template <class T, int Columns>
__global__ void __launch_bounds__(tile_threads) tiled_attention_kernel(attention_operands<T> a) {
  extern __shared__ float shared[];
  int const d = a.head_width;
  float* const queries = shared;                    // (tile, d + 1)
  float* const numbers = queries + tile * (d + 1);  // (tile, d + 1) keys, then values
  float* const scores = numbers + tile * (d + 1);   // (tile, tile + 1)
  int const column = static_cast<int>(blockIdx.y) * d;
  int const first_query = static_cast<int>(blockIdx.x) * tile;
  int const keys = a.keys_of(static_cast<int>(blockIdx.z));
  int const tx = static_cast<int>(threadIdx.x) % tile_side;
  int const row = static_cast<int>(threadIdx.x) / tile_side * 4;  // the first of the thread's
  auto const start = static_cast<index_t>(blockIdx.z) * a.tokens;
  load_tile(a.q + (start + first_query) * a.ld + column, a.ld, a.tokens - first_query, d, queries);
  query_rows<Columns> own;
  int const last = a.causal ? min(keys, first_query + tile) : keys;
  for (int first = 0; first < last; first += tile) {
    auto const from = (start + first) * a.ld + column;
    __syncthreads();
    load_tile(a.k + from, a.ld, a.tokens - first, d, numbers);
    __syncthreads();
    float score[4][4] = {};
    score_tile(queries + row * (d + 1), numbers + tx * (d + 1), d, score);
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) {
        int const key = first + tx + tile_side * j;
        bool const visible = key < keys && (!a.causal || key <= first_query + row + i);
        score[i][j] = visible ? score[i][j] * (a.scale * log2_e) : -INFINITY;
      }
    }
    own.soften(score, scores + row * (tile + 1) + tx);
    __syncthreads();
    load_tile(a.v + from, a.ld, a.tokens - first, d, numbers);
    __syncthreads();
    own.add_values(scores + row * (tile + 1), numbers, min(tile, last - first), d, tx);
  }
  auto const width = static_cast<index_t>(a.heads) * d;
  for (int i = 0; i < 4; ++i) {
    for (int c = 0; c < Columns; ++c) {
      if (first_query + row + i < a.tokens && tx + tile_side * c < d) {
        a.out[(start + first_query + row + i) * width + column + tx + tile_side * c] =
            from_float<T>(own.values[i][c] / own.sum[i]);
      }
    }
  }
}

}  // namespace detail

/// out = softmax(scale q k^T + mask) v for every head of every sentence, 64 queries a block, with
/// the running maxima of Milakov and Gimelshein (2018): scores never leave the block. In float, for
/// heads of up to 128 numbers. Every query must see a key: key lengths are at least 1. Throws
/// shape_error.
template <kernel_number T>
void tiled_attention(attention_operands<T> const& a, index_t sentences, cudaStream_t stream) {
  auto const d = a.head_width;
  auto const launch = [&]<int Columns>(std::integral_constant<int, Columns>) {
    auto const kernel = detail::tiled_attention_kernel<T, Columns>;
    auto const shared = sizeof(float) * static_cast<std::size_t>(2 * detail::tile * (d + 1) +
                                                                 detail::tile * (detail::tile + 1));
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared)),
               "cudaFuncSetAttribute");
    auto const grid = dim3(grid_size((a.tokens + detail::tile - 1) / detail::tile),
                           grid_size(a.heads, grid_limit), grid_size(sentences, grid_limit));
    kernel<<<grid, detail::tile_threads, shared, stream>>>(a);
  };
  if (d < 1 || d > 128) {
    throw shape_error(message("attention: a head of ", d, " numbers"));
  }
  if (d <= 16) {
    launch(std::integral_constant<int, 1>{});
  } else if (d <= 64) {
    launch(std::integral_constant<int, 4>{});
  } else {
    launch(std::integral_constant<int, 8>{});
  }
  check_launch("tiled_attention");
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
