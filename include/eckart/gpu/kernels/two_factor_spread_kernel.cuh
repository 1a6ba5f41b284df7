#pragma once

#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/reduce.cuh"
#include "eckart/gpu/kernels/two_factor_spread_copier.cuh"

#include <cstdint>

namespace eckart {
inline namespace v0 {
namespace gpu {
namespace detail {

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
    if (tile + a.at.input_stages < me.tiles() && thread < a.at.slices) {
      me.input_read(s).arrive_in(me.depth * me.of_depth + thread);
    }
  }

  /// The block's columns of x R^T, by every second tile of x and R: the other ones are the other
  /// warpgroup's.
  __device__ __forceinline__ void multiply_inputs(sums_type& sums) const {
    ring_stage s{warpgroup};
    ring_stage last;
    for (int tile = warpgroup; tile < me.tiles(); tile += spread_workers) {
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
    settle(sums);
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

  /// Where the thread's sums of a group of the slice belong, rounded to T.
  __device__ __forceinline__ auto place_in(int group) const -> std::uint32_t* {
    int const row = thread / warp_size * 16 + lane / 4;
    int const bytes = a.at.inner + me.slice * a.at.slice_bytes + group * group_bytes;
    return reinterpret_cast<std::uint32_t*>(memory + bytes / packet_bytes) + row * 4 + lane % 4;
  }
  /// Writes the block's columns of x R^T, rounded to T, to its shared memory.
  __device__ __forceinline__ void keep_slice(sums_type const& sums) const {
#pragma unroll
    for (int g = 0; g < Columns / 8; ++g) {
      auto* const to = place_in(g);
      to[0] = pack<T>(sums[4 * g], sums[4 * g + 1]);
      to[8 * 4] = pack<T>(sums[4 * g + 2], sums[4 * g + 3]);
    }
  }
  /// Sends what the block has of each group to the depth that adds it up.
  __device__ __forceinline__ void send_sums(sums_type const& sums) const {
    int owner = 0;
    int place = 0;  // among the groups of the owner
#pragma unroll
    for (int g = 0; g < Columns / 8; ++g) {
      int const to = a.at.sums + (place * a.plan.depths + me.depth) * group_of_sums;
      auto const bits = [&](int i) { return __float_as_uint(sums[4 * g + i]); };
      me.sums_came().send(owner * me.of_depth + me.slice,
                          me.memory + static_cast<unsigned>(to + thread * packet_bytes),
                          uint4{bits(0), bits(1), bits(2), bits(3)});
      if (++place == a.at.own_groups) {
        place = 0;
        ++owner;
      }
    }
  }
  /// Adds up what all depths have of the block's groups, always in the same order, and writes them
  /// to its shared memory.
  __device__ __forceinline__ void keep_groups() const {
    me.sums_came().wait();
    auto const* from = reinterpret_cast<float4 const*>(memory + a.at.sums / packet_bytes) + thread;
    for (int g = 0; g < me.groups(Columns / 8); ++g) {
      float4 sum{0, 0, 0, 0};
      for (int d = 0; d < a.plan.depths; ++d) {
        sum.x += from->x;
        sum.y += from->y;
        sum.z += from->z;
        sum.w += from->w;
        from += warpgroup_threads;
      }
      auto* const to = place_in(me.first_group() + g);
      to[0] = pack<T>(sum.x, sum.y);
      to[8 * 4] = pack<T>(sum.z, sum.w);
    }
  }
  /// Sends the block's groups to the other blocks, by both warpgroups.
  __device__ __forceinline__ void send_groups() const {
    int const packets = me.groups(Columns / 8) * warpgroup_rows;
    int const first = a.at.inner + me.slice * a.at.slice_bytes + me.first_group() * group_bytes;
    int const worker = static_cast<int>(threadIdx.x);
    for (int behind = 1; behind < a.plan.cluster; ++behind) {
      int const block = me.rank + behind;
      for (int i = worker; i < packets; i += spread_workers * warpgroup_threads) {
        me.inner_came().send(block < a.plan.cluster ? block : block - a.plan.cluster,
                             me.memory + static_cast<unsigned>(first + i * packet_bytes),
                             memory[first / packet_bytes + i]);
      }
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
#pragma unroll 1  // the compiler would let products of an unrolled loop wait for each other
    for (int step = 1; step <= a.at.rank_steps; ++step) {
      begin_products();
      multiply_tiles<T, tile_columns>(x, left, sums);
      commit_products();
      x += step_of_groups_in_descriptor;
      left += step % steps_of_tile != 0
                  ? step_in_descriptor
                  : (product_tile_bytes >> 4) - (steps_of_tile - 1) * step_in_descriptor;
    }
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

  /// Every second 64 columns of y that the block has: the other ones, which the other warpgroup
  /// multiplies while these are written, are its own.
  __device__ __forceinline__ void multiply_chunks() const {
    ring_stage s{warpgroup};
    tile_sums sums;
#pragma unroll 1  // code that other kernels have driven from the cache costs more than a loop
    for (int chunk = warpgroup; chunk < me.chunks(); chunk += spread_workers) {
      start_chunk(s, sums);
      wait_for_products();
      if (thread == 0) {
        me.left_read(s).arrive_in(me.rank);
      }
      s.advance(a.at.left_stages, spread_workers);
      write_chunk(chunk, sums);
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
        if (a.plan.depths > 1) {
          send_sums(sums);
          keep_groups();
        } else {
          keep_slice(sums);
        }
      }
      wait_for_workers();
      send_groups();
    }
    me.inner_came().wait();
    show_to_engine();
    wait_for_workers();        // the bias is there too
    cluster_arrive_relaxed();  // nobody sends anything any more
    multiply_chunks();
  }
};

template <int Columns, class T>
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
  int const own = me.groups(Columns / 8);
  me.inner_came().expect(at.slices * at.slice_bytes - own * group_bytes);
  me.sums_came().expect(me.a.plan.depths > 1 ? own * me.a.plan.depths * group_of_sums : 0);
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
    begin_counters<Columns>(me);
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
