#pragma once

#include "eckart/gpu/kernels/bulk_copy.cuh"
#include "eckart/gpu/kernels/tile_sums.cuh"
#include "eckart/nn/activation.hpp"

#include <algorithm>

namespace eckart {
inline namespace v0 {
namespace gpu {
namespace detail {

// A block has 64 rows of x at a time, a cluster of two blocks reads the factors together. One
// warpgroup copies; two compute, first half of the columns of x R^T each, then every second 64
// columns of y.
inline constexpr int product_cluster = 2;
inline constexpr int product_workers = 2;
inline constexpr int product_threads = (product_workers + 1) * warpgroup_threads;
inline constexpr int most_product_stages = 8;

// Registers of a thread: what a block has is shared out between those that copy and those that
// compute.
inline constexpr int copier_registers = 40;
inline constexpr int worker_registers = 232;

/// Where the parts of a block's shared memory begin, in bytes. `columns` of x R^T are those of one
/// warpgroup. A stage has a tile of x and one of R, or 64 rows of L.
struct two_factor_tiles_layout {
  int stage_bytes;
  int stages;
  int results;  // (workers, 2) tiles of y on their way out; before them x R^T, of which each thread
                // has 16 bytes for 16 columns
  int bias;     // (chunks, 64) floats
  int bytes;

  two_factor_tiles_layout(int columns, int chunks, int most_bytes) {
    int const result_bytes = std::max(product_workers * columns * warpgroup_rows * 2,
                                      product_workers * 2 * product_tile_bytes);
    int const bias_bytes = chunks * tile_columns * static_cast<int>(sizeof(float));
    stage_bytes = product_tile_bytes + product_workers * columns * row_bytes;
    stages = std::min((most_bytes - result_bytes - bias_bytes) / stage_bytes, most_product_stages);
    results = stages * stage_bytes;
    bias = results + result_bytes;
    bytes = bias + bias_bytes;
  }
};

template <class T>
struct two_factor_tiles_call {
  tile_map<T> x;      // (rows, n), tiles of 64 rows
  tile_map<T> right;  // (parts, rank, n), tiles of a warpgroup's columns of x R^T
  tile_map<T> left;   // (parts, outputs, rank), tiles of 32 rows
  tile_map<T> y;      // (parts, rows, outputs), tiles of 64 rows
  T const* bias;      // (parts * outputs) or null
  bool activates;
  activation f;
  int row_groups;   // of the rows of a cluster
  int input_tiles;  // of 64 columns of x
  int chunks;       // of 64 columns of y
  int parts;
  int outputs;  // of a part
  two_factor_tiles_layout at;
};

/// What a block knows about its place.
template <class T>
struct tiles_block {
  two_factor_tiles_call<T> const& a;
  unsigned memory;    // of the stages
  unsigned counters;  // (stages) of what has come, then (stages) of what has been read
  int rank = cluster_rank();

  __device__ auto full(ring_stage s) const -> phases {
    return {counters + static_cast<unsigned>(8 * s.place)};
  }
  __device__ auto empty(ring_stage s) const -> phases {
    return {counters + static_cast<unsigned>(8 * (most_product_stages + s.place))};
  }
  __device__ auto stage(ring_stage s) const -> unsigned {
    return memory + static_cast<unsigned>(s.place * a.at.stage_bytes);
  }
  __device__ auto first_row(int group) const -> int {
    return (group * product_cluster + rank) * warpgroup_rows;
  }
  // The groups of rows and parts of y that the cluster computes, one after the other, are numbered.
  __device__ static auto first_item() -> int {
    return static_cast<int>(blockIdx.x) / product_cluster;
  }
  __device__ static auto item_distance() -> int {
    return static_cast<int>(gridDim.x) / product_cluster;
  }
  __device__ auto items() const -> int { return a.row_groups * a.parts; }
  __device__ auto group_of(int item) const -> int { return item % a.row_groups; }
  __device__ auto part_of(int item) const -> int { return item / a.row_groups; }
};

}  // namespace detail
}  // namespace gpu
}  // namespace v0
}  // namespace eckart
