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

/// The products of int8_product.hpp for more than a few rows: 32 rows of W at a time are brought
/// into panels, of which a vector has 4 bytes of each of 16 rows, so that it adds up 16 sums side
/// by side; x is read as it lies.
namespace eckart {
inline namespace v0 {
namespace detail {

#ifdef ECKART_HAS_X86_KERNELS

inline constexpr index_t int8_group = 16;              ///< rows of W side by side
inline constexpr index_t int8_panel = 2 * int8_group;  ///< rows of W, and of x, at a time

/// 32 rows of W, of which it may lack some, in order, and what goes with them.
struct int8_panel_view {
  float const* words;  // (2, length / 4, 16), of 4 bytes each
  index_t length;
  alignas(64) std::array<float, int8_panel> scales{};
  alignas(64) std::array<std::int32_t, int8_panel> offsets{};  // 128 times the sum of a row

  auto group(index_t g) const -> float const* { return words + g * length / 4 * int8_group; }
};

/// sums + the products of four bytes each, those of a without a sign (VNNI).
[[gnu::target("avx512f,avx512bw,avx512vnni"), gnu::always_inline]] inline auto add_byte_products(
    simd_vector<16>::bits sums, simd_vector<16>::bits a, simd_vector<16>::bits b)
    -> simd_vector<16>::bits {
#ifdef __clang__
  return __builtin_ia32_vpdpbusd512(sums, a, b);
#else
  return __builtin_ia32_vpdpbusd_v16si(sums, a, b);
#endif
}

/// sums (rows, 32) of up to 32 rows of x with a panel, by VNNI.
class int8_lanes {
 public:
  static auto exist() -> bool {
    static bool const has =
        processor_level() == simd_level::avx512 && __builtin_cpu_supports("avx512vnni");
    return has;
  }
  /// Rows of x from which on they are faster than int8_product's kernels.
  static constexpr index_t from_rows = 16;

  void operator()(unsigned char const* x, index_t rows, int8_panel_view const& w,
                  std::int32_t* sums) const {
    for (index_t i = 0; i < rows; i += 6) {
      auto const at = static_cast<std::size_t>(std::min<index_t>(6, rows - i) - 1);
      kernels[at](x + i * w.length, w, sums + i * int8_panel);
    }
  }

 private:
  template <std::size_t Rows>
  [[gnu::target("avx512f,avx512bw,avx512vnni")]] static void multiply(unsigned char const* x,
                                                                      int8_panel_view const& w,
                                                                      std::int32_t* sums) {
    using whole = simd_vector<16>::bits;
    using unaligned = simd_vector<16>::unaligned_bits;
    auto const* const left = w.group(0);
    auto const* const right = w.group(1);
    whole sum[Rows][2] = {};
    for (index_t p = 0; p < w.length; p += 4) {
      whole const b[2] = {*reinterpret_cast<unaligned const*>(left + p / 4 * int8_group),
                          *reinterpret_cast<unaligned const*>(right + p / 4 * int8_group)};
#pragma GCC unroll 6
      for (std::size_t i = 0; i < Rows; ++i) {
        std::int32_t four = 0;
        __builtin_memcpy(&four, x + static_cast<index_t>(i) * w.length + p, sizeof four);
        whole const a = whole{} + four;
#pragma GCC unroll 2
        for (std::size_t g = 0; g < 2; ++g) {
          sum[i][g] = add_byte_products(sum[i][g], a, b[g]);
        }
      }
    }
    for (std::size_t i = 0; i < Rows; ++i) {
      for (std::size_t g = 0; g < 2; ++g) {
        *reinterpret_cast<unaligned*>(sums + i * int8_panel + g * int8_group) = sum[i][g];
      }
    }
  }

  using kernel = void (*)(unsigned char const*, int8_panel_view const&, std::int32_t*);
  static constexpr std::array<kernel, 6> kernels{multiply<1>, multiply<2>, multiply<3>,
                                                 multiply<4>, multiply<5>, multiply<6>};
};

/// y (rows, at most 32) = scaled sums (rows, 32) + beta y.
[[gnu::target("avx512f")]] inline void write_int8_sums(std::int32_t const* sums,
                                                       float const* x_scales,
                                                       int8_panel_view const& w, float beta,
                                                       matrix_view<float> y) {
  using whole = simd_vector<16>::bits;
  using unaligned_bits = simd_vector<16>::unaligned_bits;
  using unaligned = simd_vector<16>::unaligned;
  for (index_t i = 0; i < y.rows; ++i) {
    for (index_t j = 0; j < y.cols; j += int8_group) {
      auto const at = [&](auto const& values) { return values.data() + j; };
      whole const sum = *reinterpret_cast<unaligned_bits const*>(sums + i * int8_panel + j) -
                        *reinterpret_cast<unaligned_bits const*>(at(w.offsets));
      simd_sixteen const scales = x_scales[i] * *reinterpret_cast<unaligned const*>(at(w.scales));
      simd_sixteen value = __builtin_convertvector(sum, simd_sixteen) * scales;
      auto* const to = y.data + i * y.ld + j;
      if (j + int8_group <= y.cols) {
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

/// Brings up to 32 rows of W, from row j on, into a panel, whose words memory (2, length / 4, 16)
/// has.
inline void fill_panel(int8_weights const& w, index_t j, index_t rows, float* memory,
                       int8_panel_view& panel) {
  auto const words = w.ld() / 4;
  for (index_t g = 0; g < 2; ++g) {
    auto const first = std::min(rows, g * int8_group);
    auto const count = std::min(rows - first, int8_group);
    // Words of 4 bytes are moved as floats.
    auto const* const from = reinterpret_cast<float const*>(w.data + (j + first) * w.ld());
    interleave_rows({from, count, words, words}, int8_group, memory + g * words * int8_group);
  }
  for (index_t c = 0; c < rows; ++c) {
    auto const at = static_cast<std::size_t>(c);
    panel.scales[at] = w.scales[j + c];
    panel.offsets[at] = 128 * w.sums[j + c];
  }
}

/// As int8_product, by sums of a kind that exists here.
template <class Sums>
void int8_panel_product(unsigned char const* x, float const* x_scales, int8_weights const& w,
                        float beta, matrix_view<float> y) {
  auto const length = w.ld();
  constexpr index_t bytes_in_cache = 3 << 18;  // of x, for which W is gone through
  auto const at_once =
      std::max<index_t>(1, bytes_in_cache / (int8_panel * std::max(length, int8_line))) *
      int8_panel;
  auto const multiply = [&](index_t first, index_t last) {
    // As large as the longest rows so far need it, (2, length / 4, 16).
    static thread_local std::vector<float, allocator<float>> memory;
    memory.resize(std::max(memory.size(), static_cast<std::size_t>(int8_panel * length / 4)));
    alignas(64) std::array<std::int32_t, static_cast<std::size_t>(int8_panel * int8_panel)> sums;
    Sums add_up;
    for (index_t from = 0; from < y.rows; from += at_once) {
      auto const to = std::min(y.rows, from + at_once);
      for (index_t j = first; j < last; j += int8_panel) {
        auto const columns = std::min(int8_panel, last - j);
        int8_panel_view panel{memory.data(), length};
        fill_panel(w, j, columns, memory.data(), panel);
        for (index_t i = from; i < to; i += int8_panel) {
          auto const rows = std::min(int8_panel, to - i);
          add_up(x + i * length, rows, panel, sums.data());
          write_int8_sums(sums.data(), x_scales + i, panel, beta, y.block(i, j, rows, columns));
        }
      }
    }
  };
  parallel_pieces(w.rows, int8_panel, std::max<index_t>(1, length / 32) * y.rows, multiply);
}

#endif

}  // namespace detail
}  // namespace v0
}  // namespace eckart
