#include "eckart/nn/activation.hpp"

#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <concepts>
#include <limits>

using namespace eckart;
using nn_test::has;
using support::epsilon;
using support::refusal;

namespace {

template <class T>
auto close(T got, double expected) -> bool {
  // One rounding for each of the five operations, the argument of erf or tanh included.
  return std::abs(static_cast<double>(got) - expected) <= 5 * epsilon<T> * std::abs(expected);
}

}  // namespace

TEST_CASE("in float GELU stays within 3e-7 |x| of the double one, NaN stays NaN") {
  for (int i = -120000; i <= 120000; ++i) {
    auto const x = static_cast<float>(i) / 20000;  // to +-6, where the tail is below rounding
    auto const exact = gelu(static_cast<double>(x));
    REQUIRE(std::abs(static_cast<double>(gelu(x)) - exact) <=
            3e-7 * std::abs(static_cast<double>(x)));
  }
  CHECK(std::isnan(gelu(std::numeric_limits<float>::quiet_NaN())));
  CHECK(gelu(std::numeric_limits<float>::infinity()) == std::numeric_limits<float>::infinity());
}

TEST_CASE_TEMPLATE("activations have their known values", T, float, double) {
  if constexpr (std::same_as<T, double>) {
    CHECK(close(gelu(T{1}), 0.84134474606854294859));  // Phi(1)
    CHECK(close(gelu(T{2}), 1.95449973610364158560));  // 2 Phi(2)
  }
  CHECK(close(gelu_tanh(T{1}), 0.84119199060827676));    // 1/2 + tanh(0.83356...)/2
  CHECK(close(gelu_tanh(T{0.5}), 0.34571400982514394));  // the polynomial's cube counts
  CHECK(gelu(T{0}) == T{0});
  CHECK(gelu_tanh(T{0}) == T{0});
  CHECK(relu(T{2.5}) == T{2.5});
  CHECK(relu(T{-2.5}) == T{0});
  CHECK(relu(T{0}) == T{0});
}

TEST_CASE_TEMPLATE("f(x) - f(-x) = x for both forms of GELU", T, float, double) {
  for (int i = -80; i <= 80; ++i) {
    auto const x = static_cast<T>(i) / 16;
    CAPTURE(x);
    // Each side is x/2 (1 +- t) with 1 +- t rounded to at most 2 eps, and one more operation.
    auto const bound = 4 * std::numeric_limits<T>::epsilon() * std::abs(x);
    CHECK(std::abs(gelu(x) - gelu(-x) - x) <= bound);
    CHECK(std::abs(gelu_tanh(x) - gelu_tanh(-x) - x) <= bound);
  }
}

TEST_CASE_TEMPLATE("the tanh form is within 4.8e-4 of the exact one, and not equal to it", T, float,
                   double) {
  double largest = 0;
  for (int i = -8000; i <= 8000; ++i) {
    auto const x = static_cast<T>(i) / 1000;
    largest = std::max(largest, static_cast<double>(std::abs(gelu(x) - gelu_tanh(x))));
  }
  CHECK(largest < 4.8e-4);
  CHECK(largest > 4.7e-4);
}

TEST_CASE_TEMPLATE("far from zero every activation is the rectifier", T, float, double) {
  for (auto const x : {T{1e2}, T{1e6}, std::ldexp(T{1}, 100)}) {
    CHECK(gelu(x) == x);
    CHECK(gelu_tanh(x) == x);
    CHECK(relu(x) == x);
    CHECK(gelu(-x) == T{0});
    CHECK(gelu_tanh(-x) == T{0});
    CHECK(relu(-x) == T{0});
  }
}

TEST_CASE_TEMPLATE("activate changes each entry of a view and nothing beside it", T, float,
                   double) {
  constexpr index_t rows = 3;
  constexpr index_t cols = 5;
  constexpr index_t ld = 7;
  auto const original = nn_test::random_source(11).matrix<T>(rows, ld);
  auto const check = [&](activation f, auto function) {
    auto x = original;
    activate(f, matrix_view<T>(x.data(), rows, cols, ld));
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < ld; ++j) {
        CHECK(x(i, j) == (j < cols ? function(original(i, j)) : original(i, j)));
      }
    }
  };
  check(activation::relu, [](T v) { return relu(v); });
  check(activation::gelu, [](T v) { return gelu(v); });
  check(activation::gelu_tanh, [](T v) { return gelu_tanh(v); });
}

TEST_CASE("configurations name activations, two names mean the tanh form") {
  CHECK(activation_named("relu") == activation::relu);
  CHECK(activation_named("gelu") == activation::gelu);
  CHECK(activation_named("gelu_new") == activation::gelu_tanh);
  CHECK(activation_named("gelu_pytorch_tanh") == activation::gelu_tanh);
}

TEST_CASE("an unknown activation is refused with its name and the known ones") {
  for (auto const* name : {"swish", "", "GELU", "gelu "}) {
    CAPTURE(name);
    auto const what = refusal<error>([&] { activation_named(name); });
    CHECK(has(what, message("unknown activation '", name, "'")));
    CHECK(has(what, "relu, gelu, gelu_new, gelu_pytorch_tanh"));
  }
}
