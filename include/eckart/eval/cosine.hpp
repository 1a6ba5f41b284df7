#pragma once

#include "eckart/core/view.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

/// Likeness of vectors and of two models' hidden states, computed in double.
namespace eckart {
inline namespace v0 {

/// <a, b> / (||a|| ||b||); 0 if one of them is zero, 1 if both are. Throws shape_error for unequal
/// lengths.
template <class T>
auto cosine(std::span<T const> a, std::span<T const> b) -> double {
  if (a.size() != b.size()) {
    throw shape_error(message("cosine: ", a.size(), " and ", b.size(), " entries"));
  }
  double dot = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto const x = static_cast<double>(a[i]);
    auto const y = static_cast<double>(b[i]);
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (aa == 0 || bb == 0) {
    return aa == bb ? 1 : 0;
  }
  return dot / std::sqrt(aa) / std::sqrt(bb);
}

/// The mean of the rows: a sentence embedding by mean pooling, (cols).
template <class T>
auto mean_row(matrix_view<T> a) -> std::vector<double> {
  if (a.rows == 0) {
    throw shape_error(message("mean_row: of a ", a.shape(), " matrix"));
  }
  std::vector<double> mean(static_cast<std::size_t>(a.cols));
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      mean[static_cast<std::size_t>(j)] += static_cast<double>(a(i, j));
    }
  }
  for (auto& x : mean) {
    x /= static_cast<double>(a.rows);
  }
  return mean;
}

/// Two models' hidden states of the same tokens, (tokens, width) each.
struct state_likeness {
  double pooled = 0;       ///< cosine of the mean rows
  double mean_token = 0;   ///< mean of the tokens' cosines
  double worst_token = 0;  ///< the least of them
};

/// Throws shape_error for unequal shapes or no token.
template <class T>
auto compare_states(matrix_view<T> a, matrix_view<T> b) -> state_likeness {
  if (a.shape() != b.shape() || a.rows == 0) {
    throw shape_error(message("compare_states: ", a.shape(), " and ", b.shape()));
  }
  auto const mean_a = mean_row(a);
  auto const mean_b = mean_row(b);
  state_likeness result;
  result.pooled = cosine(std::span(mean_a), std::span(mean_b));
  result.worst_token = 1;
  for (index_t i = 0; i < a.rows; ++i) {
    auto const c = cosine(std::span<std::remove_const_t<T> const>(a.row(i)),
                          std::span<std::remove_const_t<T> const>(b.row(i)));
    result.mean_token += c / static_cast<double>(a.rows);
    result.worst_token = std::min(result.worst_token, c);
  }
  return result;
}

}  // namespace v0
}  // namespace eckart
