#pragma once

#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/norm.hpp"
#include "eckart/linalg/svd.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Principal components of samples in n variables: the k directions in which they vary most.
template <real T>
struct pca_result {
  vector<T> mean;             ///< (n)
  matrix<T> components;       ///< (k, n), orthonormal rows, largest entry of each positive
  vector<T> variance;         ///< (k), falling, of the samples along each component
  double total_variance = 0;  ///< sum over all n variables, kept or not
};

namespace detail {

/// Mean of each column. Summed in double: a float sum of many samples loses their digits.
template <real T>
auto column_means(matrix_view<T const> x) -> std::vector<double> {
  std::vector<double> mean(static_cast<std::size_t>(x.cols), 0.0);
  for (index_t i = 0; i < x.rows; ++i) {
    std::ranges::transform(mean, x.row(i), mean.begin(),
                           [](double sum, T value) { return sum + static_cast<double>(value); });
  }
  for (auto& sum : mean) {
    sum /= static_cast<double>(x.rows);
  }
  return mean;
}

/// x less the mean of each column. The difference is taken in double.
template <real T, real M>
auto centred(matrix_view<T const> x, std::span<M const> mean) -> matrix<T> {
  auto result = make_matrix<T>(x.shape());
  auto const to = as_view(result);
  for (index_t i = 0; i < x.rows; ++i) {
    std::ranges::transform(x.row(i), mean, to.row(i).begin(), [](T value, M middle) {
      return static_cast<T>(static_cast<double>(value) - static_cast<double>(middle));
    });
  }
  return result;
}

/// Makes the entry of largest magnitude positive (the first one, if several are equal).
template <real T>
void make_largest_positive(std::span<T> values) {
  auto const largest = std::ranges::max_element(values, {}, [](T x) -> T { return std::abs(x); });
  if (largest != values.end() && *largest < 0) {
    std::ranges::transform(values, values.begin(), [](T x) { return -x; });
  }
}

/// Throws shape_error unless a matrix has as many columns as `expected`.
inline void check_width(char const* name, shape2 x, index_t expected, char const* what) {
  if (x.cols != expected) {
    throw shape_error(message(name, ": a ", x, " matrix for ", expected, " ", what));
  }
}

}  // namespace detail

/// Principal component analysis of samples x (rows, n), one a row, by the thin SVD of the centred
/// matrix (Pearson 1901; Jolliffe, Principal Component Analysis, 2nd ed. 2002, section 3.5), which
/// is more accurate than the eigenvectors of the covariance matrix: that squares the condition.
/// Variances have the divisor rows - 1. k is at most min(rows, n); if k = rows <= n, the last
/// component has variance 0 but for rounding, as rows - 1 directions hold all centred samples.
/// Cost: that of svd, 4 rows n min(rows, n) FLOPs and small terms. Throws shape_error for fewer
/// than 2 samples and another k, numerical_error for non-finite input and a variance beyond T.
template <matrix_operand A>
requires real<value_t<A>>
auto pca(A const& x, index_t k) -> pca_result<value_t<A>> {
  using T = value_t<A>;
  auto const operand = evaluated(x);
  matrix_view<T const> const samples = as_view(operand);
  if (samples.rows < 2 || k < 1 || k > std::min(samples.rows, samples.cols)) {
    throw shape_error(message("pca: ", k, " components of a ", samples.shape(), " matrix, ",
                              samples.rows < 2 ? "at least 2 samples are needed"
                                               : "1 to min(rows, columns) are possible"));
  }
  detail::refuse_non_finite(samples, "pca");
  auto const mean = detail::column_means(samples);
  auto const centred = detail::centred(samples, std::span<double const>(mean));  // (rows, n)
  auto const divisor = static_cast<double>(samples.rows - 1);
  auto const norm = frobenius_norm(centred);
  auto const total = norm * norm / divisor;
  if (!(total <= static_cast<double>(std::numeric_limits<T>::max()))) {  // NaN as well
    throw numerical_error(message("pca: the total variance ", total, " of the ", samples.shape(),
                                  " matrix does not fit its scalar type"),
                          0);
  }
  auto const f = svd(centred, {.check_finite = false});
  pca_result<T> result{make_vector<T>(samples.cols), to_matrix(as_view(f.vt).row_range(0, k)),
                       make_vector<T>(k), total};
  std::ranges::transform(mean, result.mean.begin(), [](double m) { return static_cast<T>(m); });
  for (index_t i = 0; i < k; ++i) {
    auto const s = static_cast<double>(f.s(static_cast<std::size_t>(i)));
    result.variance(static_cast<std::size_t>(i)) = static_cast<T>(s * s / divisor);
    detail::make_largest_positive(as_view(result.components).row(i));
  }
  return result;
}

/// The share of each component (k) in the total variance; 0 where nothing varies.
template <real T>
auto explained_ratio(pca_result<T> const& p) -> std::vector<double> {
  std::vector<double> result(p.variance.size(), 0.0);
  if (p.total_variance > 0) {
    std::ranges::transform(p.variance, result.begin(), [&](T variance) {
      return static_cast<double>(variance) / p.total_variance;
    });
  }
  return result;
}

/// Scores (rows, k) of samples x (rows, n): (x - mean) components^T. 2 rows n k FLOPs. Throws
/// shape_error for another width, numerical_error for non-finite input.
template <real T, matrix_operand A>
requires std::same_as<value_t<A>, T>
auto project(pca_result<T> const& p, A const& x) -> matrix<T> {
  auto const operand = evaluated(x);
  matrix_view<T const> const samples = as_view(operand);
  detail::check_width("project", samples.shape(), as_view(p.components).cols, "variables");
  detail::refuse_non_finite(samples, "project");
  return matmul(op::none, detail::centred(samples, as_span(p.mean)), op::transpose, p.components);
}

/// The samples (rows, n) that have these scores (rows, k): scores components + mean, which is the
/// best approximation of what was projected by k directions. 2 rows n k FLOPs. Throws shape_error
/// for another width, numerical_error for non-finite input.
template <real T, matrix_operand A>
requires std::same_as<value_t<A>, T>
auto reconstruct(pca_result<T> const& p, A const& scores) -> matrix<T> {
  auto const operand = evaluated(scores);
  matrix_view<T const> const input = as_view(operand);
  detail::check_width("reconstruct", input.shape(), as_view(p.components).rows, "components");
  detail::refuse_non_finite(input, "reconstruct");
  auto result = matmul(input, p.components);  // (rows, n)
  auto const to = as_view(result);
  for (index_t i = 0; i < to.rows; ++i) {
    std::ranges::transform(to.row(i), p.mean, to.row(i).begin(), [](T a, T b) { return a + b; });
  }
  return result;
}

}  // namespace v0
}  // namespace eckart
