#pragma once

#include "eckart/linalg/cholesky.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/transpose.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <utility>

namespace eckart {
inline namespace v0 {

/// What an error e of the outputs costs: e^T M e for a symmetric positive semidefinite M (m, m).
/// The identity if neither is given; of both only one may be.
struct output_metric {
  std::optional<vector<double>> diagonal = std::nullopt;  ///< (m), of M
  std::optional<matrix<double>> full =
      std::nullopt;  ///< (m, m), M, of which the lower triangle is read
};

namespace detail {

/// E[(t - mean)^T M (t - mean)] for a diagonal metric.
inline auto weighted_variance(vector<double> const& variance, output_metric const& metric)
    -> double {
  return metric.diagonal
             ? std::inner_product(variance.begin(), variance.end(), metric.diagonal->begin(), 0.0)
             : std::accumulate(variance.begin(), variance.end(), 0.0);
}

/// P with P^T P = M: the root of a diagonal, or the Cholesky factor of M.
class metric_root {
 public:
  /// Of a metric for so many outputs. Throws shape_error, not_positive_definite. m³ / 3 FLOPs.
  metric_root(output_metric const& metric, index_t outputs) {
    if (metric.diagonal && metric.full) {
      throw shape_error("fit: an output metric with a diagonal and a full matrix");
    }
    if (metric.diagonal) {
      if (static_cast<index_t>(metric.diagonal->size()) != outputs) {
        throw shape_error(
            message("fit: ", metric.diagonal->size(), " output weights for ", outputs, " outputs"));
      }
      diagonal_ = *metric.diagonal;
      for (auto& value : *diagonal_) {
        if (!(value >= 0 && std::isfinite(value))) {
          throw shape_error(message("fit: an output weight is ", value));
        }
        value = std::sqrt(value);
      }
    }
    if (metric.full) {
      if (as_view(*metric.full).shape() != shape2{outputs, outputs}) {
        throw shape_error(message("fit: an output metric ", as_view(*metric.full).shape(), " for ",
                                  outputs, " outputs"));
      }
      lower_ = *metric.full;
      lift(as_view(*lower_));
      cholesky_work(as_view(*lower_));
    }
  }

  /// P a for a (m, n).
  auto times(matrix<double> a) const -> matrix<double> {
    if (lower_) {
      return matmul(op::transpose, *lower_, op::none, a);
    }
    return scaled(std::move(a), [](double root) { return root; });
  }

  /// P^-1 a; rows of weight 0 become 0.
  auto solve(matrix<double> a) const -> matrix<double> {
    if (lower_) {
      // Row-major L is L^T for LAPACK, and the rows of a^T are the columns that it solves for.
      auto const shape = as_view(a).shape();
      auto columns = make_matrix<double>({shape.cols, shape.rows});
      transpose(matrix_view<double const>(as_view(a)), as_view(columns));
      lapack::solve_upper(to_blas_int(shape.rows), to_blas_int(shape.cols), lower_->data(),
                          to_blas_int(shape.rows), columns.data(), to_blas_int(shape.rows));
      transpose(matrix_view<double const>(as_view(columns)), as_view(a));
      return a;
    }
    return scaled(std::move(a), [](double root) { return root > 0 ? 1 / root : 0; });
  }

 private:
  // A semidefinite matrix has no Cholesky factor in floating point: a billionth of the mean
  // diagonal is added, which the errors of a fit do not feel. A zero one becomes next to nothing.
  static void lift(matrix_view<double> m) {
    double sum = 0;
    for (index_t i = 0; i < m.rows; ++i) {
      sum += m(i, i);
    }
    auto const level = std::max(1e-9 * sum / static_cast<double>(m.rows), 1e-200);
    for (index_t i = 0; i < m.rows; ++i) {
      m(i, i) += level;
    }
  }

  template <class F>
  auto scaled(matrix<double> a, F factor) const -> matrix<double> {
    for (index_t i = 0; diagonal_ && i < as_view(a).rows; ++i) {
      for (auto& value : as_view(a).row(i)) {
        value *= factor((*diagonal_)(static_cast<std::size_t>(i)));
      }
    }
    return a;
  }

  std::optional<vector<double>> diagonal_;  // (m), roots
  std::optional<matrix<double>> lower_;     // (m, m)
};

}  // namespace detail
}  // namespace v0
}  // namespace eckart
