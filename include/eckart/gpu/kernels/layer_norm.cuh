#pragma once

#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/reduce.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// Weights and biases of a LayerNorm over `width` numbers, in float whatever the states are in.
struct layer_norm_view {
  float const* weight = nullptr;  ///< (width)
  float const* bias = nullptr;    ///< (width)
  int width = 0;
  float epsilon = 1e-5F;
};

inline constexpr int norm_threads = 128;  ///< of the block that has a row

/// The part of a row that a thread holds: packets of numbers, norm_threads packets apart.
template <int Packet, int Chunks>
struct row_part {
  float values[Chunks][Packet];

  __device__ static auto column(int chunk) -> int {
    return (chunk * norm_threads + static_cast<int>(threadIdx.x)) * Packet;
  }

  /// Calls f(chunk, first column) for the chunks that are within the row.
  template <class F>
  __device__ static void each_chunk(int width, F f) {
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
      if (column(c) < width) {
        f(c, column(c));
      }
    }
  }

  /// values <- (values - mean) / sqrt(variance + epsilon) * weight + bias, in two passes as on the
  /// host.
  __device__ void normalize(layer_norm_view norm) {
    float sum = 0;
    each_chunk(norm.width, [&](int c, int) {
      for (int i = 0; i < Packet; ++i) {
        sum += values[c][i];
      }
    });
    float const mean = block_reduce(sum, 0.0F, add{}) / static_cast<float>(norm.width);
    float squares = 0;
    each_chunk(norm.width, [&](int c, int) {
      for (int i = 0; i < Packet; ++i) {
        float const d = values[c][i] - mean;
        squares += d * d;
      }
    });
    float const variance = block_reduce(squares, 0.0F, add{}) / static_cast<float>(norm.width);
    float const scale = 1.0F / sqrtf(variance + norm.epsilon);
    each_chunk(norm.width, [&](int c, int column) {
      for (int i = 0; i < Packet; ++i) {
        values[c][i] =
            (values[c][i] - mean) * scale * norm.weight[column + i] + norm.bias[column + i];
      }
    });
  }
};

/// Calls f with a row_part that a row of `width` fits into. Throws shape_error for one that is too
/// wide: 4096 numbers of 16 bits, 2048 floats, 1024 that are no whole packets.
template <kernel_number T, class F>
void with_row_part(int width, bool packets, F&& f) {
  constexpr int n = packet_size<T>;
  if (packets && width <= n * norm_threads) {
    f(row_part<n, 1>{});
  } else if (packets && width <= 4 * n * norm_threads) {
    f(row_part<n, 4>{});
  } else if (width <= 8 * norm_threads) {
    f(row_part<1, 8>{});
  } else {
    throw shape_error(message("layer_norm: a row of ", width, " numbers"));
  }
}

namespace detail {

template <class T, int Packet, int Chunks>
__global__ void add_and_normalize_kernel(T const* update, layer_norm_view norm, T* x) {
  after_previous();
  auto const row = static_cast<index_t>(blockIdx.x) * norm.width;
  row_part<Packet, Chunks> part;
  part.each_chunk(norm.width, [&](int c, int column) {
    float other[Packet];
    load(x + row + column, part.values[c]);
    load(update + row + column, other);
    for (int i = 0; i < Packet; ++i) {
      part.values[c][i] += other[i];
    }
  });
  part.normalize(norm);
  part.each_chunk(norm.width, [&](int c, int column) { store(part.values[c], x + row + column); });
}

}  // namespace detail

/// x <- LayerNorm(x + update), row by row: x and update (rows, width), without gaps between rows.
/// Reads both once and writes x once. Throws shape_error.
template <kernel_number T>
void add_and_normalize(device_view<std::type_identity_t<T> const> update, layer_norm_view norm,
                       device_view<T> x, cudaStream_t stream) {
  if (x.shape() != update.shape() || x.cols != norm.width || x.ld != x.cols ||
      update.ld != update.cols) {
    throw shape_error(message("add_and_normalize: ", update.shape(), " onto ", x.shape(),
                              ", LayerNorm of ", norm.width));
  }
  if (x.rows == 0) {
    return;
  }
  bool const packets = in_packets(x.cols, x.data) && in_packets(x.cols, update.data);
  with_row_part<T>(norm.width, packets, [&]<int Packet, int Chunks>(row_part<Packet, Chunks>) {
    launch("add_and_normalize", detail::add_and_normalize_kernel<T, Packet, Chunks>,
           {grid_size(x.rows), norm_threads}, stream, update.data, norm, x.data);
  });
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
