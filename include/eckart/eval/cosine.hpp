#pragma once

#include "eckart/core/view.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

/// Likeness of vectors, of matrices and of two models' hidden states, computed in double.
namespace eckart {
inline namespace v0 {

namespace detail {

/// A matrix of real numbers, in memory or an expression.
template <class E>
concept real_operand = matrix_operand<E> && real<value_t<E>>;

struct as_it_is {
  auto operator()(double x) const -> double { return x; }
};

/// Multiplies by the power of two that brings `largest` to [1, 2): exact, squares can neither
/// overflow nor vanish beside the largest one.
struct to_unit_size {
  int exponent;

  explicit to_unit_size(double largest) : exponent(std::ilogb(largest)) {}
  auto operator()(double x) const -> double { return std::scalbn(x, -exponent); }
};

/// Whether a sum of squares neither came near overflow nor lost digits to underflow, also in its
/// product with another such sum.
inline auto is_safe(double square) -> bool {
  return square >= 1e-140 && square <= 1e140;
}

/// Sums over all pairs of entries.
struct entry_products {
  double ab = 0;
  double aa = 0;
  double bb = 0;
};

/// ab, aa and bb of the entries as `scale_a` and `scale_b` make them.
template <real A, real B, class ScaleA, class ScaleB>
auto products_of_entries(matrix_view<A const> a, matrix_view<B const> b, ScaleA scale_a,
                         ScaleB scale_b) -> entry_products {
  entry_products sums;
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      double const x = scale_a(static_cast<double>(a(i, j)));
      double const y = scale_b(static_cast<double>(b(i, j)));
      sums.ab += x * y;
      sums.aa += x * x;
      sums.bb += y * y;
    }
  }
  return sums;
}

/// max |a(i, j)|; NaN if an entry is NaN.
template <real T>
auto largest_size(matrix_view<T const> a) -> double {
  double largest = 0;
  for (index_t i = 0; i < a.rows; ++i) {
    for (auto const x : a.row(i)) {
      auto const size = std::abs(static_cast<double>(x));
      largest = std::isnan(size) ? size : std::max(largest, size);
      if (std::isnan(largest)) {
        return largest;
      }
    }
  }
  return largest;
}

/// The cosine of two matrices of one shape. Twice the same arguments answer exactly 1, and the
/// order of the arguments does not matter: aa * bb is commutative, sqrt(aa * aa) is aa.
template <real A, real B>
auto cosine_of_entries(matrix_view<A const> a, matrix_view<B const> b) -> double {
  auto sums = products_of_entries(a, b, as_it_is(), as_it_is());
  if (!is_safe(sums.aa) || !is_safe(sums.bb)) {
    auto const largest_a = largest_size(a);
    auto const largest_b = largest_size(b);
    if (!std::isfinite(largest_a) || !std::isfinite(largest_b)) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    if (largest_a == 0 || largest_b == 0) {
      return largest_a == largest_b ? 1 : 0;
    }
    sums = products_of_entries(a, b, to_unit_size(largest_a), to_unit_size(largest_b));
  }
  return std::clamp(sums.ab / std::sqrt(sums.aa * sums.bb), -1.0, 1.0);
}

/// ||a||^2 of the entries as `scale_a` makes them, and ||a - b||^2 of those as `scale` makes both.
struct squared_norms {
  double exact = 0;
  double difference = 0;
};

template <real A, real B, class ScaleA, class Scale>
auto squared_norms_of(matrix_view<A const> a, matrix_view<B const> b, ScaleA scale_a, Scale scale)
    -> squared_norms {
  squared_norms sums;
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      auto const x = static_cast<double>(a(i, j));
      double const own = scale_a(x);
      double const apart = scale(x) - scale(static_cast<double>(b(i, j)));
      sums.exact += own * own;
      sums.difference += apart * apart;
    }
  }
  return sums;
}

/// ||a - b|| / ||a|| (Frobenius) of two matrices of one shape.
template <real A, real B>
auto relative_distance(matrix_view<A const> a, matrix_view<B const> b) -> double {
  auto const plain = squared_norms_of(a, b, as_it_is(), as_it_is());
  if (is_safe(plain.exact) && is_safe(plain.difference)) {
    return std::sqrt(plain.difference / plain.exact);
  }
  auto const largest_a = largest_size(a);
  auto const largest_b = largest_size(b);
  if (!std::isfinite(largest_a) || !std::isfinite(largest_b)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (largest_a == 0) {
    return largest_b == 0 ? 0 : std::numeric_limits<double>::infinity();
  }
  auto const own = to_unit_size(largest_a);
  auto const common = to_unit_size(std::max(largest_a, largest_b));
  auto const scaled = squared_norms_of(a, b, own, common);
  return std::scalbn(std::sqrt(scaled.difference / scaled.exact), common.exponent - own.exponent);
}

inline void check_same_shape(char const* name, shape2 a, shape2 b) {
  if (a != b) {
    throw shape_error(message(name, ": ", a, " and ", b));
  }
}

}  // namespace detail

