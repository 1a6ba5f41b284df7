#pragma once

#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/nn/activation.hpp"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// x Phi(x). For floats with erff, which is off by 2 units in the last place; for numbers of 16
/// bits with the rational function of nn/activation.hpp, off by less than 5e-7, in half the time.
template <kernel_number T>
__device__ inline auto gelu_of(float x) -> float {
  float const scaled = x * 0.70710678118654752F;
  if constexpr (std::same_as<T, float>) {
    return 0.5F * x * (1.0F + erff(scaled));
  } else {
    float const c = fminf(fmaxf(scaled, -3.92F), 3.92F);
    float const t = c * c;
    float const p =
        ((((2.0347461e-06F * t + 2.87479779e-04F) * t + 3.86831397e-03F) * t + 5.30604385e-02F) *
             t +
         1.92763656e-01F) *
            t +
        1.12837899F;
    float const q =
        ((((3.80707788e-05F * t + 1.18811324e-03F) * t + 1.51722664e-02F) * t + 1.15084462e-01F) *
             t +
         5.04163980e-01F) *
            t +
        1.0F;
    return 0.5F * x * (1.0F + c * __fdividef(p, q));
  }
}

/// The tanh approximation of it.
__device__ inline auto gelu_tanh_of(float x) -> float {
  return 0.5F * x * (1.0F + tanhf(0.79788456080286535588F * (x + 0.044715F * x * x * x)));
}

template <kernel_number T>
__device__ inline auto activated(activation f, float x) -> float {
  switch (f) {
    case activation::relu:
      return x > 0.0F ? x : 0.0F;
    case activation::gelu:
      return gelu_of<T>(x);
    case activation::gelu_tanh:
      return gelu_tanh_of(x);
  }
  return x;
}

namespace detail {

template <class T, int Packet>
__global__ void activate_kernel(activation f, T* x, index_t size) {
  after_previous();
  auto const first =
      (static_cast<index_t>(blockIdx.x) * blockDim.x + static_cast<index_t>(threadIdx.x)) * Packet;
  if (first < size) {
    float values[Packet];
    load(x + first, values);
#pragma unroll
    for (int i = 0; i < Packet; ++i) {
      values[i] = activated<T>(f, values[i]);
    }
    store(values, x + first);
  }
}

}  // namespace detail

/// Applies the function to every entry of x, in place; x has no gaps between rows. Throws
/// shape_error.
template <kernel_number T>
void activate(activation f, device_view<T> x, cudaStream_t stream) {
  if (x.rows > 1 && x.ld != x.cols) {
    throw shape_error(message("activate: ", x.shape(), " with leading dimension ", x.ld));
  }
  constexpr index_t threads = 256;
  constexpr int n = packet_size<T>;
  auto const start = [&]<int Packet>(std::integral_constant<int, Packet>) {
    auto const blocks = (x.size() / Packet + threads - 1) / threads;
    launch("activate", detail::activate_kernel<T, Packet>,
           {grid_size(blocks), static_cast<unsigned>(threads)}, stream, f, x.data, x.size());
  };
  if (x.size() == 0) {
    return;
  }
  if (in_packets(x.size(), x.data)) {
    start(std::integral_constant<int, n>{});
  } else {
    start(std::integral_constant<int, 1>{});
  }
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
