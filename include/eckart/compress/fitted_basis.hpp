#pragma once

#include "eckart/factor/low_rank.hpp"

#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// W' (m, n) of rank k, and b' (m).
template <real T>
struct fitted_layer {
  low_rank<T, two_factor> weight;
  vector<T> bias;
};

/// The best layers of all ranks at once, as factors whose first k columns and rows are the best of
/// rank k.
template <real T>
struct fitted_basis {
  vector<double> losses;     ///< (r), falling: what leaving out a direction adds to the loss
  double unexplained = 0;    ///< loss at full rank: what no linear layer can answer
  double energy = 0;         ///< loss of answering the mean always; relative errors divide by it
  matrix<T> left;            ///< (m, r), each column as long as the row of
  matrix<T> right;           ///< (r, n), so that neither loses in low precision
  vector<double> at_origin;  ///< (m), the bias of W' = 0
  vector<double> mean;       ///< (n), of the inputs, or zero where the bias is to stay

  auto shape() const -> shape2 { return {as_view(left).rows, as_view(right).cols}; }
  auto rank() const -> index_t { return as_view(left).cols; }

  /// E[e^T M e] of the layer of rank k on the data of the moments, as far as the fit was by them:
  /// shrinkage and a ridge count as data. Rank 0 answers the mean always. Throws shape_error.
  auto predicted_loss(index_t k) const -> double {
    if (k < 0 || k > rank()) {
      throw shape_error(message("predicted_loss: rank ", k, " of a basis of ", rank()));
    }
    return std::accumulate(losses.begin() + k, losses.end(), unexplained);
  }

  /// The layer of rank k. Throws shape_error.
  auto truncate(index_t k) const -> fitted_layer<T> {
    if (k < 1 || k > rank()) {
      throw shape_error(message("truncate: rank ", k, " of a basis of ", rank()));
    }
    auto l = to_matrix(as_view(left).col_range(0, k));
    auto r = to_matrix(as_view(right).row_range(0, k));
    auto bias = make_vector<T>(shape().rows);
    auto inner = std::vector<double>(static_cast<std::size_t>(k), 0.0);
    for (index_t j = 0; j < k; ++j) {
      for (index_t i = 0; i < shape().cols; ++i) {
        inner[static_cast<std::size_t>(j)] +=
            static_cast<double>(as_view(r)(j, i)) * mean(static_cast<std::size_t>(i));
      }
    }
    for (index_t i = 0; i < shape().rows; ++i) {
      auto value = at_origin(static_cast<std::size_t>(i));
      for (index_t j = 0; j < k; ++j) {
        value -= static_cast<double>(as_view(l)(i, j)) * inner[static_cast<std::size_t>(j)];
      }
      bias(static_cast<std::size_t>(i)) = static_cast<T>(value);
    }
    return {{std::move(l), std::move(r)}, std::move(bias)};
  }
};

}  // namespace v0
}  // namespace eckart
