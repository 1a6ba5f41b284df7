#pragma once

#include "eckart/gpu/kernels/fused_cross_attention.cuh"

/// Attention of one new token a row, while a text is written.
namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

template <class T, int Packet, int Chunks>
__global__ void step_self_attention_kernel(T const* qkv, int width, int heads, float scale,
                                           self_cache_view<T> cache, int const* position, T* out) {
  extern __shared__ float shared[];
  after_previous();
  int const d = width / heads;
  int const row = static_cast<int>(blockIdx.y);
  int const column = static_cast<int>(blockIdx.x) * d;
  int const now = *position;
  auto const place = [&](int p, int r) {
    return (static_cast<index_t>(p) * cache.history.rows + r) * 2 * width + column;
  };
  T const* const own = qkv + static_cast<index_t>(row) * 3 * width + column;
  for (int i = static_cast<int>(threadIdx.x); i < d; i += blockDim.x) {
    cache.data[place(now, row) + i] = own[width + i];
    cache.data[place(now, row) + width + i] = own[2 * width + i];
  }
  __syncthreads();
  int const thread = static_cast<int>(threadIdx.x);
  head_part<Packet, Chunks> const head{d, thread % head_lanes};
  float q[1][Chunks][Packet];
  head.load(own, q[0]);
  for (auto& chunk : q[0]) {
    for (auto& x : chunk) {
      x *= scale * log2_e;
    }
  }
  int const* const table = cache.history.table(now);
  int const* const line =
      table == nullptr ? nullptr : table + static_cast<index_t>(row) * cache.history.capacity;
  attention_part<Packet, Chunks, 1> part;
  attend_keys(
      q, head, static_cast<T const*>(cache.data), static_cast<T const*>(cache.data) + width,
      now + 1, thread / head_lanes, static_cast<int>(blockDim.x) / head_lanes,
      [&](int p) { return place(p, line == nullptr || p == now ? row : line[p]); }, part);
  finish(part, d, 1, shared, out + static_cast<index_t>(row) * width + column, width);
}

template <class T, int Packet, int Chunks, int Queries>
__global__ void step_cross_attention_kernel(T const* q, int width, int heads, int beams,
                                            float scale, cross_cache_view<T> cache, T* out) {
  extern __shared__ float shared[];
  after_previous();
  int const d = width / heads;
  int const sentence = static_cast<int>(blockIdx.y);
  int const column = static_cast<int>(blockIdx.x) * d;
  int const first = static_cast<int>(blockIdx.z) * Queries;  // of the sentence's beams
  int const queries = min(Queries, beams - first);
  auto const at = (static_cast<index_t>(sentence) * beams + first) * width + column;
  int const thread = static_cast<int>(threadIdx.x);
  head_part<Packet, Chunks> const head{d, thread % head_lanes};
  float query[Queries][Chunks][Packet];
#pragma unroll
  for (int n = 0; n < Queries; ++n) {
    head.load(q + at + static_cast<index_t>(min(n, queries - 1)) * width, query[n]);
    for (auto& chunk : query[n]) {
      for (auto& x : chunk) {
        x *= scale * log2_e;
      }
    }
  }
  auto const sentence_at = static_cast<index_t>(sentence) * cache.tokens * cache.ld + column;
  attention_part<Packet, Chunks, Queries> part;
  attend_keys(
      query, head, cache.keys + sentence_at, cache.values + sentence_at,
      cache.key_lengths[sentence], thread / head_lanes, static_cast<int>(blockDim.x) / head_lanes,
      [&](int j) { return static_cast<index_t>(j) * cache.ld; }, part);
  finish(part, d, queries, shared, out + at, width);
}

}  // namespace detail

/// Self-attention of the token at *position of every row: qkv (rows, 3 width) is queries | keys |
/// values, out (rows, width). Keys and values go to the cache; the keys are those of the row's
/// history and the new one. Throws shape_error. 4 width numbers of the cache are used a key.
template <kernel_number T>
void step_self_attention(device_view<std::type_identity_t<T> const> qkv, index_t heads, float scale,
                         self_cache_view<T> cache, int const* position, device_view<T> out,
                         cudaStream_t stream) {
  auto const width = out.cols;
  if (heads < 1 || width % heads != 0 || qkv.shape() != shape2{out.rows, 3 * width} ||
      qkv.ld != 3 * width || out.ld != width || cache.history.rows != out.rows) {
    throw shape_error(
        message("attention: ", qkv.shape(), " with ", heads, " heads into ", out.shape()));
  }
  auto const d = width / heads;
  // Many small blocks while there are enough of them, for a history is short.
  constexpr index_t many_blocks = 1024;
  int const threads = heads * out.rows >= many_blocks ? 64 : 128;
  with_head_part<T>(
      d, in_packets(d, qkv.data) && in_packets(d, cache.data), [&]<int Packet, int Chunks>() {
        auto const shared =
            static_cast<std::size_t>(finish_size(threads, 1, static_cast<int>(d))) * sizeof(float);
        auto const grid = dim3(grid_size(heads), grid_size(out.rows, grid_limit));
        launch("step_self_attention", detail::step_self_attention_kernel<T, Packet, Chunks>,
               {grid, static_cast<unsigned>(threads), shared}, stream, qkv.data,
               static_cast<int>(width), static_cast<int>(heads), scale, cache, position, out.data);
      });
}

/// Attention of one token a row on the encoded sources: q and out (sentences * beams, width); the
/// beams of a sentence follow each other and read its keys and values together. Throws shape_error.
template <kernel_number T>
void step_cross_attention(device_view<std::type_identity_t<T> const> q, index_t sentences,
                          index_t heads, float scale,
                          cross_cache_view<std::type_identity_t<T>> cache, device_view<T> out,
                          cudaStream_t stream) {
  auto const width = out.cols;
  if (heads < 1 || width % heads != 0 || sentences < 1 || out.rows % sentences != 0 ||
      q.shape() != out.shape() || q.ld != width || out.ld != width) {
    throw shape_error(message("attention: ", q.shape(), " with ", heads, " heads on ", sentences,
                              " sentences into ", out.shape()));
  }
  auto const d = width / heads;
  auto const beams = out.rows / sentences;
  bool const packets = in_packets(d, q.data) && in_packets(cache.ld, cache.keys) &&
                       in_packets(cache.ld, cache.values);
  if constexpr (sizeof(T) == 2) {
    constexpr index_t many_blocks = 132;  // fewer, of four warps, leave processors idle
    if (packets && d == fused_head_width && scale > 0 && heads * sentences >= many_blocks) {
      fused_cross_attention(q, sentences, heads, scale, cache, out, stream);
      return;
    }
  }
  constexpr int threads = 256;
  auto const start = [&]<int Packet, int Chunks, int Queries>() {
    auto const shared =
        static_cast<std::size_t>(finish_size(threads, Queries, static_cast<int>(d))) *
        sizeof(float);
    auto const grid = dim3(grid_size(heads), grid_size(sentences, grid_limit),
                           grid_size((beams + Queries - 1) / Queries, grid_limit));
    launch("step_cross_attention", detail::step_cross_attention_kernel<T, Packet, Chunks, Queries>,
           {grid, static_cast<unsigned>(threads), shared}, stream, q.data, static_cast<int>(width),
           static_cast<int>(heads), static_cast<int>(beams), scale, cache, out.data);
  };
  with_head_part<T>(d, packets, [&]<int Packet, int Chunks>() {
    if (beams == 1 || Chunks > 2) {
      start.template operator()<Packet, Chunks, 1>();
    } else {
      start.template operator()<Packet, Chunks, 4>();
    }
  });
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
