#pragma once

#include "eckart/backend/few_rows.hpp"
#include "eckart/core/allocator.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

/// Products y = x W^T with more rows than few_rows.hpp has registers for, and too few for BLAS: the
/// beams of a text or of several. Not W but x is brought into another order, so that one number of
/// W meets a vector of 16 rows, or two numbers one of 8 rows. W is still read once and as it lies.
namespace eckart {
inline namespace v0 {
namespace detail {

/// Fewer rows of x than these are a matter for few_rows.hpp, more for BLAS.
inline constexpr index_t packed_rows_from = 5;
inline constexpr index_t packed_rows_limit = 32;

/// Rows of W that a packed kernel takes at once.
inline constexpr index_t packed_tile = 8;

/// Rows of x in a vector.
inline constexpr index_t packed_lanes = 16;

/// out[i * packed_tile + j] = w_j x_i for packed_tile rows of w and all rows of x, of which the
/// p-th numbers stand together; with 8 rows of x the p-th and the next in turns.
using packed_kernel = void (*)(float const* packed, float const* w, index_t ldw, index_t k,
                               float* out);

#ifdef ECKART_HAS_X86_KERNELS

#ifdef __clang__
#define ECKART_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ECKART_UNROLL _Pragma("GCC unroll 8")
#endif

/// Writes the quarters of a vector, `distance` numbers apart.
[[gnu::target("avx512f"), gnu::always_inline]] inline void put_quarters(simd_sixteen v, float* to,
                                                                        std::size_t distance) {
  using four = simd_vector<4>::unaligned;
  *reinterpret_cast<four*>(to) = __builtin_shufflevector(v, v, 0, 1, 2, 3);
  *reinterpret_cast<four*>(to + distance) = __builtin_shufflevector(v, v, 4, 5, 6, 7);
  *reinterpret_cast<four*>(to + 2 * distance) = __builtin_shufflevector(v, v, 8, 9, 10, 11);
  *reinterpret_cast<four*>(to + 3 * distance) = __builtin_shufflevector(v, v, 12, 13, 14, 15);
}

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
  auto const* const next = w + packed_tile * ldw;  // the next tile, in the order of its addresses
  for (index_t p = 0; p < k; ++p) {
    __builtin_prefetch(next + p * packed_tile, 0, 2);
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
  for (std::size_t v = 0; v < Vectors; ++v) {
    ECKART_UNROLL
    for (std::size_t j = 0; j < tile; j += 4) {
      transpose_quarters(sum[j][v], sum[j + 1][v], sum[j + 2][v], sum[j + 3][v]);
      ECKART_UNROLL
      for (std::size_t i = 0; i < 4; ++i) {
        put_quarters(sum[j + i][v], out + (v * lanes + i) * tile + j, 4 * tile);
      }
    }
  }
}

/// The same for 8 rows of x: half of a vector would be empty.
[[gnu::target("avx512f")]] inline void packed_pairs_avx512(float const* packed, float const* w,
                                                           index_t ldw, index_t k, float* out) {
  using whole = simd_vector<packed_lanes>::whole;
  using unaligned = simd_vector<packed_lanes>::unaligned;
  using pairs [[gnu::vector_size(64)]] = long long;
  whole sum[packed_tile];
  ECKART_UNROLL
  for (std::size_t j = 0; j < packed_tile; ++j) {
    sum[j] = whole{};
  }
  auto const* const next = w + packed_tile * ldw;
  for (index_t p = 0; p < k; p += 2) {
    __builtin_prefetch(next + p * packed_tile, 0, 2);
    whole const a = *reinterpret_cast<unaligned const*>(packed + p * packed_lanes / 2);
    auto const bytes = p + 1 < k ? 2 * sizeof(float) : sizeof(float);
    ECKART_UNROLL
    for (std::size_t j = 0; j < packed_tile; ++j) {
      long long two = 0;
      auto const* const from = w + static_cast<index_t>(j) * ldw + p;
      if (bytes == sizeof two) {
        __builtin_memcpy(&two, from, sizeof two);
      } else {
        __builtin_memcpy(&two, from, sizeof(float));
      }
      sum[j] += a * __builtin_bit_cast(whole, pairs{} + two);
    }
  }
  ECKART_UNROLL
  for (std::size_t j = 0; j < packed_tile; j += 4) {
    transpose_quarters(sum[j], sum[j + 1], sum[j + 2], sum[j + 3]);
    auto* const to = out + j;
    put_quarters(sum[j] + sum[j + 1], to, 2 * packed_tile);                    // even rows
    put_quarters(sum[j + 2] + sum[j + 3], to + packed_tile, 2 * packed_tile);  // odd ones
  }
}

#undef ECKART_UNROLL
#endif

/// Rows of x that a kernel takes, 8, 16 or 32.
struct packed_shape {
  index_t rows;
  packed_kernel kernel;
};

/// The kernel for so many rows of x, without one where the processor has too few registers.
inline auto packed_shape_for(index_t rows) -> packed_shape {
#ifdef ECKART_HAS_X86_KERNELS
  static bool const has_registers = processor_level() == simd_level::avx512;
  if (has_registers) {
    return rows <= packed_lanes / 2 ? packed_shape{8, packed_pairs_avx512}
           : rows <= packed_lanes   ? packed_shape{16, packed_avx512<1>}
                                    : packed_shape{32, packed_avx512<2>};
  }
#endif
  return {rows, nullptr};
}

inline auto can_pack_rows(index_t rows, index_t outputs) -> bool {
  return rows <= packed_rows_limit && outputs >= packed_tile &&
         packed_shape_for(rows).kernel != nullptr;
}

/// The rows of x, with zeros in the place of those that are missing, number by number, or two
/// numbers by two for a kernel of pairs. Each thread that asks orders them once for itself: that
/// takes less time than to fetch from another one's cache what it has ordered.
class ordered_rows {
 public:
  ordered_rows(matrix_view<float const> x, packed_shape const& shape)
      : x_(x), rows_(shape.rows), number_(next_number()) {}

  /// The memory is the thread's and grows to the largest x.
  auto of_this_thread() const -> float const* {
    static thread_local struct {
      std::uint64_t number = 0;
      std::vector<float, allocator<float>> values;
    } mine;
    if (mine.number != number_) {
      auto const size = static_cast<std::size_t>((x_.cols + x_.cols % 2) * rows_);
      if (mine.values.size() < size) {
        mine.values.resize(size);
      }
#ifdef ECKART_HAS_X86_KERNELS
      if (rows_ == packed_lanes / 2) {
        interleave_pairs(x_, mine.values.data());
      } else {
        interleave_rows(x_, rows_, mine.values.data());
      }
#endif
      mine.number = number_;
    }
    return mine.values.data();
  }

 private:
  static auto next_number() -> std::uint64_t {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  matrix_view<float const> x_;
  index_t rows_;  // of the kernel
  std::uint64_t number_;
};

/// y = alpha x w^T + beta y for the rows of w from `first` to `last`.
inline void multiply_packed(packed_shape const& shape, float const* packed, float alpha,
                            matrix_view<float const> w, float beta, matrix_view<float> y,
                            index_t first, index_t last) {
  std::array<float, static_cast<std::size_t>(packed_tile * packed_rows_limit)> sums;
  for (index_t at = first; at < last; at += packed_tile) {
    // The last tile starts early enough to be whole.
    auto const from = std::min(at, w.rows - packed_tile);
    shape.kernel(packed, w.data + from * w.ld, w.ld, w.cols, sums.data());
    auto const end = std::min(at + packed_tile, last);
    for (index_t i = 0; i < y.rows; ++i) {
      auto const* const row = sums.data() + i * packed_tile;
      if (at == from && end == at + packed_tile) {
        put_tile<packed_tile>(alpha, row, beta, &y(i, at));
        continue;
      }
      for (index_t j = at; j < end; ++j) {
        auto& to = y(i, j);
        to = beta == 0 ? alpha * row[j - from] : beta * to + alpha * row[j - from];
      }
    }
  }
}

/// y = alpha x w^T + beta y with x (rows, k), w (n, k), y (rows, n), where can_pack_rows(rows, n);
/// y is not read where beta is 0. 2 rows n k FLOPs, on all threads where w is large enough.
inline void packed_rows_product(float alpha, matrix_view<float const> x, matrix_view<float const> w,
                                float beta, matrix_view<float> y) {
  auto const shape = packed_shape_for(x.rows);
  ordered_rows const ordered(x, shape);
  parallel_pieces(w.rows, packed_tile, std::max<index_t>(1, x.cols) * shape.rows,
                  [&](index_t first, index_t last) {
                    multiply_packed(shape, ordered.of_this_thread(), alpha, w, beta, y, first,
                                    last);
                  });
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
