#pragma once

#include "eckart/factor/low_rank.hpp"
#include "eckart/linalg/qr.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

struct pivoted {};  ///< k rows of W, and the others as combinations of them

namespace detail {

/// The places of rows [first, last) of a pivoted matrix in rising order, as positions in `rows`.
inline auto rising(std::span<index_t const> rows, index_t first, index_t last)
    -> std::vector<index_t> {
  std::vector<index_t> order(static_cast<std::size_t>(last - first));
  std::iota(order.begin(), order.end(), first);
  std::ranges::sort(order, {}, [&](index_t i) { return rows[static_cast<std::size_t>(i)]; });
  return order;
}

/// a with its rows, and those of its columns that `columns` names, in another order.
template <real T>
auto reordered(matrix_view<T const> a, std::span<index_t const> rows, index_t first_row,
               std::span<index_t const> columns) -> matrix<T> {
  auto result = make_matrix<T>(a.shape());
  for (index_t i = 0; i < a.rows; ++i) {
    auto const from = a.row(rows[static_cast<std::size_t>(i)] - first_row);
    auto const to = as_view(result).row(i);
    if (columns.empty()) {
      std::ranges::copy(from, to.begin());
    } else {
      std::ranges::transform(columns, to.begin(),
                             [&](index_t j) { return from[static_cast<std::size_t>(j)]; });
    }
  }
  return result;
}

}  // namespace detail

/// A matrix of rank k needs only k of its rows: W = P [1; C] K with the kept rows K (k, n), the
/// combinations C (m - k, k) and the permutation P that puts them in place. k (m + n - k) numbers,
/// fewer than dense at every rank below min(m, n), and the m places of the rows, which rise within
/// the kept rows and within the others.
template <real T>
class low_rank<T, pivoted> {
 public:
  static constexpr form stored_as = form::pivoted;

  /// rows: (m) the places in W of the k kept rows, then of the others, in any order: the factors
  /// are brought into the rising one. Throws shape_error unless it is a permutation and the shapes
  /// fit.
  low_rank(matrix<T> kept, matrix<T> combinations, std::vector<index_t> rows)
      : kept_(std::move(kept)), combinations_(std::move(combinations)), rows_(std::move(rows)) {
    auto const k = this->kept().rows;
    if (k < 1 || this->combinations().cols != k ||
        this->combinations().rows + k != static_cast<index_t>(rows_.size())) {
      detail::refuse_factors(this->kept().shape(), ", ", this->combinations().shape(), ", ",
                             rows_.size(), " rows");
    }
    auto sorted = rows_;
    std::ranges::sort(sorted);
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (sorted[i] != static_cast<index_t>(i)) {
        throw shape_error(
            message("low_rank: the rows of a pivoted matrix are no permutation of 0 "
                    "to ",
                    sorted.size() - 1));
      }
    }
    bring_into_order();
  }

  auto shape() const -> shape2 { return {static_cast<index_t>(rows_.size()), kept().cols}; }
  auto rank() const -> index_t { return kept().rows; }
  auto kept() const -> matrix_view<T const> { return as_view(kept_); }  ///< (k, n)
  auto combinations() const -> matrix_view<T const> {
    return as_view(combinations_);
  }                                                                ///< (m-k, k)
  auto rows() const -> std::span<index_t const> { return rows_; }  ///< (m)

  /// max |C|: how much the combinations can enlarge rounding errors of the kept rows.
  auto growth() const -> double { return max_abs(combinations()); }

 private:
  void bring_into_order() {
    auto const middle = rows_.begin() + rank();
    if (std::is_sorted(rows_.begin(), middle) && std::is_sorted(middle, rows_.end())) {
      return;
    }
    auto const order = detail::rising(rows_, 0, rank());
    auto const others = detail::rising(rows_, rank(), shape().rows);
    combinations_ = detail::reordered(combinations(), others, rank(), order);
    kept_ = detail::reordered(kept(), order, 0, {});
    std::sort(rows_.begin(), middle);
    std::sort(middle, rows_.end());
  }

  matrix<T> kept_;
  matrix<T> combinations_;
  std::vector<index_t> rows_;
};

