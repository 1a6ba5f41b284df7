#pragma once

#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/reduce.cuh"
#include "eckart/gpu/kernels/two_factor_spread_share.cuh"

#include <cstdint>

namespace eckart {
inline namespace v0 {
namespace gpu {
namespace detail {

/// Brings tiles, by one thread. Those of x come to all blocks that have a slice, each from another
/// block in turn.
template <int Columns, class T>
struct spread_copier {
  spread_block<T> const& me;
  two_factor_spread_call<T> const& a = me.a;

  __device__ void copy_right(int tile, ring_stage s) const {
    me.input_came(s).expect(a.at.input_stage);
    copy_tile(a.right, tile * tile_columns, me.rank * Columns, me.part,
              me.input(s) + product_tile_bytes, me.input_came(s));
  }

  __device__ void copy_inputs() const {
    // The first tiles of R do not depend on the kernel in front.
    int const early = me.has_slice() ? min(a.input_tiles, a.at.input_stages) : 0;
    for (ring_stage s; s.place < early; ++s.place) {
      copy_right(s.place, s);
    }
    after_previous();
    if (!me.has_slice()) {
      return;
    }
    auto const blocks = static_cast<unsigned>((1 << a.at.slices) - 1);
    ring_stage s;
    int turn = 0;  // whose tile of x it is
    for (int tile = 0; tile < a.input_tiles; ++tile) {
      if (tile >= early) {
        me.input_read(s).wait(s.parity ^ 1);
        copy_right(tile, s);
      }
      if (turn == me.rank) {
        copy_tile_to(blocks, a.x, tile * tile_columns, me.first_row, 0, me.input(s),
                     me.input_came(s));
      }
      turn = turn + 1 == a.at.slices ? 0 : turn + 1;
      s.advance(a.at.input_stages);
    }
  }

  __device__ void copy_left() const {
    // What has no place yet is brought nearer, by one of the clusters that need it.
    int const groups = static_cast<int>(gridDim.x) / a.cluster;
    for (int chunk = me.group; chunk < me.chunks(); chunk += groups) {
      if (chunk >= a.at.early_stages) {
        for (int tile = 0; tile < a.at.left_tiles; ++tile) {
          prefetch_tile(a.left, tile * tile_columns, me.column(chunk), me.part);
        }
      }
    }
    ring_stage s;
    for (int chunk = 0; chunk < me.chunks(); ++chunk) {
      if (chunk == a.at.early_stages && me.has_slice()) {
        me.inputs_read().wait(0);
      }
      if (chunk >= a.at.left_stages) {
        me.left_read(s).wait(s.parity ^ 1);
      }
      me.left_came(s).expect(a.at.left_stage());
      for (int tile = 0; tile < a.at.left_tiles; ++tile) {
        copy_tile(a.left, tile * tile_columns, me.column(chunk), me.part,
                  me.left(s) + static_cast<unsigned>(tile * product_tile_bytes), me.left_came(s));
      }
      s.advance(a.at.left_stages);
    }
    after_previous();
  }
};

/// What a warpgroup computes. Sums that instructions of a warpgroup are still adding to are in
/// registers, which no call survives: everything here is inlined.
template <int Columns, bool Activates, class T>
struct spread_worker {
  using sums_type = float[Columns / 2];

  spread_block<T> const& me;
  int warpgroup;
  uint4* memory;
  two_factor_spread_call<T> const& a = me.a;
  int thread = static_cast<int>(threadIdx.x) % warpgroup_threads;
  int lane = thread % warp_size;

  __device__ __forceinline__ static void wait_for_workers() {
    asm volatile("bar.sync 1, %0;\n" ::"n"(spread_workers * warpgroup_threads) : "memory");
  }
  __device__ __forceinline__ void wait_for_warpgroup() const {
    asm volatile("bar.sync %0, %1;\n" ::"r"(2 + warpgroup), "n"(warpgroup_threads) : "memory");
  }

  __device__ __forceinline__ auto bias() const -> float* {
    return reinterpret_cast<float*>(memory + a.at.bias / packet_bytes);
  }
  __device__ __forceinline__ void fetch_bias() const {
    for (int i = thread; i < me.chunks() * tile_columns; i += warpgroup_threads) {
      int const column = me.column(i / tile_columns) + i % tile_columns;
      bias()[i] = column < a.outputs ? to_float(a.bias[me.part * a.outputs + column]) : 0.0F;
    }
  }

  /// Tells the blocks that copy x that a tile has been read, if there will be another one in its
  /// place.
  __device__ __forceinline__ void give_back(int tile, ring_stage s) const {
    if (tile + a.at.input_stages < a.input_tiles && thread < a.at.slices) {
      me.input_read(s).arrive_in(thread);
    }
  }

  /// The block's columns of x R^T, by every second tile of x and R: the other ones are the other
  /// warpgroup's.
  __device__ __forceinline__ void multiply_inputs(sums_type& sums) const {
    ring_stage s{warpgroup};
    ring_stage last;
    for (int tile = warpgroup; tile < a.input_tiles; tile += spread_workers) {
      me.input_came(s).wait(s.parity);
      auto const x = tile_descriptor(me.input(s));
      auto const right = tile_descriptor(me.input(s) + product_tile_bytes);
      begin_products();
#pragma unroll
      for (std::uint64_t step = 0; step < tile_columns / step_columns; ++step) {
        multiply_tiles<T, Columns>(x + step * step_in_descriptor, right + step * step_in_descriptor,
                                   sums);
      }
      commit_products();
      if (tile >= spread_workers) {
        wait_for_products<1>();
        give_back(tile - spread_workers, last);
      }
      last = s;
      s.advance(a.at.input_stages, spread_workers);
    }
    wait_for_products();
    if (thread == 0) {
      me.inputs_read().arrive_in(me.rank);
    }
  }

  /// Adds up what both warpgroups have, in the first one, 64 columns at a time.
  __device__ __forceinline__ void add_up(sums_type& sums) const {
    constexpr int at_once = (Columns < tile_columns ? Columns : tile_columns) / 2;
    auto* const between = reinterpret_cast<float4*>(memory + a.at.results / packet_bytes) + thread;
#pragma unroll
    for (int first = 0; first < Columns / 2; first += at_once) {
      if (first > 0) {
        wait_for_workers();
      }
      if (warpgroup > 0) {
#pragma unroll
        for (int i = 0; i < at_once; i += 4) {
          auto const* const c = sums + first + i;
          between[i / 4 * warpgroup_threads] = {c[0], c[1], c[2], c[3]};
        }
      }
      wait_for_workers();
      if (warpgroup == 0) {
#pragma unroll
        for (int i = 0; i < at_once; i += 4) {
          auto const other = between[i / 4 * warpgroup_threads];
          auto* const c = sums + first + i;
          c[0] += other.x;
          c[1] += other.y;
          c[2] += other.z;
          c[3] += other.w;
        }
      }
    }
  }

  /// Writes the block's columns of x R^T, rounded to T, to its shared memory.
  __device__ __forceinline__ void keep_slice(sums_type const& sums) const {
    int const row = thread / warp_size * 16 + lane / 4;
    auto* const to = reinterpret_cast<std::uint32_t*>(
                         memory + (a.at.inner + me.rank * a.at.slice_bytes) / packet_bytes) +
                     row * 4 + lane % 4;
#pragma unroll
    for (int g = 0; g < Columns / 8; ++g) {
      to[g * warpgroup_rows * 4] = pack<T>(sums[4 * g], sums[4 * g + 1]);
      to[(g * warpgroup_rows + 8) * 4] = pack<T>(sums[4 * g + 2], sums[4 * g + 3]);
    }
  }
  /// Sends them to the other blocks, by both warpgroups.
  __device__ __forceinline__ void send_slice() const {
    constexpr int packets = Columns / 8 * warpgroup_rows;
    int const slice = a.at.inner + me.rank * a.at.slice_bytes;
    for (int i = static_cast<int>(threadIdx.x); i < packets * (a.cluster - 1);
         i += spread_workers * warpgroup_threads) {
      int const packet = i % packets;
      int const behind = me.rank + 1 + i / packets;
      me.inner_came().send(behind < a.cluster ? behind : behind - a.cluster,
                           me.memory + static_cast<unsigned>(slice + packet * packet_bytes),
                           memory[slice / packet_bytes + packet]);
    }
  }

  /// Starts sums of 64 columns of y.
  __device__ __forceinline__ void start_chunk(ring_stage s, tile_sums& sums) const {
    constexpr int steps_of_tile = tile_columns / step_columns;
    me.left_came(s).wait(s.parity);
    auto x = group_descriptor(me.memory + static_cast<unsigned>(a.at.inner));
    auto left = tile_descriptor(me.left(s));
#pragma unroll
    for (float& sum : sums) {
      sum = 0;
    }
    begin_products();
#pragma unroll 1  // the compiler would let products of an unrolled loop wait for each other
    for (int step = 1; step <= a.at.rank_steps; ++step) {
      multiply_tiles<T, tile_columns>(x, left, sums);
      x += step_of_groups_in_descriptor;
      left += step % steps_of_tile != 0
                  ? step_in_descriptor
                  : (product_tile_bytes >> 4) - (steps_of_tile - 1) * step_in_descriptor;
    }
    commit_products();
  }

  /// Sends 64 columns of y on their way.
  __device__ __forceinline__ void write_chunk(int chunk, tile_sums& sums) const {
    if (a.bias != nullptr) {
      add_bias(bias() + chunk * tile_columns, sums);
    }
    if constexpr (Activates) {
      activate_all<T>(a.f, sums);
    }
    auto const tile =
        me.memory + static_cast<unsigned>(a.at.results + warpgroup * product_tile_bytes);
    if (thread == 0) {
      wait_for_written();  // the tile before
    }
    wait_for_warpgroup();
    put_into_tile<T>(tile, sums);
    show_to_engine();
    wait_for_warpgroup();
    if (thread == 0) {
      write_tile(a.y, me.column(chunk), me.first_row, me.part, tile);
    }
  }

  /// One of the warpgroup's 64 columns of y, while the ones before are written.
  __device__ __forceinline__ void multiply_chunk(int chunk, ring_stage& s, tile_sums& now,
                                                 tile_sums& before) const {
    if (chunk >= me.chunks()) {
      return;
    }
    start_chunk(s, now);
    if (chunk >= spread_workers) {
      write_chunk(chunk - spread_workers, before);
    }
    wait_for_products();
    if (thread == 0) {
      me.left_read(s).arrive_in(me.rank);
    }
    s.advance(a.at.left_stages, spread_workers);
  }

  /// Every second 64 columns of y that the block has.
  __device__ __forceinline__ void multiply_chunks() const {
    ring_stage s{warpgroup};
    tile_sums even;
    tile_sums odd;
    for (int chunk = warpgroup; chunk < me.chunks(); chunk += 2 * spread_workers) {
      multiply_chunk(chunk, s, even, odd);
      multiply_chunk(chunk + spread_workers, s, odd, even);
    }
    if (int const turns = (me.chunks() - warpgroup + 1) / spread_workers; turns > 0) {
      int const last = warpgroup + (turns - 1) * spread_workers;
      if (turns % 2 == 1) {
        write_chunk(last, even);
      } else {
        write_chunk(last, odd);
      }
    }
    if (thread == 0) {
      wait_for_written();
    }
  }

  __device__ __forceinline__ void run() const {
    if (warpgroup > 0 && a.bias != nullptr) {
      fetch_bias();
    }
    after_previous();
    if (me.has_slice()) {
      sums_type sums = {};
      multiply_inputs(sums);
      add_up(sums);
      if (warpgroup == 0) {
        keep_slice(sums);
      }
      wait_for_workers();
      send_slice();
    }
    me.inner_came().wait();
    show_to_engine();
    wait_for_workers();        // the bias is there too
    cluster_arrive_relaxed();  // nobody sends anything any more
    multiply_chunks();
  }
};

template <class T>
__device__ void begin_counters(spread_block<T> const& me) {
  auto const& at = me.a.at;
  for (ring_stage s; s.place < most_spread_stages; ++s.place) {
    me.input_came(s).begin(1);
    me.input_read(s).begin(at.slices);
    me.left_came(s).begin(1);
    me.left_read(s).begin(1);
  }
  me.inputs_read().begin(spread_workers);
  phases::show();
  int const others = at.slices - (me.has_slice() ? 1 : 0);
  me.inner_came().expect(others * at.slice_bytes);
}

template <class T, int Columns, bool Activates>
__global__ void __launch_bounds__(spread_threads, 1)
    two_factor_spread_kernel(__grid_constant__ two_factor_spread_call<T> const a) {
#ifdef ECKART_HAS_WARPGROUPS
  extern __shared__ uint4 dynamic_memory[];
  __shared__ std::uint64_t counters[spread_block<T>::all_counters];
  constexpr unsigned alignment = 8 * row_bytes;
  auto const start = shared_address(dynamic_memory);
  auto const memory = (start + alignment - 1) / alignment * alignment;
  spread_block<T> const me{a, memory, shared_address(counters)};
  // The same for all lanes, which the compiler would not know.
  int const warp = __shfl_sync(all_lanes, static_cast<int>(threadIdx.x) / warp_size, 0);
  constexpr int worker_warps = spread_workers * warpgroup_threads / warp_size;
  if (threadIdx.x == 0) {
    begin_counters(me);
  } else if (threadIdx.x == warp_size) {
    for (auto const* map : {&a.x, &a.right, &a.left, &a.y}) {
      map->prefetch();
    }
  }
  __syncwarp();
  cluster_arrive();
  cluster_wait();  // blocks write to each other once all have begun
  if (warp >= worker_warps) {
    if (threadIdx.x % warp_size == 0) {
      spread_copier<Columns, T> const copier{me};
      if (warp == worker_warps) {
        copier.copy_inputs();
      } else {
        copier.copy_left();
      }
    }
    __syncwarp();
    cluster_arrive_relaxed();
  } else {
    spread_worker<Columns, Activates, T>{me, warp / (worker_warps / spread_workers),
                                         dynamic_memory + (memory - start) / packet_bytes}
        .run();
  }
  __syncwarp();
  cluster_wait();  // no block ends while others read what it sends
#endif
}

}  // namespace detail
}  // namespace gpu
}  // namespace v0
}  // namespace eckart
