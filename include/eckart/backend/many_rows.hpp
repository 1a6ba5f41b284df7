#pragma once

#include "eckart/backend/few_rows.hpp"
#include "eckart/core/allocator.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

/// Products y = x w with more rows than packed_rows.hpp takes: an encoder, a calibration. 64
/// columns of w at a time are brought into an order where one number of x meets vectors of them; x
/// is read as it lies, 6 rows at once. BLAS brings both into an order of its own.
namespace eckart {
inline namespace v0 {
namespace detail {

inline constexpr index_t many_rows_from = 33;    ///< rows of x
inline constexpr index_t many_columns_from = 8;  ///< columns of w
inline constexpr index_t strip_vectors = 4;      ///< of 16 columns of w that are multiplied at once
inline constexpr index_t strip_lanes = 16;
inline constexpr index_t strip_width = strip_vectors * strip_lanes;
inline constexpr index_t strip_tile = 6;  ///< rows of x that are multiplied at once

/// Numbers of a row that are added up before they go to y: a strip takes a fifth of the second
/// cache.
inline constexpr index_t strip_depth = 768;

/// Rows of x for which all strips are gone through: these stay in the third cache.
inline constexpr index_t strip_rows = 512;

/// What is added to a product: factor z, with one row for all where ld is 0. z is not read where
/// the factor is 0.
struct tile_addend {
  float factor;
  float const* z;
  index_t ld;

  auto from(index_t row, index_t column) const -> tile_addend {
    return tile_addend{factor, z + row * ld + column, ld};
  }
};

/// Where the sums of a tile go: y = alpha sums + what is added.
struct tile_target {
  float* y;
  index_t ldy;
  float alpha;
  tile_addend added;
};

/// w (k, n), or w^T as it lies in memory.
struct right_factor {
  matrix_view<float const> stored;
  bool is_transposed;

  auto k() const -> index_t { return is_transposed ? stored.cols : stored.rows; }
  auto n() const -> index_t { return is_transposed ? stored.rows : stored.cols; }
  auto block(index_t p, index_t j, index_t depth, index_t width) const -> right_factor {
    return {is_transposed ? stored.block(j, p, width, depth) : stored.block(p, j, depth, width),
            is_transposed};
  }
};

/// Memory that is read soon, asked for line by line in the order of its addresses.
struct memory_ahead {
  matrix_view<float const> rest;
  index_t column = 0;

  auto lines() const -> index_t {
    return rest.rows * ((rest.cols + strip_lanes - 1) / strip_lanes);
  }
  void ask() {
    if (rest.rows == 0) {
      return;
    }
    __builtin_prefetch(rest.data + column, 0, 2);
    column += strip_lanes;
    if (column >= rest.cols) {
      column = 0;
      rest.data += rest.ld;
      --rest.rows;
    }
  }
};

/// Numbers of x after which some lines are asked for.
inline constexpr index_t asking_distance = 16;

#ifdef ECKART_HAS_X86_KERNELS

#ifdef __clang__
#define ECKART_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ECKART_UNROLL _Pragma("GCC unroll 16")
#endif

/// strip[p * width + j] = w(p, j), zeros for the columns that w does not have.
inline void pack_columns(matrix_view<float const> w, index_t width, float* strip) {
  for (index_t p = 0; p < w.rows; ++p) {
    std::copy_n(w.data + p * w.ld, w.cols, strip + p * width);
    std::fill(strip + p * width + w.cols, strip + (p + 1) * width, 0.0F);
  }
}

/// y(i, j) = alpha x_i w_j + what is added, for 6 rows of x and the columns of w in a strip of
/// Vectors vectors; meanwhile asks for memory that is read next.
template <std::size_t Vectors>
[[gnu::target("avx512f")]] void multiply_strip(float const* x, index_t ldx, float const* strip,
                                               index_t k, memory_ahead& next, index_t asks,
                                               tile_target const& to) {
  using unaligned = simd_vector<strip_lanes>::unaligned;
  constexpr auto width = static_cast<index_t>(Vectors) * strip_lanes;
  constexpr std::size_t tile = strip_tile;
  constexpr index_t columns_ahead = 12;
  std::array<std::array<simd_sixteen, Vectors>, tile> sum{};
  for (index_t i = 0; i < strip_tile; ++i) {
    for (index_t j = 0; j < width; j += strip_lanes) {
      __builtin_prefetch(to.y + i * to.ldy + j, 1);
    }
  }
  for (index_t p = 0; p < k; ++p) {
    if (p % asking_distance == 0) {
      for (index_t i = 0; i < asks; ++i) {
        next.ask();
      }
    }
    std::array<simd_sixteen, Vectors> w;
    ECKART_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v) {
      auto const* const from = strip + p * width + static_cast<index_t>(v) * strip_lanes;
      __builtin_prefetch(from + columns_ahead * width);
      w[v] = *reinterpret_cast<unaligned const*>(from);
    }
    ECKART_UNROLL
    for (std::size_t i = 0; i < tile; ++i) {
      float const a = x[static_cast<index_t>(i) * ldx + p];
      ECKART_UNROLL
      for (std::size_t v = 0; v < Vectors; ++v) {
        sum[i][v] += a * w[v];
      }
    }
  }
  auto const beta = to.added.factor;
  ECKART_UNROLL
  for (std::size_t i = 0; i < tile; ++i) {
    ECKART_UNROLL
    for (std::size_t v = 0; v < Vectors; ++v) {
      auto const row = static_cast<index_t>(i);
      auto const at = static_cast<index_t>(v) * strip_lanes;
      simd_sixteen s = sum[i][v] * to.alpha;
      if (beta != 0) {
        s += beta * *reinterpret_cast<unaligned const*>(to.added.z + row * to.added.ld + at);
      }
      *reinterpret_cast<unaligned*>(to.y + row * to.ldy + at) = s;
    }
  }
}

#undef ECKART_UNROLL

inline auto has_strip_kernels() -> bool {
  static bool const has_registers = processor_level() == simd_level::avx512;
  return has_registers;
}

using strip_kernel = decltype(&multiply_strip<1>);

inline auto kernel_of_strip(index_t width) -> strip_kernel {
  constexpr std::array<strip_kernel, strip_vectors> kernels{multiply_strip<1>, multiply_strip<2>,
                                                            multiply_strip<3>, multiply_strip<4>};
  return kernels[static_cast<std::size_t>(width / strip_lanes - 1)];
}

/// Brings w (k, columns) into the order of a strip.
inline void pack_strip(right_factor const& w, index_t width, float* strip) {
  (w.is_transposed ? interleave_rows : pack_columns)(w.stored, width, strip);
}

/// As the kernel of the strip, of which the last `rows` rows and the first `columns` columns go to
/// y.
inline void multiply_part(float const* x, index_t ldx, float const* strip, index_t width, index_t k,
                          index_t rows, index_t columns, tile_target const& to) {
  std::array<float, static_cast<std::size_t>(strip_tile * strip_width)> sums;
  memory_ahead nothing{};
  kernel_of_strip(width)(x, ldx, strip, k, nothing, 0,
                         tile_target{sums.data(), width, to.alpha, tile_addend{0, nullptr, 0}});
  auto const beta = to.added.factor;
  for (index_t i = strip_tile - rows; i < strip_tile; ++i) {
    for (index_t j = 0; j < columns; ++j) {
      auto const sum = sums[static_cast<std::size_t>(i * width + j)];
      auto& y = to.y[i * to.ldy + j];
      y = beta == 0 ? sum : beta * to.added.z[i * to.added.ld + j] + sum;
    }
  }
}

/// y = alpha x w + what is added, y (rows, at most 64), w in a strip.
inline void multiply_by_strip(float alpha, matrix_view<float const> x, float const* strip,
                              index_t width, memory_ahead next, tile_addend added,
                              matrix_view<float> y) {
  // As late as there are places for: the second cache holds what was asked for, but not through all
  // of x.
  constexpr index_t least_asks = 3;
  auto const places = (x.cols + asking_distance - 1) / asking_distance;  // of a tile
  auto const tiles = x.rows / strip_tile;
  auto const asks = std::max(least_asks, (next.lines() + tiles * places - 1) / (tiles * places));
  auto const asking_tiles = (next.lines() + asks * places - 1) / (asks * places);
  auto const asking_from = (tiles - asking_tiles) * strip_tile;
  auto const kernel = kernel_of_strip(width);
  for (index_t i = 0; i < x.rows; i += strip_tile) {
    auto const at = std::min(i, x.rows - strip_tile);  // of a whole tile
    tile_target const to{y.data + at * y.ld, y.ld, alpha, added.from(at, 0)};
    auto const* const from = x.data + at * x.ld;
    if (at == i && y.cols == width) {
      kernel(from, x.ld, strip, x.cols, next, i < asking_from ? 0 : asks, to);
    } else {
      multiply_part(from, x.ld, strip, width, x.cols, strip_tile - (i - at), y.cols, to);
    }
  }
}
#else
inline auto has_strip_kernels() -> bool {
  return false;
}
inline void pack_strip(right_factor const&, index_t, float*) {}
inline void multiply_by_strip(float, matrix_view<float const>, float const*, index_t, memory_ahead,
                              tile_addend, matrix_view<float>) {}
#endif

inline auto can_multiply_strips(shape2 y) -> bool {
  return y.rows >= many_rows_from && y.cols >= many_columns_from && has_strip_kernels();
}

/// y = alpha x w + what is added for at most strip_rows rows, on one thread.
inline void multiply_strips(float alpha, matrix_view<float const> x, right_factor const& w,
                            tile_addend added, matrix_view<float> y) {
  static thread_local std::vector<float, allocator<float>> strip(
      static_cast<std::size_t>(strip_width * strip_depth));
  auto const parts = (x.cols + strip_depth - 1) / strip_depth;
  auto const depth = (x.cols + 16 * parts - 1) / (16 * parts) * 16;
  auto const part_of = [&](index_t p, index_t j) {
    return w.block(p, j, std::min(depth, w.k() - p), std::min(strip_width, w.n() - j));
  };
  for (index_t j = 0; j < y.cols; j += strip_width) {
    auto before = added.from(0, j);
    for (index_t p = 0; p < x.cols; p += depth) {
      auto const part = part_of(p, j);
      auto const width = (part.n() + strip_lanes - 1) / strip_lanes * strip_lanes;
      pack_strip(part, width, strip.data());
      memory_ahead const next{p + depth < x.cols         ? part_of(p + depth, j).stored
                              : j + strip_width < y.cols ? part_of(0, j + strip_width).stored
                                                         : matrix_view<float const>{}};
      auto const to = y.col_range(j, part.n());
      multiply_by_strip(alpha, x.col_range(p, part.k()), strip.data(), width, next, before, to);
      before = tile_addend{1, to.data, to.ld};
    }
  }
}

/// y = alpha x w + what is added, with x (rows, k), w (k, n), y (rows, n), k >= 1, where
/// can_multiply_strips(y.shape()). 2 rows n k FLOPs, on all threads.
inline void many_rows_product(float alpha, matrix_view<float const> x, right_factor const& w,
                              tile_addend added, matrix_view<float> y) {
  constexpr index_t pieces_of_worker = 4;
  constexpr index_t enough_rows = 64;
  auto const workers = worker_count();
  auto const strips = (y.cols + strip_width - 1) / strip_width;
  // Rows that a worker has multiplied, it reads again in the next layer: x is cut where each worker
  // has enough rows to bring w into order by itself, else w, and both where there are few strips.
  bool const by_rows = x.rows >= workers * enough_rows;
  auto const across = by_rows ? 1 : std::min(workers * pieces_of_worker, strips);
  auto const parts = by_rows ? workers : (workers + strips - 1) / strips;
  auto const rounds = (x.rows + parts * strip_rows - 1) / (parts * strip_rows);
  auto const down = std::min(parts * rounds, x.rows / many_rows_from);
  auto const row_of = [&](index_t piece) { return piece * x.rows / down; };
  auto const column_of = [&](index_t piece) {
    return std::min(y.cols, piece * strips / across * strip_width);
  };
  parallel_for(down * across, [&](index_t piece) {
    auto const i = row_of(piece / across);
    auto const j = column_of(piece % across);
    auto const height = row_of(piece / across + 1) - i;
    auto const width = column_of(piece % across + 1) - j;
    multiply_strips(alpha, x.row_range(i, height), w.block(0, j, w.k(), width), added.from(i, j),
                    y.block(i, j, height, width));
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
