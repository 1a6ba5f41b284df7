#pragma once

#include "eckart/backend/blas_info.hpp"
#include "eckart/backend/simd.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/core/view.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

/// Products with few rows, y = x W^T with x (rows, k) and W (n, k): what a decoder does for each
/// token. They are bound by the memory that holds W, which is read once here; kernels for large
/// products first copy W into another order, which costs more than the product itself.
///
/// A kernel computes the scalar products of 4 rows of W with a group of rows of x, which stay in
/// registers. It is chosen while the program runs, by what the processor has.
namespace eckart {
inline namespace v0 {
namespace detail {

/// More rows of x than these are a matter for BLAS.
inline constexpr index_t few_rows_limit = 16;

/// Rows of W that a kernel takes at once.
inline constexpr index_t weight_tile = 4;

/// Where a kernel asks for memory to come: for each number p of a row and row j of w it names
/// at[p * by_number + j * by_row], a line of weights that are multiplied soon.
struct read_ahead {
  float const* at;
  index_t by_number = 0;
  index_t by_row = 0;
};

/// Numbers from a row of w on that a kernel for one row of x asks for.
inline constexpr index_t one_row_ahead = 512;

/// Scalar products of `rows` rows of x (k numbers each, ldx apart) with weight_tile rows of w:
/// sums[i][j] = x_i w_j.
using dot_sums = std::array<std::array<float, 4>, 4>;
using dot_kernel = void (*)(float const* x, index_t ldx, float const* w, index_t ldw, index_t k,
                            read_ahead ahead, dot_sums& sums);

/// A kernel for each number of rows, 1 to `group`.
struct dot_kernels {
  index_t group;
  std::array<dot_kernel, 4> of_rows;
};

/// The textbook's loop, in 8 lanes that a compiler can put into vectors.
template <std::size_t Rows>
void dot_plain(float const* x, index_t ldx, float const* w, index_t ldw, index_t k, read_ahead,
               dot_sums& sums) {
  constexpr index_t lanes = 8;
  for (index_t i = 0; i < static_cast<index_t>(Rows); ++i) {
    for (index_t j = 0; j < weight_tile; ++j) {
      auto const* a = x + i * ldx;
      auto const* b = w + j * ldw;
      std::array<float, lanes> partial{};
      index_t p = 0;
      for (; p + lanes <= k; p += lanes) {
        for (index_t lane = 0; lane < lanes; ++lane) {
          partial[static_cast<std::size_t>(lane)] += a[p + lane] * b[p + lane];
        }
      }
      float sum = 0;
      for (; p < k; ++p) {
        sum += a[p] * b[p];
      }
      for (auto const one : partial) {
        sum += one;
      }
      sums[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] = sum;
    }
  }
}

#ifdef ECKART_HAS_X86_KERNELS

#ifdef __clang__
#define ECKART_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ECKART_UNROLL _Pragma("GCC unroll 4")
#endif

/// From place `rest` on: a mask of 16 lanes (or of 8, from 8 places later on) of which the last
/// `rest` are set.
inline constexpr auto last_lanes = [] {
  std::array<int, 32> lanes{};
  std::fill(lanes.begin() + 16, lanes.end(), -1);
  return lanes;
}();

inline void put_totals(simd_quarter a, simd_quarter b, simd_quarter c, simd_quarter d,
                       std::array<float, 4>& to) {
  auto const all = totals(a, b, c, d);
  std::memcpy(to.data(), &all, sizeof all);
}

// A target belongs to a function, not to its template arguments: one body for two functions. The
// rest of a row is read once more together with what is before it, which a mask takes out.
#define ECKART_DOT_KERNEL(name, instructions, lanes)                                              \
  template <std::size_t Rows>                                                                     \
  [[gnu::target(instructions)]] void name(float const* x, index_t ldx, float const* w,            \
                                          index_t ldw, index_t k, read_ahead ahead,               \
                                          dot_sums& sums) {                                       \
    using simd = simd_vector<lanes>;                                                              \
    using whole = simd::whole;                                                                    \
    using bits = simd::bits;                                                                      \
    using unaligned = simd::unaligned;                                                            \
    whole sum[Rows][4];                                                                           \
    whole b[4];                                                                                   \
    ECKART_UNROLL                                                                                 \
    for (std::size_t i = 0; i < Rows; ++i) {                                                      \
      ECKART_UNROLL                                                                               \
      for (std::size_t j = 0; j < 4; ++j) {                                                       \
        sum[i][j] = whole{};                                                                      \
      }                                                                                           \
    }                                                                                             \
    index_t p = 0;                                                                                \
    for (; p + (lanes) <= k; p += (lanes)) {                                                      \
      ECKART_UNROLL                                                                               \
      for (std::size_t j = 0; j < 4; ++j) {                                                       \
        auto const* from = w + static_cast<index_t>(j) * ldw + p;                                 \
        b[j] = *reinterpret_cast<unaligned const*>(from);                                         \
        __builtin_prefetch(                                                                       \
            ahead.at + p * ahead.by_number + static_cast<index_t>(j) * ahead.by_row, 0, 2);       \
      }                                                                                           \
      ECKART_UNROLL                                                                               \
      for (std::size_t i = 0; i < Rows; ++i) {                                                    \
        whole const a =                                                                           \
            *reinterpret_cast<unaligned const*>(x + static_cast<index_t>(i) * ldx + p);           \
        ECKART_UNROLL                                                                             \
        for (std::size_t j = 0; j < 4; ++j) {                                                     \
          sum[i][j] += a * b[j];                                                                  \
        }                                                                                         \
      }                                                                                           \
    }                                                                                             \
    if (p > 0 && p < k) {                                                                         \
      bits const mask = *reinterpret_cast<simd::unaligned_bits const*>(last_lanes.data() +        \
                                                                       (16 - (lanes)) + (k - p)); \
      p = k - (lanes);                                                                            \
      ECKART_UNROLL                                                                               \
      for (std::size_t j = 0; j < 4; ++j) {                                                       \
        whole const all =                                                                         \
            *reinterpret_cast<unaligned const*>(w + static_cast<index_t>(j) * ldw + p);           \
        b[j] = __builtin_bit_cast(whole, __builtin_bit_cast(bits, all) & mask);                   \
      }                                                                                           \
      ECKART_UNROLL                                                                               \
      for (std::size_t i = 0; i < Rows; ++i) {                                                    \
        whole const all =                                                                         \
            *reinterpret_cast<unaligned const*>(x + static_cast<index_t>(i) * ldx + p);           \
        auto const a = __builtin_bit_cast(whole, __builtin_bit_cast(bits, all) & mask);           \
        ECKART_UNROLL                                                                             \
        for (std::size_t j = 0; j < 4; ++j) {                                                     \
          sum[i][j] += a * b[j];                                                                  \
        }                                                                                         \
      }                                                                                           \
      p = k;                                                                                      \
    }                                                                                             \
    ECKART_UNROLL                                                                                 \
    for (std::size_t i = 0; i < Rows; ++i) {                                                      \
      put_totals(add_quarters(sum[i][0]), add_quarters(sum[i][1]), add_quarters(sum[i][2]),       \
                 add_quarters(sum[i][3]), sums[i]);                                               \
    }                                                                                             \
    if (p < k) { /* fewer numbers than lanes */                                                   \
      dot_plain<Rows>(x, ldx, w, ldw, k, ahead, sums);                                            \
    }                                                                                             \
  }

// One row of x with one row of w after the other: the processor's own reading ahead follows one
// place in memory, up to the end of each page, and requests take it across. Sums are added in the
// same order as by the kernels above.
#define ECKART_DOT_ONE(name, of_rows, instructions, lanes)                                    \
  [[gnu::target(instructions)]] inline void name(float const* x, index_t ldx, float const* w, \
                                                 index_t ldw, index_t k, read_ahead ahead,    \
                                                 dot_sums& sums) {                            \
    using unaligned = simd_vector<lanes>::unaligned;                                          \
    if (k % (lanes) != 0) {                                                                   \
      of_rows<1>(x, ldx, w, ldw, k, ahead, sums);                                             \
      return;                                                                                 \
    }                                                                                         \
    simd_quarter four[4];                                                                     \
    for (std::size_t j = 0; j < 4; ++j) {                                                     \
      simd_vector<lanes>::whole sum{};                                                        \
      for (index_t p = 0; p < k; p += (lanes)) {                                              \
        __builtin_prefetch(w + p + one_row_ahead, 0, 2);                                      \
        sum += *reinterpret_cast<unaligned const*>(x + p) *                                   \
               *reinterpret_cast<unaligned const*>(w + p);                                    \
      }                                                                                       \
      four[j] = add_quarters(sum);                                                            \
      w += ldw;                                                                               \
    }                                                                                         \
    put_totals(four[0], four[1], four[2], four[3], sums[0]);                                  \
  }

ECKART_DOT_KERNEL(dot_avx512, "avx512f", 16)
ECKART_DOT_KERNEL(dot_avx2, "avx2,fma", 8)
ECKART_DOT_ONE(dot_one_avx512, dot_avx512, "avx512f", 16)
ECKART_DOT_ONE(dot_one_avx2, dot_avx2, "avx2,fma", 8)

#undef ECKART_DOT_ONE
#undef ECKART_DOT_KERNEL
#undef ECKART_UNROLL
#endif

/// The kernels of an instruction set; AVX2 has registers for two rows of x at once.
inline auto kernels_of(simd_level level) -> dot_kernels {
#ifdef ECKART_HAS_X86_KERNELS
  if (level == simd_level::avx512) {
    return {4, {dot_one_avx512, dot_avx512<2>, dot_avx512<3>, dot_avx512<4>}};
  }
  if (level == simd_level::avx2) {
    return {2, {dot_one_avx2, dot_avx2<2>, nullptr, nullptr}};
  }
#else
  (void)level;
#endif
  return {4, {dot_plain<1>, dot_plain<2>, dot_plain<3>, dot_plain<4>}};
}

inline auto best_kernels() -> dot_kernels const& {
  static auto const kernels = kernels_of(processor_level().value_or(simd_level::sse));
  return kernels;
}

/// What to ask for while the tile at w is multiplied. Where the rows follow each other without a
/// gap, memory comes fastest in the order of its addresses, a few lines ahead; else the next tile,
/// row by row. The order of the rows in a tile would be four places at once: half as fast.
inline auto ahead_of(float const* w, index_t ldw, index_t k) -> read_ahead {
  constexpr index_t line = 16;
  constexpr index_t lines_ahead = 32;
  auto const* const next = w + weight_tile * ldw;
  return ldw == k ? read_ahead{next + lines_ahead * line, weight_tile, line}
                  : read_ahead{next, 1, ldw};
}

/// Tiles that stay in the second cache while one group of rows after the other meets them.
inline auto tiles_in_cache(index_t k) -> index_t {
  constexpr index_t numbers = 1 << 16;  // 256 KiB
  return std::max<index_t>(1, numbers / (weight_tile * std::max<index_t>(1, k)));
}

/// y_j = alpha sum_j + beta y_j for a tile: all are read before one is written, as vectors want it.
template <index_t Tile>
void put_tile(float alpha, float const* sums, float beta, float* y) {
  std::array<float, static_cast<std::size_t>(Tile)> result{};
  if (beta != 0) {
    for (index_t j = 0; j < Tile; ++j) {
      result[static_cast<std::size_t>(j)] = beta * y[j];
    }
  }
  for (index_t j = 0; j < Tile; ++j) {
    result[static_cast<std::size_t>(j)] += alpha * sums[j];
  }
  std::copy_n(result.data(), Tile, y);
}

/// y = alpha x w^T + beta y for the rows of w from `first` to `last`. Each sum is added up in the
/// same order whatever the number of rows and threads.
inline void multiply_rows(dot_kernels const& kernels, float alpha, matrix_view<float const> x,
                          matrix_view<float const> w, float beta, matrix_view<float> y,
                          index_t first, index_t last) {
  dot_sums sums{};
  // The last tile starts early enough to be whole. With fewer rows than a tile there is none that
  // is whole: then a tile is one row, four times.
  auto const whole = w.rows >= weight_tile;
  auto const step = whole ? weight_tile : index_t{1};
  auto const block = step * tiles_in_cache(x.cols);
  for (index_t from_row = first; from_row < last; from_row += block) {
    auto const to_row = std::min(last, from_row + block);
    for (index_t i = 0; i < x.rows; i += kernels.group) {
      auto const rows = std::min(kernels.group, x.rows - i);
      auto const kernel = kernels.of_rows[static_cast<std::size_t>(rows - 1)];
      for (index_t at = from_row; at < to_row; at += step) {
        auto const from = whole ? std::min(at, w.rows - weight_tile) : at;
        auto const* const tile = w.data + from * w.ld;
        auto const ahead = i == 0 ? ahead_of(tile, w.ld, x.cols) : read_ahead{tile};
        kernel(x.data + i * x.ld, x.ld, tile, whole ? w.ld : 0, x.cols, ahead, sums);
        auto const end = std::min(at + step, to_row);
        for (index_t r = 0; r < rows; ++r) {
          auto const& row = sums[static_cast<std::size_t>(r)];
          if (at == from && end == from + weight_tile) {
            put_tile<weight_tile>(alpha, row.data(), beta, &y(i + r, at));
            continue;
          }
          for (index_t j = at; j < end; ++j) {
            auto const sum = alpha * row[static_cast<std::size_t>(j - from)];
            auto& to = y(i + r, j);
            to = beta == 0 ? sum : beta * to + sum;
          }
        }
      }
    }
  }
}

/// y = alpha x w^T + beta y with x (rows, k), w (n, k), y (rows, n); y is not read where beta is 0.
/// 2 rows n k FLOPs, on all threads where w is large enough to be worth it.
inline void few_rows_product(dot_kernels const& kernels, float alpha, matrix_view<float const> x,
                             matrix_view<float const> w, float beta, matrix_view<float> y) {
  parallel_pieces(w.rows, weight_tile, std::max<index_t>(1, w.cols) * x.rows,
                  [&](index_t first, index_t last) {
                    multiply_rows(kernels, alpha, x, w, beta, y, first, last);
                  });
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
