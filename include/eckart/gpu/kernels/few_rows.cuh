#pragma once

#include "eckart/gpu/kernels/activation.cuh"
#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/reduce.cuh"

#include <optional>

namespace eckart {
inline namespace v0 {
namespace gpu {

/// Rows up to which few_rows_product is used: it reads the weights once for all of them.
inline constexpr index_t few_rows_limit = 8;

namespace detail {

/// A warp computes `Outputs` neighbouring columns of y for all rows: every lane reads packets of
/// the weights, 32 packets apart, and the same packets of every row of x.
template <class T, class Out, int Rows, int Outputs>
__global__ void few_rows_kernel(T const* x, index_t ld_x, int rows, T const* w, index_t ld_w,
                                int inputs, int outputs, T const* bias, bool activates,
                                activation f, Out* y, index_t ld_y) {
  constexpr int n = packet_size<T>;
  int const lane = static_cast<int>(threadIdx.x) % warp_size;
  int const warp = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / warp_size);
  int const first = warp * Outputs;
  if (first >= outputs) {
    return;
  }
  int const part = static_cast<int>(blockIdx.y);
  x += part * inputs;
  w += static_cast<index_t>(part) * outputs * ld_w;
  y += part * outputs;
  bias += bias != nullptr ? part * outputs : 0;
  // Weights come nearer while the kernel before still writes x.
  constexpr int line = 128 / static_cast<int>(sizeof(T));
  for (int column = lane * line; column < inputs; column += warp_size * line) {
#pragma unroll
    for (int o = 0; o < Outputs; ++o) {
      prefetch(w + min(first + o, outputs - 1) * ld_w + column);
    }
  }
  after_previous();
  float sums[Rows][Outputs] = {};
#pragma unroll 2
  for (int column = lane * n; column < inputs; column += warp_size * n) {
    float weights[Outputs][n];
#pragma unroll
    for (int o = 0; o < Outputs; ++o) {
      load(w + min(first + o, outputs - 1) * ld_w + column, weights[o]);
    }
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      float values[n];
      load(x + min(r, rows - 1) * ld_x + column, values);
#pragma unroll
      for (int o = 0; o < Outputs; ++o) {
#pragma unroll
        for (int i = 0; i < n; ++i) {
          sums[r][o] += values[i] * weights[o][i];
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < Rows; ++r) {
#pragma unroll
    for (int o = 0; o < Outputs; ++o) {
      float sum = warp_reduce(sums[r][o], add{});
      if (lane == 0 && r < rows && first + o < outputs) {
        sum += bias != nullptr ? to_float(bias[first + o]) : 0.0F;
        y[r * ld_y + first + o] = from_float<Out>(activates ? activated<T>(f, sum) : sum);
      }
    }
  }
}

}  // namespace detail

/// Whether few_rows_product takes these operands.
template <kernel_number T>
auto fits_few_rows(device_view<T const> x, device_view<T const> w) -> bool {
  return x.rows <= few_rows_limit && in_packets(x.ld, x.data) && in_packets(w.cols, w.data) &&
         in_packets(w.ld, w.data);
}

/// y (rows, m) = f(x w^T + bias) with x (rows, n), w (m, n), bias (m) or null, in one kernel that
/// reads w once; `parts` such products side by side, each with its columns of x and y and its rows
/// of w. Sums are kept in float. For fits_few_rows alone. Throws shape_error.
template <kernel_number T, kernel_number Out>
void few_rows_product(device_view<T const> x, device_view<T const> w, T const* bias,
                      std::optional<activation> f, device_view<Out> y, cudaStream_t stream,
                      index_t parts = 1) {
  if (parts < 1 || w.rows % parts != 0 || x.cols != parts * w.cols || y.rows != x.rows ||
      y.cols != w.rows || !fits_few_rows(x, w)) {
    throw shape_error(
        message("few_rows_product: ", x.shape(), " times ", w.shape(), " into ", y.shape()));
  }
  constexpr index_t warps = 4;
  auto const outputs = w.rows / parts;
  auto const start = [&]<int Rows, int Outputs>(std::integral_constant<int, Rows>,
                                                std::integral_constant<int, Outputs>) {
    auto const blocks = (outputs + warps * Outputs - 1) / (warps * Outputs);
    auto const grid = dim3(grid_size(blocks), grid_size(parts, grid_limit));
    launch("few_rows_product", detail::few_rows_kernel<T, Out, Rows, Outputs>,
           {grid, static_cast<unsigned>(warps * warp_size)}, stream, x.data, x.ld,
           static_cast<int>(x.rows), w.data, w.ld, static_cast<int>(w.cols),
           static_cast<int>(outputs), bias, f.has_value(), f.value_or(activation::relu), y.data,
           y.ld);
  };
  // Many outputs fill the device anyway: then a warp has several, which share what it reads of x.
  constexpr index_t many_outputs = 8192;
  auto const start_rows = [&]<int Rows>(std::integral_constant<int, Rows> count) {
    if (outputs >= many_outputs) {
      start(count, std::integral_constant<int, 4>{});
    } else {
      start(count, std::integral_constant<int, 1>{});
    }
  };
  if (x.rows == 0 || w.rows == 0) {
    return;
  }
  if (x.rows == 1) {
    start_rows(std::integral_constant<int, 1>{});
  } else if (x.rows <= 4) {
    start_rows(std::integral_constant<int, 4>{});
  } else {
    start_rows(std::integral_constant<int, 8>{});
  }
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
