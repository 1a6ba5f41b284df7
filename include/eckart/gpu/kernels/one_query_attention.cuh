#pragma once

#include "eckart/gpu/kernels/reduce.cuh"

namespace eckart {
inline namespace v0 {
namespace gpu {

inline constexpr int head_lanes = 8;    ///< threads that share one key
inline constexpr int keys_at_once = 4;  ///< keys whose numbers a thread waits for together
/// Below every score, and finite, so that differences are numbers.
inline constexpr float below_all_scores = -1.0e30F;

/// What `Queries` queries have seen of some keys (Milakov and Gimelshein 2018): the largest score
/// in powers of 2, the sum of the exponentials and the weighted sum of the values. A thread holds
/// the packets `head_lanes` apart of every query.
template <int Packet, int Chunks, int Queries>
struct attention_part {
  float most[Queries];
  float sum[Queries];
  float values[Queries][Chunks][Packet];

  __device__ attention_part() {
#pragma unroll
    for (int q = 0; q < Queries; ++q) {
      most[q] = below_all_scores;
      sum[q] = 0;
#pragma unroll
      for (int c = 0; c < Chunks; ++c) {
#pragma unroll
        for (int i = 0; i < Packet; ++i) {
          values[q][c][i] = 0;
        }
      }
    }
  }

  /// Query n sees values with these scores, -inf for none.
  __device__ void add_keys(int n, float const (&scores)[keys_at_once],
                           float const (&seen)[keys_at_once][Chunks][Packet]) {
    float largest = most[n];
#pragma unroll
    for (float const score : scores) {
      largest = fmaxf(largest, score);
    }
    float const scale = exp2f(most[n] - largest);
    most[n] = largest;
    sum[n] *= scale;
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
#pragma unroll
      for (int i = 0; i < Packet; ++i) {
        values[n][c][i] *= scale;
      }
    }
#pragma unroll
    for (int u = 0; u < keys_at_once; ++u) {
      float const p = exp2f(scores[u] - largest);
      sum[n] += p;
#pragma unroll
      for (int c = 0; c < Chunks; ++c) {
#pragma unroll
        for (int i = 0; i < Packet; ++i) {
          values[n][c][i] += p * seen[u][c][i];
        }
      }
    }
  }

  /// Adds what the lane `step` further has seen.
  __device__ void add_lane(int step) {
#pragma unroll
    for (int q = 0; q < Queries; ++q) {
      float const other_most = __shfl_xor_sync(all_lanes, most[q], step);
      float const other_sum = __shfl_xor_sync(all_lanes, sum[q], step);
      float const both = fmaxf(most[q], other_most);
      float const scale = exp2f(most[q] - both);
      float const other_scale = exp2f(other_most - both);
      most[q] = both;
      sum[q] = sum[q] * scale + other_sum * other_scale;
#pragma unroll
      for (int c = 0; c < Chunks; ++c) {
#pragma unroll
        for (int i = 0; i < Packet; ++i) {
          float const other = __shfl_xor_sync(all_lanes, values[q][c][i], step);
          values[q][c][i] = values[q][c][i] * scale + other * other_scale;
        }
      }
    }
  }
};

/// A head of `width` numbers, of which a thread has the packets `head_lanes` apart.
template <int Packet, int Chunks>
struct head_part {
  int width;
  int lane;  // of head_lanes

  /// The lane's share of a scalar product.
  __device__ auto product(float const (&a)[Chunks][Packet], float const (&b)[Chunks][Packet]) const
      -> float {
    float sum = 0;
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
#pragma unroll
      for (int i = 0; i < Packet; ++i) {
        sum += a[c][i] * b[c][i];
      }
    }
    return sum;
  }

  template <class T>
  __device__ void load(T const* from, float (&to)[Chunks][Packet]) const {
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
      int const column = (c * head_lanes + lane) * Packet;
      if (column < width) {
        gpu::load(from + column, to[c]);
      } else {
#pragma unroll
        for (int i = 0; i < Packet; ++i) {
          to[c][i] = 0;
        }
      }
    }
  }
};

