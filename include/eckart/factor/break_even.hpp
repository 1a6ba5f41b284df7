#pragma once

#include "eckart/factor/cost.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Where factors begin to cost more than the matrix: the last rank that saves storage, FLOPs of a
/// matrix-vector product W x, and FLOPs of a matrix-matrix product W X with X (n, p). Exact
/// integers at compile time. FLOPs can be counted in two ways; storage and both counts break even
/// at most one rank apart:
///
///   form            multiply_add, a column   saves for              textbook, a column
///   dense           2 m n                                           2 m n - m
///   full core       2 k (m+k+n)              k (m+n+k) < m n        2 k (m+n+k) - 2k - m
///   diagonal core   2 k (m+n) + k            k (m+n + 1/2) < m n    2 k (m+n) - m
///   two factors     2 k (m+n)                k (m+n) < m n          2 k (m+n) - k - m
///   pivoted         2 k (m+n-k)              k < min(m, n)          2 k (m+n-k) - m
///
/// By the textbook's count a full core saves for k (m+n+k-1) < m n, a diagonal core for
/// k (m+n) < m n, two factors for k (m+n - 1/2) < m n, and pivots for k < min(m, n).
namespace eckart {
inline namespace v0 {
namespace cost {

/// What a sum of n products costs.
enum class flop_count {
  multiply_add,  ///< 2 n: every product is added, the first one to 0. Of `flops` and `counting<B>`
  textbook       ///< 2 n - 1: n multiplications, and the n - 1 additions between them
};

/// Additions and multiplications of an (m x n) times (n x p) product by hand: (2n - 1) m p.
constexpr auto textbook_product_flops(index_t m, index_t n, index_t p) -> std::uint64_t {
  return n == 0 ? 0
                : (2 * static_cast<std::uint64_t>(n) - 1) * static_cast<std::uint64_t>(m) *
                      static_cast<std::uint64_t>(p);
}

/// Additions and multiplications of W X for `columns` columns of X, counted by hand: the sum of the
/// products with the factors from the right, k at most min(m, n). Rank 0 costs nothing.
constexpr auto textbook_flops(form f, shape2 w, index_t k, index_t columns) -> std::uint64_t {
  auto const [m, n] = w;
  auto const inner = textbook_product_flops(k, n, columns);
  switch (f) {
    case form::full_core:
      return inner + textbook_product_flops(k, k, columns) + textbook_product_flops(m, k, columns);
    case form::diagonal_core:  // one multiplication for each of the k x columns numbers
      return inner + static_cast<std::uint64_t>(k) * static_cast<std::uint64_t>(columns) +
             textbook_product_flops(m, k, columns);
    case form::two_factor:
      return inner + textbook_product_flops(m, k, columns);
    case form::pivoted:
      return inner + textbook_product_flops(m - k, k, columns);
    case form::dense:
    case form::int8:
      break;
  }
  return textbook_product_flops(m, n, columns);
}

/// FLOPs of W X for `columns` columns of X by either count.
constexpr auto flops(form f, shape2 w, index_t k, index_t columns, flop_count count)
    -> std::uint64_t {
  return count == flop_count::textbook ? textbook_flops(f, w, k, columns) : flops(f, w, k, columns);
}

/// The last rank at which W X with `columns` columns of X takes fewer FLOPs than dense; 0 if none.
/// The number of columns decides only whether there is anything to save: every count is
/// proportional to it. By bisection, since below min(m, n) every count grows with k.
constexpr auto last_rank_saving_flops(form f, shape2 w, index_t columns = 1,
                                      flop_count count = flop_count::multiply_add) -> index_t {
  if (f == form::dense || columns < 1) {
    return 0;
  }
  auto const dense = flops(form::dense, w, 0, 1, count);
  index_t saves = 0;
  index_t above = std::min(w.rows, w.cols) + 1;
  while (above - saves > 1) {
    auto const middle = saves + (above - saves) / 2;
    (flops(f, w, middle, 1, count) < dense ? saves : above) = middle;
  }
  return saves;
}

}  // namespace cost

/// The last ranks at which a form is cheaper than the dense matrix, 0 where it never is.
struct break_even_ranks {
  index_t storage = 0;
  index_t matrix_vector = 0;  ///< FLOPs of W x
  index_t matrix_matrix = 0;  ///< FLOPs of W X: equal to matrix_vector, but 0 if X has no column

  /// The last rank that saves all three.
  constexpr auto all() const -> index_t {
    return std::min({storage, matrix_vector, matrix_matrix});
  }
  constexpr auto operator==(break_even_ranks const&) const -> bool = default;
};

/// The break-even ranks of one shape in every form.
struct break_even_row {
  shape2 shape;                          ///< (m, n)
  std::uint64_t dense_parameters = 0;    ///< m n
  std::array<break_even_ranks, 5> of{};  ///< by form; dense itself saves nothing

  constexpr auto operator[](form f) const -> break_even_ranks const& {
    return of[static_cast<std::size_t>(f)];
  }
};

struct break_even_options {
  index_t columns = 512;  ///< p of the matrix-matrix product
  cost::flop_count count = cost::flop_count::multiply_add;
};

/// The break-even ranks of an m x n matrix. About 60 log2(min(m, n)) integer operations.
constexpr auto break_even(shape2 w, break_even_options options = {}) -> break_even_row {
  break_even_row row{w, cost::parameters(form::dense, w, 0), {}};
  for (auto const f : all_factor_forms) {
    row.of[static_cast<std::size_t>(f)] = {
        cost::last_saving_rank(f, w), cost::last_rank_saving_flops(f, w, 1, options.count),
        cost::last_rank_saving_flops(f, w, options.columns, options.count)};
  }
  return row;
}

/// A row for each shape, in their order.
constexpr auto break_even_table(std::span<shape2 const> shapes, break_even_options options = {})
    -> std::vector<break_even_row> {
  std::vector<break_even_row> table;
  table.reserve(shapes.size());
  for (auto const w : shapes) {
    table.push_back(break_even(w, options));
  }
  return table;
}

// The matrices of BART-base and BART-large: what the textbook says, and what the other forms save.
static_assert(break_even({768, 768})[form::full_core] == break_even_ranks{318, 318, 318});
static_assert(break_even({1024, 1024})[form::full_core] == break_even_ranks{424, 424, 424});
static_assert(break_even({768, 768})[form::two_factor].all() == 383);
static_assert(break_even({3072, 768})[form::pivoted].all() == 767);
static_assert(cost::textbook_flops(form::dense, {768, 768}, 0, 1) == 1'178'880);

}  // namespace v0
}  // namespace eckart
