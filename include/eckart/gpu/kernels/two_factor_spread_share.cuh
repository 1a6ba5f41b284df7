#pragma once

#include "eckart/gpu/kernels/bulk_copy.cuh"
#include "eckart/gpu/kernels/tile_sums.cuh"
#include "eckart/nn/activation.hpp"

#include <algorithm>
#include <utility>

namespace eckart {
inline namespace v0 {
namespace gpu {

/// How two_factor_spread_product shares out its work.
struct two_factor_spread_plan {
  int cluster = 8;  ///< blocks that compute x R^T of 64 rows together: 2 to 16
  int spans = 1;    ///< clusters that share the columns of y; each computes x R^T
  int depths = 1;   ///< parts of the columns of x, for as many blocks with the same columns of
                    ///< x R^T: divides cluster

  auto operator==(two_factor_spread_plan const&) const -> bool = default;
};

namespace detail {

// In a block two warpgroups compute, and two warps copy: one x and R, the other one L.
inline constexpr int spread_workers = 2;
inline constexpr int spread_threads = spread_workers * warpgroup_threads + 2 * warp_size;
inline constexpr int most_spread_stages = 16;        // of a ring
inline constexpr int most_spread_bytes = 225 << 10;  // of shared memory, without its alignment
inline constexpr int group_bytes = warpgroup_rows * packet_bytes;       // 8 columns, 64 rows
inline constexpr int group_of_sums = warpgroup_threads * packet_bytes;  // the same as floats

/// How a cluster's work is shared out among its blocks, and where the parts of a block's shared
/// memory begin, in bytes. A slice is `columns` columns of x R^T, which one block computes, or one
/// of each depth: groups of 8 columns follow each other, each with 64 rows of 16 bytes.
struct two_factor_spread_layout {
  int rank_steps;  // of 16 columns of x R^T
  int slices;      // which cover them
  int slice_bytes;
  int own_groups;    // of 8 columns of a slice that one depth adds up at most
  int depth_tiles;   // of 64 columns of x that a depth has at most
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
  int sums;     // (own_groups, depths): what each depth has of 8 columns, 4 floats a thread
  int bias;     // (own_chunks, 64) floats
  int bytes;

  two_factor_spread_layout(two_factor_spread_plan plan, int columns, int rank, int input_tiles,
                           int chunks) {
    auto const covering = [](int n, int by) { return (n + by - 1) / by; };
    left_tiles = covering(rank, tile_columns);
    rank_steps = covering(rank, step_columns);
    slices = covering(rank_steps * step_columns, columns);
    slice_bytes = columns * warpgroup_rows * 2;
    own_groups = covering(columns / 8, plan.depths);
    depth_tiles = covering(input_tiles, plan.depths);
    sums_bytes_ = plan.depths > 1 ? own_groups * plan.depths * group_of_sums : 0;
    own_chunks = covering(chunks, plan.cluster * plan.spans);
    input_stage = product_tile_bytes + columns * row_bytes;
    input_stages = std::min(depth_tiles, most_spread_stages);
    early_stages = std::min(own_chunks, most_spread_stages);
    set_places();
    // What does not fit waits: L first, which comes while x is read. A warpgroup gives a stage of x
    // back when its next one is there, so that it needs two.
    for (auto [stages, least] : {std::pair{&early_stages, 4},
                                 {&input_stages, 8},
                                 {&early_stages, 2},
                                 {&input_stages, 2 * spread_workers},
                                 {&early_stages, 0}}) {
      while (bytes > most_spread_bytes && *stages > least) {
        *stages = (*stages - 1) / 2 * 2;  // even: a stage is always the same warpgroup's
        set_places();
      }
    }
    left_stages = early_stages + input_stages * input_stage / left_stage() / 2 * 2;
    left_stages = std::min({own_chunks, most_spread_stages, left_stages});
  }

  __host__ __device__ auto left_stage() const -> int { return left_tiles * product_tile_bytes; }

 private:
  void set_places() {
    left = input_stages * input_stage;
    results = left + early_stages * left_stage();
    inner = results + spread_workers * product_tile_bytes;
    sums = inner + slices * slice_bytes;
    bias = sums + sums_bytes_;
    bytes = bias + own_chunks * tile_columns * static_cast<int>(sizeof(float));
  }

  int sums_bytes_;
};

template <class T>
struct two_factor_spread_call {
  tile_map<T> x;      // (rows, n), tiles of 64 rows
  tile_map<T> right;  // (parts, rank, n), tiles of a slice's columns of x R^T
  tile_map<T> left;   // (parts, outputs, rank), tiles of 64 rows
  tile_map<T> y;      // (parts, rows, outputs), tiles of 64 rows
  T const* bias;      // (parts * outputs) or null
  activation f;
  two_factor_spread_plan plan;
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
  int members = a.plan.cluster * a.plan.spans;  // blocks that have columns of the same rows of y
  int member = static_cast<int>(blockIdx.x) % members;
  int group = static_cast<int>(blockIdx.x) / members;  // of 64 rows
  int first_row = group * warpgroup_rows;
  int of_depth = a.plan.cluster / a.plan.depths;  // blocks
  int slice = rank % of_depth;
  int depth = rank / of_depth;

  static constexpr int all_counters = 4 * most_spread_stages + 3;

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
  /// What each depth has of the groups that the block adds up.
  __device__ auto sums_came() const -> arrivals {
    return {counter(4 * most_spread_stages + 2).address};
  }

  __device__ auto input(ring_stage s) const -> unsigned {
    return memory + static_cast<unsigned>(s.place * a.at.input_stage);
  }
  __device__ auto left(ring_stage s) const -> unsigned {
    int const late = s.place - a.at.early_stages;
    return memory + static_cast<unsigned>(late < 0 ? a.at.left + s.place * a.at.left_stage()
                                                   : late * a.at.left_stage());
  }

  __device__ auto has_slice() const -> bool { return slice < a.at.slices; }
  /// The tiles of 64 columns of x that the block multiplies.
  __device__ auto first_tile() const -> int { return depth * a.at.depth_tiles; }
  __device__ auto tiles() const -> int {
    return max(min(a.at.depth_tiles, a.input_tiles - first_tile()), 0);
  }
  /// The groups of its slice that it sends to all others, of `all`.
  __device__ auto first_group() const -> int { return depth * a.at.own_groups; }
  __device__ auto groups(int all) const -> int {
    return has_slice() ? max(min(a.at.own_groups, all - first_group()), 0) : 0;
  }
  /// The block's 64 columns of y are numbered; their place in y.
  __device__ auto chunks() const -> int { return (a.chunks - member + members - 1) / members; }
  __device__ auto column(int chunk) const -> int {
    return (member + chunk * members) * tile_columns;
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
