#pragma once

#include "eckart/core/view.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

/// Parameters, FLOPs and break-even ranks of an m x n matrix stored in factors of rank k. Integer
/// arithmetic at compile time; no BLAS. With p multiply-adds for one input column:
///
///   form            parameters    multiply-adds   saves storage for
///   dense           m n           m n
///   full core       k (m+k+n)     k (m+k+n)       k < (sqrt(4mn + (m+n)^2) - (m+n)) / 2
///   diagonal core   k (m+n+1)     k (m+n+1)       k < m n / (m+n+1)
///   two factors     k (m+n)       k (m+n)         k < m n / (m+n)
///   pivoted         k (m+n-k)     k (m+n-k)       k < min(m, n)
namespace eckart {
inline namespace v0 {

/// How a matrix is stored.
enum class form {
  dense,          ///< W (m, n)
  full_core,      ///< U (m, k), S (k, k), Vt (k, n): the textbook's U_k S_k V_k^T
  diagonal_core,  ///< U (m, k), s (k), Vt (k, n)
  two_factor,     ///< L (m, k), R (k, n)
  pivoted,        ///< k rows of rank k, and the others as combinations of them
  int8            ///< W (m, n) in 8 bits a number, a scale for each row: no factors
};

inline constexpr std::array all_factor_forms{form::full_core, form::diagonal_core, form::two_factor,
                                             form::pivoted};

/// The name that programs and files use.
constexpr auto name_of(form f) -> std::string_view {
  constexpr std::array<std::string_view, 6> names{"dense",      "full-core", "diagonal-core",
                                                  "two-factor", "pivoted",   "int8"};
  return names[static_cast<std::size_t>(f)];
}

namespace cost {

/// Numbers stored for an m x n matrix at rank k (which dense ignores).
constexpr auto parameters(form f, shape2 w, index_t k) -> std::uint64_t {
  auto const m = static_cast<std::uint64_t>(w.rows);
  auto const n = static_cast<std::uint64_t>(w.cols);
  auto const r = static_cast<std::uint64_t>(k);
  switch (f) {
    case form::full_core:
      return r * (m + r + n);
    case form::diagonal_core:
      return r * (m + n + 1);
    case form::two_factor:
      return r * (m + n);
    case form::pivoted:
      return r * (m + n - r);
    case form::dense:
    case form::int8:
      break;
  }
  return m * n;
}

/// Additions and multiplications of y = x W^T for `rows` rows of x: two a parameter and row, but
/// only one for each entry of a diagonal core, which multiplies and adds nothing.
constexpr auto flops(form f, shape2 w, index_t k, index_t rows) -> std::uint64_t {
  auto const once = f == form::diagonal_core ? static_cast<std::uint64_t>(k) : 0;
  return (2 * parameters(f, w, k) - once) * static_cast<std::uint64_t>(rows);
}

/// FLOPs of an (m x n) times (n x p) product.
constexpr auto product_flops(index_t m, index_t n, index_t p) -> std::uint64_t {
  return 2 * static_cast<std::uint64_t>(m) * static_cast<std::uint64_t>(n) *
         static_cast<std::uint64_t>(p);
}

/// The largest rank, at most min(m, n), at which the form has no more than `budget` parameters;
/// 0 if there is none.
constexpr auto largest_rank_within(form f, shape2 w, std::uint64_t budget) -> index_t {
  // All forms grow strictly with k up to min(m, n), so bisection finds the last rank that fits.
  index_t fits = 0;
  index_t above = std::min(w.rows, w.cols) + 1;
  while (above - fits > 1) {
    auto const middle = fits + (above - fits) / 2;
    (parameters(f, w, middle) <= budget ? fits : above) = middle;
  }
  return fits;
}

/// The last rank at which the form stores (and multiplies) less than the dense matrix; 0 if none.
constexpr auto last_saving_rank(form f, shape2 w) -> index_t {
  auto const dense = parameters(form::dense, w, 0);
  return dense == 0 ? 0 : largest_rank_within(f, w, dense - 1);
}

// The figures of the thesis and the last saving rank of each form for BART's shapes.
static_assert(parameters(form::full_core, {1000, 1000}, 50) == 102'500);
static_assert(parameters(form::full_core, {1000, 1000}, 500) == 1'250'000);
static_assert(last_saving_rank(form::full_core, {768, 768}) == 318);
static_assert(last_saving_rank(form::full_core, {1024, 1024}) == 424);
static_assert(last_saving_rank(form::full_core, {384, 384}) == 159);
static_assert(last_saving_rank(form::two_factor, {768, 768}) == 383);
static_assert(last_saving_rank(form::two_factor, {3072, 768}) == 614);
static_assert(last_saving_rank(form::diagonal_core, {768, 768}) == 383);
static_assert(last_saving_rank(form::pivoted, {768, 768}) == 767);
static_assert(product_flops(768, 768, 512) == flops(form::dense, {768, 768}, 0, 512));

}  // namespace cost
}  // namespace v0
}  // namespace eckart
