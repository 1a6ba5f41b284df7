#pragma once

#include "eckart/gpu/kernels/numbers.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// How two_factor_product shares out its work.
struct two_factor_plan {
  int cluster = 8;  ///< blocks that compute x R^T of their rows together: 2, 4, 8 or 16
  int groups = 1;   ///< clusters that share the columns of y; each computes x R^T
  int tiles = 1;    ///< of 16 rows that a cluster has: 1 or 2
};

namespace detail {

inline constexpr int factor_threads = 256;
inline constexpr int factor_warps = factor_threads / warp_size;
inline constexpr int fragment_bytes = packet_bytes * warp_size;
inline constexpr int fragment_width = 32;  // numbers of a sum's terms that a fragment has
inline constexpr int most_strips = 4;      // of 8 columns of x R^T that a block computes

/// A block's share of the work, and where the parts of its shared memory begin, in bytes. A
/// fragment has 16 bytes of every lane: 8 numbers of row l / 4, from 8 (l mod 4) on, of 8 rows and
/// 32 columns. What an instruction calls its k-th column is the same for both its operands.
struct two_factor_share {
  int strips;      // of 8 columns of x R^T
  int outputs;     // columns of y, a multiple of 16
  int chunks;      // of 32 columns of x that a warp has
  int rank_steps;  // of 32 columns of x R^T, all of them
  int left;        // (outputs / 8, rank_steps) fragments of L; those of R are at 0:
                   // (warps, chunks, strips)
  int sums;        // (warps, tiles * strips) fragments of 4 floats a lane: rows l / 4, + 8
  int inner;       // (tiles, rank_steps, 2) fragments of x R^T
  int bias;        // (outputs) floats
  int arrived;
  int bytes;

  __host__ __device__ two_factor_share(two_factor_plan plan, int rank, int n, int m)
      : strips((rank / 8 + plan.cluster - 1) / plan.cluster),
        outputs((m + 16 * plan.cluster * plan.groups - 1) / (16 * plan.cluster * plan.groups) * 16),
        chunks((n + fragment_width * factor_warps - 1) / (fragment_width * factor_warps)),
        rank_steps((rank + fragment_width - 1) / fragment_width),
        left(factor_warps * chunks * strips * fragment_bytes),
        sums(left + outputs / 8 * rank_steps * fragment_bytes),
        inner(sums + factor_warps * plan.tiles * strips * fragment_bytes),
        bias(inner + plan.tiles * rank_steps * 2 * fragment_bytes),
        arrived(bias + outputs * static_cast<int>(sizeof(float))),
        bytes(arrived + 8) {}
};

/// What a thread knows about its place.
struct factor_place {
  int lane = static_cast<int>(threadIdx.x) % warp_size;
  int warp = static_cast<int>(threadIdx.x) / warp_size;
  int row = lane / 4;         // of a fragment
  int column = lane % 4 * 8;  // of a fragment
  int part = static_cast<int>(blockIdx.z);
};

}  // namespace detail

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
