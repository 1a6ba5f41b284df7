#pragma once

#include "eckart/backend/openblas.hpp"
#include "eckart/core/view.hpp"
#include "eckart/linalg/norm.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

/// Sums of products about the mean, block by block: what compress/statistics.hpp is made of.
namespace eckart {
inline namespace v0 {
namespace detail {

/// Rows that are multiplied in their own precision before they are added up in double.
inline constexpr index_t moment_block = 1024;

/// Mean of the rows of x, in double.
template <real T>
auto row_mean(matrix_view<T const> x) -> vector<double> {
  auto mean = make_vector<double>(x.cols);
  mean.fill(0);
  for (index_t i = 0; i < x.rows; ++i) {
    auto const row = x.row(i);
    for (std::size_t j = 0; j < row.size(); ++j) {
      mean(j) += static_cast<double>(row[j]);
    }
  }
  for (auto& value : mean) {
    value /= static_cast<double>(x.rows);
  }
  return mean;
}

/// x minus its mean, in the type of x.
template <real T>
auto centred_rows(matrix_view<T const> x, vector<double> const& mean) -> matrix<T> {
  auto result = make_matrix<T>(x.shape());
  for (index_t i = 0; i < x.rows; ++i) {
    auto const from = x.row(i);
    auto const to = as_view(result).row(i);
    for (std::size_t j = 0; j < from.size(); ++j) {
      to[j] = static_cast<T>(static_cast<double>(from[j]) - mean(j));
    }
  }
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

/// sum(i, j) += product(i, j) + weight left_i right_j for the columns from `first(i)` on.
template <real T, class First>
void add_scatter(matrix_view<T const> product, double weight, vector<double> const& left,
                 vector<double> const& right, First first, matrix_view<double> sum) {
  for (index_t i = 0; i < sum.rows; ++i) {
    auto const factor = weight * left(static_cast<std::size_t>(i));
    for (index_t j = first(i); j < sum.cols; ++j) {
      sum(i, j) += static_cast<double>(product(i, j)) + factor * right(static_cast<std::size_t>(j));
    }
  }
}

/// The upper triangle of x^T x, by panels: little more than half of the FLOPs of the whole.
template <real T>
void upper_gram(matrix_view<T const> x, matrix_view<T> result) {
  constexpr index_t panel = 256;
  for (index_t first = 0; first < x.cols; first += panel) {
    auto const width = std::min(panel, x.cols - first);
    openblas{}.gemm(op::transpose, op::none, T{1}, x.col_range(first, width),
                    x.col_range(first, x.cols - first), T{0},
                    result.block(first, first, width, x.cols - first));
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
