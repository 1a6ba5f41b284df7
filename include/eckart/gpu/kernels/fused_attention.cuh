#pragma once

#include "eckart/gpu/kernels/elementary.cuh"
#include "eckart/gpu/kernels/tensor_core.cuh"
#include "eckart/gpu/kernels/tiled_attention.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

inline constexpr int fused_head_width = 64;

namespace detail {

inline constexpr int fused_warps = 4;
inline constexpr int fused_threads = fused_warps * warp_size;
inline constexpr int fused_keys = 64;                      // of a tile
inline constexpr int tile_bytes = fused_keys * row_bytes;  // of keys or of values
inline constexpr int key_tiles = fused_keys / 8;           // 8 keys side by side
inline constexpr int width_steps = fused_head_width / 16;  // 16 numbers of a head at once
inline constexpr unsigned stage_bytes = 2 * tile_bytes;    // keys, values

// Rows of a head to a tile of shared memory, zeros from `rows` on, by so many threads.
template <int Rows, int Threads, class T>
__device__ void copy_head(T const* from, index_t ld, int rows, unsigned to, int thread) {
#pragma unroll
  for (int at = 0; at < Rows * row_chunks; at += Threads) {
    int const row = (at + thread) / row_chunks;
    int const chunk = (at + thread) % row_chunks;
    bool const exists = row < rows;
    copy_async(chunk_at(to, row, chunk), from + (exists ? row : 0) * ld + chunk * packet_size<T>,
               exists);
  }
}

// What a warp knows of 16 queries: lane l has the rows l / 4 and l / 4 + 8, and of 8 columns side
// by side the two from l % 4 * 2 on.
struct query_tile {
  std::uint32_t q[width_steps][4];
  float values[fused_head_width / 8][4] = {};
  float most[2] = {below_all_scores, below_all_scores};  // in powers of 2
  float sum[2] = {};                                     // of the lane's keys

  // Scores become probabilities relative to the largest so far.
  __device__ void soften(float (&scores)[key_tiles][4], float factor) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float largest = scores[0][2 * r];
#pragma unroll
      for (int n = 0; n < key_tiles; ++n) {
        largest = fmaxf(largest, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
      }
      largest = fmaxf(most[r], lane_reduce<4>(largest, larger{}) * factor);
      float const scale = power_of_2(most[r] - largest);
      most[r] = largest;
      float total = 0;
#pragma unroll
      for (int n = 0; n < key_tiles; ++n) {
#pragma unroll
        for (int i = 2 * r; i < 2 * r + 2; ++i) {
          scores[n][i] = power_of_2(fmaf(scores[n][i], factor, -largest));
          total += scores[n][i];
        }
      }
      sum[r] = sum[r] * scale + total;
#pragma unroll
      for (auto& v : values) {
        v[2 * r] *= scale;
        v[2 * r + 1] *= scale;
      }
    }
  }
};

// The queries of a warp, from the tile in shared memory that has those of the block.
template <int Tiles>
__device__ void load_queries(unsigned from, int warp, int lane, query_tile (&tiles)[Tiles]) {
#pragma unroll
  for (int t = 0; t < Tiles; ++t) {
#pragma unroll
    for (int s = 0; s < width_steps; ++s) {
      load_matrices(chunk_at(from, (warp * Tiles + t) * 16 + lane % 16, 2 * s + lane / 16),
                    tiles[t].q[s]);
    }
  }
}

// scores = q k^T for a tile of keys.
template <class T, int Tiles>
__device__ void score_keys(query_tile const (&tiles)[Tiles], unsigned keys, int lane,
                           float (&scores)[Tiles][key_tiles][4]) {
#pragma unroll
  for (int s = 0; s < width_steps; ++s) {
#pragma unroll
    for (int pair = 0; pair < key_tiles / 2; ++pair) {
      std::uint32_t b[4];
      load_matrices(chunk_at(keys, pair * 16 + lane / 16 * 8 + lane % 8, 2 * s + lane / 8 % 2), b);
#pragma unroll
      for (int t = 0; t < Tiles; ++t) {
        multiply_add<T>(tiles[t].q[s], b[0], b[1], scores[t][2 * pair]);
        multiply_add<T>(tiles[t].q[s], b[2], b[3], scores[t][2 * pair + 1]);
      }
    }
  }
}

