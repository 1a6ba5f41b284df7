#pragma once

#include "eckart/gpu/kernels/attention_caches.cuh"
#include "eckart/gpu/kernels/fused_attention.cuh"
#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/one_query_attention.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

inline constexpr int fused_beams = 16;  // of a block
inline constexpr int query_bytes = fused_beams * row_bytes;
inline constexpr int cross_bytes = query_bytes + fused_warps * static_cast<int>(stage_bytes);

// What a warp has seen of some keys, for join_parts.
inline __device__ void keep_part(query_tile const& tile, int lane, int queries, float* part) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float const sum = lane_reduce<4>(tile.sum[r], add{});
    int const query = lane / 4 + 8 * r;
    if (query < queries) {
      float* const to = part + query * (fused_head_width + 2);
      to[0] = tile.most[r];
      to[1] = sum;
#pragma unroll
      for (int j = 0; j < fused_head_width / 8; ++j) {
        to[2 + j * 8 + lane % 4 * 2] = tile.values[j][2 * r];
        to[2 + j * 8 + lane % 4 * 2 + 1] = tile.values[j][2 * r + 1];
      }
    }
  }
}

// A block has a head of a sentence and its beams as the rows of one tile of queries; each warp has
// every fourth tile of keys, whose values come while it multiplies the keys.
template <class T>
__global__ void __launch_bounds__(fused_threads)
    fused_cross_attention_kernel(T const* q, int width, int beams, float scale,
                                 cross_cache_view<T> cache, T* out) {
  extern __shared__ uint4 tile_memory[];  // queries; then keys and values of each warp
  auto const memory = shared_address(tile_memory);
  int const thread = static_cast<int>(threadIdx.x);
  int const lane = thread % warp_size;
  int const warp = thread / warp_size;
  int const column = static_cast<int>(blockIdx.x) * fused_head_width;
  int const sentence = static_cast<int>(blockIdx.y);
  int const first = static_cast<int>(blockIdx.z) * fused_beams;
  int const queries = min(fused_beams, beams - first);
  auto const at = (static_cast<index_t>(sentence) * beams + first) * width + column;
  auto const start = static_cast<index_t>(sentence) * cache.tokens * cache.ld + column;
  // Nearer, while the queries are still computed.
  for (int key = thread; key < cache.tokens; key += fused_threads) {
    prefetch(cache.keys + start + key * cache.ld);
    prefetch(cache.values + start + key * cache.ld);
  }
  after_previous();
  int const keys = cache.key_lengths[sentence];
  auto const own = query_bytes + static_cast<unsigned>(warp) * stage_bytes;
  auto const copy = [&](T const* from, int tile, unsigned to) {
    if (int const key = tile * fused_keys; key < keys) {
      copy_head<fused_keys, warp_size>(from + start + key * cache.ld, cache.ld, keys - key,
                                       memory + to, lane);
    }
    commit_copies();
  };
  copy_head<fused_beams, fused_threads>(q + at, width, queries, memory, thread);
  commit_copies();
  copy(cache.keys, warp, own);
  copy(cache.values, warp, own + tile_bytes);
  wait_for_copies<2>();
  __syncthreads();
  query_tile tiles[1];
  load_queries(memory, 0, lane, tiles);
  for (int tile = warp; tile * fused_keys < keys; tile += fused_warps) {
    wait_for_copies<1>();
    __syncwarp();
    float scores[1][key_tiles][4] = {};
    score_keys<T>(tiles, memory + own, lane, scores);
    __syncwarp();
    copy(cache.keys, tile + fused_warps, own);
    if ((tile + 1) * fused_keys > keys) {
      hide_keys(tile * fused_keys, keys, 0, false, lane, scores);
    }
    tiles[0].soften(scores[0], scale * log2_e);
    wait_for_copies<1>();
    __syncwarp();
    add_values<T>(scores, memory + own + tile_bytes, lane, tiles);
    __syncwarp();
    copy(cache.values, tile + fused_warps, own + tile_bytes);
  }
  auto* const parts = reinterpret_cast<float*>(tile_memory) + query_bytes / sizeof(float);
  constexpr int stride = stage_bytes / sizeof(float);
  keep_part(tiles[0], lane, queries, parts + warp * stride);
  __syncthreads();
  join_parts(parts, stride, fused_head_width, queries, out + at, width);
}

}  // namespace detail

/// step_cross_attention on the tensor cores, for heads of 64 numbers of 16 bits: probabilities are
/// rounded to T, sums are kept in float. Every sentence must have a key.
template <kernel_number T>
void fused_cross_attention(device_view<T const> q, index_t sentences, index_t heads, float scale,
                           cross_cache_view<T> cache, device_view<T> out, cudaStream_t stream) {
  auto const beams = q.rows / sentences;
  auto const kernel = detail::fused_cross_attention_kernel<T>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  detail::cross_bytes),
             "cudaFuncSetAttribute");
  auto const grid =
      dim3(grid_size(heads), grid_size(sentences, grid_limit),
           grid_size((beams + detail::fused_beams - 1) / detail::fused_beams, grid_limit));
  launch("fused_cross_attention", kernel,
         {grid, detail::fused_threads, static_cast<std::size_t>(detail::cross_bytes)}, stream,
         q.data, static_cast<int>(q.cols), static_cast<int>(beams), scale, cache, out.data);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
