#pragma once

#include "eckart/backend/openblas.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/core/view.hpp"
#include "eckart/linalg/norm.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <functional>
#include <span>

/// Sums of products about the mean, block by block: what compress/statistics.hpp is made of.
namespace eckart {
inline namespace v0 {
namespace detail {

/// Rows that are multiplied in their own precision before they are added up in double.
inline constexpr index_t moment_block = 2048;

/// Rows that a thread takes at once. Sums are added piece by piece in order, so that they do not
/// depend on the number of threads.
inline constexpr index_t rows_at_once = 128;

/// Calls f(piece, rows) for x in pieces, on all threads.
template <class T, class F>
void for_row_pieces(matrix_view<T> x, F&& f) {
  parallel_for((x.rows + rows_at_once - 1) / rows_at_once, [&](index_t i) {
    auto const first = i * rows_at_once;
    f(i, x.row_range(first, std::min(rows_at_once, x.rows - first)));
  });
}

/// Sums over the rows of x of add(row, sums), sums (x.cols) in double.
template <real T, class Add>
auto row_sums(matrix_view<T const> x, Add add) -> vector<double> {
  auto pieces = make_matrix<double>({(x.rows + rows_at_once - 1) / rows_at_once, x.cols});
  pieces.fill(0);
  for_row_pieces(x, [&](index_t piece, matrix_view<T const> rows) {
    auto const sums = as_view(pieces).row(piece);
    for (index_t i = 0; i < rows.rows; ++i) {
      add(rows.row(i), sums);
    }
  });
  auto result = make_vector<double>(x.cols);
  result.fill(0);
  for (index_t i = 0; i < as_view(pieces).rows; ++i) {
    std::ranges::transform(result, as_view(pieces).row(i), result.begin(), std::plus<>{});
  }
  return result;
}

/// Mean of the rows of x, in double.
template <real T>
auto row_mean(matrix_view<T const> x) -> vector<double> {
  auto mean = row_sums(x, [](std::span<T const> row, std::span<double> sums) {
    for (std::size_t j = 0; j < row.size(); ++j) {
      sums[j] += static_cast<double>(row[j]);
    }
  });
  for (auto& value : mean) {
    value /= static_cast<double>(x.rows);
  }
  return mean;
}

/// Sums of the squares of the columns of x, in double.
template <real T>
auto column_squares(matrix_view<T const> x) -> vector<double> {
  return row_sums(x, [](std::span<T const> row, std::span<double> sums) {
    for (std::size_t j = 0; j < row.size(); ++j) {
      sums[j] += static_cast<double>(row[j]) * static_cast<double>(row[j]);
    }
  });
}

/// x minus its mean, in the type of x.
template <real T>
auto centred_rows(matrix_view<T const> x, vector<double> const& mean) -> matrix<T> {
  auto result = make_matrix<T>(x.shape());
  for_row_pieces(x, [&](index_t piece, matrix_view<T const> rows) {
    auto const* const means = mean.data();
    for (index_t i = 0; i < rows.rows; ++i) {
      auto const from = rows.row(i);
      auto const to = as_view(result).row(piece * rows_at_once + i);
      for (std::size_t j = 0; j < from.size(); ++j) {
        to[j] = static_cast<T>(static_cast<double>(from[j]) - means[j]);
      }
    }
  });
  return result;
}

/// How far the mean moves when `more` rows of another mean join `before` rows: mean_b - mean_a, and
/// the weight n_a n_b / (n_a + n_b) of its outer product in the joint scatter (Chan, Golub and
/// LeVeque 1979, eq. 2.1).
inline auto joint_weight(index_t before, index_t more) -> double {
  return static_cast<double>(before) * static_cast<double>(more) /
         static_cast<double>(before + more);
}

inline auto difference(vector<double> const& a, vector<double> const& b) -> vector<double> {
  auto result = a;
  for (std::size_t i = 0; i < result.size(); ++i) {
    result(i) -= b(i);
  }
  return result;
}

/// mean <- mean + step more / (before + more).
inline void move_mean(vector<double>& mean, vector<double> const& step, index_t before,
                      index_t more) {
  auto const share = static_cast<double>(more) / static_cast<double>(before + more);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    mean(i) += share * step(i);
  }
}

/// Which entries of a matrix: all, or those of the upper triangle.
enum class part { all, upper };

/// sum(i, j) += product(i, j) + weight left_i right_j for a part of the entries.
template <real T>
void add_scatter(matrix_view<T const> product, double weight, vector<double> const& left,
                 vector<double> const& right, part entries, matrix_view<double> sum) {
  for_row_pieces(sum, [&](index_t piece, matrix_view<double> rows) {
    auto const* const steps = right.data();
    for (index_t i = 0; i < rows.rows; ++i) {
      auto const row = piece * rows_at_once + i;
      auto const factor = weight * left(static_cast<std::size_t>(row));
      auto const from = product.row(row);
      auto const to = rows.row(i);
      auto const first = entries == part::upper ? row : index_t{0};
      for (auto j = static_cast<std::size_t>(first); j < to.size(); ++j) {
        to[j] += static_cast<double>(from[j]) + factor * steps[j];
      }
    }
  });
}

/// The lower triangle becomes the mirror of the upper one, tile by tile.
inline void mirror_upper(matrix_view<double> a) {
  constexpr index_t tile = 32;  // both tiles stay in the first-level cache
  for (index_t top = 0; top < a.rows; top += tile) {
    for (index_t left = top; left < a.cols; left += tile) {
      for (index_t i = top; i < std::min(top + tile, a.rows); ++i) {
        for (index_t j = std::max(left, i + 1); j < std::min(left + tile, a.cols); ++j) {
          a(j, i) = a(i, j);
        }
      }
    }
  }
}

inline void refuse_moments(char const* what, shape2 x, index_t width) {
  if (x.cols != width) {
    throw shape_error(message(what, ": rows of ", x.cols, " numbers, expected ", width));
  }
}

/// Throws numerical_error that names the first entry of these rows that is not finite: one would
/// make all moments NaN.
template <real T>
void refuse_non_finite_rows(char const* what, matrix_view<T const> x, index_t first,
                            index_t count) {
  std::atomic<bool> all_finite = true;
  for_row_pieces(x.row_range(first, count), [&](index_t, matrix_view<T const> rows) {
    if (find_non_finite(rows)) {
      all_finite = false;
    }
  });
  if (all_finite) {
    return;
  }
  if (auto const bad = find_non_finite(x.row_range(first, count))) {
    auto const row = first + bad->row;
    throw numerical_error(message(what, ": element (", row, ", ", bad->col, ") of the ", x.shape(),
                                  " matrix is ", x(row, bad->col)),
                          0);
  }
}

/// Finite numbers whose products are not: nothing is wrong but their size. No other entry of a
/// Gram matrix is larger than the largest of its diagonal.
template <real T>
void refuse_overflow(char const* what, matrix_view<T const> gram) {
  for (index_t j = 0; j < gram.cols; ++j) {
    if (!std::isfinite(gram(j, j))) {
      throw numerical_error(message(what, ": the squares of column ", j, " overflow"), 0);
    }
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
