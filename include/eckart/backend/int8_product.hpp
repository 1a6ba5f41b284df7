#pragma once

#include "eckart/backend/few_rows.hpp"
#include "eckart/backend/int8_tiles.hpp"
#include "eckart/backend/row_kernels.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

/// y = x W^T with W in 8 bits a number and a scale for each row, a quarter of the memory that
/// floats take. The rows of x are rounded to 8 bits as well, each with a scale of its own, so that
/// sums are of whole numbers: with VNNI one instruction adds up 64 products. x enters as 128 + x /
/// scale, which has no sign, as the instruction wants it: 128 times the sum of a row of W is taken
/// off.
namespace eckart {
inline namespace v0 {
namespace detail {

/// Scalar products of rows of x with 4 rows of w, `length` bytes each: sums[i][j] = x_i w_j.
using int8_sums = std::array<std::array<std::int32_t, 4>, 4>;
using int8_kernel = void (*)(unsigned char const* x, std::int8_t const* w, index_t length,
                             int8_sums& sums);

/// The textbook's loop, for all processors.
template <std::size_t Rows>
void int8_plain(unsigned char const* x, std::int8_t const* w, index_t length, int8_sums& sums) {
  for (std::size_t i = 0; i < Rows; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      std::int32_t sum = 0;
      auto const* a = x + static_cast<index_t>(i) * length;
      auto const* b = w + static_cast<index_t>(j) * length;
      for (index_t p = 0; p < length; ++p) {
        sum += static_cast<std::int32_t>(a[p]) * static_cast<std::int32_t>(b[p]);
      }
      sums[i][j] = sum;
    }
  }
}

#ifdef ECKART_HAS_X86_KERNELS

template <std::size_t Rows>
[[gnu::target("avx512f,avx512bw,avx512vnni")]] void int8_vnni(unsigned char const* x,
                                                              std::int8_t const* w, index_t length,
                                                              int8_sums& sums) {
  using whole = simd_vector<16>::bits;
  using unaligned = simd_vector<16>::unaligned_bits;
  constexpr index_t lines_ahead = 32;
  whole sum[Rows][4] = {};
  auto const* ahead = w + 4 * length + lines_ahead * int8_line;
  for (index_t p = 0; p < length; p += int8_line) {
    whole b[4];
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j) {
      b[j] = *reinterpret_cast<unaligned const*>(w + static_cast<index_t>(j) * length + p);
      __builtin_prefetch(ahead);
      ahead += int8_line;
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < Rows; ++i) {
      whole const a = *reinterpret_cast<unaligned const*>(x + static_cast<index_t>(i) * length + p);
#pragma GCC unroll 4
      for (std::size_t j = 0; j < 4; ++j) {
        sum[i][j] = add_byte_products(sum[i][j], a, b[j]);
      }
    }
  }
  for (std::size_t i = 0; i < Rows; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      using quarter [[gnu::vector_size(16)]] = int;
      quarter parts[4];
      __builtin_memcpy(parts, &sum[i][j], sizeof parts);
      quarter const four = (parts[0] + parts[1]) + (parts[2] + parts[3]);
      sums[i][j] = (four[0] + four[1]) + (four[2] + four[3]);
    }
  }
}

#endif

/// A kernel for each number of rows of x, 1 to 4.
using int8_kernels = std::array<int8_kernel, 4>;

inline constexpr int8_kernels plain_int8_kernels{int8_plain<1>, int8_plain<2>, int8_plain<3>,
                                                 int8_plain<4>};

inline auto best_int8_kernels() -> int8_kernels const& {
  static auto const kernels = [] {
#ifdef ECKART_HAS_X86_KERNELS
    if (int8_lanes::exist()) {
      return int8_kernels{int8_vnni<1>, int8_vnni<2>, int8_vnni<3>, int8_vnni<4>};
    }
#endif
    return plain_int8_kernels;
  }();
  return kernels;
}

/// x (rows, n) in bytes, int8_length(n) a row, and a scale for each row.
inline void to_byte_rows(matrix_view<float const> x, unsigned char* bytes, float* scales) {
  auto const length = int8_length(x.cols);
  parallel_rows(x.rows, x.cols, [&](index_t first, index_t last) {
    for (index_t i = first; i < last; ++i) {
      auto* const row = bytes + i * length;
      scales[i] = best_row_kernels().to_bytes(x.data + i * x.ld, x.cols, row);
      std::fill(row + x.cols, row + length, static_cast<unsigned char>(0));
    }
  });
}

/// y (rows, m) = x W^T + beta y with W (m, n) and x (rows, n) as to_byte_rows gives it; y is not
/// read where beta is 0. Sums are exact up to n = 66,000. 2 m n operations a row, on all threads
/// where it is worth waking them.
inline void int8_product(int8_kernels const& kernels, unsigned char const* x, float const* x_scales,
                         int8_weights const& w, float beta, matrix_view<float> y) {
  auto const length = w.ld();
  auto const multiply = [&](index_t first, index_t last) {
    constexpr index_t bytes_in_cache = 1 << 17;
    auto const block =
        std::max<index_t>(1, bytes_in_cache / (4 * std::max<index_t>(1, length))) * 4;
    int8_sums sums{};
    for (index_t from_row = first; from_row < last; from_row += block) {
      auto const to_row = std::min(last, from_row + block);
      for (index_t i = 0; i < y.rows; i += 4) {
        auto const rows = std::min<index_t>(4, y.rows - i);
        auto const kernel = kernels[static_cast<std::size_t>(rows - 1)];
        for (index_t at = from_row; at < to_row; at += 4) {
          kernel(x + i * length, w.data + at * length, length, sums);
          for (index_t r = 0; r < rows; ++r) {
            for (index_t j = at; j < std::min(at + 4, to_row); ++j) {
              auto const sum = sums[static_cast<std::size_t>(r)][static_cast<std::size_t>(j - at)] -
                               128 * w.sums[j];
              auto const value = static_cast<float>(sum) * (x_scales[i + r] * w.scales[j]);
              auto& to = y(i + r, j);
              to = beta == 0 ? value : beta * to + value;
            }
          }
        }
      }
    }
  };
  parallel_pieces(w.rows, 4, std::max<index_t>(1, length / 4) * y.rows, multiply);
}

/// The same by what is fastest here.
inline void best_int8_product(unsigned char const* x, float const* x_scales, int8_weights const& w,
                              float beta, matrix_view<float> y) {
#ifdef ECKART_HAS_INT8_TILES
  if (y.rows >= int8_tiles::from_rows && int8_tiles::exist()) {
    return int8_panel_product<int8_tiles>(x, x_scales, w, beta, y);
  }
#endif
#ifdef ECKART_HAS_X86_KERNELS
  if (y.rows >= int8_lanes::from_rows && int8_lanes::exist()) {
    return int8_panel_product<int8_lanes>(x, x_scales, w, beta, y);
  }
#endif
  int8_product(best_int8_kernels(), x, x_scales, w, beta, y);
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