// Keys that a query does not see score -inf. The tile's first key and the tiles' first query are
// given.
template <int Tiles>
__device__ void hide_keys(int first_key, int keys, int first_query, bool causal, int lane,
                          float (&scores)[Tiles][key_tiles][4]) {
#pragma unroll
  for (int t = 0; t < Tiles; ++t) {
#pragma unroll
    for (int j = 0; j < key_tiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        int const key = first_key + j * 8 + lane % 4 * 2 + i % 2;
        int const query = first_query + t * 16 + lane / 4 + i / 2 * 8;
        if (key >= keys || (causal && key > query)) {
          scores[t][j][i] = -INFINITY;
        }
      }
    }
  }
}

// values += p v for a tile of values; the probabilities are rounded to T.
template <class T, int Tiles>
__device__ void add_values(float const (&scores)[Tiles][key_tiles][4], unsigned values, int lane,
                           query_tile (&tiles)[Tiles]) {
#pragma unroll
  for (int s = 0; s < fused_keys / 16; ++s) {
    std::uint32_t p[Tiles][4];
#pragma unroll
    for (int t = 0; t < Tiles; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        auto const& c = scores[t][2 * s + i / 2];
        p[t][i] = pack<T>(c[i % 2 * 2], c[i % 2 * 2 + 1]);
      }
    }
#pragma unroll
    for (int pair = 0; pair < fused_head_width / 16; ++pair) {
      std::uint32_t b[4];
      load_transposed(chunk_at(values, s * 16 + lane / 8 % 2 * 8 + lane % 8, 2 * pair + lane / 16),
                      b);
#pragma unroll
      for (int t = 0; t < Tiles; ++t) {
        multiply_add<T>(p[t], b[0], b[1], tiles[t].values[2 * pair]);
        multiply_add<T>(p[t], b[2], b[3], tiles[t].values[2 * pair + 1]);
      }
    }
  }
}

// A warp's rows of the result, through shared memory so that rows are written whole: out is row
// first_row of the block's, of which `rows` exist.
template <class T, int Tiles>
__device__ void write_values(query_tile const (&tiles)[Tiles], unsigned char* memory, int first_row,
                             int rows, int lane, T* out, index_t ld) {
#pragma unroll
  for (int t = 0; t < Tiles; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float const scale = 1.0F / lane_reduce<4>(tiles[t].sum[r], add{});
      int const row = first_row + t * 16 + lane / 4 + 8 * r;
#pragma unroll
      for (int j = 0; j < fused_head_width / 8; ++j) {
        auto const at = chunk_at(0, row, j) + static_cast<unsigned>(lane % 4 * 4);
        *reinterpret_cast<std::uint32_t*>(memory + at) =
            pack<T>(tiles[t].values[j][2 * r] * scale, tiles[t].values[j][2 * r + 1] * scale);
      }
    }
  }
  __syncwarp();
#pragma unroll
  for (int at = lane; at < Tiles * 16 * row_chunks; at += warp_size) {
    int const row = first_row + at / row_chunks;
    int const chunk = at % row_chunks;
    if (row < rows) {
      *reinterpret_cast<uint4*>(out + row * ld + chunk * packet_size<T>) =
          *reinterpret_cast<uint4 const*>(memory + chunk_at(0, row, chunk));
    }
  }
}

