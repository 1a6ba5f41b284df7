#pragma once

#include "eckart/backend/few_rows.hpp"
#include "eckart/core/allocator.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

/// Products y = x W^T with more rows than packed_rows.hpp takes: an encoder, a calibration. 32 rows
/// of x at a time are brought into an order where one number of W meets vectors of them; W is read
/// as it lies, 12 rows at once. BLAS brings both into an order of its own.
namespace eckart {
inline namespace v0 {
namespace detail {

inline constexpr index_t many_rows_from = 33;  ///< rows of x
inline constexpr index_t panel_rows = 32;      ///< rows of x that are multiplied at once
inline constexpr index_t panel_tile = 12;      ///< rows of W that are

/// Numbers of a row that are added up before they go to y, and rows of x that then stay in the
/// second cache.
inline constexpr index_t panel_depth = 768;
inline constexpr index_t panels_at_once = 16;

/// Rows of W for which all panels are gone through: y gets whole lines.
inline constexpr index_t panel_strip = 4 * panel_tile;

/// What is added to a product: factor z, with one row for all where ld is 0. z is not read where
/// the factor is 0.
struct addend {
  float factor;
  float const* z;
  index_t ld;

  auto from(index_t row, index_t column) const -> addend {
    return addend{factor, z + row * ld + column, ld};
  }
};

/// Where the sums of a tile go: y = alpha sums + what is added, for `rows` rows of y and columns
/// from `skipped` on.
struct panel_target {
  float* y;
  index_t ldy;
  index_t rows;
  index_t skipped;
  float alpha;
  addend added;
};

/// Rows of W that are multiplied soon.
struct rows_ahead {
  float const* at;
  index_t ld;
};

#ifdef ECKART_HAS_X86_KERNELS

#ifdef __clang__
#define ECKART_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ECKART_UNROLL _Pragma("GCC unroll 16")
#endif

using simd_sixteen = simd_vector<16>::whole;

/// Places, in two vectors side by side, of the lanes that an exchange makes of them.
constexpr auto upper_lane(int distance, int lane) -> int {
  return (lane & distance) == 0 ? lane : 16 + lane - distance;
}
constexpr auto lower_lane(int distance, int lane) -> int {
  return (lane & distance) == 0 ? lane + distance : 16 + lane;
}

/// Exchanges the blocks beside the diagonal of a square of 2 Distance rows and columns. (nvcc does
/// not take a pack of lanes here.)
template <std::size_t Distance>
[[gnu::target("avx512f"), gnu::always_inline]] inline void exchange(simd_sixteen& a,
                                                                    simd_sixteen& b) {
  constexpr int d = Distance;
  simd_sixteen const upper = __builtin_shufflevector(
      a, b, upper_lane(d, 0), upper_lane(d, 1), upper_lane(d, 2), upper_lane(d, 3),
      upper_lane(d, 4), upper_lane(d, 5), upper_lane(d, 6), upper_lane(d, 7), upper_lane(d, 8),
      upper_lane(d, 9), upper_lane(d, 10), upper_lane(d, 11), upper_lane(d, 12), upper_lane(d, 13),
      upper_lane(d, 14), upper_lane(d, 15));
  b = __builtin_shufflevector(
      a, b, lower_lane(d, 0), lower_lane(d, 1), lower_lane(d, 2), lower_lane(d, 3),
      lower_lane(d, 4), lower_lane(d, 5), lower_lane(d, 6), lower_lane(d, 7), lower_lane(d, 8),
      lower_lane(d, 9), lower_lane(d, 10), lower_lane(d, 11), lower_lane(d, 12), lower_lane(d, 13),
      lower_lane(d, 14), lower_lane(d, 15));
  a = upper;
}

template <std::size_t Distance>
[[gnu::target("avx512f"), gnu::always_inline]] inline void exchange_all(
    std::array<simd_sixteen, 16>& square) {
  ECKART_UNROLL
  for (std::size_t i = 0; i < 16; ++i) {
    if ((i & Distance) == 0) {
      exchange<Distance>(square[i], square[i + Distance]);
    }
  }
}

/// The transpose of 16 vectors of 16 numbers.
[[gnu::target("avx512f"), gnu::always_inline]] inline void transpose_square(
    std::array<simd_sixteen, 16>& square) {
  exchange_all<8>(square);
  exchange_all<4>(square);
  exchange_all<2>(square);
  exchange_all<1>(square);
}

/// packed[p * 16 Vectors + i] = x(i, p) for p < k, zeros for the rows that x does not have.
template <std::size_t Vectors>
[[gnu::target("avx512f")]] void pack_panel(float const* x, index_t ldx, index_t rows, index_t k,
                                           float* packed) {
  constexpr index_t lanes = 16;
  constexpr auto width = static_cast<index_t>(Vectors) * lanes;
  using unaligned = simd_vector<lanes>::unaligned;
  for (index_t first = 0; first < width; first += lanes) {
    index_t p = 0;
    for (; p + lanes <= k; p += lanes) {
      std::array<simd_sixteen, 16> square;
      ECKART_UNROLL
      for (index_t i = 0; i < lanes; ++i) {
        square[static_cast<std::size_t>(i)] =
            first + i < rows ? *reinterpret_cast<unaligned const*>(x + (first + i) * ldx + p)
                             : simd_sixteen{};
      }
      transpose_square(square);
      ECKART_UNROLL
      for (index_t q = 0; q < lanes; ++q) {
        *reinterpret_cast<unaligned*>(packed + (p + q) * width + first) =
            square[static_cast<std::size_t>(q)];
      }
    }
    for (; p < k; ++p) {
      for (index_t i = 0; i < lanes; ++i) {
        packed[p * width + first + i] = first + i < rows ? x[(first + i) * ldx + p] : 0.0F;
      }
    }
  }
}

/// Writes 12 numbers of row i of y.
[[gnu::target("avx512f"), gnu::always_inline]] inline void put_sums(simd_sixteen sums, index_t i,
                                                                    panel_target const& to) {
  using eight = simd_vector<8>::unaligned;
  using four = simd_vector<4>::unaligned;
  auto* const y = to.y + i * to.ldy;
  auto const* const z = to.added.z + i * to.added.ld;
  auto const beta = to.added.factor;
  sums *= to.alpha;
  if (to.skipped > 0) {
    for (index_t j = to.skipped; j < panel_tile; ++j) {
      auto const sum = sums[static_cast<std::size_t>(j)];
      y[j] = beta == 0 ? sum : beta * z[j] + sum;
    }
    return;
  }
  auto head = __builtin_shufflevector(sums, sums, 0, 1, 2, 3, 4, 5, 6, 7);
  auto tail = __builtin_shufflevector(sums, sums, 8, 9, 10, 11);
  if (beta != 0) {
    head += beta * *reinterpret_cast<eight const*>(z);
    tail += beta * *reinterpret_cast<four const*>(z + 8);
  }
  *reinterpret_cast<eight*>(y) = head;
  *reinterpret_cast<four*>(y + 8) = tail;
}

/// y(i, j) = alpha x_i w_j + what is added, for a panel of 16 Vectors rows of x and panel_tile rows
/// of w; meanwhile asks for as many rows that come next, in the order of their addresses.
template <std::size_t Vectors, bool Ahead>
[[gnu::target("avx512f")]] void multiply_panel(float const* packed, float const* w, index_t ldw,
                                               index_t k, rows_ahead next, panel_target const& to) {
  using unaligned = simd_vector<16>::unaligned;
  constexpr index_t lanes = 16;
  constexpr std::size_t tile = panel_tile;
  std::array<std::array<simd_sixteen, Vectors>, tile> sum{};
  for (index_t i = 0; i < to.rows; ++i) {
    __builtin_prefetch(to.y + i * to.ldy, 1, 2);
  }
  index_t next_column = 0;
  for (index_t p = 0; p < k; ++p) {
    constexpr index_t ahead = 16;  // numbers of each row
    if constexpr (Ahead) {
      __builtin_prefetch(next.at + next_column, 0, 2);
      next_column += lanes;
      if (next_column >= k) {
        next_column = 0;
        next.at += next.ld;
      }
    }
    auto const* const column = packed + p * static_cast<index_t>(Vectors) * lanes;
    std::array<simd_sixteen, Vectors> a;
    ECKART_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v) {
      auto const* const from = column + static_cast<index_t>(v) * lanes;
      __builtin_prefetch(from + ahead * static_cast<index_t>(Vectors) * lanes);
      a[v] = *reinterpret_cast<unaligned const*>(from);
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
    std::array<simd_sixteen, 16> square{};
    ECKART_UNROLL
    for (std::size_t j = 0; j < tile; ++j) {
      square[j] = sum[j][v];
    }
    transpose_square(square);
    ECKART_UNROLL
    for (index_t i = 0; i < lanes; ++i) {
      auto const row = static_cast<index_t>(v) * lanes + i;
      if (row < to.rows) {
        put_sums(square[static_cast<std::size_t>(i)], row, to);
      }
    }
  }
}

#undef ECKART_UNROLL

inline auto has_panel_kernels() -> bool {
  static bool const has_registers = processor_level() == simd_level::avx512;
  return has_registers;
}

/// A panel with as few vectors as its rows need.
inline void pack_rows_of_panel(matrix_view<float const> x, float* packed) {
  (x.rows > panel_rows / 2 ? pack_panel<2> : pack_panel<1>)(x.data, x.ld, x.rows, x.cols, packed);
}
inline void multiply_rows_of_panel(float const* packed, float const* w, index_t ldw, index_t k,
                                   rows_ahead next, panel_target const& to) {
  auto const kernel =
      to.rows > panel_rows / 2
          ? (next.at != nullptr ? multiply_panel<2, true> : multiply_panel<2, false>)
          : (next.at != nullptr ? multiply_panel<1, true> : multiply_panel<1, false>);
  kernel(packed, w, ldw, k, next, to);
}
#else
inline auto has_panel_kernels() -> bool {
  return false;
}
inline void pack_rows_of_panel(matrix_view<float const>, float*) {}
inline void multiply_rows_of_panel(float const*, float const*, index_t, index_t, rows_ahead,
                                   panel_target const&) {}
#endif

inline auto can_multiply_panels(shape2 y) -> bool {
  return y.rows >= many_rows_from && y.cols >= panel_tile && has_panel_kernels();
}

/// Memory of a thread for panels of x, and for a strip of W.
struct panel_memory {
  std::vector<float, allocator<float>> packed;
  std::vector<float, allocator<float>> strip;

  panel_memory()
      : packed(static_cast<std::size_t>(panels_at_once * panel_rows * panel_depth)),
        strip(static_cast<std::size_t>(panel_strip * panel_depth)) {}
};

/// Rows of W whose distance is a multiple of 4096 bytes push each other out of the first cache:
/// these are copied side by side.
inline auto collide(index_t ld) -> bool {
  return ld % 1024 == 0;
}

/// y = alpha packed w^T + what is added, for at most panels_at_once panels and panel_depth numbers.
inline void multiply_panels(float alpha, panel_memory& memory, matrix_view<float const> w,
                            addend added, matrix_view<float> y) {
  auto const k = w.cols;
  auto const last_tile = w.rows - panel_tile;
  bool const is_apart = collide(w.ld);
  for (index_t strip = 0; strip < w.rows; strip += panel_strip) {
    auto const end = std::min(w.rows, strip + panel_strip);
    auto const first = std::min(strip, last_tile);  // which is whole
    auto from = w.row_range(first, end - first);
    if (is_apart) {
      matrix_view<float> const beside(memory.strip.data(), from.rows, k);
      copy(from, beside);
      from = beside;
    }
    for (index_t i = 0; i < y.rows; i += panel_rows) {
      auto const rows = std::min(panel_rows, y.rows - i);
      for (index_t j = strip; j < end; j += panel_tile) {
        auto const at = std::min(j, end - panel_tile);
        // The processor reads ahead within rows, and not from row to row where they are long.
        bool const asks = i + panel_rows >= y.rows && at + panel_strip <= last_tile;
        rows_ahead const next{asks ? w.data + (at + panel_strip) * w.ld : nullptr, w.ld};
        multiply_rows_of_panel(
            memory.packed.data() + i * k, from.data + (at - first) * from.ld, from.ld, k, next,
            panel_target{y.data + i * y.ld + at, y.ld, rows, j - at, alpha, added.from(i, at)});
      }
    }
  }
}

/// y = alpha x w^T + what is added, on one thread.
inline void multiply_rows(float alpha, matrix_view<float const> x, matrix_view<float const> w,
                          addend added, matrix_view<float> y) {
  static thread_local panel_memory memory;
  constexpr auto rows_at_once = panels_at_once * panel_rows;
  auto const parts = (x.cols + panel_depth - 1) / panel_depth;
  auto const depth = (x.cols + 16 * parts - 1) / (16 * parts) * 16;
  for (index_t first = 0; first < x.rows; first += rows_at_once) {
    auto const to = y.row_range(first, std::min(rows_at_once, x.rows - first));
    auto before = added.from(first, 0);
    for (index_t p = 0; p < x.cols; p += depth) {
      auto const numbers = std::min(depth, x.cols - p);
      for (index_t i = 0; i < to.rows; i += panel_rows) {
        pack_rows_of_panel(x.block(first + i, p, std::min(panel_rows, to.rows - i), numbers),
                           memory.packed.data() + i * numbers);
      }
      multiply_panels(alpha, memory, w.col_range(p, numbers), before, to);
      before = addend{1, to.data, to.ld};
    }
  }
}

/// y = alpha x w^T + what is added, with x (rows, k), w (n, k), y (rows, n), k >= 1, where
/// can_multiply_panels(y.shape()). 2 rows n k FLOPs, on all threads.
inline void many_rows_product(float alpha, matrix_view<float const> x, matrix_view<float const> w,
                              addend added, matrix_view<float> y) {
  auto const workers = worker_count();
  // Whole panels for each worker; where there are too few, parts of w for several workers.
  auto const panels = (x.rows + panel_rows - 1) / panel_rows;
  auto const row_pieces = std::min(workers, panels);
  auto const rows = (panels + row_pieces - 1) / row_pieces * panel_rows;
  auto const strips = (w.rows + panel_strip - 1) / panel_strip;
  auto const column_pieces = std::min((workers + row_pieces - 1) / row_pieces, strips);
  auto const columns = (strips + column_pieces - 1) / column_pieces * panel_strip;
  // The last part takes a rest of less than a tile.
  auto const across = (w.rows + columns - panel_tile) / columns;
  parallel_for((x.rows + rows - 1) / rows * across, [&](index_t piece) {
    auto const i = piece / across * rows;
    auto const j = piece % across * columns;
    auto const height = std::min(rows, x.rows - i);
    auto const width = piece % across + 1 < across ? columns : w.rows - j;
    multiply_rows(alpha, x.row_range(i, height), w.row_range(j, width), added.from(i, j),
                  y.block(i, j, height, width));
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
