#pragma once

#include "eckart/gpu/kernels/activation.cuh"
#include "eckart/gpu/kernels/product_tile.cuh"

#include <cooperative_groups.h>

#include <algorithm>
#include <optional>

namespace eckart {
inline namespace v0 {
namespace gpu {

/// Rows up to which low_rank_rows is used: every 32 of them read the factors once.
inline constexpr index_t low_rank_rows_limit = 256;

/// Layers with one input in factors of one rank: W_i = L_i R_i, i < parts.
template <kernel_number T>
struct stacked_factors {
  device_view<T const> right;  ///< (parts * rank, n)
  device_view<T const> left;   ///< (parts * outputs, rank)
  index_t rank = 0;
  index_t outputs = 0;  ///< of a part
};

namespace detail {

inline constexpr int cluster_blocks = 8;  // the most that every device of clusters has
inline constexpr int factor_threads = 256;
inline constexpr int factor_warps = factor_threads / warp_size;
inline constexpr int inner_padding = 8;  // numbers, so that rows of shared memory differ in bank

template <class T, class Out>
struct low_rank_call {
  T const* x;
  index_t ld_x;
  int rows;
  int inputs;
  T const* right;
  T const* left;
  int parts_rank;  // parts * rank
  int rank;
  int outputs;  // of a part
  int all_outputs;
  T const* bias;
  bool activates;
  activation f;
  Out* y;
  index_t ld_y;
};

// x R^T of a block's share of the columns of x, for 16 Tiles rows.
template <class T, int Tiles, class Out>
__device__ void multiply_right(low_rank_call<T, Out> const& a, int first_row, int block,
                               float* partial) {
  int const lane = static_cast<int>(threadIdx.x) % warp_size;
  int const warp = static_cast<int>(threadIdx.x) / warp_size;
  int const chunks = (a.inputs + 31) / 32;
  int const share = (chunks + cluster_blocks - 1) / cluster_blocks;
  T const* rows[Tiles][2];
#pragma unroll
  for (int t = 0; t < Tiles; ++t) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int const row = first_row + t * 16 + i * 8 + lane / 4;
      rows[t][i] = a.x + min(row, a.rows - 1) * a.ld_x;
    }
  }
  for (int first = warp * 16; first < a.parts_rank; first += factor_warps * 16) {
    T const* w[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int const row = min(first + i * 8 + lane / 4, a.parts_rank - 1);
      w[i] = a.right + static_cast<index_t>(row) * a.inputs;
    }
    product_tile<T, Tiles> product;
    product.add(rows, w, block * share, min(chunks, (block + 1) * share), a.inputs, lane);
    product.each(lane, [&](int row, int column, float sum) {
      if (first + column < a.parts_rank) {
        partial[row * a.parts_rank + first + column] = sum;
      }
    });
  }
}

// Every block adds up a share of the columns of all partial sums, and tells every block.
template <class T, int Tiles, class Cluster>
__device__ void share_sums(Cluster const& cluster, int parts_rank, float* partial, T* inner) {
  int const block = static_cast<int>(cluster.block_rank());
  int const pairs = parts_rank / 2;
  int const share = (pairs + cluster_blocks - 1) / cluster_blocks;
  int const count = max(0, min(share, pairs - block * share));
  for (int at = static_cast<int>(threadIdx.x); at < Tiles * 16 * count; at += factor_threads) {
    int const row = at / count;
    int const column = 2 * (block * share + at % count);
    float first = 0;
    float second = 0;
#pragma unroll
    for (int other = 0; other < cluster_blocks; ++other) {
      float const* const from = cluster.map_shared_rank(partial, other) + row * parts_rank + column;
      first += from[0];
      second += from[1];
    }
    auto const both = pack<T>(first, second);
#pragma unroll
    for (int other = 0; other < cluster_blocks; ++other) {
      T* const to =
          cluster.map_shared_rank(inner, other) + row * (parts_rank + inner_padding) + column;
      *reinterpret_cast<std::uint32_t*>(to) = both;
    }
  }
}

// Brings a warp's share of L into the second cache while R is worked on.
template <class T, class Out>
__device__ void fetch_left(low_rank_call<T, Out> const& a, int first, int step) {
  int const lane = static_cast<int>(threadIdx.x) % warp_size;
  constexpr int line = 128 / static_cast<int>(sizeof(T));
  for (; first < a.all_outputs; first += step) {
    T const* const rows = a.left + static_cast<index_t>(first) * a.rank;
    for (int at = lane * line; at < 16 * a.rank; at += warp_size * line) {
      asm volatile("prefetch.global.L2 [%0];\n" ::"l"(rows + at));
    }
  }
}

// A warp's share of the outputs, from all inner positions.
template <class T, int Tiles, class Out>
__device__ void multiply_left(low_rank_call<T, Out> const& a, int first_row, int first, int step,
                              T const* inner) {
  int const lane = static_cast<int>(threadIdx.x) % warp_size;
  int const ld = a.parts_rank + inner_padding;
  for (; first < a.all_outputs; first += step) {
    T const* rows[Tiles][2];
    T const* w[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      w[i] = a.left + static_cast<index_t>(first + i * 8 + lane / 4) * a.rank;
#pragma unroll
      for (int t = 0; t < Tiles; ++t) {
        rows[t][i] = inner + (t * 16 + i * 8 + lane / 4) * ld + first / a.outputs * a.rank;
      }
    }
    product_tile<T, Tiles> product;
    product.add(rows, w, 0, (a.rank + 31) / 32, a.rank, lane);
    product.each(lane, [&](int row, int column, float sum) {
      if (first_row + row < a.rows) {
        column += first;
        sum += a.bias != nullptr ? to_float(a.bias[column]) : 0.0F;
        a.y[(first_row + row) * a.ld_y + column] =
            from_float<Out>(a.activates ? activated<T>(a.f, sum) : sum);
      }
    });
  }
}

template <class T, int Tiles, class Out>
__global__ void __launch_bounds__(factor_threads) low_rank_rows_kernel(low_rank_call<T, Out> a) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ uint4 exchanged[];
  auto const cluster = cooperative_groups::this_cluster();
  auto* const partial = reinterpret_cast<float*>(exchanged);  // (16 Tiles, parts_rank)
  auto* const inner =                                         // (16 Tiles, parts_rank + padding)
      reinterpret_cast<T*>(partial + Tiles * 16 * a.parts_rank);
  int const block = static_cast<int>(cluster.block_rank());
  int const first_row = static_cast<int>(blockIdx.y) * Tiles * 16;
  int const warp =
      static_cast<int>(blockIdx.x) * factor_warps + static_cast<int>(threadIdx.x) / warp_size;
  int const step = static_cast<int>(gridDim.x) * factor_warps * 16;
  fetch_left(a, warp * 16, step);
  multiply_right<T, Tiles>(a, first_row, block, partial);
  cluster.sync();
  share_sums<T, Tiles>(cluster, a.parts_rank, partial, inner);
  cluster.sync();
  multiply_left<T, Tiles>(a, first_row, warp * 16, step, inner);
#endif
}

template <class T, int Tiles>
auto low_rank_shared(index_t parts_rank) -> std::size_t {
  return static_cast<std::size_t>(Tiles * 16) *
         (static_cast<std::size_t>(parts_rank) * (sizeof(float) + sizeof(T)) +
          inner_padding * sizeof(T));
}

}  // namespace detail

