#include "eckart/nn/softmax.hpp"

#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

using namespace eckart;
using support::epsilon;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

template <class T>
auto softmax_of(std::vector<T> x) -> std::vector<T> {
  softmax(std::span(x));
  return x;
}

template <class T>
auto log_sum_exp_of(std::vector<T> const& x) -> double {
  return log_sum_exp(std::span<T const>(x));
}

/// Multiples of 1/64 in [-8, 8): sums with whole numbers are exact.
template <class T>
auto coarse_numbers(std::size_t n, std::uint64_t seed) -> std::vector<T> {
  nn_test::random_source random(seed);
  std::vector<T> x(n);
  for (auto& value : x) {
    value = static_cast<T>(random.integer(-512, 511)) / 64;
  }
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("softmax of (0, log 3) is (1/4, 3/4)", T, float, double) {
  auto const p = softmax_of<T>({0, static_cast<T>(std::log(3.0L))});
  // log 3 is rounded, exp, the sum, the reciprocal and the product are.
  CHECK(std::abs(static_cast<double>(p[0]) - 0.25) <= 5 * epsilon<T> * 0.25);
  CHECK(std::abs(static_cast<double>(p[1]) - 0.75) <= 5 * epsilon<T> * 0.75);
}

TEST_CASE_TEMPLATE("softmax is positive, sums to one and keeps the order", T, float, double) {
  for (std::size_t n = 1; n <= 100; ++n) {
    CAPTURE(n);
    auto const x = coarse_numbers<T>(n, n);
    auto const p = softmax_of(x);
    double total = 0;
    bool same_order = true;
    for (std::size_t i = 0; i < n; ++i) {
      CHECK(p[i] > 0);
      total += static_cast<double>(p[i]);
      for (std::size_t j = 0; j < n; ++j) {
        same_order = same_order && (x[i] < x[j]) == (p[i] < p[j]);
      }
    }
    CHECK(same_order);
    // n - 1 additions to the sum of at most 1 relative error each, a reciprocal and a product.
    CHECK(std::abs(total - 1) <= (static_cast<double>(n) + 2) * epsilon<T>);
  }
}

TEST_CASE_TEMPLATE("a shift that is exact changes no bit of softmax", T, float, double) {
  for (auto const n : {std::size_t{1}, std::size_t{2}, std::size_t{17}, std::size_t{64}}) {
    auto const x = coarse_numbers<T>(n, 100 + n);
    auto const expected = softmax_of(x);
    for (int const shift : {-1000, -3, 5, 4096}) {
      auto shifted = x;
      for (auto& value : shifted) {
        value += static_cast<T>(shift);
      }
      CHECK(softmax_of(shifted) == expected);
    }
  }
}

TEST_CASE_TEMPLATE("huge scores neither overflow nor vanish", T, float, double) {
  constexpr T huge = std::numeric_limits<T>::max() / 2;
  CHECK(softmax_of<T>({huge, -huge, huge}) == std::vector<T>{0.5, 0, 0.5});
  CHECK(softmax_of<T>({-huge, -huge}) == std::vector<T>{0.5, 0.5});
  CHECK(softmax_of<T>({0, -std::numeric_limits<T>::infinity()}) == std::vector<T>{1, 0});
}

TEST_CASE_TEMPLATE("softmax of one score is one", T, float, double) {
  for (auto const x : {T{0}, std::ldexp(T{-1}, 100), std::ldexp(T{1}, 100)}) {
    CHECK(softmax_of<T>({x}) == std::vector<T>{1});
  }
}

TEST_CASE_TEMPLATE("log_sum_exp of one score is the score, of (0, log 3) log 4", T, float, double) {
  CHECK(log_sum_exp_of<T>({T{-3.25}}) == -3.25);
  auto const log_3 = static_cast<T>(std::log(3.0L));
  CHECK(std::abs(log_sum_exp_of<T>({0, log_3}) - std::log(4.0)) <= 4 * epsilon<T>);
}

TEST_CASE_TEMPLATE("x - log_sum_exp x is the logarithm of softmax", T, float, double) {
  auto const x = coarse_numbers<T>(50, 7);
  auto const p = softmax_of(x);
  auto const norm = log_sum_exp_of(x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    // The relative error of softmax is an absolute one of its logarithm: n + 4 roundings; the
    // scores themselves are below 16.
    auto const bound = (static_cast<double>(x.size()) + 4 + 16) * epsilon<T>;
    CHECK(std::abs(std::log(static_cast<double>(p[i])) - (static_cast<double>(x[i]) - norm)) <=
          bound);
  }
}

TEST_CASE_TEMPLATE("log_sum_exp moves with a shift", T, float, double) {
  auto x = coarse_numbers<T>(33, 8);
  auto const before = log_sum_exp_of(x);
  for (auto& value : x) {
    value += 2048;
  }
  // The same sum, and two additions in double of numbers below 4096.
  CHECK(std::abs(log_sum_exp_of(x) - before - 2048) <= 2 * 4096 * epsilon<double>);
}

TEST_CASE("log_sum_exp of floats adds a million terms without losing one") {
  auto const x = std::vector<float>(1'000'000, 0.0F);
  CHECK(std::abs(log_sum_exp_of(x) - std::log(1e6)) <= 2 * epsilon<double> * std::log(1e6));
}

TEST_CASE_TEMPLATE("log_sum_exp stands huge and infinite scores", T, float, double) {
  constexpr T huge = std::numeric_limits<T>::max() / 2;
  constexpr T infinite = std::numeric_limits<T>::infinity();
  CHECK(log_sum_exp_of<T>({huge, -huge}) == static_cast<double>(huge));
  CHECK(log_sum_exp_of<T>({-infinite, 2, -infinite}) == 2.0);
  CHECK(log_sum_exp_of<T>({-infinite, -infinite}) == -std::numeric_limits<double>::infinity());
  CHECK(log_sum_exp_of<T>({0, infinite}) == std::numeric_limits<double>::infinity());
}

TEST_CASE("log-softmax subtracts the logarithm of the sum of exponentials") {
  std::vector<float> s{std::log(1.0F), std::log(2.0F), std::log(5.0F), -infinity};
  log_softmax(std::span(s));
  CHECK(s[0] == doctest::Approx(std::log(1.0 / 8)).epsilon(1e-6));
  CHECK(s[1] == doctest::Approx(std::log(2.0 / 8)).epsilon(1e-6));
  CHECK(s[2] == doctest::Approx(std::log(5.0 / 8)).epsilon(1e-6));
  CHECK(s[3] == -infinity);
}

TEST_CASE("log-softmax of large and of many scores neither overflows nor loses its sum") {
  std::vector<float> large{1000.0F, 1000.0F};
  log_softmax(std::span(large));
  CHECK(large[0] == doctest::Approx(-std::log(2.0)).epsilon(1e-6));
  std::vector<float> many(50265, 3.0F);
  log_softmax(std::span(many));
  // Every exponential is exactly 1, so only the last two roundings to float remain.
  CHECK(many[77] == doctest::Approx(-std::log(50265.0)).epsilon(1e-7));
}

TEST_CASE("log-softmax of a row with NaN or +infinity is NaN throughout") {
  for (float const bad : {std::numeric_limits<float>::quiet_NaN(), infinity}) {
    std::vector<float> s{1, bad, 2};
    log_softmax(std::span(s));
    CHECK(std::isnan(s[0]));
    CHECK(std::isnan(s[2]));
  }
}
