#pragma once

#include "eckart/backend/int8_panels.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#if defined(ECKART_HAS_X86_KERNELS) && defined(__linux__)
#define ECKART_HAS_INT8_TILES 1
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/// Sums of whole numbers by tiles (AMX): one instruction adds up 16 x 16 sums of 64 products. Line
/// p of a tile of W has 4 bytes of each of 16 rows, which is the order of a panel.
namespace eckart {
inline namespace v0 {
namespace detail {

#ifdef ECKART_HAS_INT8_TILES

/// sums (rows, 32) of 1 to 32 rows of x with a panel. Holds the thread's tiles while it lives: 0 to
/// 3 are sums, 4 and 5 rows of x, 6 and 7 rows of W.
class int8_tiles {
 public:
  /// Whether the processor has them and the system lets the process use them, which this asks for.
  static auto exist() -> bool {
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
  /// Rows of x from which on they are faster than int8_product's kernels.
  static constexpr index_t from_rows = 9;

  int8_tiles() = default;
  ~int8_tiles() { asm volatile("tilerelease"); }
  int8_tiles(int8_tiles const&) = delete;
  auto operator=(int8_tiles const&) -> int8_tiles& = delete;

  void operator()(unsigned char const* x, index_t rows, int8_panel_view const& w,
                  std::int32_t* sums) {
    shape(rows);
    constexpr index_t tile_words = 16 * 16;
    constexpr index_t line = int8_line;
    constexpr index_t sums_row = int8_panel * static_cast<index_t>(sizeof(std::int32_t));
    auto const* const lower_x = x + int8_group * w.length;
    auto const* left = w.group(0);
    auto const* right = w.group(1);
    asm volatile("tilezero %%tmm0\n tilezero %%tmm1\n" ::);
    if (rows > int8_group) {
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
        left += tile_words;
        right += tile_words;
      }
      asm volatile(
          "tilestored %%tmm2, (%0,%2,1)\n"
          "tilestored %%tmm3, (%1,%2,1)\n" ::"r"(sums + int8_group * int8_panel),
          "r"(sums + int8_group * int8_panel + int8_group), "r"(sums_row)
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
        left += tile_words;
        right += tile_words;
      }
    }
    asm volatile(
        "tilestored %%tmm0, (%0,%2,1)\n"
        "tilestored %%tmm1, (%1,%2,1)\n" ::"r"(sums),
        "r"(sums + int8_group), "r"(sums_row)
        : "memory");
  }

 private:
  void shape(index_t rows) {
    if (rows == rows_) {
      return;
    }
    rows_ = rows;
    auto const upper = static_cast<std::uint8_t>(std::min(rows, int8_group));
    // A tile of no rows would be an error, even if nobody uses it.
    auto const lower = static_cast<std::uint8_t>(std::max<index_t>(1, rows - int8_group));
    shapes_.rows = {upper, upper, lower, lower, upper, lower, 16, 16};
    asm volatile("ldtilecfg %0" ::"m"(shapes_));
  }

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

#endif

}  // namespace detail
}  // namespace v0
}  // namespace eckart