namespace detail {

/// One exchange of a kept row i with another row j, by the rule of the simplex method: the kept
/// rows span the same space, and |C(j, i)| > 1 makes the spanned volume larger by that factor.
template <real T>
void exchange_rows(matrix_view<T> c, index_t j, index_t i, std::span<index_t> rows) {
  auto const pivot = c(j, i);
  for (index_t r = 0; r < c.rows; ++r) {
    if (r == j) {
      continue;
    }
    auto const factor = c(r, i) / pivot;
    for (index_t l = 0; l < c.cols; ++l) {
      c(r, l) = l == i ? factor : c(r, l) - factor * c(j, l);
    }
  }
  for (index_t l = 0; l < c.cols; ++l) {
    c(j, l) = l == i ? T{1} / pivot : -c(j, l) / pivot;
  }
  std::swap(rows[static_cast<std::size_t>(i)], rows[static_cast<std::size_t>(c.cols + j)]);
}

/// Largest entry by magnitude.
template <real T>
auto largest_entry(matrix_view<T const> c) -> position {
  position at;
  T largest = 0;
  for (index_t i = 0; i < c.rows; ++i) {
    for (index_t j = 0; j < c.cols; ++j) {
      if (std::abs(c(i, j)) > largest) {
        largest = std::abs(c(i, j));
        at = {i, j};
      }
    }
  }
  return at;
}

/// Exchanges rows until no combination exceeds the bound. Each exchange multiplies the volume of
/// the kept rows by more than the bound, so only finitely many can happen.
template <real T>
void bound_growth(matrix_view<T> c, double max_growth, std::span<index_t> rows) {
  while (c.size() > 0) {
    auto const at = largest_entry(matrix_view<T const>(c));
    if (!(static_cast<double>(std::abs(c(at.row, at.col))) > max_growth)) {
      return;
    }
    exchange_rows(c, at.row, at.col, rows);
  }
}

}  // namespace detail

/// L R as kept rows and combinations. The rows are picked by QR with pivoting of L, then exchanged
/// until no combination exceeds max_growth (strong rank-revealing QR, Gu and Eisenstat 1996); the
/// form itself is that of PIFA (Zhao et al. 2025). Exact up to rounding times the growth. About
/// 3 m k² FLOPs and 2 k² n for the kept rows. Throws numerical_error if L has not full column rank
/// or is not finite, shape_error for max_growth not above 1.
template <real T>
auto to_pivoted(low_rank<T, two_factor> const& w, double max_growth = 4) -> low_rank<T, pivoted> {
  if (!(max_growth > 1)) {
    throw shape_error(message("to_pivoted: a growth of ", max_growth, " is not above 1"));
  }
  detail::refuse_non_finite(w.left(), "to_pivoted");
  auto const m = w.shape().rows;
  auto const k = w.rank();
  if (k > m) {
    throw shape_error(message("to_pivoted: rank ", k, " of ", m, " rows"));
  }
  auto factored = to_matrix(w.left());  // row-major (m, k) is column-major (k, m) = L^T
  auto const view = as_view(factored);
  std::vector<T> tau(static_cast<std::size_t>(k));
  auto rows = detail::pivot_rows(view, std::span(tau));
  // C^T = R11^-1 R12, in place behind the first k columns.
  auto const info = lapack::solve_upper(to_blas_int(k), to_blas_int(m - k), view.data,
                                        to_blas_int(k), view.data + k * k, to_blas_int(k));
  if (info != 0) {
    throw numerical_error(message("to_pivoted: the left factor ", w.left().shape(),
                                  " has linearly dependent columns"),
                          info);
  }
  auto combinations = to_matrix(view.row_range(k, m - k));
  auto const c = as_view(combinations);
  detail::bound_growth(c, max_growth, std::span(rows));
  auto picked = make_matrix<T>({k, k});
  for (index_t i = 0; i < k; ++i) {
    std::ranges::copy(w.left().row(rows[static_cast<std::size_t>(i)]),
                      as_view(picked).row(i).begin());
  }
  return {matmul(as_view(picked), w.right()), std::move(combinations), std::move(rows)};
}

template <real T>
auto to_pivoted(low_rank<T, diagonal_core> const& w, double max_growth = 4)
    -> low_rank<T, pivoted> {
  return to_pivoted(to_two_factor(w, absorb::right), max_growth);
}

/// L R with R = K and L = P [1; C]. Copies k (m + n) numbers.
template <real T>
auto to_two_factor(low_rank<T, pivoted> const& w) -> low_rank<T, two_factor> {
  auto const k = w.rank();
  auto left = make_matrix<T>({w.shape().rows, k});
  for (index_t i = 0; i < w.shape().rows; ++i) {
    auto const to = as_view(left).row(w.rows()[static_cast<std::size_t>(i)]);
    if (i < k) {
      std::ranges::fill(to, T{0});
      to[static_cast<std::size_t>(i)] = T{1};
    } else {
      std::ranges::copy(w.combinations().row(i - k), to.begin());
    }
  }
  return {std::move(left), to_matrix(w.kept())};
}

template <real T>
auto to_dense(low_rank<T, pivoted> const& w) -> matrix<T> {
  return to_dense(to_two_factor(w));
}

}  // namespace v0
}  // namespace eckart
