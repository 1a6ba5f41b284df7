#pragma once

#include "eckart/backend/int8_weights.hpp"
#include "eckart/backend/row_kernels.hpp"
#include "eckart/backend/simd.hpp"
#include "eckart/core/allocator.hpp"
#include "eckart/core/parallel.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#if defined(ECKART_HAS_X86_KERNELS) && defined(__linux__)
#define ECKART_HAS_INT8_TILES 1
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/// The products of int8_product.hpp for more than a few rows, where the processor multiplies tiles
/// (AMX): one instruction adds up 16 x 16 sums of 64 products. x is read as it lies, 32 rows of W
/// at a time are brought into the order of the instruction's second operand: line p of a tile has 4
/// bytes of each of 16 rows, 4 p and following.
namespace eckart {
inline namespace v0 {
namespace detail {

inline constexpr index_t int8_tiles_from = 9;  ///< rows of x

#ifdef ECKART_HAS_INT8_TILES

inline constexpr index_t int8_tile = 16;               ///< rows of x, or of W
inline constexpr index_t int8_panel = 2 * int8_tile;   ///< rows of W, and of x, at a time
inline constexpr index_t int8_tile_numbers = 16 * 16;  ///< words of 4 bytes

/// Whether the processor has them and the system lets the process use them, which it asks for.
inline auto has_int8_tiles() -> bool {
  static bool const has = [] {
    constexpr unsigned needed = 1U << 24U | 1U << 25U;  // AMX-TILE, AMX-INT8
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned features = 0;
    if (processor_level() != simd_level::avx512 ||
        __get_cpuid_count(7, 0, &a, &b, &c, &features) == 0 || (features & needed) != needed) {
      return false;
    }
    constexpr long ask_for_state = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long tile_data = 18;
    return syscall(SYS_arch_prctl, ask_for_state, tile_data) == 0;
  }();
  return has;
}

/// The shapes of the tiles while it lives: 0 to 3 are sums, 4 and 5 rows of x, 6 and 7 rows of W.
class int8_tile_shapes {
 public:
  int8_tile_shapes() = default;
  ~int8_tile_shapes() { asm volatile("tilerelease"); }
  int8_tile_shapes(int8_tile_shapes const&) = delete;
  auto operator=(int8_tile_shapes const&) -> int8_tile_shapes& = delete;

  /// For 1 to 32 rows of x.
  void set(index_t rows) {
    if (rows == rows_) {
      return;
    }
    rows_ = rows;
    auto const upper = static_cast<std::uint8_t>(std::min(rows, int8_tile));
    // A tile of no rows would be an error, even if nobody uses it.
    auto const lower = static_cast<std::uint8_t>(std::max<index_t>(1, rows - int8_tile));
    shapes_.rows = {upper, upper, lower, lower, upper, lower, 16, 16};
    asm volatile("ldtilecfg %0" ::"m"(shapes_));
  }

 private:
  struct alignas(64) configuration {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::array<std::uint8_t, 14> reserved{};
    std::array<std::uint16_t, 16> row_bytes{64, 64, 64, 64, 64, 64, 64, 64};
    std::array<std::uint8_t, 16> rows{};
  };
  static_assert(sizeof(configuration) == 64);

  configuration shapes_;
  index_t rows_ = 0;
};

/// 32 rows of W, of which it may lack some, in order, and what goes with them.
struct int8_panel_view {
  float const* words;  // (2, length / 4, 16)
  index_t length;
  alignas(64) std::array<float, int8_panel> scales{};
  alignas(64) std::array<std::int32_t, int8_panel> offsets{};  // 128 times the sum of a row
};

/// sums (rows, 32) of 1 to 32 rows of x with a panel.
inline void int8_tile_sums(unsigned char const* x, index_t rows, int8_panel_view const& w,
                           std::int32_t* sums) {
  constexpr index_t line = int8_line;
  constexpr index_t sums_row = int8_panel * static_cast<index_t>(sizeof(std::int32_t));
  auto const* const lower_x = x + int8_tile * w.length;
  auto const* left = w.words;
  auto const* right = w.words + w.length / 4 * int8_tile;
  asm volatile("tilezero %%tmm0\n tilezero %%tmm1\n" ::);
  if (rows > int8_tile) {
    asm volatile("tilezero %%tmm2\n tilezero %%tmm3\n" ::);
    for (index_t p = 0; p < w.length; p += line) {
      asm volatile(
          "tileloadd (%0,%4,1), %%tmm4\n"
          "tileloadd (%2,%5,1), %%tmm6\n"
          "tdpbusd %%tmm6, %%tmm4, %%tmm0\n"
          "tileloadd (%3,%5,1), %%tmm7\n"
          "tdpbusd %%tmm7, %%tmm4, %%tmm1\n"
          "tileloadd (%1,%4,1), %%tmm5\n"
          "tdpbusd %%tmm6, %%tmm5, %%tmm2\n"
          "tdpbusd %%tmm7, %%tmm5, %%tmm3\n" ::"r"(x + p),
          "r"(lower_x + p), "r"(left), "r"(right), "r"(w.length), "r"(line)
          : "memory");
      left += int8_tile_numbers;
      right += int8_tile_numbers;
    }
    asm volatile(
        "tilestored %%tmm2, (%0,%2,1)\n"
        "tilestored %%tmm3, (%1,%2,1)\n" ::"r"(sums + int8_tile * int8_panel),
        "r"(sums + int8_tile * int8_panel + int8_tile), "r"(sums_row)
        : "memory");
  } else {
    for (index_t p = 0; p < w.length; p += line) {
      asm volatile(
          "tileloadd (%0,%3,1), %%tmm4\n"
          "tileloadd (%1,%4,1), %%tmm6\n"
          "tdpbusd %%tmm6, %%tmm4, %%tmm0\n"
          "tileloadd (%2,%4,1), %%tmm7\n"
          "tdpbusd %%tmm7, %%tmm4, %%tmm1\n" ::"r"(x + p),
          "r"(left), "r"(right), "r"(w.length), "r"(line)
          : "memory");
      left += int8_tile_numbers;
      right += int8_tile_numbers;
    }
  }
  asm volatile(
      "tilestored %%tmm0, (%0,%2,1)\n"
      "tilestored %%tmm1, (%1,%2,1)\n" ::"r"(sums),
      "r"(sums + int8_tile), "r"(sums_row)
      : "memory");
}

/// y (rows, at most 32) = scaled sums (rows, 32) + beta y.
[[gnu::target("avx512f")]] inline void write_int8_sums(std::int32_t const* sums,
                                                       float const* x_scales,
                                                       int8_panel_view const& w, float beta,
                                                       matrix_view<float> y) {
  using whole = simd_vector<16>::bits;
  using unaligned_bits = simd_vector<16>::unaligned_bits;
  using unaligned = simd_vector<16>::unaligned;
  for (index_t i = 0; i < y.rows; ++i) {
    for (index_t j = 0; j < y.cols; j += int8_tile) {
      auto const at = [&](auto const& values) { return values.data() + j; };
      whole const sum = *reinterpret_cast<unaligned_bits const*>(sums + i * int8_panel + j) -
                        *reinterpret_cast<unaligned_bits const*>(at(w.offsets));
      simd_sixteen const scales = x_scales[i] * *reinterpret_cast<unaligned const*>(at(w.scales));
      simd_sixteen value = __builtin_convertvector(sum, simd_sixteen) * scales;
      auto* const to = y.data + i * y.ld + j;
      if (j + int8_tile <= y.cols) {
        if (beta != 0) {
          value += beta * *reinterpret_cast<unaligned const*>(to);
        }
        *reinterpret_cast<unaligned*>(to) = value;
      } else {
        for (index_t v = 0; v < y.cols - j; ++v) {
          to[v] = beta == 0 ? value[v] : beta * to[v] + value[v];
        }
      }
    }
  }
}

/// As int8_product, where has_int8_tiles().
inline void int8_tiles_product(unsigned char const* x, float const* x_scales, int8_weights const& w,
                               float beta, matrix_view<float> y) {
  auto const length = w.ld();
  auto const words = length / 4;
  constexpr index_t bytes_in_cache = 3 << 18;  // of x, for which W is gone through
  auto const at_once =
      std::max<index_t>(1, bytes_in_cache / (int8_panel * std::max(length, int8_line))) *
      int8_panel;
  auto const multiply = [&](index_t first, index_t last) {
    static thread_local std::vector<float, allocator<float>> memory;
    memory.resize(std::max(memory.size(), static_cast<std::size_t>(int8_panel * words)));
    alignas(64) std::array<std::int32_t, static_cast<std::size_t>(int8_panel * int8_panel)> sums;
    int8_tile_shapes shapes;
    for (index_t from = 0; from < y.rows; from += at_once) {
      auto const to = std::min(y.rows, from + at_once);
      for (index_t j = first; j < last; j += int8_panel) {
        auto const columns = std::min(int8_panel, last - j);
        int8_panel_view panel{memory.data(), length};
        for (index_t tile = 0; tile < 2; ++tile) {
          auto const begin = j + std::min(columns, tile * int8_tile);
          auto const rows = std::clamp<index_t>(columns - tile * int8_tile, 0, int8_tile);
          // Words of 4 bytes are moved as floats.
          interleave_rows(
              {reinterpret_cast<float const*>(w.data + begin * length), rows, words, words},
              int8_tile, memory.data() + tile * words * int8_tile);
        }
        for (index_t c = 0; c < columns; ++c) {
          auto const at = static_cast<std::size_t>(c);
          panel.scales[at] = w.scales[j + c];
          panel.offsets[at] = 128 * w.sums[j + c];
        }
        for (index_t i = from; i < to; i += int8_panel) {
          auto const rows = std::min(int8_panel, to - i);
          shapes.set(rows);
          int8_tile_sums(x + i * length, rows, panel, sums.data());
          write_int8_sums(sums.data(), x_scales + i, panel, beta, y.block(i, j, rows, columns));
        }
      }
    }
  };
  parallel_pieces(w.rows, int8_panel, std::max<index_t>(1, length / 32) * y.rows, multiply);
}

#else

inline auto has_int8_tiles() -> bool {
  return false;
}
inline void int8_tiles_product(unsigned char const*, float const*, int8_weights const&, float,
                               matrix_view<float>) {}

#endif

}  // namespace detail
}  // namespace v0
}  // namespace eckart
