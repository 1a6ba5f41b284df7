#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/view.hpp"

#include <algorithm>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define ECKART_HAS_X86_KERNELS 1
#endif

/// Vectors of floats, and rows brought into an order in which they meet vectors. Vectors are the
/// compiler's own (GCC and Clang): their operators become the instructions of a function's target.
/// <immintrin.h> would take the compiler half a second.
namespace eckart {
inline namespace v0 {
namespace detail {

#ifdef ECKART_HAS_X86_KERNELS

/// Vectors, also as they are read from any address.
template <index_t Lanes>
struct simd_vector {
  using whole [[gnu::vector_size(Lanes * 4)]] = float;
  using bits [[gnu::vector_size(Lanes * 4)]] = int;
  using unaligned [[gnu::vector_size(Lanes * 4), gnu::aligned(4), gnu::may_alias]] = float;
  using unaligned_bits [[gnu::vector_size(Lanes * 4), gnu::aligned(4), gnu::may_alias]] = int;
};
using simd_quarter = simd_vector<4>::whole;
using simd_eight = simd_vector<8>::whole;
using simd_sixteen = simd_vector<16>::whole;

inline auto load_quarter(float const* from) -> simd_quarter {
  return *reinterpret_cast<simd_vector<4>::unaligned const*>(from);
}

/// The sum of the quarters of a vector, in their order.
[[gnu::target("avx512f"), gnu::always_inline]] inline auto add_quarters(simd_sixteen v)
    -> simd_quarter {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7) +
         __builtin_shufflevector(v, v, 8, 9, 10, 11) +
         __builtin_shufflevector(v, v, 12, 13, 14, 15);
}
[[gnu::target("avx2,fma"), gnu::always_inline]] inline auto add_quarters(simd_eight v)
    -> simd_quarter {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
}

/// (v[0] + v[2]) + (v[1] + v[3]) of each of four vectors.
inline auto totals(simd_quarter a, simd_quarter b, simd_quarter c, simd_quarter d) -> simd_quarter {
  simd_quarter const ab =
      __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  simd_quarter const cd =
      __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/// In each quarter, the transpose of the 4 x 4 numbers that the vectors hold there.
[[gnu::target("avx512f"), gnu::always_inline]] inline void transpose_quarters(simd_sixteen& a,
                                                                              simd_sixteen& b,
                                                                              simd_sixteen& c,
                                                                              simd_sixteen& d) {
  simd_sixteen const ab_low =
      __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  simd_sixteen const ab_high =
      __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  simd_sixteen const cd_low =
      __builtin_shufflevector(c, d, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  simd_sixteen const cd_high =
      __builtin_shufflevector(c, d, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28,
                              29);
  b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15,
                              30, 31);
  c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13,
                              28, 29);
  d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15,
                              30, 31);
}

/// Four numbers of the rows `first`, first + step, first + 2 step and first + 3 step of x, zeros
/// for a row that is not there.
template <bool Whole>
[[gnu::target("avx512f"), gnu::always_inline]] inline auto four_rows(matrix_view<float const> x,
                                                                     index_t p, index_t first,
                                                                     index_t step) -> simd_sixteen {
  auto const of = [&](index_t i) {
    return Whole || i < x.rows ? load_quarter(x.data + i * x.ld + p) : simd_quarter{};
  };
  auto const a = of(first);
  auto const b = of(first + step);
  auto const c = of(first + 2 * step);
  auto const d = of(first + 3 * step);
  auto const ab = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
  auto const cd = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/// to[p * width + i] = x(i, p) for 16 rows, of which x may lack some, and p < 4 q, all that fit.
template <bool Whole>
[[gnu::target("avx512f")]] void interleave_sixteen(matrix_view<float const> x, index_t width,
                                                   float* to) {
  using unaligned = simd_vector<16>::unaligned;
  for (index_t p = 0; p + 4 <= x.cols; p += 4) {
    simd_sixteen a = four_rows<Whole>(x, p, 0, 4);
    simd_sixteen b = four_rows<Whole>(x, p, 1, 4);
    simd_sixteen c = four_rows<Whole>(x, p, 2, 4);
    simd_sixteen d = four_rows<Whole>(x, p, 3, 4);
    transpose_quarters(a, b, c, d);
    *reinterpret_cast<unaligned*>(to + p * width) = a;
    *reinterpret_cast<unaligned*>(to + (p + 1) * width) = b;
    *reinterpret_cast<unaligned*>(to + (p + 2) * width) = c;
    *reinterpret_cast<unaligned*>(to + (p + 3) * width) = d;
  }
}

/// to[p * width + i] = x(i, p) for i < width, a multiple of 16; zeros for rows that x lacks.
inline void interleave_rows(matrix_view<float const> x, index_t width, float* to) {
  constexpr index_t lanes = 16;
  for (index_t first = 0; first < width; first += lanes) {
    auto const rows = std::clamp<index_t>(x.rows - first, 0, lanes);
    auto const part = x.row_range(std::min(first, x.rows), rows);
    (rows == lanes ? interleave_sixteen<true> : interleave_sixteen<false>)(part, width, to + first);
    for (index_t p = x.cols / 4 * 4; p < x.cols; ++p) {
      for (index_t i = 0; i < lanes; ++i) {
        to[p * width + first + i] = i < rows ? part(i, p) : 0.0F;
      }
    }
  }
}

/// to[16 g + 2 i] = x(i, 2 g) and behind it x(i, 2 g + 1), for at most 8 rows; zeros for rows that
/// x lacks, and behind the last number of an odd row.
[[gnu::target("avx512f")]] inline void interleave_pairs(matrix_view<float const> x, float* to) {
  using unaligned = simd_vector<16>::unaligned;
  index_t p = 0;
  for (; p + 4 <= x.cols; p += 4) {
    simd_sixteen const even = four_rows<false>(x, p, 0, 2);
    simd_sixteen const odd = four_rows<false>(x, p, 1, 2);
    *reinterpret_cast<unaligned*>(to + p * 8) = __builtin_shufflevector(
        even, odd, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
    *reinterpret_cast<unaligned*>(to + p * 8 + 16) = __builtin_shufflevector(
        even, odd, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  }
  for (; p < x.cols; p += 2) {
    for (index_t i = 0; i < 8; ++i) {
      to[p * 8 + 2 * i] = i < x.rows ? x(i, p) : 0.0F;
      to[p * 8 + 2 * i + 1] = i < x.rows && p + 1 < x.cols ? x(i, p + 1) : 0.0F;
    }
  }
}

#endif

}  // namespace detail
}  // namespace v0
}  // namespace eckart