/// Whether the current device has clusters of blocks that share memory.
inline auto has_clusters() -> bool {
  int device = 0;
  int major = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
             "cudaDeviceGetAttribute");
  return major >= 9;
}

/// Whether low_rank_rows takes these operands.
template <kernel_number T>
auto fits_low_rank_rows(device_view<T const> x, stacked_factors<T> const& w) -> bool {
  constexpr std::size_t most_shared = 200 << 10;
  return sizeof(T) == 2 && x.rows <= low_rank_rows_limit && in_packets(x.ld, x.data) &&
         in_packets(x.cols, w.right.data) && in_packets(w.rank, w.left.data) &&
         w.right.ld == x.cols && w.left.ld == w.rank && w.outputs % 16 == 0 &&
         detail::low_rank_shared<T, 2>(w.right.rows) <= most_shared;
}

/// y (rows, parts * outputs) = f(x W^T + bias), part beside part, in one kernel: a cluster of 8
/// blocks computes x R^T for 32 rows, each block from an eighth of the columns of x, exchanges it
/// through shared memory, rounded to T, and goes on with L. Two products take two launches, and
/// nothing else for few rows. For compute capability 9 and fits_low_rank_rows. Throws shape_error.
template <kernel_number T, kernel_number Out>
void low_rank_rows(device_view<T const> x, stacked_factors<T> const& w, T const* bias,
                   std::optional<activation> f, device_view<Out> y, cudaStream_t stream) {
  if (!fits_low_rank_rows(x, w) || x.cols != w.right.cols || y.rows != x.rows ||
      y.cols != w.left.rows) {
    throw shape_error(message("low_rank_rows: ", x.shape(), " through ", w.right.shape(), " and ",
                              w.left.shape(), " into ", y.shape()));
  }
  if (x.rows == 0) {
    return;
  }
  auto const call = detail::low_rank_call<T, Out>{x.data,
                                                  x.ld,
                                                  static_cast<int>(x.rows),
                                                  static_cast<int>(x.cols),
                                                  w.right.data,
                                                  w.left.data,
                                                  static_cast<int>(w.right.rows),
                                                  static_cast<int>(w.rank),
                                                  static_cast<int>(w.outputs),
                                                  static_cast<int>(w.left.rows),
                                                  bias,
                                                  f.has_value(),
                                                  f.value_or(activation::relu),
                                                  y.data,
                                                  y.ld};
  auto const launch = [&]<int Tiles>(std::integral_constant<int, Tiles>) {
    auto const kernel = detail::low_rank_rows_kernel<T, Tiles, Out>;
    auto const shared = detail::low_rank_shared<T, Tiles>(w.right.rows);
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared)),
               "cudaFuncSetAttribute");
    auto const row_tiles = (x.rows + 16 * Tiles - 1) / (16 * Tiles);
    // As many clusters for the same rows as fill a device of about 132 processors: each computes
    // x R^T anew, which costs less than the wait for one block's share of L.
    constexpr index_t blocks = 128;
    auto const clusters = std::clamp<index_t>(
        std::min(blocks / (row_tiles * detail::cluster_blocks), w.left.rows / 512), 1, 8);
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {detail::cluster_blocks, 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim =
        dim3(grid_size(clusters * detail::cluster_blocks), grid_size(row_tiles, grid_limit));
    config.blockDim = dim3(detail::factor_threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
    check_cuda(cudaLaunchKernelEx(&config, kernel, call), "low_rank_rows");
  };
  if (x.rows <= 16) {
    launch(std::integral_constant<int, 1>{});
  } else {
    launch(std::integral_constant<int, 2>{});
  }
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