/// <a, b> / (||a|| ||b||) in -1..1; 0 if one of them is zero, 1 if both are, NaN if an entry is not
/// finite. No size of the entries overflows or vanishes. Throws shape_error for unequal lengths.
template <class T>
auto cosine(std::span<T const> a, std::span<T const> b) -> double {
  if (a.size() != b.size()) {
    throw shape_error(message("cosine: ", a.size(), " and ", b.size(), " entries"));
  }
  auto const n = static_cast<index_t>(a.size());
  return detail::cosine_of_entries(matrix_view<T const>(a.data(), 1, n),
                                   matrix_view<T const>(b.data(), 1, n));
}

/// The same of two matrices, all entries taken as one vector: of a truncated SVD W_k and W it is
/// sqrt(1 - e^2) with the relative error e. Throws shape_error for unequal shapes.
template <detail::real_operand A, detail::real_operand B>
auto cosine(A const& a, B const& b) -> double {
  auto const& in_memory_a = evaluated(a);
  auto const& in_memory_b = evaluated(b);
  auto const x = matrix_view<value_t<A> const>(as_view(in_memory_a));
  auto const y = matrix_view<value_t<B> const>(as_view(in_memory_b));
  detail::check_same_shape("cosine", x.shape(), y.shape());
  return detail::cosine_of_entries(x, y);
}

/// A matrix and what stands in for it.
struct matrix_likeness {
  double cosine = 0;          ///< does not see the scale
  double relative_error = 0;  ///< ||exact - other|| / ||exact||, Frobenius
};

/// How like `other` is to `exact`: weights and their approximation. The error from zero is 0 for
/// zero and infinite for anything else; both are NaN if an entry is not finite. Throws shape_error
/// for unequal shapes.
template <detail::real_operand A, detail::real_operand B>
auto compare_matrices(A const& exact, B const& other) -> matrix_likeness {
  auto const& in_memory_a = evaluated(exact);
  auto const& in_memory_b = evaluated(other);
  auto const a = matrix_view<value_t<A> const>(as_view(in_memory_a));
  auto const b = matrix_view<value_t<B> const>(as_view(in_memory_b));
  detail::check_same_shape("compare_matrices", a.shape(), b.shape());
  return {detail::cosine_of_entries(a, b), detail::relative_distance(a, b)};
}

/// The mean of the rows: a sentence embedding by mean pooling, (cols).
template <detail::real_operand A>
auto mean_row(A const& states) -> std::vector<double> {
  auto const& in_memory = evaluated(states);
  auto const a = as_view(in_memory);
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

/// The cosines of corresponding rows.
struct row_likeness {
  double mean = 0;   ///< of all rows
  double worst = 0;  ///< the least of them
};

/// Throws shape_error for unequal shapes or no row. A cosine that is NaN makes both NaN.
template <detail::real_operand A, detail::real_operand B>
auto compare_rows(A const& a, B const& b) -> row_likeness {
  auto const& in_memory_a = evaluated(a);
  auto const& in_memory_b = evaluated(b);
  auto const x = matrix_view<value_t<A> const>(as_view(in_memory_a));
  auto const y = matrix_view<value_t<B> const>(as_view(in_memory_b));
  if (x.shape() != y.shape() || x.rows == 0) {
    throw shape_error(message("compare_rows: ", x.shape(), " and ", y.shape()));
  }
  row_likeness result{0, 1};
  for (index_t i = 0; i < x.rows; ++i) {
    auto const c = detail::cosine_of_entries(x.row_range(i, 1), y.row_range(i, 1));
    result.mean += c;
    result.worst = std::isnan(c) ? c : std::min(result.worst, c);
  }
  result.mean /= static_cast<double>(x.rows);
  return result;
}

/// Two models' hidden states of the same tokens, (tokens, width) each.
struct state_likeness {
  double pooled = 0;       ///< cosine of the mean rows
  double mean_token = 0;   ///< mean of the tokens' cosines
  double worst_token = 0;  ///< the least of them
};

/// Throws shape_error for unequal shapes or no token. NaN where an entry is not finite.
template <detail::real_operand A, detail::real_operand B>
auto compare_states(A const& a, B const& b) -> state_likeness {
  auto const& in_memory_a = evaluated(a);
  auto const& in_memory_b = evaluated(b);
  auto const x = as_view(in_memory_a);
  auto const y = as_view(in_memory_b);
  if (x.shape() != y.shape() || x.rows == 0) {
    throw shape_error(message("compare_states: ", x.shape(), " and ", y.shape()));
  }
  auto const tokens = compare_rows(x, y);
  auto const mean_x = mean_row(x);
  auto const mean_y = mean_row(y);
  return {cosine<double>(mean_x, mean_y), tokens.mean, tokens.worst};
}

}  // namespace v0
}  // namespace eckart
