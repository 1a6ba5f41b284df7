#include "eckart/core/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace eckart;

namespace {

template <class T>
auto normal(std::size_t n, std::uint64_t seed) -> std::vector<T> {
  std::vector<T> result(n);
  fill_normal(std::span(result), seed);
  return result;
}

// The seeds whose first number has all bits set and none.
constexpr std::uint64_t all_bits = 0x31628AF67B2131ABU;
constexpr std::uint64_t no_bits = 0x61C8864680B583EBU;

}  // namespace

TEST_CASE("the bits are those of SplitMix64") {
  // The numbers that implementations of it are commonly checked against.
  static_assert(detail::random_bits(1234567, 0) == 6457827717110365317U);
  static_assert(detail::random_bits(1234567, 1) == 3203168211198807973U);
  static_assert(detail::random_bits(1234567, 2) == 9817491932198370423U);
  CHECK(detail::random_bits(0, 0) == 0xE220A8397B1DCDAFU);
}

TEST_CASE("a unit number is above 0 and below 1 for any bits") {
  static_assert(detail::random_bits(all_bits, 0) == ~std::uint64_t{0});
  static_assert(detail::random_bits(no_bits, 0) == 0);
  CHECK(detail::random_unit(all_bits, 0) < 1);
  CHECK(detail::random_unit(no_bits, 0) > 0);
}

TEST_CASE_TEMPLATE("normal numbers are finite at both ends of the unit interval", T, float,
                   double) {
  for (auto const seed : {all_bits, no_bits}) {
    for (auto const x : normal<T>(2, seed)) {
      CHECK(std::abs(x) < 9);  // sqrt(2 log 2^53) is 8.6
    }
  }
}

TEST_CASE_TEMPLATE("the first numbers of seed 0 stay as they are", T, float, double) {
  // Computed apart from this library.
  constexpr std::array<double, 6> expected{-0.45275774021745824, 0.20776603893419182,
                                           2.650605812079669,    -0.4904228253986477,
                                           -0.9886041246243285,  1.8721013803315412};
  auto const numbers = normal<T>(expected.size(), 0);
  auto const bound = sizeof(T) == 8 ? 1e-12 : 1e-6;  // half a unit of float at 2.65 is 1.2e-7
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::abs(static_cast<double>(numbers[i]) - expected[i]) <= bound);
  }
}

TEST_CASE_TEMPLATE("the same seed gives the same numbers, another seed others", T, float, double) {
  CHECK(normal<T>(100, 5) == normal<T>(100, 5));
  auto const a = normal<T>(100, 5);
  auto const b = normal<T>(100, 6);
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i] != b[i]);
  }
}

TEST_CASE_TEMPLATE("a shorter fill is the beginning of a longer one, of odd length too", T, float,
                   double) {
  auto const all = normal<T>(101, 7);
  for (std::size_t const n : {0U, 1U, 2U, 3U, 6U, 7U, 64U, 100U, 101U}) {
    CAPTURE(n);
    CHECK(std::ranges::equal(normal<T>(n, 7), std::span(all).first(n)));
  }
}

TEST_CASE_TEMPLATE("nothing beyond the span is written", T, float, double) {
  for (std::size_t const n : {0U, 1U, 4U, 5U}) {
    CAPTURE(n);
    std::vector<T> numbers(8, T{100});
    fill_normal(std::span(numbers).first(n), 8);
    CHECK(static_cast<std::size_t>(std::ranges::count(numbers, T{100})) == 8 - n);
  }
}

TEST_CASE_TEMPLATE("mean, variance and fourth moment are those of the normal distribution", T,
                   float, double) {
  // For n numbers the standard errors are 1 / sqrt(n), sqrt(2 / n) and sqrt(96 / n), because the
  // moments of x^4 are E x^4 = 3 and E x^8 = 105.
  constexpr std::size_t n = 100000;
  for (auto const seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{12345}}) {
    CAPTURE(seed);
    double sum = 0;
    double squares = 0;
    double fourths = 0;
    for (auto const value : normal<T>(n, seed)) {
      auto const x = static_cast<double>(value);
      sum += x;
      squares += x * x;
      fourths += x * x * x * x;
    }
    auto const root = std::sqrt(static_cast<double>(n));
    CHECK(std::abs(sum / n) <= 5 / root);
    CHECK(std::abs(squares / n - 1) <= 5 * std::sqrt(2.0) / root);
    CHECK(std::abs(fourths / n - 3) <= 5 * std::sqrt(96.0) / root);
  }
}

TEST_CASE("neighbours and the sequences of neighbouring seeds are not correlated") {
  // A product of two independent normal numbers has mean 0 and variance 1.
  constexpr std::size_t n = 100000;
  auto const a = normal<double>(n + 2, 3);
  auto const b = normal<double>(n + 2, 4);
  double next = 0;
  double next_but_one = 0;
  double seeds = 0;
  for (std::size_t i = 0; i < n; ++i) {
    next += a[i] * a[i + 1];
    next_but_one += a[i] * a[i + 2];
    seeds += a[i] * b[i];
  }
  auto const bound = 5 * std::sqrt(static_cast<double>(n));
  CHECK(std::abs(next) <= bound);
  CHECK(std::abs(next_but_one) <= bound);
  CHECK(std::abs(seeds) <= bound);
}
