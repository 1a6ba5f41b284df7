#pragma once

#include "eckart/gpu/kernels/numbers.cuh"

/// Sums and maxima of the threads of a warp or of a block. Every thread gets the result.
namespace eckart {
inline namespace v0 {
namespace gpu {

inline constexpr unsigned all_lanes = 0xffffffffU;

struct add {
  template <class T>
  __device__ auto operator()(T a, T b) const -> T {
    return a + b;
  }
};
struct larger {
  template <class T>
  __device__ auto operator()(T a, T b) const -> T {
    return a < b ? b : a;
  }
};

/// Combines the values of `Lanes` neighbouring lanes, a power of 2.
template <int Lanes, class T, class F>
__device__ inline auto lane_reduce(T value, F combine) -> T {
#pragma unroll
  for (int step = Lanes / 2; step > 0; step /= 2) {
    value = combine(value, __shfl_xor_sync(all_lanes, value, step));
  }
  return value;
}

template <class T, class F>
__device__ inline auto warp_reduce(T value, F combine) -> T {
  return lane_reduce<warp_size>(value, combine);
}

/// The largest value of a warp: one instruction where there is one.
__device__ inline auto warp_max(unsigned value) -> unsigned {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(all_lanes, value);
#else
  return warp_reduce(value, larger{});
#endif
}

/// Combines the values of a block of whole warps, always in the same order. `neutral` changes
/// nothing. Shared memory is used again by the next call, after a barrier of this one.
template <class T, class F>
__device__ inline auto block_reduce(T value, T neutral, F combine) -> T {
  __shared__ T of_warp[warp_size];
  int const lane = static_cast<int>(threadIdx.x) % warp_size;
  int const warp = static_cast<int>(threadIdx.x) / warp_size;
  value = warp_reduce(value, combine);
  __syncthreads();  // the results of an earlier call have been read
  if (lane == 0) {
    of_warp[warp] = value;
  }
  __syncthreads();
  int const warps = static_cast<int>(blockDim.x) / warp_size;
  return warp_reduce(lane < warps ? of_warp[lane] : neutral, combine);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
