#pragma once

#include "eckart/core/view.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <type_traits>

namespace eckart {
inline namespace v0 {

namespace detail {

/// |x| in double.
template <scalar T>
auto magnitude(T x) -> double {
  if constexpr (complex_number<T>) {
    return std::hypot(static_cast<double>(x.real()), static_cast<double>(x.imag()));
  } else {
    return std::abs(static_cast<double>(x));
  }
}

template <scalar T>
auto is_finite(T x) -> bool {
  if constexpr (complex_number<T>) {
    return std::isfinite(x.real()) && std::isfinite(x.imag());
  } else {
    return std::isfinite(x);
  }
}

}  // namespace detail

/// max |a(i, j)|, NaN if an entry is NaN, 0 for an empty matrix.
template <class T>
auto max_abs(matrix_view<T> a) -> double {
  double largest = 0;
  for (index_t i = 0; i < a.rows; ++i) {
    for (auto const x : a.row(i)) {
      auto const size = detail::magnitude(x);
      if (std::isnan(size)) {
        return size;
      }
      largest = std::max(largest, size);
    }
  }
  return largest;
}

/// sqrt(sum x²) without overflow or underflow of the squares; in double. NaN if a number is NaN.
template <class Range>
auto euclidean_norm(Range const& values) -> double {
  double largest = 0;
  for (auto const x : values) {
    auto const size = std::abs(static_cast<double>(x));
    if (std::isnan(size)) {
      return size;
    }
    largest = std::max(largest, size);
  }
  if (largest == 0 || !std::isfinite(largest)) {
    return largest;
  }
  double sum = 0;
  for (auto const x : values) {
    auto const scaled = static_cast<double>(x) / largest;
    sum += scaled * scaled;
  }
  return largest * std::sqrt(sum);
}

/// Frobenius norm sqrt(sum |a(i, j)|²) without overflow or underflow of the squares; in double.
template <class T>
auto frobenius_norm(matrix_view<T> a) -> double {
  auto const largest = max_abs(a);
  if (largest == 0 || !std::isfinite(largest)) {
    return largest;
  }
  double sum = 0;
  for (index_t i = 0; i < a.rows; ++i) {
    for (auto const x : a.row(i)) {
      auto const scaled = detail::magnitude(x) / largest;
      sum += scaled * scaled;
    }
  }
  return largest * std::sqrt(sum);
}

template <dense_matrix A>
auto max_abs(A const& a) -> double {
  return max_abs(as_view(a));
}

template <dense_matrix A>
auto frobenius_norm(A const& a) -> double {
  return frobenius_norm(as_view(a));
}

/// Position of an entry.
struct position {
  index_t row = 0;
  index_t col = 0;
};

/// The first entry that is NaN or infinite, row by row.
template <class T>
auto find_non_finite(matrix_view<T> a) -> std::optional<position> {
  for (index_t i = 0; i < a.rows; ++i) {
    // x - x is 0 for a finite x and NaN otherwise: sums without a branch find the row, several so
    // that none waits for the one before.
    constexpr std::size_t lanes = 8;
    auto const row = a.row(i);
    std::array<std::remove_const_t<T>, lanes> sums{};
    std::size_t at = 0;
    for (; at + lanes <= row.size(); at += lanes) {
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        sums[lane] += row[at + lane] - row[at + lane];
      }
    }
    for (; at < row.size(); ++at) {
      sums[0] += row[at] - row[at];
    }
    if (std::accumulate(sums.begin(), sums.end(), std::remove_const_t<T>(0)) ==
        std::remove_const_t<T>(0)) {
      continue;
    }
    for (index_t j = 0; j < a.cols; ++j) {
      if (!detail::is_finite(a(i, j))) {
        return position{i, j};
      }
    }
  }
  return std::nullopt;
}

namespace detail {

/// Throws numerical_error that names the function and the first entry that is not finite.
template <scalar T>
void refuse_non_finite(matrix_view<T const> a, char const* name) {
  if (auto const bad = find_non_finite(a)) {
    throw numerical_error(message(name, ": element (", bad->row, ", ", bad->col, ") of the ",
                                  a.shape(), " matrix is ", a(bad->row, bad->col)),
                          0);
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
