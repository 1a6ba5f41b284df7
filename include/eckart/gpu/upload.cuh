#pragma once

#include "eckart/backend/cublas.hpp"
#include "eckart/gpu/kernels/numbers.cuh"

#include <algorithm>
#include <span>

/// Floats of the host as numbers of a device.
namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

template <class T>
__global__ void convert_kernel(float const* from, int cols, T* to, index_t ld, index_t size) {
  auto const at = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < size) {
    to[at / cols * ld + at % cols] = from_float<T>(from[at]);
  }
}

}  // namespace detail

/// Copies floats of the host into a matrix of the device, rounded to nearest: a number beyond those
/// of T becomes an infinity. Takes no more than 16 MiB of the device for it, or a row, and waits.
/// Throws shape_error and backend_error.
template <kernel_number T>
void upload(matrix_view<float const> from, device_view<T> to, cudaStream_t stream) {
  if (from.shape() != to.shape()) {
    throw shape_error(message("upload: ", from.shape(), " into ", to.shape()));
  }
  if (from.size() == 0) {
    return;
  }
  if constexpr (std::same_as<T, float>) {
    copy_to_device(from, to, stream);
  } else {
    constexpr index_t at_once = 4 << 20;  // floats
    auto const rows = std::clamp<index_t>(at_once / from.cols, 1, from.rows);
    device_matrix<float> piece(shape2{rows, from.cols});
    for (index_t first = 0; first < from.rows; first += rows) {
      auto const count = std::min(rows, from.rows - first);
      auto const part = piece.view().row_range(0, count);
      copy_to_device(from.row_range(first, count), part, stream);
      constexpr index_t threads = 256;
      detail::convert_kernel<T>
          <<<grid_size((part.size() + threads - 1) / threads), threads, 0, stream>>>(
              part.data, static_cast<int>(part.cols), to.data + first * to.ld, to.ld, part.size());
      check_launch("upload");
    }
    check_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  }
}

/// The same for a vector.
template <kernel_number T>
auto upload(std::span<float const> from, cudaStream_t stream) -> device_buffer<T> {
  auto const size = static_cast<index_t>(from.size());
  device_buffer<T> result(size);
  upload(matrix_view<float const>(from.data(), 1, size), device_view<T>(result.data(), 1, size),
         stream);
  return result;
}

/// Copies whole numbers, ids for example. The source may be changed when this returns.
template <class T>
void copy_values(std::span<T const> from, T* to, cudaStream_t stream) {
  if (!from.empty()) {
    check_cuda(cudaMemcpyAsync(to, from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream),
               "cudaMemcpyAsync");
    check_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  }
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
