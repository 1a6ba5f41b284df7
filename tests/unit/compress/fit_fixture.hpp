#pragma once

#include "eckart/compress/whiten.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

// What the tests of fitted layers share: data, and what a layer really loses on them, in double and
// by other ways than the library's.
namespace fit_test {

using namespace eckart;
using support::epsilon;
using support::in_double;
using support::product;
using support::random_matrix;

/// Correlated rows whose directions differ in size by up to 1 : width, with means far from 0.
inline auto samples(index_t rows, index_t width, std::uint32_t seed) -> matrix<double> {
  auto mix = random_matrix<double>(width, width, seed + 1000);
  for (index_t i = 0; i < width; ++i) {
    for (auto& value : as_view(mix).row(i)) {
      value *= 2 / static_cast<double>(1 + i);
    }
  }
  auto x = product(random_matrix<double>(rows, width, seed), mix);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < width; ++j) {
      as_view(x)(i, j) += static_cast<double>(j % 3 - 1) + 0.5;
    }
  }
  return x;
}

/// y = x W^T + b for b (m) or none.
template <class Bias>
auto outputs(matrix<double> const& x, matrix<double> const& w, Bias const& bias) -> matrix<double> {
  auto y = product(op::none, x, op::transpose, w);
  for (index_t i = 0; i < as_view(y).rows; ++i) {
    for (std::size_t j = 0; j < bias.size(); ++j) {
      as_view(y).row(i)[j] += static_cast<double>(bias[j]);
    }
  }
  return y;
}

/// What the layer answers, in double.
template <class T>
auto outputs(matrix<double> const& x, fitted_layer<T> const& layer) -> matrix<double> {
  auto const inner = product(op::none, x, op::transpose, in_double(layer.weight.right()));
  return outputs(inner, in_double(layer.weight.left()), as_span(layer.bias));
}

/// The mean of e^T M e over the rows of t - y; M the identity if there is none.
inline auto measured(matrix<double> const& t, matrix<double> const& y,
                     std::optional<matrix<double>> const& metric = std::nullopt) -> double {
  auto e = t;
  for (index_t i = 0; i < as_view(e).rows; ++i) {
    for (index_t j = 0; j < as_view(e).cols; ++j) {
      as_view(e)(i, j) -= as_view(y)(i, j);
    }
  }
  auto const weighed = metric ? product(e, *metric) : e;
  double sum = 0;
  for (index_t i = 0; i < as_view(e).rows; ++i) {
    for (index_t j = 0; j < as_view(e).cols; ++j) {
      sum += as_view(e)(i, j) * as_view(weighed)(i, j);
    }
  }
  return sum / static_cast<double>(as_view(e).rows);
}

/// W' (m, n) of the layer.
template <class T>
auto weight_of(fitted_layer<T> const& layer) -> matrix<double> {
  return product(in_double(layer.weight.left()), in_double(layer.weight.right()));
}

inline auto squared_norm(matrix<double> const& a) -> double {
  auto const norm = frobenius_norm(a);
  return norm * norm;
}

/// The mean of |x|².
inline auto mean_square(matrix<double> const& x) -> double {
  return squared_norm(x) / static_cast<double>(as_view(x).rows);
}

/// How far the measured loss of a layer in T may be from the predicted one. The eigenvalues are off
/// by some n eps of double of the largest, and so are the moments; twice as many operations enter
/// the measured loss. `scale` is E|t|², uncentred, because means are taken off both. Rounding the
/// factors and the bias to T moves the outputs by d = (k + 2) eps |L| |R| |x| + eps |b'| and the
/// loss by 2 sqrt(loss) d + d².
template <class T>
auto loss_tolerance(fitted_layer<T> const& layer, matrix<double> const& x, double scale,
                    double loss, double metric_norm = 1) -> double {
  auto const in = std::sqrt(mean_square(x));
  auto const left = frobenius_norm(layer.weight.left());
  auto const right = frobenius_norm(layer.weight.right());
  auto const d = std::sqrt(metric_norm) * epsilon<T> *
                 (static_cast<double>(layer.weight.rank() + 2) * left * right * in +
                  euclidean_norm(as_span(layer.bias)));
  auto const order = static_cast<double>(as_view(x).cols + layer.weight.shape().rows);
  return 20 * order * epsilon<double> * scale + 2 * std::sqrt(loss) * d + d * d;
}

inline auto moments_of(matrix<double> const& x) -> input_moments {
  input_moments result(as_view(x).cols);
  result.add(x);
  return result;
}

inline auto joint_of(matrix<double> const& t, matrix<double> const& x) -> joint_moments {
  joint_moments result(as_view(t).cols, as_view(x).cols);
  result.add(t, x);
  return result;
}

/// A symmetric positive definite matrix, far from a multiple of the identity.
inline auto random_metric(index_t m, std::uint32_t seed) -> matrix<double> {
  auto const a = random_matrix<double>(m, m, seed);
  auto result = product(op::transpose, a, op::none, a);
  for (index_t i = 0; i < m; ++i) {
    as_view(result)(i, i) += 0.05;
  }
  return result;
}

/// Moves numbers by uniform ones of this size relative to their root mean square.
inline void disturb(std::span<double> values, double size, std::uint32_t seed) {
  auto const noise = random_matrix<double>(1, static_cast<index_t>(values.size()), seed);
  double sum = 0;
  for (auto const x : values) {
    sum += x * x;
  }
  auto const scale = size * (std::sqrt(sum / static_cast<double>(values.size())) + 1e-3);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] += scale * as_view(noise)(0, static_cast<index_t>(i));
  }
}

/// The layer with factors, and if asked the bias, that are off by a relative size.
inline auto disturbed(fitted_layer<double> const& layer, double size, bool bias_too,
                      std::uint32_t seed) -> fitted_layer<double> {
  auto left = to_matrix(layer.weight.left());
  auto right = to_matrix(layer.weight.right());
  auto bias = layer.bias;
  disturb({left.data(), left.size()}, size, seed);
  disturb({right.data(), right.size()}, size, seed + 1);
  if (bias_too) {
    disturb(as_span(bias), size, seed + 2);
  }
  return {{std::move(left), std::move(right)}, std::move(bias)};
}

/// The largest gain of 60 random layers about this one: at most rounding where it is the best.
inline auto largest_gain(fitted_layer<double> const& layer, matrix<double> const& x,
                         matrix<double> const& t, bool bias_too = true,
                         std::optional<matrix<double>> const& metric = std::nullopt) -> double {
  auto const loss = measured(t, outputs(x, layer), metric);
  double gain = -1e300;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    auto const size = std::pow(10.0, -1.0 - static_cast<double>(seed % 4));
    auto const other = disturbed(layer, size, bias_too, 100 + 3 * seed);
    gain = std::max(gain, loss - measured(t, outputs(x, other), metric));
  }
  return gain;
}

}  // namespace fit_test
