#pragma once

#include "eckart/gpu/kernels/activation.cuh"
#include "eckart/gpu/kernels/cluster.cuh"
#include "eckart/gpu/kernels/launch.cuh"
#include "eckart/gpu/kernels/reduce.cuh"
#include "eckart/gpu/kernels/tensor_core.cuh"
#include "eckart/gpu/kernels/two_factor_share.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

template <class T, class Out>
struct two_factor_call {
  T const* x;
  index_t ld_x;
  int rows;
  int inputs;
  T const* right;  // (parts * rank, inputs)
  index_t ld_right;
  T const* left;  // (parts * outputs, rank)
  index_t ld_left;
  int rank;
  int outputs;       // of a part
  bool whole_quads;  // four columns of y can be written at once
  T const* bias;     // (parts * outputs) or null
  bool activates;
  activation f;
  Out* y;
  index_t ld_y;
  two_factor_plan plan;
};

/// Starts the copies of the lane's own packets of R, which do not depend on the kernel before.
template <class T, class Out>
__device__ void fetch_right(two_factor_call<T, Out> const& a, two_factor_share const& at,
                            factor_place me, unsigned memory) {
  auto const own = memory + static_cast<unsigned>(me.lane * packet_bytes);
  auto const* const right = a.right + static_cast<index_t>(me.part) * a.rank * a.ld_right;
  int const first_strip = cluster_rank() * at.strips;
  for (int n = 0; n < at.strips; ++n) {
    int const row = (first_strip + n) * 8 + me.row;
    int column = me.warp * fragment_width + me.column;
    auto const* const from = right + row * a.ld_right;
    int to = (me.warp * at.chunks * at.strips + n) * fragment_bytes;
    for (int i = 0; i < at.chunks; ++i) {
      bool const exists = row < a.rank && column < a.inputs;
      copy_async(own + static_cast<unsigned>(to), exists ? from + column : right, exists);
      column += factor_warps * fragment_width;
      to += at.strips * fragment_bytes;
    }
  }
  commit_copies();
}

/// The same of L, and brings the bias.
template <class T, class Out>
__device__ void fetch_left(two_factor_call<T, Out> const& a, two_factor_share const& at,
                           factor_place me, unsigned memory, float* bias) {
  auto const own = memory + static_cast<unsigned>(me.lane * packet_bytes);
  auto const* const left = a.left + static_cast<index_t>(me.part) * a.outputs * a.ld_left;
  int const first = static_cast<int>(blockIdx.x) * at.outputs;
  for (int n = me.warp; n < at.outputs / 16; n += factor_warps) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      // Rows in an order that gives every lane four columns of y side by side.
      int const row = first + n * 16 + me.row / 2 * 4 + me.row % 2 + 2 * h;
      auto const* const from = left + row * a.ld_left;
      int to = at.left + (2 * n + h) * at.rank_steps * fragment_bytes;
      for (int column = me.column; column < at.rank_steps * fragment_width;
           column += fragment_width) {
        bool const exists = row < a.outputs && column < a.rank;
        copy_async(own + static_cast<unsigned>(to), exists ? from + column : left, exists);
        to += fragment_bytes;
      }
    }
  }
  commit_copies();
  for (int i = static_cast<int>(threadIdx.x); i < at.outputs; i += factor_threads) {
    bool const exists = a.bias != nullptr && first + i < a.outputs;
    bias[i] = exists ? to_float(a.bias[me.part * a.outputs + first + i]) : 0.0F;
  }
}

/// c += a b^T for 16 rows, 8 columns and the 32 numbers of a fragment.
template <class T>
__device__ void multiply_fragments(uint4 const& upper, uint4 const& lower, uint4 const& b,
                                   float (&c)[4]) {
  multiply_add<T>({upper.x, lower.x, upper.y, lower.y}, b.x, b.y, c);
  multiply_add<T>({upper.z, lower.z, upper.w, lower.w}, b.z, b.w, c);
}

