#include "eckart/nn/feed_forward.hpp"

#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

using namespace eckart;
using nn_test::bounded;
using nn_test::exact;
using nn_test::has;
using nn_test::misfit;
using nn_test::plain_linear;
using nn_test::random_source;
using nn_test::same;
using support::epsilon;
using support::refusal;

namespace {

auto plain_value(activation f, double x) -> double {
  switch (f) {
    case activation::relu:
      return std::max(x, 0.0);
    case activation::gelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

/// No slope is beyond 1.13 in magnitude, and x/2 (1 + t) is off by 5 eps |x| at most.
template <class T>
auto plain_activation(activation f, bounded x) -> bounded {
  for (index_t i = 0; i < x.rows(); ++i) {
    for (index_t j = 0; j < x.cols(); ++j) {
      auto const input = x.value(i, j);
      x.value(i, j) = plain_value(f, input);
      x.error(i, j) = 1.13 * x.error(i, j) + 5 * epsilon<T> * std::abs(input);
    }
  }
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("feed_forward equals plain loops for every activation and form", T, float,
                   double) {
  random_source random(1);
  workspace<T> scratch;
  for (auto const f : {activation::relu, activation::gelu, activation::gelu_tanh}) {
    for (auto const stored_as : {form::dense, form::two_factor, form::diagonal_core}) {
      for (int round = 0; round < 5; ++round) {
        auto const rows = random.integer(1, 6);
        auto const inputs = random.integer(2, 12);
        auto const hidden = random.integer(2, 30);
        auto const outputs = random.integer(2, 12);
        feed_forward<T> const layer(random.linear<T>(hidden, inputs, stored_as, 2),
                                    random.linear<T>(outputs, hidden, stored_as, 2), f);
        auto const x = random.matrix<T>(rows, inputs);
        auto y = make_matrix<T>({rows, outputs});
        layer(as_view(x), as_view(y), scratch);
        auto const middle = plain_activation<T>(f, plain_linear(exact(as_view(x)), layer.fc1));
        CHECK(misfit(as_view(y), plain_linear(middle, layer.fc2)) <= 1);
      }
    }
  }
}

TEST_CASE("a call takes no more workspace than worksize() says") {
  random_source random(2);
  feed_forward<float> const layer(random.linear<float>(40, 10, form::full_core, 5),
                                  random.linear<float>(10, 40, form::two_factor, 7),
                                  activation::relu);
  workspace<float> scratch(layer.worksize(8));
  auto const reserved = scratch.capacity();
  auto const x = random.matrix<float>(8, 10);
  auto y = make_matrix<float>({8, 10});
  layer(as_view(x), as_view(y), scratch);
  CHECK(scratch.capacity() == reserved);
}

TEST_CASE("layers that do not fit together are refused with both shapes") {
  random_source random(3);
  CHECK(has(refusal<shape_error>([&] {
              feed_forward<float>(random.linear<float>(8, 4), random.linear<float>(4, 7),
                                  activation::gelu);
            }),
            "8 x 4 before 4 x 7"));
}

TEST_CASE("inputs and outputs that do not fit are refused, the output stays") {
  random_source random(4);
  feed_forward<float> const layer(random.linear<float>(8, 4), random.linear<float>(4, 8),
                                  activation::gelu);
  workspace<float> scratch;
  auto y = random.matrix<float>(3, 4);
  auto const before = y;
  auto const narrow = random.matrix<float>(3, 3);
  auto const short_one = random.matrix<float>(2, 4);
  CHECK_THROWS_AS(layer(as_view(narrow), as_view(y), scratch), shape_error);
  CHECK_THROWS_AS(layer(as_view(short_one), as_view(y), scratch), shape_error);
  CHECK(same(as_view(y), as_view(before)));
}
