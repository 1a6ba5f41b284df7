#pragma once

#include "eckart/compress/fit_engine.hpp"
#include "eckart/compress/fitted_basis.hpp"
#include "eckart/compress/statistics.hpp"
#include "eckart/linalg/norm.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

/// The best low-rank layers for given data. Plain SVD minimizes ||W - W'||; what a model sees is
/// the error of the outputs, E||W x + b - W' x - b'||². With the covariance C of x it is least, for
/// every rank k, for
///
///   W' = U_k U_k^T W,  b' = b + (W - W') E[x],  U the eigenvectors of W C W^T,
///
/// and then equals the sum of the eigenvalues after the k-th: Eckart and Young for W C^(1/2),
/// whose left singular vectors U are. Nothing is inverted, so C may be singular (Chen et al.,
/// DRONE, NeurIPS 2021; Wang et al., SVD-LLM, ICLR 2025, by Cholesky factors).
namespace eckart {
inline namespace v0 {

/// How a layer is fitted to moments.
struct fit_options {
  bool centred = true;  ///< covariance and a new bias; otherwise second moments, and the bias stays
  double shrinkage = 0;  ///< 0: the data alone; 1: all inputs alike, which is plain SVD
};

namespace detail {

inline auto trace(matrix<double> const& a) -> double {
  double sum = 0;
  for (index_t i = 0; i < as_view(a).rows; ++i) {
    sum += as_view(a)(i, i);
  }
  return sum;
}

/// (1 - s) c + s tr(c)/n I, in place (Ledoit and Wolf 2004).
inline void shrink(matrix<double>& c, double shrinkage) {
  if (!(shrinkage >= 0 && shrinkage <= 1)) {
    throw shape_error(message("fit: shrinkage ", shrinkage, " is not in [0, 1]"));
  }
  if (shrinkage == 0) {
    return;
  }
  auto const n = as_view(c).rows;
  auto const level = trace(c) / static_cast<double>(n);
  for (auto& value : c) {
    value *= 1 - shrinkage;
  }
  for (index_t i = 0; i < n; ++i) {
    // A constant input has no variance to share out: all directions are alike then.
    as_view(c)(i, i) += shrinkage * (level > 0 ? level : 1);
  }
}

/// Euclidean norms of the columns, from rows in the order of their addresses.
template <real T>
auto column_norms(matrix_view<T const> a) -> std::vector<double> {
  auto const cols = static_cast<std::size_t>(a.cols);
  std::vector<double> largest(cols, 0.0);
  for (index_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < cols; ++j) {
      largest[j] = std::max(largest[j], std::abs(static_cast<double>(a.row(i)[j])));
    }
  }
  std::vector<double> sums(cols, 0.0);
  for (index_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < cols; ++j) {
      auto const x = largest[j] > 0 ? static_cast<double>(a.row(i)[j]) / largest[j] : 0.0;
      sums[j] += x * x;
    }
  }
  std::ranges::transform(sums, largest, sums.begin(),
                         [](double sum, double size) { return size * std::sqrt(sum); });
  return sums;
}

/// Column j of l and row j of r to the same norm, unless one is zero.
template <real T>
void balance(matrix_view<T> l, matrix_view<T> r) {
  auto factors = column_norms(matrix_view<T const>(l));
  for (index_t j = 0; j < l.cols; ++j) {
    auto& factor = factors[static_cast<std::size_t>(j)];
    auto const of_r = euclidean_norm(r.row(j));
    factor = factor > 0 && of_r > 0 ? std::sqrt(of_r) / std::sqrt(factor) : 1;
    for (T& x : r.row(j)) {
      x = static_cast<T>(static_cast<double>(x) / factor);
    }
  }
  for (index_t i = 0; i < l.rows; ++i) {
    std::ranges::transform(l.row(i), factors, l.row(i).begin(), [](T x, double factor) {
      return static_cast<T>(static_cast<double>(x) * factor);
    });
  }
}

/// The best layers of all ranks for the full-rank answer `best` (m, n) and inputs of covariance c.
template <real T, fit_engine Engine>
auto basis_of(matrix<double> best, matrix<double> const& c, output_metric const& metric,
              Engine const& engine) -> fitted_basis<T> {
  auto factors = engine.factors(std::move(best), c, metric);
  fitted_basis<T> result;
  result.energy = std::accumulate(factors.losses.begin(), factors.losses.end(), 0.0);
  result.losses = std::move(factors.losses);
  auto const in_type = [](matrix<double> const& from) {
    auto to = make_matrix<T>(as_view(from).shape());
    std::ranges::transform(from, to.begin(), [](double x) { return static_cast<T>(x); });
    return to;
  };
  balance(as_view(factors.left), as_view(factors.right));
  result.right = in_type(factors.right);
  result.left = in_type(factors.left);
  return result;
}

template <real T>
auto in_double(matrix_view<T const> a) -> matrix<double> {
  auto result = make_matrix<double>(a.shape());
  for (index_t i = 0; i < a.rows; ++i) {
    std::ranges::copy(a.row(i), as_view(result).row(i).begin());
  }
  return result;
}

/// W x for a vector.
inline auto times(matrix<double> const& w, vector<double> const& x) -> vector<double> {
  auto result = make_vector<double>(as_view(w).rows);
  for (index_t i = 0; i < as_view(w).rows; ++i) {
    auto const row = as_view(w).row(i);
    result(static_cast<std::size_t>(i)) =
        std::inner_product(row.begin(), row.end(), x.begin(), 0.0);
  }
  return result;
}

}  // namespace detail