/// What a warp has summed up, for those that add up.
template <int Tiles, int Strips>
__device__ void keep_sums(float const (&sums)[Tiles][Strips][4], two_factor_share const& at,
                          factor_place me, uint4* memory) {
  auto* const to = memory + at.sums / packet_bytes + me.lane;
#pragma unroll
  for (int n = 0; n < Strips; ++n) {
    if (n < at.strips) {
#pragma unroll
      for (int m = 0; m < Tiles; ++m) {
        auto const& c = sums[m][n];
        reinterpret_cast<float4&>(to[((me.warp * at.strips + n) * Tiles + m) * warp_size]) =
            float4{c[0], c[1], c[2], c[3]};
      }
    }
  }
}

/// The warp's share of the terms of the block's columns of x R^T.
template <int Tiles, int Strips, class T, class Out>
__device__ void multiply_right(two_factor_call<T, Out> const& a, two_factor_share const& at,
                               factor_place me, uint4* memory) {
  constexpr int at_once = 6 / Tiles;  // chunks whose numbers a thread waits for together
  int const first_row = static_cast<int>(blockIdx.y) * 16 * Tiles + me.row;
  float sums[Tiles][Strips][4] = {};
  auto const* const weights = memory + me.warp * at.chunks * at.strips * warp_size + me.lane;
  for (int first = 0; first < at.chunks; first += at_once) {
    uint4 x[at_once][Tiles][2];
#pragma unroll
    for (int u = 0; u < at_once; ++u) {
      int const column = ((first + u) * factor_warps + me.warp) * fragment_width + me.column;
      bool const exists = column < a.inputs;
#pragma unroll
      for (int m = 0; m < 2 * Tiles; ++m) {
        int const row = min(first_row + 8 * m, a.rows - 1);
        auto const* const from = reinterpret_cast<uint4 const*>(a.x + row * a.ld_x + column);
        x[u][m / 2][m % 2] = exists ? __ldcg(from) : uint4{0, 0, 0, 0};
      }
    }
    if (first == 0) {
      wait_for_copies<1>();
    }
#pragma unroll
    for (int u = 0; u < at_once; ++u) {
      if (first + u < at.chunks) {
#pragma unroll
        for (int n = 0; n < Strips; ++n) {
          if (n < at.strips) {
            uint4 const w = weights[((first + u) * at.strips + n) * warp_size];
#pragma unroll
            for (int m = 0; m < Tiles; ++m) {
              multiply_fragments<T>(x[u][m][0], x[u][m][1], w, sums[m][n]);
            }
          }
        }
      }
    }
  }
  keep_sums(sums, at, me, memory);
}

/// Adds up what the warps have, and sends every block of the cluster the block's columns of
/// x R^T, rounded to T.
template <int Tiles, class T, class Out>
__device__ void share_sums(two_factor_call<T, Out> const& a, two_factor_share const& at,
                           factor_place me, uint4 const* memory, unsigned address) {
  int const strips = min(at.strips, a.rank / 8 - cluster_rank() * at.strips);
  auto const arrived = arrivals{address + static_cast<unsigned>(at.arrived)};
  for (int unit = me.warp; unit < Tiles * strips; unit += factor_warps) {
    float4 sum{0, 0, 0, 0};
    auto const* const from = memory + at.sums / packet_bytes + unit * warp_size + me.lane;
#pragma unroll
    for (int w = 0; w < factor_warps; ++w) {
      auto const part = reinterpret_cast<float4 const&>(from[w * at.strips * Tiles * warp_size]);
      sum.x += part.x;
      sum.y += part.y;
      sum.z += part.z;
      sum.w += part.w;
    }
    auto const upper = pack<T>(sum.x, sum.y);
    auto const lower = pack<T>(sum.z, sum.w);
    // Of four lanes that have a row of the tile and the one 8 below, two send the first to every
    // second block, and two the other.
    int const half = me.lane % 2;
    std::uint32_t row[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      auto const first = __shfl_sync(all_lanes, upper, me.lane / 4 * 4 + i);
      auto const second = __shfl_sync(all_lanes, lower, me.lane / 4 * 4 + i);
      row[i] = half == 0 ? first : second;
    }
    int const strip = cluster_rank() * at.strips + unit / Tiles;
    int const place = ((unit % Tiles * at.rank_steps + strip / 4) * 2 + half) * warp_size +
                      me.row * 4 + strip % 4;
    for (int block = me.lane / 2 % 2; block < a.plan.cluster; block += 2) {
      arrived.send(block, address + static_cast<unsigned>(at.inner + place * packet_bytes),
                   uint4{row[0], row[1], row[2], row[3]});
    }
  }
}

