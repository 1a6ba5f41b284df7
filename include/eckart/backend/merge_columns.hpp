#pragma once

#include "eckart/backend/blas_info.hpp"
#include "eckart/backend/simd.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/core/view.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <span>

/// Columns that come from two products into one matrix, in place: what a pivoted matrix needs.
namespace eckart {
inline namespace v0 {
namespace detail {

/// Rows `first` to `last` of merge_columns. Whatever is written lies before what is still read:
/// of the first p columns at most k are kept ones.
template <class T>
void merge_rows(matrix_view<T const> kept, std::span<index_t const> places, T const* added,
                matrix_view<T> y, index_t first, index_t last) {
  auto const k = kept.cols;
  for (index_t i = first; i < last; ++i) {
    auto const* const from = kept.data + i * kept.ld;
    auto* const to = y.data + i * y.ld;
    index_t a = 0;
    for (index_t p = 0; p < y.cols; ++p) {
      bool const is_kept = a < k && places[static_cast<std::size_t>(a)] == p;
      auto const value = is_kept ? from[a] : to[k + p - a];
      to[p] = added == nullptr ? value : value + added[p];
      a += is_kept ? 1 : 0;
    }
  }
}

#ifdef ECKART_HAS_X86_KERNELS

/// The same, 16 columns at once: a mask says which of them are kept.
[[gnu::target("avx512f")]] inline void merge_rows_avx512(matrix_view<float const> kept,
                                                         std::span<index_t const> places,
                                                         float const* added, matrix_view<float> y,
                                                         index_t first, index_t last) {
  using memory = simd_vector<16>::unaligned const;
  constexpr index_t lanes = 16;
  auto const k = kept.cols;
  index_t a = 0;
  for (index_t p = 0; p < y.cols; p += lanes) {
    unsigned const all = y.cols - p < lanes ? (1U << (y.cols - p)) - 1U : 0xffffU;
    unsigned of_kept = 0;
    auto const before = a;
    for (; a < k && places[static_cast<std::size_t>(a)] < p + lanes; ++a) {
      of_kept |= 1U << (places[static_cast<std::size_t>(a)] - p);
    }
    auto const other = static_cast<unsigned short>(all & ~of_kept);
    auto const mine = static_cast<unsigned short>(of_kept);
    for (index_t i = first; i < last; ++i) {
      auto* const row = y.data + i * y.ld;
      simd_sixteen v = __builtin_ia32_expandloadsf512_mask(
          reinterpret_cast<memory*>(row + k + p - before), simd_sixteen{}, other);
      v = __builtin_ia32_expandloadsf512_mask(
          reinterpret_cast<memory*>(kept.data + i * kept.ld + before), v, mine);
      if (added != nullptr) {
        v += __builtin_ia32_expandloadsf512_mask(reinterpret_cast<memory*>(added + p),
                                                 simd_sixteen{}, static_cast<unsigned short>(all));
      }
      __builtin_ia32_storeups512_mask(row + p, v, static_cast<unsigned short>(all));
    }
  }
}

#endif

/// y(i, :) = the columns of kept (rows, k) at their places, which rise, and between them in their
/// order the last y.cols - k columns that y has; plus the row `added` (y.cols), which may be null.
template <class T>
void merge_columns(matrix_view<T const> kept, std::span<index_t const> places, T const* added,
                   matrix_view<T> y) {
  // More rows, which may lie a power of 2 apart, push each other out of the first cache.
  constexpr index_t at_once = 4;
  auto const groups = (y.rows + at_once - 1) / at_once;
  parallel_rows(groups, at_once * y.cols, [&](index_t first_group, index_t last_group) {
    for (index_t g = first_group; g < last_group; ++g) {
      auto const first = g * at_once;
      auto const last = std::min(y.rows, first + at_once);
#ifdef ECKART_HAS_X86_KERNELS
      if constexpr (std::same_as<T, float>) {
        static bool const has_masks = processor_level() == simd_level::avx512;
        if (has_masks) {
          merge_rows_avx512(kept, places, added, y, first, last);
          continue;
        }
      }
#endif
      merge_rows(kept, places, added, y, first, last);
    }
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