// A warp has 16 Tiles queries.
template <class T, int Tiles>
__global__ void __launch_bounds__(fused_threads) fused_attention_kernel(attention_operands<T> a) {
  __shared__ alignas(128) unsigned char memory[2 * stage_bytes];
  constexpr int queries = fused_warps * 16 * Tiles;
  auto const stages = shared_address(memory);
  int const lane = static_cast<int>(threadIdx.x) % warp_size;
  int const warp = static_cast<int>(threadIdx.x) / warp_size;
  int const column = static_cast<int>(blockIdx.y) * fused_head_width;
  int const first_query = static_cast<int>(blockIdx.x) * queries;
  int const own_query = first_query + warp * 16 * Tiles;
  int const keys = a.keys_of(static_cast<int>(blockIdx.z));
  int const last = a.causal ? min(keys, first_query + queries) : keys;
  auto const start = static_cast<index_t>(blockIdx.z) * a.tokens;
  int const thread = static_cast<int>(threadIdx.x);
  auto const copy_stage = [&](int first, unsigned stage) {
    auto const from = (start + first) * a.ld + column;
    copy_head<fused_keys, fused_threads>(a.k + from, a.ld, a.tokens - first, stage, thread);
    copy_head<fused_keys, fused_threads>(a.v + from, a.ld, a.tokens - first, stage + tile_bytes,
                                         thread);
    commit_copies();
  };
  // The queries pass through the memory of the second stage.
  copy_head<queries, fused_threads>(a.q + (start + first_query) * a.ld + column, a.ld,
                                    a.tokens - first_query, stages + stage_bytes, thread);
  copy_stage(0, stages);
  wait_for_copies();
  __syncthreads();
  query_tile tiles[Tiles];
  load_queries(stages + stage_bytes, warp, lane, tiles);
  __syncthreads();
  for (int first = 0, n = 0; first < last; first += fused_keys, ++n) {
    unsigned const stage = stages + static_cast<unsigned>(n % 2) * stage_bytes;
    if (first + fused_keys < last) {
      copy_stage(first + fused_keys, stages + static_cast<unsigned>((n + 1) % 2) * stage_bytes);
    }
    float scores[Tiles][key_tiles][4] = {};
    score_keys<T>(tiles, stage, lane, scores);
    if (first + fused_keys > keys || a.causal) {
      hide_keys(first, keys, own_query, a.causal, lane, scores);
    }
#pragma unroll
    for (int t = 0; t < Tiles; ++t) {
      tiles[t].soften(scores[t], a.scale * log2_e);
    }
    add_values<T>(scores, stage + tile_bytes, lane, tiles);
    wait_for_copies();
    __syncthreads();
  }
  auto const width = static_cast<index_t>(a.heads) * fused_head_width;
  write_values(tiles, memory, warp * 16 * Tiles, a.tokens - first_query, lane,
               a.out + (start + first_query) * width + column, width);
}

}  // namespace detail

/// Whether fused_attention takes these operands.
template <kernel_number T>
auto fits_fused_attention(attention_operands<T> const& a) -> bool {
  return sizeof(T) == 2 && a.head_width == fused_head_width && in_packets(a.ld, a.q) &&
         in_packets(a.ld, a.k) && in_packets(a.ld, a.v) && in_packets(a.ld, a.out) && a.scale > 0;
}

/// out = softmax(scale q k^T + mask) v on the tensor cores, for heads of 64 numbers of 16 bits
/// (fits_fused_attention): a block has 64 or 128 queries, keys and values come tile by tile, the
/// next while the last is computed with (Dao 2023). Products and sums in float, probabilities
/// rounded to T. Every query must see a key. Throws shape_error.
template <kernel_number T>
void fused_attention(attention_operands<T> const& a, index_t sentences, cudaStream_t stream) {
  if (!fits_fused_attention(a)) {
    throw shape_error(
        message("fused_attention: heads of ", a.head_width, " numbers of ", sizeof(T), " bytes"));
  }
  auto const launch = [&]<int Tiles>(std::integral_constant<int, Tiles>) {
    constexpr int queries = detail::fused_warps * 16 * Tiles;
    auto const grid = dim3(grid_size((a.tokens + queries - 1) / queries),
                           grid_size(a.heads, grid_limit), grid_size(sentences, grid_limit));
    detail::fused_attention_kernel<T, Tiles><<<grid, detail::fused_threads, 0, stream>>>(a);
  };
  // Small blocks while large ones would leave processors idle.
  constexpr index_t many_blocks = 264;
  if ((a.tokens + 127) / 128 * a.heads * sentences >= many_blocks) {
    launch(std::integral_constant<int, 2>{});
  } else {
    launch(std::integral_constant<int, 1>{});
  }
  check_launch("fused_attention");
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
