#include "eckart/models/end_bias.hpp"

#include "eckart/models/compress_sequentially.hpp"
#include "support/matrix_check.hpp"
#include "unit/models/calibrated_model.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

using namespace eckart;
using calibration_test::calibrated;
using support::refusal;

namespace {

constexpr token_id end = 2;

/// Mean probability of a token where the texts go on, by the whole softmax of every position.
auto mean_probability(bart<double> const& model, calibration_test::examples const& data,
                      token_id token) -> double {
  double sum = 0;
  index_t count = 0;
  calibration_test::recorder<double> seen;
  walk(model, data.tokens, seen);
  auto const states = seen.own.at("lm_head").view();
  auto logits = make_matrix<double>({states.rows, model.config().vocab_size});
  workspace<double> scratch;
  model.logits(states, as_view(logits), scratch);
  for (index_t i = 0; i < data.tokens.targets.count(); ++i) {
    auto const first = data.tokens.targets.start(i);
    for (index_t r = first; r + 1 < first + data.tokens.targets.length(i); ++r) {
      double all = 0;
      for (double const logit : as_view(logits).row(r)) {
        all += std::exp(logit);
      }
      sum += std::exp(logits(r, token)) / all;
      ++count;
    }
  }
  return sum / static_cast<double>(count);
}

}  // namespace

TEST_CASE("a shift of log-odds matches their mean probability") {
  // By hand: p = 1/2 and 1/2 from log-odds ln 3 (p = 3/4) need -ln 3.
  std::vector<double> const half{0, 0};
  std::vector<double> const three_quarters{std::log(3.0), std::log(3.0)};
  CHECK(std::abs(matching_shift(half, three_quarters) + std::log(3.0)) < 1e-13);
  CHECK(std::abs(matching_shift(three_quarters, half) - std::log(3.0)) < 1e-13);

  std::mt19937 engine(7);
  std::normal_distribution<double> normal(-3, 2);
  for (int trial = 0; trial < 20; ++trial) {
    CAPTURE(trial);
    std::vector<double> wanted(30);
    std::vector<double> is(40);
    std::ranges::generate(wanted, [&] { return normal(engine); });
    std::ranges::generate(is, [&] { return normal(engine) + 1; });
    auto const shift = matching_shift(wanted, is);
    auto const mean = [](std::vector<double> const& x, double by) {
      double sum = 0;
      for (double const one : x) {
        sum += 1 / (1 + std::exp(-one - by));
      }
      return sum / static_cast<double>(x.size());
    };
    // The slope of the mean is at most 1/4, the bisection ends within 40 / 2^51.
    CHECK(std::abs(mean(is, shift) - mean(wanted, 0)) < 1e-14);
  }
}

TEST_CASE("a shift has a bound, and none is needed for nothing") {
  std::vector<double> const never{-1000};
  std::vector<double> const always{1000};
  CHECK(matching_shift({}, never) == 0);
  CHECK(matching_shift(never, {}) == 0);
  CHECK(std::abs(matching_shift(never, always)) <= 20);
  CHECK(std::abs(matching_shift(always, never)) <= 20);
}

TEST_CASE("a matched model ends texts as probably as the original where they go on") {
  calibrated<double> const c;
  auto model = c.model;
  auto const plan = uniform_plan(model.config(), c.bases(), form::two_factor,
                                 [](shape2) -> index_t { return 4; });
  apply_plan(model, c.bases(), plan);
  auto const wanted = mean_probability(c.model, c.data, end);
  REQUIRE(std::abs(mean_probability(model, c.data, end) - wanted) > 1e-6);
  auto const before = model.final_logits_bias()[end];
  auto const shift = match_end(c.model, model, c.data.tokens, end);
  CHECK(model.final_logits_bias()[end] == before + shift);
  // Some hundred sums of numbers up to 1, in another order.
  CHECK(std::abs(mean_probability(model, c.data, end) - wanted) < 1e-12);
  // What matches already is left alone, to the rounding of the slope.
  CHECK(std::abs(match_end(c.model, model, c.data.tokens, end)) < 1e-9);
}

TEST_CASE("the sequential pass matches the end as a walk of its own would") {
  calibrated<double> const c;
  auto const bases = c.bases();
  auto const plan =
      uniform_plan(c.model.config(), bases, form::two_factor, [](shape2) -> index_t { return 4; });
  sequential_options<double> options;
  auto plain = compress_sequentially(c.model, c.data.tokens, bases, plan, options);
  CHECK(std::ranges::equal(plain.final_logits_bias(), c.model.final_logits_bias()));
  options.end = end;
  auto const matched = compress_sequentially(c.model, c.data.tokens, bases, plan, options);
  match_end(c.model, plain, c.data.tokens, end);
  CHECK(std::abs(matched.final_logits_bias()[end] - plain.final_logits_bias()[end]) < 1e-9);
}

TEST_CASE("an end that is no token, and logits that are no numbers, are refused") {
  calibrated<double> const c;
  auto model = c.model;
  auto const size = static_cast<token_id>(model.config().vocab_size);
  CHECK(refusal<shape_error>([&] {
          match_end(c.model, model, c.data.tokens, size);
        }).find("vocabulary") != std::string::npos);
  CHECK_THROWS_AS(model.add_to_logits_bias(-1, 1.0), shape_error);
  CHECK_THROWS_AS(model.add_to_logits_bias(size, 1.0), shape_error);
  model.add_to_logits_bias(end + 1, std::numeric_limits<double>::quiet_NaN());
  CHECK(refusal<numerical_error>([&] {
          match_end(c.model, model, c.data.tokens, end);
        }).find("position 0") != std::string::npos);
}