/// Scores and sums over the keys group, group + groups, ... below `keys`. offset(j) is where the
/// numbers of key j stand behind `k` and those of its value behind `v`. q carries the scale.
template <class T, int Packet, int Chunks, int Queries, class Offset>
__device__ void attend_keys(float const (&q)[Queries][Chunks][Packet],
                            head_part<Packet, Chunks> head, T const* k, T const* v, int keys,
                            int group, int groups, Offset offset,
                            attention_part<Packet, Chunks, Queries>& part) {
  // All groups of a warp make as many rounds, because they exchange numbers.
  for (int first = 0; first < keys; first += groups * keys_at_once) {
    float key[keys_at_once][Chunks][Packet];
    float value[keys_at_once][Chunks][Packet];
#pragma unroll
    for (int u = 0; u < keys_at_once; ++u) {
      int const j = min(first + u * groups + group, keys - 1);
      auto const at = offset(j);
      head.load(k + at, key[u]);
      head.load(v + at, value[u]);
    }
#pragma unroll
    for (int n = 0; n < Queries; ++n) {
      float scores[keys_at_once];
#pragma unroll
      for (int u = 0; u < keys_at_once; ++u) {
        float const product = lane_reduce<head_lanes>(head.product(q[n], key[u]), add{});
        scores[u] = first + u * groups + group < keys ? product : -INFINITY;
      }
      part.add_keys(n, scores, value);
    }
  }
}

/// Numbers of shared memory that finish() takes.
constexpr auto finish_size(int threads, int queries, int width) -> int {
  return threads / warp_size * queries * (width + 2);
}

/// Joins what the warps of a block have of queries, and writes out (queries, width), rows ld apart.
/// A part has a row for each query: the largest score in powers of 2, the sum of the exponentials,
/// the weighted sum of the values. The parts begin `stride` numbers from each other.
template <class T>
__device__ void join_parts(float const* parts, int stride, int width, int queries, T* out,
                           index_t ld) {
  int const warps = static_cast<int>(blockDim.x) / warp_size;
  for (int at = static_cast<int>(threadIdx.x); at < queries * width; at += blockDim.x) {
    int const q = at / width;
    int const column = at % width;
    float const* const row = parts + q * (width + 2);
    float most = below_all_scores;
    for (int w = 0; w < warps; ++w) {
      most = fmaxf(most, row[w * stride]);
    }
    float sum = 0;
    float value = 0;
    for (int w = 0; w < warps; ++w) {
      float const* const from = row + w * stride;
      float const scale = exp2f(from[0] - most);
      sum += from[1] * scale;
      value += from[2 + column] * scale;
    }
    out[q * ld + column] = from_float<T>(value / sum);
  }
}

/// Joins the parts of a block's threads and writes out (queries, width), rows ld apart. `shared`
/// holds finish_size numbers.
template <class T, int Packet, int Chunks, int Queries>
__device__ void finish(attention_part<Packet, Chunks, Queries>& part, int width, int queries,
                       float* shared, T* out, index_t ld) {
#pragma unroll
  for (int step = head_lanes; step < warp_size; step *= 2) {
    part.add_lane(step);
  }
  int const lane = static_cast<int>(threadIdx.x) % warp_size;
  int const warp = static_cast<int>(threadIdx.x) / warp_size;
  int const row = width + 2;
  if (lane < head_lanes) {
#pragma unroll
    for (int q = 0; q < Queries; ++q) {
      float* const to = shared + (warp * Queries + q) * row;
      to[0] = part.most[q];
      to[1] = part.sum[q];
#pragma unroll
      for (int c = 0; c < Chunks; ++c) {
#pragma unroll
        for (int i = 0; i < Packet; ++i) {
          int const column = (c * head_lanes + lane) * Packet + i;
          if (column < width) {
            to[2 + column] = part.values[q][c][i];
          }
        }
      }
    }
  }
  __syncthreads();
  join_parts(shared, Queries * row, width, queries, out, ld);
}

/// Calls f<Packet, Chunks>() for a head width. Throws shape_error for one without a kernel.
template <kernel_number T, class F>
void with_head_part(index_t width, bool packets, F&& f) {
  constexpr int n = packet_size<T>;
  if (packets && width <= n * head_lanes) {
    f.template operator()<n, 1>();
  } else if (packets && width <= 2 * n * head_lanes) {
    f.template operator()<n, 2>();
  } else if (width <= 2 * head_lanes) {
    f.template operator()<1, 2>();
  } else if (width <= 16 * head_lanes) {
    f.template operator()<1, 16>();
  } else {
    throw shape_error(message("attention: a head of ", width, " numbers"));
  }
}

inline constexpr float log2_e = 1.44269504088896340736F;

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
