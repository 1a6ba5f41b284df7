#pragma once

#include "eckart/gpu/kernels/tensor_core.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

/// Sums of 16 Tiles rows and 16 columns, 8 and 8: lane l has rows l / 4 and l / 4 + 8 of every 16,
/// and the columns from l % 4 * 2 on.
template <class T, int Tiles>
struct product_tile {
  float sums[2][Tiles][4] = {};

  // += rows w^T over the chunks of 32 inner positions that are given, as far as `limit`. All of a
  // round's packets are on their way before the first is used. A lane holds 8 numbers that follow
  // each other of its rows, and of row l / 4 of w: which of them an instruction calls its k-th is
  // the same on both sides, and so the sum is the same.
  __device__ void add(T const* const (&rows)[Tiles][2], T const* const (&w)[2], int first, int last,
                      int limit, int lane) {
    constexpr int at_once = 4;
    for (int chunk = first; chunk < last; chunk += at_once) {
      uint4 weights[at_once][2];
      uint4 numbers[at_once][Tiles][2];
#pragma unroll
      for (int u = 0; u < at_once; ++u) {
        int const column = (chunk + u) * 32 + lane % 4 * 8;
        bool const exists = chunk + u < last && column < limit;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          weights[u][i] = packet_or_zeros(w[i], column, exists);
#pragma unroll
          for (int t = 0; t < Tiles; ++t) {
            numbers[u][t][i] = packet_or_zeros(rows[t][i], column, exists);
          }
        }
      }
#pragma unroll
      for (int u = 0; u < at_once; ++u) {
#pragma unroll
        for (int t = 0; t < Tiles; ++t) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            uint4 const& upper = numbers[u][t][0];
            uint4 const& lower = numbers[u][t][1];
            uint4 const& b = weights[u][i];
            multiply_add<T>({upper.x, lower.x, upper.y, lower.y}, b.x, b.y, sums[i][t]);
            multiply_add<T>({upper.z, lower.z, upper.w, lower.w}, b.z, b.w, sums[i][t]);
          }
        }
      }
    }
  }

  // 16 bytes, zeros where there are none.
  __device__ static auto packet_or_zeros(T const* row, int column, bool exists) -> uint4 {
    auto const packet = *reinterpret_cast<uint4 const*>(row + (exists ? column : 0));
    return exists ? packet : uint4{0, 0, 0, 0};
  }

  // Calls f(row, column, sum) for the lane's sums.
  template <class F>
  __device__ void each(int lane, F f) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int t = 0; t < Tiles; ++t) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
          f(t * 16 + lane / 4 + n / 2 * 8, i * 8 + lane % 4 * 2 + n % 2, sums[i][t][n]);
        }
      }
    }
  }
};

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
