#pragma once

#include "eckart/backend/device_matrix.hpp"

#include <concepts>
#include <limits>

/// What kernels compute with: numbers of 16 or 32 bits in memory, float in registers.
namespace eckart {
inline namespace v0 {

/// Numbers that a model on a device is stored in.
template <class T>
concept kernel_number =
    std::same_as<T, float> || std::same_as<T, half> || std::same_as<T, bfloat16>;

namespace gpu {

inline constexpr int warp_size = 32;
/// Bytes that a thread reads or writes at once.
inline constexpr int packet_bytes = 16;

template <kernel_number T>
inline constexpr int packet_size = packet_bytes / static_cast<int>(sizeof(T));

__device__ inline auto to_float(float x) -> float {
  return x;
}
__device__ inline auto to_float(half x) -> float {
  return __half2float(x);
}
__device__ inline auto to_float(bfloat16 x) -> float {
  return __bfloat162float(x);
}

/// Rounded to nearest.
template <kernel_number T>
__device__ inline auto from_float(float x) -> T {
  if constexpr (std::same_as<T, half>) {
    return __float2half_rn(x);
  } else if constexpr (std::same_as<T, bfloat16>) {
    return __float2bfloat16_rn(x);
  } else {
    return x;
  }
}

/// N numbers side by side.
template <kernel_number T, int N>
struct alignas(sizeof(T) * N) packet {
  T values[N];
};

/// N numbers from an address that N * sizeof(T) divides.
template <int N, kernel_number T>
__device__ inline void load(T const* from, float (&to)[N]) {
  auto const all = *reinterpret_cast<packet<T, N> const*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    to[i] = to_float(all.values[i]);
  }
}
template <int N, kernel_number T>
__device__ inline void store(float const (&from)[N], T* to) {
  packet<T, N> all;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    all.values[i] = from_float<T>(from[i]);
  }
  *reinterpret_cast<packet<T, N>*>(to) = all;
}

/// Whether rows of this many numbers, from this address on, can be read packet by packet.
template <class T>
auto in_packets(index_t row, T const* data) -> bool {
  return row % packet_size<std::remove_const_t<T>> == 0 &&
         reinterpret_cast<std::uintptr_t>(data) % packet_bytes == 0;
}

/// Blocks of a grid in one direction. Throws shape_error where a grid cannot have so many.
inline auto grid_size(index_t blocks, index_t most = std::numeric_limits<int>::max()) -> unsigned {
  if (blocks < 1 || blocks > most) {
    throw shape_error(message("kernel: a grid of ", blocks, " blocks"));
  }
  return static_cast<unsigned>(blocks);
}

/// The most blocks in the second and third direction of a grid.
inline constexpr index_t grid_limit = 65535;

/// Throws backend_error if the kernel that was launched last could not be.
inline void check_launch(char const* kernel) {
  check_cuda(cudaGetLastError(), kernel);
}

}  // namespace gpu

}  // namespace v0
}  // namespace eckart
