#pragma once

#include "eckart/gpu/kernels/bulk_copy.cuh"
#include "eckart/gpu/kernels/tile_sums.cuh"
#include "eckart/nn/activation.hpp"

#include <algorithm>
#include <utility>

namespace eckart {
inline namespace v0 {
namespace gpu {
namespace detail {

// In a block two warpgroups compute, and two warps copy: one x and R, the other one L.
inline constexpr int spread_workers = 2;
inline constexpr int spread_threads = spread_workers * warpgroup_threads + 2 * warp_size;
inline constexpr int most_spread_stages = 16;        // of a ring
inline constexpr int most_spread_bytes = 225 << 10;  // of shared memory, without its alignment

/// How a cluster's work is shared out among its blocks, and where the parts of a block's shared
/// memory begin, in bytes. A slice is `columns` columns of x R^T, which one block computes: groups
/// of 8 columns follow each other, each with 64 rows of 16 bytes.
struct two_factor_spread_layout {
  int rank_steps;  // of 16 columns of x R^T
  int slices;      // which cover them
  int slice_bytes;
  int own_chunks;    // of 64 columns of y that a block has at most
  int input_stage;   // bytes of a stage: a tile of x and one of R
  int input_stages;  // at 0
  int left_tiles;    // of a stage of L, which has 64 rows
  int early_stages;  // of L: the first ones stand behind those of x and R, the others take their
                     // place
  int left_stages;
  int left;     // where the early stages begin
  int results;  // a tile of y for each warpgroup
  int inner;    // x R^T
  int bias;     // (own_chunks, 64) floats
  int bytes;

  two_factor_spread_layout(int cluster, int columns, int rank, int input_tiles, int chunks) {
    auto const covering = [](int n, int by) { return (n + by - 1) / by; };
    left_tiles = covering(rank, tile_columns);
    rank_steps = covering(rank, step_columns);
    slices = covering(rank_steps * step_columns, columns);
    slice_bytes = columns * warpgroup_rows * 2;
    own_chunks = covering(chunks, cluster);
    input_stage = product_tile_bytes + columns * row_bytes;
    input_stages = std::min(input_tiles, most_spread_stages);
    early_stages = std::min(own_chunks, most_spread_stages);
    set_places();
    // What does not fit waits: L first, which comes while x is read.
    for (auto [stages, least] : {std::pair{&early_stages, 4},
                                 {&input_stages, 8},
                                 {&early_stages, 2},
                                 {&input_stages, 2}}) {
      while (bytes > most_spread_bytes && *stages > least) {
        *stages = (*stages - 1) / 2 * 2;  // even: a stage is always the same warpgroup's
        set_places();
      }
    }
    left_stages = std::min({own_chunks, most_spread_stages,
                            early_stages + input_stages * input_stage / left_stage() / 2 * 2});
  }

  __host__ __device__ auto left_stage() const -> int { return left_tiles * product_tile_bytes; }

 private:
  void set_places() {
    left = input_stages * input_stage;
    results = left + early_stages * left_stage();
    inner = results + spread_workers * product_tile_bytes;
    bias = inner + slices * slice_bytes;
    bytes = bias + own_chunks * tile_columns * static_cast<int>(sizeof(float));
  }
};

template <class T>
struct two_factor_spread_call {
  tile_map<T> x;      // (rows, n), tiles of 64 rows
  tile_map<T> right;  // (parts, rank, n), tiles of a slice's columns of x R^T
  tile_map<T> left;   // (parts, outputs, rank), tiles of 64 rows
  tile_map<T> y;      // (parts, rows, outputs), tiles of 64 rows
  T const* bias;      // (parts * outputs) or null
  activation f;
  int cluster;
  int input_tiles;  // of 64 columns of x
  int chunks;       // of 64 columns of y
  int outputs;      // of a part
  two_factor_spread_layout at;
};

/// What a block knows about its place.
template <class T>
struct spread_block {
  two_factor_spread_call<T> const& a;
  unsigned memory;
  unsigned counters;  // of what has come and what has been read, stage by stage, and two more
  int rank = cluster_rank();
  int part = static_cast<int>(blockIdx.y);
  int group = static_cast<int>(blockIdx.x) / a.cluster;  // of 64 rows
  int first_row = group * warpgroup_rows;

  static constexpr int all_counters = 4 * most_spread_stages + 2;

  __device__ auto input_came(ring_stage s) const -> phases { return counter(s.place); }
  __device__ auto input_read(ring_stage s) const -> phases {
    return counter(most_spread_stages + s.place);
  }
  __device__ auto left_came(ring_stage s) const -> phases {
    return counter(2 * most_spread_stages + s.place);
  }
  __device__ auto left_read(ring_stage s) const -> phases {
    return counter(3 * most_spread_stages + s.place);
  }
  /// All tiles of x and R.
  __device__ auto inputs_read() const -> phases { return counter(4 * most_spread_stages + 1); }
  /// What other blocks send of x R^T.
  __device__ auto inner_came() const -> arrivals {
    return {counter(4 * most_spread_stages).address};
  }

  __device__ auto input(ring_stage s) const -> unsigned {
    return memory + static_cast<unsigned>(s.place * a.at.input_stage);
  }
  __device__ auto left(ring_stage s) const -> unsigned {
    int const late = s.place - a.at.early_stages;
    return memory + static_cast<unsigned>(late < 0 ? a.at.left + s.place * a.at.left_stage()
                                                   : late * a.at.left_stage());
  }

  __device__ auto has_slice() const -> bool { return rank < a.at.slices; }
  /// The block's 64 columns of y are numbered; their place in y.
  __device__ auto chunks() const -> int { return (a.chunks - rank + a.cluster - 1) / a.cluster; }
  __device__ auto column(int chunk) const -> int {
    return (rank + chunk * a.cluster) * tile_columns;
  }

 private:
  __device__ auto counter(int index) const -> phases {
    return {counters + static_cast<unsigned>(8 * index)};
  }
};

}  // namespace detail
}  // namespace gpu
}  // namespace v0
}  // namespace eckart
