#include "eckart/nn/layer_norm.hpp"

#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

using namespace eckart;
using nn_test::bounded;
using nn_test::has;
using nn_test::misfit;
using nn_test::random_source;
using nn_test::same;
using support::epsilon;
using support::refusal;

namespace {

template <class T>
auto filled(index_t n, T value) -> vector<T> {
  auto v = make_vector<T>(n);
  v.fill(value);
  return v;
}

/// Two passes of plain loops in double. Errors: a sum of n terms is off by n eps times the largest,
/// which moves every difference to the mean; squares double it.
template <class T>
auto plain_layer_norm(matrix_view<T const> x, vector<T> const& weight, vector<T> const& bias,
                      double added) -> bounded {
  bounded y{support::in_double(x), nn_test::zeros(x.rows, x.cols)};
  auto const n = static_cast<double>(x.cols);
  for (index_t i = 0; i < x.rows; ++i) {
    double sum = 0;
    double largest = 0;
    for (auto const value : x.row(i)) {
      sum += static_cast<double>(value);
      largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    auto const mean = sum / n;
    double squares = 0;
    double furthest = 0;
    for (auto const value : x.row(i)) {
      auto const d = static_cast<double>(value) - mean;
      squares += d * d;
      furthest = std::max(furthest, std::abs(d));
    }
    auto const variance = squares / n;
    auto const scale = 1 / std::sqrt(variance + added);
    auto const off_mean = (n + 3) * epsilon<T> * largest;
    auto const off_variance =
        (2 * furthest + off_mean) * off_mean + (n + 4) * epsilon<T> * (furthest * furthest);
    auto const off_scale = off_variance * scale * scale + 4 * epsilon<T>;  // relative
    for (index_t j = 0; j < x.cols; ++j) {
      auto const at = static_cast<std::size_t>(j);
      auto const w = static_cast<double>(weight[at]);
      auto const b = static_cast<double>(bias[at]);
      auto const d = y.value(i, j) - mean;
      auto const scaled = std::abs(d * scale * w);
      y.value(i, j) = d * scale * w + b;
      y.error(i, j) = scale * std::abs(w) * off_mean * (1 + off_scale) + scaled * off_scale +
                      3 * epsilon<T> * (scaled + std::abs(b));
    }
  }
  return y;
}

}  // namespace

TEST_CASE_TEMPLATE("layer_norm of (1, 2, 3, 4) is (-3, -1, 1, 3) / sqrt 5", T, float, double) {
  auto const weight = filled<T>(4, 1);
  auto const bias = filled<T>(4, 0);
  auto x = make_matrix<T>({1, 4});
  for (int j = 0; j < 4; ++j) {
    x(0, j) = static_cast<T>(j + 1);
  }
  auto const original = x;
  layer_norm<T>(weight, bias, T{0})(as_view(x));
  for (int j = 0; j < 4; ++j) {
    auto const expected = (2 * j - 3) / std::sqrt(5.0);
    CHECK(std::abs(static_cast<double>(x(0, j)) - expected) <= 4 * epsilon<T> * std::abs(expected));
  }
  // The default epsilon counts: sqrt(1.25 + 1e-5), weight 2 and bias 1 come last.
  x = original;
  layer_norm<T>(filled<T>(4, 2), filled<T>(4, 1))(as_view(x));
  auto const expected = 1 + 2 * 1.5 / std::sqrt(1.25 + 1e-5);
  CHECK(std::abs(static_cast<double>(x(0, 3)) - expected) <= 6 * epsilon<T> * expected);
}

TEST_CASE_TEMPLATE("before the affine part rows have mean 0 and variance 1", T, float, double) {
  random_source random(1);
  for (index_t const width : {2, 7, 16, 33, 768}) {
    CAPTURE(width);
    auto x = random.matrix<T>(4, width);
    for (auto& value : as_view(x).row(1)) {
      value += 3;
    }
    layer_norm<T>(filled<T>(width, 1), filled<T>(width, 0), T{0})(as_view(x));
    auto const n = static_cast<double>(width);
    for (index_t i = 0; i < 4; ++i) {
      double mean = 0;
      double square = 0;
      for (auto const value : as_view(x).row(i)) {
        mean += static_cast<double>(value) / n;
        square += static_cast<double>(value) * static_cast<double>(value) / n;
      }
      // Each difference is off by (n + 3) eps of the largest entry, 4, over a deviation that is
      // at least 0.01 for these rows; squares double it.
      auto const bound = (n + 5) * epsilon<T> * 4 / 0.01;
      CHECK(std::abs(mean) <= bound);
      CHECK(std::abs(square - 1) <= 2 * bound);
    }
  }
}

TEST_CASE_TEMPLATE("layer_norm equals two passes of plain loops for every width", T, float,
                   double) {
  random_source random(2);
  for (index_t width = 2; width <= 70; ++width) {
    CAPTURE(width);
    auto const weight = random.vector<T>(width);
    auto const bias = random.vector<T>(width);
    auto x = random.matrix<T>(3, width);
    auto const expected = plain_layer_norm<T>(as_view(std::as_const(x)), weight, bias, 1e-5);
    layer_norm<T>(weight, bias)(as_view(x));
    CHECK(misfit(as_view(x), expected) <= 1);
  }
}

TEST_CASE_TEMPLATE("a constant row becomes the bias", T, float, double) {
  for (index_t const width : {1, 3, 16, 17, 50}) {
    CAPTURE(width);
    auto const bias = random_source(3).vector<T>(width);
    layer_norm<T> const norm(filled<T>(width, 1), bias);
    auto x = make_matrix<T>({2, width});
    std::ranges::fill(as_view(x).row(0), T{0.5});  // sums of halves are exact
    std::ranges::fill(as_view(x).row(1), static_cast<T>(0.1));
    norm(as_view(x));
    // The mean of 0.1s is off by n roundings, which 1 / sqrt(epsilon) enlarges.
    auto const bound = static_cast<double>(width + 3) * epsilon<T> * (0.1 / std::sqrt(1e-5) + 1);
    for (index_t j = 0; j < width; ++j) {
      auto const b = bias[static_cast<std::size_t>(j)];
      CHECK(x(0, j) == b);
      CHECK(std::abs(static_cast<double>(x(1, j)) - static_cast<double>(b)) <= bound);
    }
  }
}

TEST_CASE_TEMPLATE("the residual form is the sum, normalized", T, float, double) {
  random_source random(4);
  constexpr index_t width = 19;
  layer_norm<T> const norm(random.vector<T>(width), random.vector<T>(width));
  auto const residual = random.matrix<T>(5, width + 2);
  auto const window = as_view(residual).col_range(1, width);
  auto x = random.matrix<T>(5, width);
  auto sum = x;
  for (index_t i = 0; i < 5; ++i) {
    for (index_t j = 0; j < width; ++j) {
      sum(i, j) += window(i, j);
    }
  }
  norm(as_view(sum));
  norm.add_and_normalize(window, as_view(x));
  CHECK(same(as_view(x), as_view(sum)));
}

TEST_CASE_TEMPLATE("a window's surroundings stay as they are", T, float, double) {
  random_source random(5);
  auto x = random.matrix<T>(4, 9);
  auto const original = x;
  layer_norm<T>(filled<T>(6, 1), filled<T>(6, 0))(as_view(x).col_range(2, 6));
  for (index_t i = 0; i < 4; ++i) {
    for (index_t const j : {0, 1, 8}) {
      CHECK(x(i, j) == original(i, j));
    }
    CHECK(x(i, 3) != original(i, 3));
  }
}

TEST_CASE("layer_norm counts weights and biases") {
  layer_norm<float> const norm(filled<float>(12, 1), filled<float>(12, 0));
  CHECK(norm.width() == 12);
  CHECK(norm.parameters() == 24);
}

TEST_CASE("layer_norm refuses shapes that do not fit and leaves the rows untouched") {
  CHECK(has(refusal<shape_error>(
                [] { layer_norm<double>(make_vector<double>(3), make_vector<double>(4)); }),
            "3 weights, 4 biases"));
  CHECK_THROWS_AS(layer_norm<double>(make_vector<double>(0), make_vector<double>(0)), shape_error);
  layer_norm<double> const norm(filled<double>(4, 1), filled<double>(4, 0));
  auto x = random_source(6).matrix<double>(2, 5);
  auto const original = x;
  CHECK(has(refusal<shape_error>([&] { norm(as_view(x)); }), "rows of 5 for width 4"));
  auto const narrow = as_view(x).col_range(0, 4);
  auto const residual = random_source(7).matrix<double>(3, 4);
  CHECK(has(refusal<shape_error>([&] { norm.add_and_normalize(as_view(residual), narrow); }),
            "residual 3 x 4 for 2 x 4"));
  CHECK(same(as_view(x), as_view(original)));
}

TEST_CASE_TEMPLATE("lane_sum adds every term once", T, float, double) {
  for (index_t n = 0; n <= 100; ++n) {
    auto const sum = detail::lane_sum<T>(n, [](index_t i) { return static_cast<T>(i + 1); });
    CHECK(sum == static_cast<T>(n * (n + 1) / 2));
  }
}
