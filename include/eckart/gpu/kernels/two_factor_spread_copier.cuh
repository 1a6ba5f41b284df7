#pragma once

#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/two_factor_spread_share.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {
namespace detail {

/// Brings tiles, by one thread. Those of x come to all blocks of the depth that have a slice, each
/// from another block in turn.
template <int Columns, class T>
struct spread_copier {
  spread_block<T> const& me;
  two_factor_spread_call<T> const& a = me.a;

  __device__ void copy_right(int tile, ring_stage s) const {
    me.input_came(s).expect(a.at.input_stage);
    copy_tile(a.right, (me.first_tile() + tile) * tile_columns, me.slice * Columns, me.part,
              me.input(s) + product_tile_bytes, me.input_came(s));
  }

  __device__ void copy_inputs() const {
    // The first tiles of R do not depend on the kernel in front.
    int const early = me.has_slice() ? min(me.tiles(), a.at.input_stages) : 0;
    for (ring_stage s; s.place < early; ++s.place) {
      copy_right(s.place, s);
    }
    after_previous();
    if (!me.has_slice()) {
      return;
    }
    auto const blocks = static_cast<unsigned>((1 << a.at.slices) - 1) << me.depth * me.of_depth;
    ring_stage s;
    int turn = 0;  // whose tile of x it is
    for (int tile = 0; tile < me.tiles(); ++tile) {
      if (tile >= early) {
        me.input_read(s).wait(s.parity ^ 1);
        copy_right(tile, s);
      }
      if (turn == me.slice) {
        copy_tile_to(blocks, a.x, (me.first_tile() + tile) * tile_columns, me.first_row, 0,
                     me.input(s), me.input_came(s));
      }
      turn = turn + 1 == a.at.slices ? 0 : turn + 1;
      s.advance(a.at.input_stages);
    }
  }

  __device__ void copy_left() const {
    // What has no place yet is brought nearer, by one of the clusters that need it.
    int const groups = static_cast<int>(gridDim.x) / me.members;
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

}  // namespace detail
}  // namespace gpu
}  // namespace v0
}  // namespace eckart
