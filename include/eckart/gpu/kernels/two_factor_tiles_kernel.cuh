#pragma once

#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/reduce.cuh"
#include "eckart/gpu/kernels/two_factor_tiles_share.cuh"

#include <cstdint>

namespace eckart {
inline namespace v0 {
namespace gpu {
namespace detail {

/// Brings tiles, by one thread: of x for the own block, and half of each tile of the factors to
/// both blocks.
template <int Columns, class T>
struct tiles_copier {
  static constexpr unsigned both = (1U << product_cluster) - 1U;
  static constexpr int left_tiles = (product_workers * Columns + tile_columns - 1) / tile_columns;

  tiles_block<T> const& me;
  two_factor_tiles_call<T> const& a = me.a;

  __device__ void copy_right(int part, int tile, ring_stage s) const {
    int const first = me.rank * Columns;
    me.full(s).expect(a.at.stage_bytes);
    copy_tile_to(both, a.right, tile * tile_columns, first, part,
                 me.stage(s) + static_cast<unsigned>(product_tile_bytes + first * row_bytes),
                 me.full(s));
  }
  __device__ void copy_left(int part, int chunk, ring_stage s) const {
    int const first = me.rank * warpgroup_rows / product_cluster;
    me.full(s).expect(left_tiles * product_tile_bytes);
    for (int tile = 0; tile < left_tiles; ++tile) {
      copy_tile_to(
          both, a.left, tile * tile_columns, chunk * tile_columns + first, part,
          me.stage(s) + static_cast<unsigned>(tile * product_tile_bytes + first * row_bytes),
          me.full(s));
    }
  }

  __device__ void run() const {
    // The first tiles of R do not depend on the kernel in front.
    int const early = min(a.input_tiles, a.at.stages);
    for (ring_stage s; s.place < early; ++s.place) {
      copy_right(me.part_of(me.first_item()), s.place, s);
    }
    after_previous();
    ring_stage s;
    int begun = early;
    for (int item = me.first_item(); item < me.items(); item += me.item_distance()) {
      auto const part = me.part_of(item);
      auto const first_row = me.first_row(me.group_of(item));
      for (int tile = 0; tile < a.input_tiles; ++tile) {
        if (tile >= begun) {
          me.empty(s).wait(s.parity ^ 1);
          copy_right(part, tile, s);
        }
        copy_tile(a.x, tile * tile_columns, first_row, 0, me.stage(s), me.full(s));
        s.advance(a.at.stages);
      }
      begun = 0;
      for (int chunk = 0; chunk < a.chunks; ++chunk) {
        me.empty(s).wait(s.parity ^ 1);
        copy_left(part, chunk, s);
        s.advance(a.at.stages);
      }
    }
  }
};

/// What a warpgroup computes. Sums that instructions of a warpgroup are still adding to are in
/// registers, which no call survives: everything here is inlined.
template <int Columns, class T>
struct tiles_worker {
  static constexpr int steps = Columns / step_columns;
  using sums_type = float[Columns / 2];
  using inner_type = uint4[product_workers * steps];

  tiles_block<T> const& me;
  int warpgroup;
  unsigned results;  // address
  uint4* inner_memory;
  float* bias;  // (chunks, 64)
  two_factor_tiles_call<T> const& a = me.a;
  int thread = static_cast<int>(threadIdx.x) % warpgroup_threads;

  /// Tells both blocks that the warpgroup has read a stage.
  __device__ __forceinline__ void give_back(ring_stage s) const {
    if (thread < product_cluster) {
      me.empty(s).arrive_in(thread);
    }
  }
  /// Goes past a stage that is the other warpgroup's. Both wait for every stage and give it back:
  /// a counter of phases tells only one from the next.
  __device__ __forceinline__ void pass_over(ring_stage& s) const {
    me.full(s).wait(s.parity);
    give_back(s);
    s.advance(a.at.stages);
  }
  __device__ __forceinline__ static void wait_for_workers() {
    asm volatile("bar.sync 1, %0;\n" ::"n"(product_workers * warpgroup_threads) : "memory");
  }
  __device__ __forceinline__ void wait_for_warpgroup() const {
    asm volatile("bar.sync %0, %1;\n" ::"r"(2 + warpgroup), "n"(warpgroup_threads) : "memory");
  }

  /// The warpgroup's columns of x R^T.
  __device__ __forceinline__ void multiply_inputs(ring_stage& s, sums_type& sums) const {
    ring_stage last;
    for (int tile = 0; tile < a.input_tiles; ++tile) {
      me.full(s).wait(s.parity);
      auto const x = tile_descriptor(me.stage(s));
      auto const right =
          tile_descriptor(me.stage(s) + static_cast<unsigned>(product_tile_bytes +
                                                              warpgroup * Columns * row_bytes));
      begin_products();
#pragma unroll
      for (std::uint64_t step = 0; step < tile_columns / step_columns; ++step) {
        multiply_tiles<T, Columns>(x + step * step_in_descriptor, right + step * step_in_descriptor,
                                   sums);
      }
      commit_products();
      if (tile > 0) {
        wait_for_products<1>();
        give_back(last);
      }
      last = s;
      s.advance(a.at.stages);
    }
    wait_for_products();
    give_back(last);
  }

  /// The bias of a part, for both warpgroups. No result is on its way then.
  __device__ __forceinline__ void fetch_bias(int part) const {
    for (int i = static_cast<int>(threadIdx.x); i < a.chunks * tile_columns;
         i += product_workers * warpgroup_threads) {
      bias[i] = i < a.outputs ? to_float(a.bias[part * a.outputs + i]) : 0.0F;
    }
  }

  /// All columns of x R^T, rounded to T. A thread needs what the one at its place in the other
  /// warpgroup has.
  __device__ __forceinline__ void exchange(sums_type const& sums, int part, inner_type& inner,
                                           int& bias_of) const {
    wait_for_workers();  // results of the rows before have left
    if (a.bias != nullptr && part != bias_of) {
      fetch_bias(part);
      bias_of = part;
    }
#pragma unroll
    for (int i = 0; i < steps; ++i) {
      auto const* const c = sums + i * 8;
      inner_memory[(warpgroup * steps + i) * warpgroup_threads + thread] = {
          pack<T>(c[0], c[1]), pack<T>(c[2], c[3]), pack<T>(c[4], c[5]), pack<T>(c[6], c[7])};
    }
    wait_for_workers();
#pragma unroll
    for (int i = 0; i < product_workers * steps; ++i) {
      inner[i] = inner_memory[i * warpgroup_threads + thread];
    }
    wait_for_workers();
  }

  /// Sends 64 columns of y on their way.
  __device__ __forceinline__ void write_chunk(int first_row, int part, int index,
                                              tile_sums& sums) const {
    if (a.bias != nullptr) {
      add_bias(bias + index * tile_columns, sums);
    }
    if (a.activates) {
      activate_all<T>(a.f, sums);
    }
    int const place = warpgroup * 2 + index / product_workers % 2;
    auto const tile = results + static_cast<unsigned>(place * product_tile_bytes);
    put_into_tile<T>(tile, sums);
    show_to_engine();
    if (thread == 0) {
      wait_for_written();  // the tile before, at whose place the next one will be
    }
    wait_for_warpgroup();
    if (thread == 0) {
      write_tile(a.y, index * tile_columns, first_row, part, tile);
    }
  }

  /// One of the warpgroup's 64 columns of y, while the ones before are written.
  __device__ __forceinline__ void multiply_chunk(int first_row, int part, int index, ring_stage& s,
                                                 inner_type const& inner, tile_sums& now,
                                                 tile_sums& before) const {
    if (index >= a.chunks) {
      return;
    }
    me.full(s).wait(s.parity);
    start_sums<T>(inner, me.stage(s), now);
    if (index >= product_workers) {
      write_chunk(first_row, part, index - product_workers, before);
    }
    wait_for_products();
    give_back(s);
    s.advance(a.at.stages);
    if (index + 1 < a.chunks) {
      pass_over(s);
    }
  }

  /// The warpgroup's columns of y: every second 64.
  __device__ __forceinline__ void multiply_inner(int first_row, int part, ring_stage& s,
                                                 inner_type const& inner) const {
    tile_sums even;
    tile_sums odd;
    if (warpgroup > 0) {
      pass_over(s);
    }
    for (int index = warpgroup; index < a.chunks; index += 2 * product_workers) {
      multiply_chunk(first_row, part, index, s, inner, even, odd);
      multiply_chunk(first_row, part, index + product_workers, s, inner, odd, even);
    }
    if (int const turns = (a.chunks - warpgroup + 1) / product_workers; turns > 0) {
      int const last = warpgroup + (turns - 1) * product_workers;
      if (turns % 2 == 1) {
        write_chunk(first_row, part, last, even);
      } else {
        write_chunk(first_row, part, last, odd);
      }
    }
    if (thread == 0) {
      wait_for_written();
    }
  }

  __device__ __forceinline__ void run() const {
    ring_stage s;
    int bias_of = -1;  // the part whose bias is there
    for (int item = me.first_item(); item < me.items(); item += me.item_distance()) {
      auto const part = me.part_of(item);
      inner_type inner;
      {
        sums_type sums = {};
        multiply_inputs(s, sums);
        exchange(sums, part, inner, bias_of);
      }
      multiply_inner(me.first_row(me.group_of(item)), part, s, inner);
    }
  }
};

#ifdef ECKART_HAS_WARPGROUPS
inline constexpr int product_launch_threads = product_threads;
#else
inline constexpr int product_launch_threads = warp_size;  // how has_tiles_kernel knows
#endif

template <class T, int Columns>
__global__ void __launch_bounds__(product_launch_threads, 1)
    two_factor_tiles_kernel(__grid_constant__ two_factor_tiles_call<T> const a) {
#ifdef ECKART_HAS_WARPGROUPS
  extern __shared__ uint4 dynamic_memory[];
  __shared__ std::uint64_t counters[2 * most_product_stages];
  constexpr unsigned alignment = 8 * row_bytes;
  auto const start = shared_address(dynamic_memory);
  auto const memory = (start + alignment - 1) / alignment * alignment;
  tiles_block<T> const me{a, memory, shared_address(counters)};
  // The same for all lanes, which the compiler would not know.
  int const warpgroup =
      __shfl_sync(all_lanes, static_cast<int>(threadIdx.x) / warpgroup_threads, 0);
  bool const copies = threadIdx.x == product_workers * warpgroup_threads;
  if (copies) {
    for (auto const* map : {&a.right, &a.x, &a.left, &a.y}) {
      map->prefetch();
    }
    for (ring_stage s; s.place < a.at.stages; ++s.place) {
      me.full(s).begin(1);
      me.empty(s).begin(product_workers * product_cluster);
    }
    phases::show();
  }
  __syncwarp();
  cluster_arrive_relaxed();
  cluster_wait();  // blocks write to each other once both have begun
  if (warpgroup == product_workers) {
    keep_registers<copier_registers, false>();
    if (copies) {
      tiles_copier<Columns, T>{me}.run();
    }
  } else {
    keep_registers<worker_registers, true>();
    after_previous();
    auto const results = memory + static_cast<unsigned>(a.at.results);
    tiles_worker<Columns, T>{me, warpgroup, results,
                             dynamic_memory + (results - start) / packet_bytes,
                             reinterpret_cast<float*>(dynamic_memory) +
                                 (memory - start + static_cast<unsigned>(a.at.bias)) / 4}
        .run();
  }
  __syncwarp();
  cluster_arrive_relaxed();
  cluster_wait();  // no block ends while the other one writes to it
#endif
}

}  // namespace detail
}  // namespace gpu
}  // namespace v0
}  // namespace eckart
