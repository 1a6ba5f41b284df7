#pragma once

#include "eckart/gpu/kernels/activation.cuh"
#include "eckart/gpu/kernels/warpgroup.cuh"

/// What becomes of the sums of a warpgroup, 64 rows and 64 columns of y. A thread has them in the
/// order of multiply_tiles, in registers, which no call survives: everything here is inlined.
namespace eckart {
inline namespace v0 {
namespace gpu {
namespace detail {

inline constexpr int product_tile_bytes = warpgroup_rows * row_bytes;  // of 64 x 64 numbers

using tile_sums = float[tile_columns / 2];

/// Starts sums (64, 64) = a b^T for b in tiles that stand one behind the other in shared memory; a
/// is in registers, 16 columns each.
template <class T, int Steps>
__device__ __forceinline__ void start_sums(uint4 const (&a)[Steps], unsigned tiles,
                                           tile_sums& sums) {
  constexpr int steps_of_tile = tile_columns / step_columns;
#pragma unroll
  for (float& sum : sums) {
    sum = 0;
  }
  auto const b = tile_descriptor(tiles);
  begin_products();
#pragma unroll
  for (int i = 0; i < Steps; ++i) {
    auto const at = static_cast<std::uint64_t>(i / steps_of_tile * (product_tile_bytes >> 4)) +
                    i % steps_of_tile * step_in_descriptor;
    multiply_by_tile<T>(a[i], b + at, sums);
  }
  commit_products();
}

template <class T, activation F>
__device__ __forceinline__ void activate_by(tile_sums& sums) {
#pragma unroll
  for (float& value : sums) {
    value = activated<T>(F, value);
  }
}

/// Activates sums; the function is chosen once for all.
template <class T>
__device__ __forceinline__ void activate_all(activation f, tile_sums& sums) {
  switch (f) {
    case activation::relu:
      return activate_by<T, activation::relu>(sums);
    case activation::gelu:
      return activate_by<T, activation::gelu>(sums);
    case activation::gelu_tanh:
      return activate_by<T, activation::gelu_tanh>(sums);
  }
}

/// Adds the bias (64) of the columns.
__device__ __forceinline__ void add_bias(float const* bias, tile_sums& sums) {
  auto const* const own = reinterpret_cast<float2 const*>(bias) + threadIdx.x % 4;
#pragma unroll
  for (int g = 0; g < tile_columns / 8; ++g) {
    auto const two = own[4 * g];
    sums[4 * g] += two.x;
    sums[4 * g + 1] += two.y;
    sums[4 * g + 2] += two.x;
    sums[4 * g + 3] += two.y;
  }
}

/// Writes the sums, rounded to T, to a tile in shared memory.
template <class T>
__device__ __forceinline__ void put_into_tile(unsigned tile, tile_sums const& sums) {
  int const thread = static_cast<int>(threadIdx.x) % warpgroup_threads;
  int const row = thread / warp_size * 16 + thread % 16;
  int const second = thread % warp_size / 16;
#pragma unroll
  for (int g = 0; g < tile_columns / 8; g += 2) {
    auto const* const s = sums + 4 * g;
    store_matrices(chunk_at(tile, row, g + second), {pack<T>(s[0], s[1]), pack<T>(s[2], s[3]),
                                                     pack<T>(s[4], s[5]), pack<T>(s[6], s[7])});
  }
}

}  // namespace detail
}  // namespace gpu
}  // namespace v0
}  // namespace eckart
