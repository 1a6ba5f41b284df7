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
#include <vector>

namespace eckart {
inline namespace v0 {

/// What an error e of the outputs costs: e^T M e for a symmetric positive semidefinite M (m, m).
/// The identity if neither is given; of both only one may be.
struct output_metric {
  std::optional<vector<double>> diagonal = std::nullopt;  ///< (m), of M
  /// Square, along the diagonal of M, which is 0 elsewhere: their orders add up to m. A single one
  /// is M. Of each the lower triangle is read.
  std::vector<matrix<double>> blocks = {};
};

namespace detail {

/// E[(t - mean)^T M (t - mean)] for a diagonal metric.
inline auto weighted_variance(vector<double> const& variance, output_metric const& metric)
    -> double {
  return metric.diagonal
             ? std::inner_product(variance.begin(), variance.end(), metric.diagonal->begin(), 0.0)
             : std::accumulate(variance.begin(), variance.end(), 0.0);
}

/// A metric that can be factored: the roots of its diagonal, and blocks that are definite.
class definite_metric {
 public:
  /// Of a metric for so many outputs. Throws shape_error.
  definite_metric(output_metric const& metric, index_t outputs) : blocks(metric.blocks) {
    if (metric.diagonal && !metric.blocks.empty()) {
      throw shape_error("fit: an output metric with a diagonal and blocks");
    }
    if (metric.diagonal) {
      if (static_cast<index_t>(metric.diagonal->size()) != outputs) {
        throw shape_error(
            message("fit: ", metric.diagonal->size(), " output weights for ", outputs, " outputs"));
      }
      roots = *metric.diagonal;
      for (auto& value : *roots) {
        if (!(value >= 0 && std::isfinite(value))) {
          throw shape_error(message("fit: an output weight is ", value));
        }
        value = std::sqrt(value);
      }
    }
    if (!blocks.empty()) {
      refuse_orders(outputs);
      lift(outputs);
    }
  }

  std::optional<vector<double>> roots;  ///< (m)
  std::vector<matrix<double>> blocks;   ///< lower triangles

 private:
  void refuse_orders(index_t outputs) const {
    index_t sum = 0;
    for (auto const& block : blocks) {
      auto const shape = as_view(block).shape();
      if (shape.rows != shape.cols || shape.rows == 0) {
        throw shape_error(message("fit: a block ", shape, " of an output metric"));
      }
      sum += shape.rows;
    }
    if (sum != outputs) {
      throw shape_error(
          message("fit: an output metric of order ", sum, " for ", outputs, " outputs"));
    }
  }

  // A semidefinite matrix has no Cholesky factor in floating point: a billionth of the mean
  // diagonal is added, which the errors of a fit do not feel. A zero one becomes next to nothing.
  // The mean is that of all blocks: lifted by its own, a zero block would have a root of 1e-100, by
  // which solve() would divide what rounding has left in its rows.
  void lift(index_t outputs) {
    double sum = 0;
    for (auto const& block : blocks) {
      for (index_t i = 0; i < as_view(block).rows; ++i) {
        sum += as_view(block)(i, i);
      }
    }
    auto const level = std::max(1e-9 * sum / static_cast<double>(outputs), 1e-200);
    for (auto& block : blocks) {
      for (index_t i = 0; i < as_view(block).rows; ++i) {
        as_view(block)(i, i) += level;
      }
    }
  }
};

/// P with P^T P = M: the root of a diagonal, or the Cholesky factors of blocks.
class metric_root {
 public:
  /// Of a metric for so many outputs. Throws shape_error, not_positive_definite, whose pivot counts
  /// within a block. b³ / 3 FLOPs for a block of order b.
  metric_root(output_metric const& metric, index_t outputs) {
    definite_metric ready(metric, outputs);
    diagonal_ = std::move(ready.roots);
    lower_ = std::move(ready.blocks);
    for (auto& block : lower_) {
      cholesky_work(as_view(block));
    }
  }

  /// P a for a (m, n). 2 b² n FLOPs for a block of order b.
  auto times(matrix<double> a) const -> matrix<double> {
    if (lower_.empty()) {
      return scaled(std::move(a), [](double root) { return root; });
    }
    auto result = make_matrix<double>(as_view(a).shape());
    index_t first = 0;
    for (auto const& l : lower_) {
      auto const order = as_view(l).rows;
      matmul(op::transpose, as_view(l), op::none, as_view(a).row_range(first, order),
             as_view(result).row_range(first, order));
      first += order;
    }
    return result;
  }

  /// P^-1 a; rows of weight 0 become 0. b² n FLOPs for a block of order b.
  auto solve(matrix<double> a) const -> matrix<double> {
    if (lower_.empty()) {
      return scaled(std::move(a), [](double root) { return root > 0 ? 1 / root : 0; });
    }
    index_t first = 0;
    for (auto const& l : lower_) {
      auto const order = as_view(l).rows;
      solve_block(l, as_view(a).row_range(first, order));
      first += order;
    }
    return a;
  }

 private:
  // rows <- L^-T rows, in place.
  static void solve_block(matrix<double> const& l, matrix_view<double> rows) {
    // Row-major L is L^T for LAPACK, and the rows of the transpose are the columns that it solves
    // for.
    auto const order = to_blas_int(rows.rows);
    auto columns = make_matrix<double>({rows.cols, rows.rows});
    transpose(rows, as_view(columns));
    lapack::solve_upper(order, to_blas_int(rows.cols), l.data(), order, columns.data(), order);
    transpose(as_view(columns), rows);
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
  std::vector<matrix<double>> lower_;       // square, orders add up to m; empty without blocks
};

}  // namespace detail
}  // namespace v0
}  // namespace eckart
