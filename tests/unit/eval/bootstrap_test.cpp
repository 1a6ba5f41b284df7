#include "eckart/eval/bootstrap.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/matrix_check.hpp"

using namespace eckart;
using support::refusal;

namespace {

using values = std::vector<double>;

auto normal_values(std::size_t n, std::uint64_t seed, double mean = 0, double deviation = 1)
    -> values {
  values result(n);
  fill_normal(std::span(result), seed);
  for (auto& x : result) {
    x = mean + deviation * x;
  }
  return result;
}

auto standard_error(values const& x) -> double {
  auto const n = static_cast<double>(x.size());
  auto const mean = detail::plain_mean(x);
  double squares = 0;
  for (auto const v : x) {
    squares += (v - mean) * (v - mean);
  }
  return std::sqrt(squares) / n;
}

auto shifted(values x, double by) -> values {
  for (auto& v : x) {
    v += by;
  }
  return x;
}

}  // namespace

TEST_CASE("the interval holds the mean and grows with the level") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    auto const x = normal_values(10 + 5 * seed, seed, 3);
    auto inner = mean_interval(x, {.level = 0.5, .resamples = 500, .seed = seed});
    for (double const level : {0.8, 0.95, 0.99}) {
      auto const outer = mean_interval(x, {.level = level, .resamples = 500, .seed = seed});
      CHECK(outer.mean == doctest::Approx(detail::plain_mean(x)));
      CHECK(outer.low < outer.mean);
      CHECK(outer.mean < outer.high);
      CHECK(outer.low < inner.low);
      CHECK(inner.high < outer.high);
      inner = outer;
    }
  }
}

