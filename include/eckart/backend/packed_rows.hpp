#pragma once

#include "eckart/backend/few_rows.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

/// Products y = x W^T with more rows than few_rows.hpp has registers for, and too few for BLAS: the
/// beams of several texts. Not W but x is brought into another order, so that one number of W meets
/// a vector of 16 rows. W is still read once and as it lies.
namespace eckart {
inline namespace v0 {
namespace detail {

/// More rows of x than these are a matter for BLAS.
inline constexpr index_t packed_rows_limit = 32;

/// Rows of W that a packed kernel takes at once.
inline constexpr index_t packed_tile = 8;

/// Rows of x in a vector.
inline constexpr index_t packed_lanes = 16;

/// out[j][i] = w_j x_i for packed_tile rows of w and Vectors * packed_lanes rows of x, of which the
/// p-th numbers stand together.
using packed_kernel = void (*)(float const* packed, float const* w, index_t ldw, index_t k,
                               float* out);

#ifdef ECKART_HAS_X86_KERNELS

#ifdef __clang__
#define ECKART_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ECKART_UNROLL _Pragma("GCC unroll 8")
#endif

template <std::size_t Vectors>
[[gnu::target("avx512f")]] void packed_avx512(float const* packed, float const* w, index_t ldw,
                                              index_t k, float* out) {
  using whole = simd_vector<packed_lanes>::whole;
  using unaligned = simd_vector<packed_lanes>::unaligned;
  constexpr std::size_t tile = packed_tile;
  constexpr std::size_t lanes = packed_lanes;
  whole sum[tile][Vectors];
  ECKART_UNROLL
  for (std::size_t j = 0; j < tile; ++j) {
    ECKART_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v) {
      sum[j][v] = whole{};
    }
  }
  for (index_t p = 0; p < k; ++p) {
    if (p % packed_lanes == 0) {  // a line of each row of the next tile
      ECKART_UNROLL
      for (std::size_t j = 0; j < tile; ++j) {
        __builtin_prefetch(w + static_cast<index_t>(j + tile) * ldw + p);
      }
    }
    auto const* const column = packed + p * static_cast<index_t>(Vectors * lanes);
    whole a[Vectors];
    ECKART_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v) {
      a[v] = *reinterpret_cast<unaligned const*>(column + v * lanes);
    }
    ECKART_UNROLL
    for (std::size_t j = 0; j < tile; ++j) {
      auto const b = w[static_cast<index_t>(j) * ldw + p];
      ECKART_UNROLL
      for (std::size_t v = 0; v < Vectors; ++v) {
        sum[j][v] += a[v] * b;
      }
    }
  }
  ECKART_UNROLL
  for (std::size_t j = 0; j < tile; ++j) {
    ECKART_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v) {
      *reinterpret_cast<unaligned*>(out + (j * Vectors + v) * lanes) = sum[j][v];
    }
  }
}

#undef ECKART_UNROLL
#endif

/// Kernels for one and for two vectors of rows; none where the processor has too few registers.
inline auto packed_kernels() -> std::array<packed_kernel, 2> const& {
  static std::array<packed_kernel, 2> const kernels = [] {
#ifdef ECKART_HAS_X86_KERNELS
    if (processor_level() == simd_level::avx512) {
      return std::array<packed_kernel, 2>{packed_avx512<1>, packed_avx512<2>};
    }
#endif
    return std::array<packed_kernel, 2>{nullptr, nullptr};
  }();
  return kernels;
}

inline auto can_pack_rows(index_t rows, index_t outputs) -> bool {
  return rows <= packed_rows_limit && outputs >= packed_tile && packed_kernels()[0] != nullptr;
}

/// The rows of x, padded with zeros to `lanes` rows, number by number. The memory is the thread's
/// and grows to the largest x.
inline auto pack_rows(matrix_view<float const> x, index_t lanes) -> float const* {
  static thread_local std::vector<float> packed;
  auto const size = static_cast<std::size_t>(x.cols * lanes);
  if (packed.size() < size) {
    packed.resize(size);
  }
  auto* const to = packed.data();
  parallel_rows(x.cols, lanes, [&](index_t first, index_t last) {
    for (index_t p = first; p < last; ++p) {
      for (index_t i = 0; i < x.rows; ++i) {
        to[p * lanes + i] = x(i, p);
      }
      std::fill(to + p * lanes + x.rows, to + (p + 1) * lanes, 0.0F);
    }
  });
  return to;
}

/// y = alpha x w^T + beta y with x (rows, k), w (n, k), y (rows, n), where can_pack_rows(rows, n);
/// y is not read where beta is 0. 2 rows n k FLOPs, on all threads where w is large enough.
inline void packed_rows_product(float alpha, matrix_view<float const> x, matrix_view<float const> w,
                                float beta, matrix_view<float> y) {
  auto const vectors = (x.rows + packed_lanes - 1) / packed_lanes;
  auto const lanes = vectors * packed_lanes;
  auto const kernel = packed_kernels()[static_cast<std::size_t>(vectors - 1)];
  auto const* const packed = pack_rows(x, lanes);
  auto const tiles = (w.rows + packed_tile - 1) / packed_tile;
  parallel_rows(tiles, packed_tile * std::max<index_t>(1, x.cols) * vectors,
                [&](index_t first, index_t last) {
                  std::array<float, static_cast<std::size_t>(packed_tile * packed_rows_limit)> sums;
                  for (index_t tile = first; tile < last; ++tile) {
                    auto const at = tile * packed_tile;
                    // The last tile starts early enough to be whole.
                    auto const from = std::min(at, w.rows - packed_tile);
                    kernel(packed, w.data + from * w.ld, w.ld, x.cols, sums.data());
                    for (index_t i = 0; i < x.rows; ++i) {
                      for (index_t j = at; j < std::min(at + packed_tile, w.rows); ++j) {
                        auto const sum =
                            alpha * sums[static_cast<std::size_t>((j - from) * lanes + i)];
                        auto& to = y(i, j);
                        to = beta == 0 ? sum : beta * to + sum;
                      }
                    }
                  }
                });
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