/// The best layers of every rank in place of y = W x + b, W (m, n), b (m) or empty for none, for
/// inputs of these moments: the error is that of the outputs, weighed by the metric. A matrix of
/// order min(m, n) is decomposed in double, about 10 min(m, n)² max(m, n) FLOPs. Without rows only
/// a shrinkage makes sense. Throws shape_error, numerical_error for weights that are not finite.
template <matrix_like A, fit_engine Engine = host_engine>
auto fit(A const& w, std::span<value_t<A> const> bias, input_moments const& inputs,
         fit_options options = {}, output_metric const& metric = {}, Engine const& engine = {})
    -> fitted_basis<value_t<A>> {
  using T = value_t<A>;
  auto const weight = matrix_view<T const>(as_view(w));
  detail::refuse_moments("fit", weight.shape(), inputs.width());
  if (!bias.empty() && static_cast<index_t>(bias.size()) != weight.rows) {
    throw shape_error(message("fit: ", bias.size(), " biases for a ", weight.shape(), " matrix"));
  }
  if (inputs.count() == 0 && options.shrinkage == 0) {
    throw shape_error("fit: moments of no rows");
  }
  auto c = options.centred ? inputs.covariance() : inputs.second_moment();
  detail::shrink(c, options.shrinkage);
  auto wide = detail::in_double(weight);
  auto mean = inputs.mean();
  if (!options.centred) {
    mean.fill(0);
  }
  auto origin = detail::times(wide, mean);
  for (std::size_t i = 0; i < bias.size(); ++i) {
    origin(i) += static_cast<double>(bias[i]);
  }
  auto result = detail::basis_of<T>(std::move(wide), c, metric, engine);
  result.mean = std::move(mean);
  result.at_origin = std::move(origin);
  return result;
}

/// The best layers of every rank for outputs that are given by their joint moments with the inputs:
/// the full-rank answer W* = C_tx H^-1, H = C_xx + ridge tr(C_xx)/n I, is a ridge regression, and U
/// are the eigenvectors of W* H W*^T; losses count ridge tr(C_xx)/n ||W'||² as errors. With t = W x
/// + b and no ridge it is the other function. With inputs from a compressed model and outputs from
/// the original one it mends the errors of the layers before (AA-SVD, arXiv 2604.02119, objective
/// 4). m n² + n³/3 FLOPs more than the other. With blocks as a metric, or without the outputs'
/// variance, the part that no linear layer answers is not known and counts as none. Throws
/// shape_error, not_positive_definite where a singular covariance has no ridge.
template <real T, fit_engine Engine = host_engine>
auto fit(joint_moments const& moments, double ridge, output_metric const& metric = {},
         Engine const& engine = {}) -> fitted_basis<T> {
  if (!(ridge >= 0 && std::isfinite(ridge))) {
    throw shape_error(message("fit: a ridge of ", ridge));
  }
  if (moments.inputs().count() == 0) {
    throw shape_error("fit: moments of no rows");
  }
  auto c = moments.inputs().covariance();
  auto const level = detail::trace(c) / static_cast<double>(as_view(c).rows);
  for (index_t i = 0; i < as_view(c).rows; ++i) {
    as_view(c)(i, i) += level > 0 ? ridge * level : 1;
  }
  auto best = moments.cross_covariance();
  engine.solve(c, as_view(best));
  auto result = detail::basis_of<T>(std::move(best), c, metric, engine);
  if (auto const variance = moments.output_variance(); variance && metric.blocks.empty()) {
    // What the regression does not reach of the outputs' variance is lost at every rank.
    auto const explained = result.energy;
    result.energy = detail::weighted_variance(*variance, metric);
    result.unexplained = std::max(0.0, result.energy - explained);
  }
  result.mean = moments.inputs().mean();
  result.at_origin = moments.output_mean();
  return result;
}

/// Plain SVD as a basis: the losses are the squared singular values, as for inputs that are all
/// alike, and the bias stays.
template <matrix_like A, fit_engine Engine = host_engine>
auto svd_basis(A const& w, std::span<value_t<A> const> bias, Engine const& engine = {})
    -> fitted_basis<value_t<A>> {
  using T = value_t<A>;
  auto f = engine.decompose(w);
  auto const shape = matrix_view<T const>(as_view(w)).shape();
  fitted_basis<T> result;
  result.losses = make_vector<double>(static_cast<index_t>(f.s.size()));
  std::ranges::transform(f.s, result.losses.begin(),
                         [](T s) { return static_cast<double>(s) * static_cast<double>(s); });
  result.energy = std::accumulate(result.losses.begin(), result.losses.end(), 0.0);
  for (index_t i = 0; i < as_view(f.vt).rows; ++i) {
    for (auto& value : as_view(f.vt).row(i)) {
      value *= f.s(static_cast<std::size_t>(i));
    }
  }
  result.left = std::move(f.u);
  result.right = std::move(f.vt);
  detail::balance(as_view(result.left), as_view(result.right));
  result.mean = make_vector<double>(shape.cols);
  result.mean.fill(0);
  result.at_origin = make_vector<double>(shape.rows);
  result.at_origin.fill(0);
  std::ranges::copy(bias, result.at_origin.begin());
  return result;
}

}  // namespace v0
}  // namespace eckart