TEST_CASE("of a large sample the interval is the normal one") {
  auto const x = normal_values(4000, 5, 10, 2);
  auto const error = standard_error(x);
  for (auto const& known :
       {std::pair{0.5, 0.674490}, {0.9, 1.644854}, {0.95, 1.959964}, {0.99, 2.575829}}) {
    auto const [level, quantile] = known;
    CAPTURE(known.first);
    auto const interval = mean_interval(x, {.level = level, .resamples = 10'000, .seed = 3});
    // In units of `error` 10,000 resamples leave these quantiles uncertain by 0.014 to 0.049.
    CHECK(std::abs((interval.mean - interval.low) / error - quantile) < 0.05 * quantile);
    CHECK(std::abs((interval.high - interval.mean) / error - quantile) < 0.05 * quantile);
  }
}

TEST_CASE("of two values the resampled means are 0, 1/2 and 1 in the ratio 1 : 2 : 1") {
  values const x{0, 1};
  auto const wide = mean_interval(x, {.level = 0.52, .resamples = 10'000});
  CHECK(wide.low == 0);
  CHECK(wide.high == 1);
  auto const narrow = mean_interval(x, {.level = 0.48, .resamples = 10'000});
  CHECK(narrow.low == 0.5);
  CHECK(narrow.high == 0.5);
  auto const pair = paired_difference(values{1, 0}, values{0, 1}, {.resamples = 10'000});
  CHECK(std::abs(pair.share_above - 0.25) < 0.02);
  CHECK(std::abs(pair.share_below - 0.25) < 0.02);
  CHECK(pair.p_value == 1);
}

TEST_CASE("equal values have an interval of no width, whatever their mean rounds to") {
  for (double const x : {0.0, 0.1, -1.0 / 3, 1e300, 1e-300}) {
    auto const interval = mean_interval(values(819, x), {.resamples = 200});
    CHECK(interval.low == interval.mean);
    CHECK(interval.high == interval.mean);
    CHECK(interval.mean == doctest::Approx(x).epsilon(1e-13));
  }
  auto const one = mean_interval(values{7}, {.resamples = 200});
  CHECK(one.low == 7);
  CHECK(one.high == 7);
}

TEST_CASE("shifting, scaling and negating the values does so to the interval") {
  auto const x = normal_values(50, 8);
  bootstrap_options const options{.resamples = 999, .seed = 4};
  auto const plain = mean_interval(x, options);
  auto const moved = mean_interval(shifted(x, 100), options);
  CHECK(moved.low == doctest::Approx(plain.low + 100).epsilon(1e-13));
  CHECK(moved.high == doctest::Approx(plain.high + 100).epsilon(1e-13));
  auto scaled = x;
  auto negated = x;
  for (std::size_t i = 0; i < x.size(); ++i) {
    scaled[i] *= 8;
    negated[i] = -x[i];
  }
  CHECK(mean_interval(scaled, options).low == 8 * plain.low);
  CHECK(mean_interval(scaled, options).high == 8 * plain.high);
  CHECK(mean_interval(negated, options).low == -plain.high);
  CHECK(mean_interval(negated, options).high == -plain.low);
}

TEST_CASE("the same seed gives the same interval, and another seed another") {
  auto const x = normal_values(100, 2);
  auto const first = mean_interval(x, {.resamples = 500, .seed = 1});
  auto const again = mean_interval(x, {.resamples = 500, .seed = 1});
  auto const other = mean_interval(x, {.resamples = 500, .seed = 2});
  CHECK(first.low == again.low);
  CHECK(first.high == again.high);
  CHECK(first.low != other.low);
  // These are sums of integers, so that every machine and compiler must give just these.
  values counts(37);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    counts[i] = static_cast<double>(i * i % 41);
  }
  auto const exact = mean_interval(counts, {.resamples = 999, .seed = 42});
  CHECK(exact.mean * 37 == doctest::Approx(790).epsilon(1e-15));
  CHECK(exact.low * 37 == doctest::Approx(637).epsilon(1e-15));
  CHECK(exact.high * 37 == doctest::Approx(950).epsilon(1e-15));
}

TEST_CASE("the interval runs from the k-th smallest mean to the k-th largest") {
  // Level 0.9 of 19 resamples leaves one out on each side, but for the extremes themselves.
  auto const x = normal_values(30, 6);
  bootstrap_options const options{.level = 0.9, .resamples = 19, .seed = 9};
  auto const means = detail::resampled_means(x, options);
  auto const interval = mean_interval(x, options);
  CHECK(means.size() == 19);
  CHECK(std::is_sorted(means.begin(), means.end()));
  CHECK(interval.low == means.front());
  CHECK(interval.high == means.back());
  CHECK(detail::bootstrap_rank({.level = 0.9, .resamples = 999}) == 50);
  CHECK(detail::bootstrap_rank({.level = 0.95, .resamples = 10'000}) == 250);
  CHECK(detail::bootstrap_rank({.level = 0.95, .resamples = 39}) == 1);
}

TEST_CASE("every position is drawn equally often") {
  // Mean of the indicator of one position: 1/n; over 20,000 resamples of 16 draws each.
  for (std::size_t position = 0; position < 16; ++position) {
    values x(16);
    x[position] = 1;
    auto const means = detail::resampled_means(x, {.resamples = 20'000, .seed = 1});
    CHECK(std::abs(detail::plain_mean(means) - 1.0 / 16) < 0.002);
  }
}

TEST_CASE("a paired difference is the interval of the differences") {
  auto const a = normal_values(60, 1, 5);
  auto const b = normal_values(60, 2, 5);
  values differences(60);
  for (std::size_t i = 0; i < 60; ++i) {
    differences[i] = a[i] - b[i];
  }
  bootstrap_options const options{.level = 0.9, .resamples = 1000, .seed = 3};
  auto const pair = paired_difference(a, b, options);
  auto const single = mean_interval(differences, options);
  CHECK(pair.difference.mean == single.mean);
  CHECK(pair.difference.low == single.low);
  CHECK(pair.difference.high == single.high);
  CHECK(pair.share_above + pair.share_below == doctest::Approx(1));
  auto const swapped = paired_difference(b, a, options);
  CHECK(swapped.share_above == pair.share_below);
  CHECK(swapped.p_value == pair.p_value);
  CHECK(swapped.difference.low == -pair.difference.high);
}

TEST_CASE("what pairs have in common does not widen the interval") {
  auto const common = normal_values(200, 3, 0, 50);
  auto const a = shifted(common, 0.25);
  auto const pair = paired_difference(a, common, {.resamples = 999});
  CHECK(pair.difference.high - pair.difference.low < 1e-12);
  CHECK(pair.share_above == 1);
  CHECK(pair.share_below == 0);
  CHECK(pair.p_value == doctest::Approx(0.002));
}

TEST_CASE("no difference at all has the p value 1 and no side") {
  auto const x = normal_values(30, 4);
  auto const pair = paired_difference(x, x, {.resamples = 100});
  CHECK(pair.difference.mean == 0);
  CHECK(pair.share_above == 0);
  CHECK(pair.share_below == 0);
  CHECK(pair.p_value == 1);
}

TEST_CASE("the p value is at most 1 - level just if the interval leaves out 0") {
  int out = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    auto const a = normal_values(40, 2 * seed + 1, 0.3);
    auto const b = normal_values(40, 2 * seed + 2);
    auto const pair = paired_difference(a, b, {.level = 0.9, .resamples = 500, .seed = seed});
    auto const leaves_out = pair.difference.low > 0 || pair.difference.high < 0;
    CHECK((pair.p_value <= 0.1) == leaves_out);
    out += leaves_out ? 1 : 0;
  }
  CHECK((out > 20 && out < 180));
}

TEST_CASE("under no difference the interval of 90 of 100 leaves out the truth in about a tenth") {
  int out = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    auto const x = normal_values(60, 1000 + seed);
    auto const interval = mean_interval(x, {.level = 0.9, .resamples = 400, .seed = seed});
    out += interval.low > 0 || interval.high < 0 ? 1 : 0;
  }
  // 40 expected with standard deviation 6, and a few more since percentiles are narrow for small n.
  CHECK((out > 20 && out < 70));
}

TEST_CASE("values and options that make no sense are refused") {
  CHECK(refusal<shape_error>([] { mean_interval(values{}); }) == "bootstrap: of 0 values");
  CHECK(refusal<shape_error>([] { paired_difference(values{}, values{}); }) ==
        "bootstrap: of 0 values");
  CHECK(refusal<shape_error>([] { paired_difference(values(3), values(4)); }) ==
        "bootstrap: 3 values paired with 4");
  auto const infinity = std::numeric_limits<double>::infinity();
  for (double const level : {0.0, 1.0, -0.5, 1.5, infinity, support::not_a_number<double>}) {
    CHECK(refusal<shape_error>([&] {
            mean_interval(values{1, 2}, {.level = level});
          }) == message("bootstrap: level ", level, " is not in (0, 1)"));
  }
  for (double const x : {infinity, -infinity, support::not_a_number<double>, 1e308}) {
    CHECK(refusal<numerical_error>([&] {
            mean_interval(values{1, x});
          }) == message("bootstrap: value 1 of 2 is ", x));
    CHECK(refusal<numerical_error>([&] {
            paired_difference(values{0, x}, values{0, 0});
          }) == message("bootstrap: value 1 of 2 is ", x));
  }
  for (index_t const resamples : {-1, 0, 1, 38}) {
    CHECK(refusal<shape_error>([&] { mean_interval(values{1}, {.resamples = resamples}); }) ==
          message("bootstrap: ", resamples, " resamples for level 0.95, which needs 39"));
  }
  CHECK_NOTHROW(mean_interval(values{1}, {.resamples = 39}));
}
