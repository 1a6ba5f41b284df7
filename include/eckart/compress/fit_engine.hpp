#pragma once

#include "eckart/compress/output_metric.hpp"
#include "eckart/linalg/eigh.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/svd.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <type_traits>
#include <utility>

/// Who computes what is expensive about fitting layers: compress/whiten.hpp says what it is for.
namespace eckart {
inline namespace v0 {

/// The best factors of all ranks at once: left_k right_k of the first k columns and rows.
struct fit_factors {
  vector<double> losses;  ///< (r), falling: what leaving out a direction adds to the loss
  matrix<double> left;    ///< (m, r)
  matrix<double> right;   ///< (r, n)
};

/// Computes a fit's products and decompositions, wherever that is. Matrices of the host come in and
/// go out, so whoever hands in an engine of a device asks for the copies.
template <class E>
concept fit_engine = requires(E const& engine, matrix<float> const& w, matrix<double> best,
                              matrix<double> const& c, output_metric const& metric,
                              matrix_view<float const> x, matrix_view<float> product) {
  { engine.decompose(w) } -> std::same_as<svd_result<float>>;
  { engine.factors(std::move(best), c, metric) } -> std::same_as<fit_factors>;
  engine.solve(c, as_view(best));
  engine.upper_gram(x, product);
  engine.product_of_transpose(x, x, product);
};

namespace detail {

/// Orthonormal U (m, r) and falling values, r = min(m, n), with a c a^T = U diag(values) U^T: by
/// the eigenvectors of the product where it is the smaller matrix, else by the SVD of a c^(1/2).
inline auto output_directions(matrix<double> const& a, matrix<double> const& c)
    -> std::pair<vector<double>, matrix<double>> {
  auto const shape = as_view(a).shape();
  if (shape.rows <= shape.cols) {
    auto pairs = eigh(matmul(op::none, matmul(a, c), op::transpose, a));
    for (auto& value : pairs.values) {
      value = std::max(value, 0.0);
    }
    return {std::move(pairs.values), std::move(pairs.vectors)};
  }
  auto root = eigh(c);
  for (auto& value : root.values) {
    value = std::sqrt(std::max(value, 0.0));
  }
  openblas{}.scale_columns(as_span(std::as_const(root.values)), as_view(root.vectors));
  auto f = svd(matmul(a, root.vectors));
  for (auto& value : f.s) {
    value *= value;
  }
  return {std::move(f.s), std::move(f.u)};
}

}  // namespace detail

/// The engine that all functions take unless they are given another: OpenBLAS and LAPACK.
struct host_engine {
  /// The thin SVD of a matrix. Throws as svd.
  template <matrix_like A>
  auto decompose(A const& a) const -> svd_result<value_t<A>> {
    return svd(a);
  }

  /// U_k U_k^T a for all k, as factors, with U the eigenvectors of P a c a^T P^T and P^T P the
  /// metric: left = P^-1 U, right = U^T P a. Throws shape_error, numerical_error.
  auto factors(matrix<double> a, matrix<double> const& c, output_metric const& metric) const
      -> fit_factors {
    auto const root = detail::metric_root(metric, as_view(a).rows);
    auto const weighed = root.times(std::move(a));
    auto [losses, u] = detail::output_directions(weighed, c);
    auto right = matmul(op::transpose, u, op::none, weighed);
    return {std::move(losses), root.solve(std::move(u)), std::move(right)};
  }

  /// rows (m, n) <- rows c^-1 for a positive definite c (n, n). Throws as cholesky.
  void solve(matrix<double> const& c, matrix_view<double> rows) const {
    auto const factor = cholesky(c);
    cholesky_solve_work(as_view(factor), rows);
  }

  /// The upper triangle of x^T x for x (rows, n).
  template <real T>
  void upper_gram(matrix_view<T const> x, matrix_view<T> product) const {
    openblas{}.upper_gram(x, product);
  }

  /// product (m, n) = x^T y for x (rows, m) and y (rows, n).
  template <real T>
  void product_of_transpose(matrix_view<T const> x, std::type_identity_t<matrix_view<T const>> y,
                            matrix_view<T> product) const {
    openblas{}.gemm(op::transpose, op::none, T{1}, x, y, T{0}, product);
  }
};

}  // namespace v0
}  // namespace eckart