/// Four neighbouring columns of a row of y.
template <class T, class Out>
__device__ void write_quad(two_factor_call<T, Out> const& a, int row, int part, int column,
                           float (&values)[4]) {
  if (a.activates) {
#pragma unroll
    for (float& value : values) {
      value = activated<T>(a.f, value);
    }
  }
  Out* const to = a.y + row * a.ld_y + part * a.outputs + column;
  if (a.whole_quads) {
    store(values, to);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (column + i < a.outputs) {
      to[i] = from_float<Out>(values[i]);
    }
  }
}

/// The block's columns of y.
template <int Tiles, class T, class Out>
__device__ void multiply_left(two_factor_call<T, Out> const& a, two_factor_share const& at,
                              factor_place me, uint4 const* memory) {
  int const first_row = static_cast<int>(blockIdx.y) * 16 * Tiles + me.row;
  int const first_column = static_cast<int>(blockIdx.x) * at.outputs;
  auto const* const inner = memory + at.inner / packet_bytes + me.lane;
  for (int n = me.warp; n < at.outputs / 16; n += factor_warps) {
    auto const* const weights =
        memory + at.left / packet_bytes + 2 * n * at.rank_steps * warp_size + me.lane;
    float sums[Tiles][2][4] = {};
#pragma unroll 2
    for (int s = 0; s < at.rank_steps; ++s) {
      uint4 const w[2] = {weights[s * warp_size], weights[(at.rank_steps + s) * warp_size]};
#pragma unroll
      for (int m = 0; m < Tiles; ++m) {
        uint4 const upper = inner[(m * at.rank_steps + s) * 2 * warp_size];
        uint4 const lower = inner[((m * at.rank_steps + s) * 2 + 1) * warp_size];
        multiply_fragments<T>(upper, lower, w[0], sums[m][0]);
        multiply_fragments<T>(upper, lower, w[1], sums[m][1]);
      }
    }
    int const own = n * 16 + me.lane % 4 * 4;
    if (first_column + own >= a.outputs) {
      continue;
    }
    auto const bias = reinterpret_cast<float4 const*>(memory + at.bias / packet_bytes)[own / 4];
#pragma unroll
    for (int m = 0; m < 2 * Tiles; ++m) {
      auto const& c = sums[m / 2];
      int const i = m % 2 * 2;
      float values[4] = {c[0][i] + bias.x, c[0][i + 1] + bias.y, c[1][i] + bias.z,
                         c[1][i + 1] + bias.w};
      if (first_row + 8 * m < a.rows) {
        write_quad(a, first_row + 8 * m, me.part, first_column + own, values);
      }
    }
  }
}

template <class T, class Out, int Tiles, int Strips>
__global__ void __launch_bounds__(factor_threads)
    two_factor_kernel(two_factor_call<T, Out> const a) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ uint4 memory[];
  auto const address = shared_address(memory);
  factor_place const me;
  two_factor_share const at(a.plan, a.rank, a.inputs, a.outputs);
  if (threadIdx.x == 0) {
    arrivals{address + static_cast<unsigned>(at.arrived)}.expect(Tiles * (a.rank / 8) *
                                                                 fragment_bytes / 2);
  }
  cluster_arrive();  // blocks send to each other once all have begun
  fetch_right(a, at, me, address);
  fetch_left(a, at, me, address, reinterpret_cast<float*>(memory + at.bias / packet_bytes));
  if (a.rank / 8 % 4 <= me.lane % 4 && a.rank % fragment_width != 0) {
    // Nobody sends the columns behind the last.
    for (int m = me.warp; m < 2 * Tiles; m += factor_warps) {
      memory[at.inner / packet_bytes + (m / 2 * at.rank_steps + at.rank_steps - 1) * 2 * warp_size +
             m % 2 * warp_size + me.lane] = uint4{0, 0, 0, 0};
    }
  }
  after_previous();
  multiply_right<Tiles, Strips>(a, at, me, memory);
  __syncthreads();
  cluster_wait();
  share_sums<Tiles>(a, at, me, memory, address);
  wait_for_copies();
  arrivals{address + static_cast<unsigned>(at.arrived)}.wait();
  multiply_left<Tiles>(a, at, me, memory);
#endif
}

}  // namespace detail

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
