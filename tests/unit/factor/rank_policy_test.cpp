#include "eckart/factor/rank_policy.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

using support::refusal;

namespace a_users_own {

/// Every value above this one.
struct above {
  double smallest;
};

auto choose_rank(above const& policy, eckart::spectrum s, eckart::shape2) -> eckart::index_t {
  return std::ranges::count_if(s, [&](double x) { return x > policy.smallest; });
}

struct no_policy {};

}  // namespace a_users_own

using namespace eckart;

namespace {

static_assert(rank_policy<at_rank> && rank_policy<at_ratio> && rank_policy<keep_energy> &&
              rank_policy<within_error> && rank_policy<within_budget> &&
              rank_policy<within_loss<loss_curve>>);
static_assert(loss_predictor<loss_curve> && !loss_predictor<at_rank> && !loss_predictor<double>);
static_assert(rank_policy<a_users_own::above>);
static_assert(!rank_policy<a_users_own::no_policy> && !rank_policy<int>);

// Squares 64, 16, 16, 4: together 100, norm 10.
std::vector<double> const values{8, 4, 4, 2};
constexpr shape2 shape{4, 6};

template <rank_policy P>
auto rank_by(P const& policy, std::vector<double> const& s = values, shape2 w = shape) -> index_t {
  return choose_rank(policy, spectrum(s), w);
}

}  // namespace

TEST_CASE("at_rank is exactly that rank") {
  CHECK(rank_by(at_rank{1}) == 1);
  CHECK(rank_by(at_rank{4}) == 4);
}

TEST_CASE("at_rank refuses ranks that the matrix does not have, by name") {
  CHECK(refusal<shape_error>([] { rank_by(at_rank{5}); }) == "at_rank: rank 5 exceeds min(4, 6)");
  CHECK(refusal<shape_error>([] { rank_by(at_rank{0}); }) ==
        "at_rank: rank 0 is below 1 for min(4, 6)");
  CHECK_THROWS_AS(rank_by(at_rank{-1}), shape_error);
}

TEST_CASE("at_ratio is the nearest rank, at least 1") {
  constexpr shape2 ten{10, 30};
  CHECK(rank_by(at_ratio{1.0}, values, ten) == 10);
  CHECK(rank_by(at_ratio{0.5}, values, ten) == 5);
  CHECK(rank_by(at_ratio{0.24}, values, ten) == 2);
  CHECK(rank_by(at_ratio{0.26}, values, ten) == 3);
  CHECK(rank_by(at_ratio{0.99}, values, ten) == 10);
  CHECK(rank_by(at_ratio{1e-9}, values, ten) == 1);
}

TEST_CASE("at_ratio refuses what is no part of the rank, by name") {
  CHECK(refusal<shape_error>([] { rank_by(at_ratio{1.5}); }) == "at_ratio: 1.5 is not in (0, 1]");
  CHECK_THROWS_AS(rank_by(at_ratio{0}), shape_error);
  CHECK_THROWS_AS(rank_by(at_ratio{-0.5}), shape_error);
  CHECK_THROWS_AS(rank_by(at_ratio{support::not_a_number<double>}), shape_error);
}

// The squares 64, 16, 16, 4 are 0.64, 0.80, 0.96 and all of the energy.
TEST_CASE("keep_energy is the smallest rank that keeps the part") {
  CHECK(rank_by(keep_energy{0.01}) == 1);
  CHECK(rank_by(keep_energy{0.63}) == 1);
  CHECK(rank_by(keep_energy{0.65}) == 2);
  CHECK(rank_by(keep_energy{0.79}) == 2);
  CHECK(rank_by(keep_energy{0.81}) == 3);
  CHECK(rank_by(keep_energy{0.95}) == 3);
  CHECK(rank_by(keep_energy{0.97}) == 4);
}

TEST_CASE("keeping all energy drops only values that are 0") {
  CHECK(rank_by(keep_energy{1.0}) == 4);
  CHECK(rank_by(keep_energy{1.0}, {8, 1e-200, 0, 0}) == 2);
}

TEST_CASE("keep_energy refuses what is no part, by name") {
  CHECK(refusal<shape_error>([] { rank_by(keep_energy{1.25}); }) ==
        "keep_energy: 1.25 is not in (0, 1]");
  CHECK_THROWS_AS(rank_by(keep_energy{0}), shape_error);
  CHECK_THROWS_AS(rank_by(keep_energy{-1}), shape_error);
  CHECK_THROWS_AS(rank_by(keep_energy{support::not_a_number<double>}), shape_error);
}

// Cutting off 1, 2, 3 values leaves the errors 2, sqrt(20) = 4.47 and 6; the norm is 10.
TEST_CASE("within_error is the smallest rank with no larger error") {
  CHECK(rank_by(within_error{0.19}) == 4);
  CHECK(rank_by(within_error{0.21}) == 3);
  CHECK(rank_by(within_error{0.44}) == 3);
  CHECK(rank_by(within_error{0.45}) == 2);
  CHECK(rank_by(within_error{0.61}) == 1);
  CHECK(rank_by(within_error{5}) == 1);
  CHECK(rank_by(within_error{0}) == 4);
}

TEST_CASE("an absolute error is no part of the norm") {
  CHECK(rank_by(within_error{1.9, false}) == 4);
  CHECK(rank_by(within_error{2, false}) == 3);  // 2 is exact
  CHECK(rank_by(within_error{4.5, false}) == 2);
  CHECK(rank_by(within_error{6.1, false}) == 1);
}

TEST_CASE("within_error refuses negative bounds and NaN, by name") {
  CHECK(refusal<shape_error>([] { rank_by(within_error{-0.5}); }) ==
        "within_error: -0.5 is not an error bound");
  CHECK_THROWS_AS(rank_by(within_error{support::not_a_number<double>}), shape_error);
}

TEST_CASE("the zero matrix needs rank 1 for any error and energy") {
  std::vector<double> const zeros{0, 0, 0, 0};
  CHECK(rank_by(within_error{0}, zeros) == 1);
  CHECK(rank_by(within_error{0.5}, zeros) == 1);
  CHECK(rank_by(within_error{0, false}, zeros) == 1);
  CHECK(rank_by(keep_energy{1}, zeros) == 1);
  CHECK(rank_by(keep_energy{0.5}, zeros) == 1);
}

TEST_CASE("tiny and huge spectra are judged like others") {
  for (auto const scale : {1e-200, 1e200}) {
    auto scaled = values;
    std::ranges::transform(values, scaled.begin(), [&](double x) { return x * scale; });
    CHECK(rank_by(within_error{0.21}, scaled) == 3);
    CHECK(rank_by(keep_energy{0.65}, scaled) == 2);
  }
}

TEST_CASE("a smaller error or more energy never needs a smaller rank, for random spectra") {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    auto const random = support::positive_vector<double>(30, seed);
    std::vector<double> s(random.begin(), random.end());
    std::ranges::sort(s, std::ranges::greater{});
    auto const norm = euclidean_norm(s);
    index_t before = 30;
    for (double epsilon = 0; epsilon < 1; epsilon += 0.01) {
      auto const rank = rank_by(within_error{epsilon}, s, {30, 30});
      CHECK(rank <= before);
      before = rank;
      CHECK(truncation_error(spectrum(s), rank) <= epsilon * norm);
      CHECK((rank == 1 || truncation_error(spectrum(s), rank - 1) > epsilon * norm));
    }
  }
}

// 4 x 6 in two factors: 10 numbers a rank.
TEST_CASE("within_budget is the largest rank that the bytes hold") {
  CHECK(rank_by(within_budget{40}) == 1);
  CHECK(rank_by(within_budget{79}) == 1);
  CHECK(rank_by(within_budget{80}) == 2);
  CHECK(rank_by(within_budget{1'000'000}) == 4);
  CHECK(rank_by(within_budget{80, form::two_factor, sizeof(double)}) == 1);
  CHECK(rank_by(within_budget{80, form::two_factor, 2}) == 4);
  CHECK(rank_by(within_budget{87, form::diagonal_core}) == 1);  // 11 numbers a rank
  CHECK(rank_by(within_budget{88, form::diagonal_core}) == 2);
  CHECK(rank_by(within_budget{95, form::full_core}) == 1);  // 11, 24, ... numbers
  CHECK(rank_by(within_budget{96, form::full_core}) == 2);
}

TEST_CASE("within_budget refuses bytes that hold no rank, by name") {
  CHECK(refusal<shape_error>([] { rank_by(within_budget{39}); }) ==
        "within_budget: 39 bytes hold no rank of a 4 x 6 matrix as two-factor");
  CHECK_THROWS_AS(rank_by(within_budget{0}), shape_error);
}

TEST_CASE("within_loss is the smallest rank from which on the prediction stays within the bound") {
  // Losses of rank 1 to 4: 0.2 at rank 2 is within 0.3, but rank 3 above it is not.
  auto const predict = [](index_t k, spectrum, shape2) {
    return std::vector<double>{0.9, 0.2, 0.4, 0.1}[static_cast<std::size_t>(k) - 1];
  };
  CHECK(rank_by(within_loss{0.1, predict}) == 4);  // exactly the bound
  CHECK(rank_by(within_loss{0.3, predict}) == 4);
  CHECK(rank_by(within_loss{0.4, predict}) == 2);
  CHECK(rank_by(within_loss{0.89, predict}) == 2);
  CHECK(rank_by(within_loss{0.9, predict}) == 1);
  CHECK(rank_by(within_loss{1e9, predict}) == 1);
}

TEST_CASE("within_loss shows the predictor the spectrum and the shape") {
  auto const predict = [](index_t k, spectrum s, shape2 w) {
    CHECK(s.data() == values.data());
    CHECK(s.size() == values.size());
    CHECK(w == shape);
    return truncation_error(s, k);
  };
  CHECK(rank_by(within_loss{4.5, predict}) == rank_by(within_error{4.5, false}));
}

TEST_CASE("within_loss refuses a bound that even the full rank exceeds, and names it") {
  auto const predict = [](index_t k, spectrum, shape2) { return 1.0 / static_cast<double>(k); };
  CHECK(refusal<shape_error>([&] {
          rank_by(within_loss{0.125, predict});
        }) == "within_loss: the full rank 4 is predicted to lose 0.25, above the bound 0.125");
  CHECK(refusal<shape_error>([&] {
          rank_by(within_loss{support::not_a_number<double>, predict});
        }) == "within_loss: nan is not a bound");
  CHECK(refusal<shape_error>([&] {
          rank_by(within_loss{std::numeric_limits<double>::infinity(), predict});
        }) == "within_loss: inf is not a bound");
  CHECK(refusal<shape_error>([&] {
          rank_by(within_loss{0.5, predict}, {});
        }) == "within_loss: a 4 x 6 matrix has no rank");
  auto const undecided = [](index_t, spectrum, shape2) { return support::not_a_number<double>; };
  CHECK_THROWS_AS(rank_by(within_loss{1e9, undecided}), shape_error);
}

TEST_CASE("a prediction that is no number ends the search, as one above the bound does") {
  auto const predict = [](index_t k, spectrum, shape2) {
    return k == 2 ? support::not_a_number<double> : 0.0;
  };
  CHECK(rank_by(within_loss{1, predict}) == 3);
}

TEST_CASE("a loss curve is linear between its points and goes through them") {
  loss_curve const curve({{0.1, 0.5}, {0.3, 0.5}, {0.5, 2.5}});
  CHECK(curve(0.1) == 0.5);
  CHECK(curve(0.2) == 0.5);
  CHECK(curve(0.3) == 0.5);
  CHECK(curve(0.4) == doctest::Approx(1.5));
  CHECK(curve(0.45) == doctest::Approx(2.0));
  CHECK(curve(0.5) == 2.5);
  CHECK(curve.points().size() == 3);
  // To the last bit, also where before + (after - before) is not after.
  CHECK(loss_curve({{0.1, -1e17}, {0.2, 1}, {0.3, 2}})(0.2) == 1);
}

TEST_CASE("a loss curve predicts the first loss below its points and an infinite one above") {
  loss_curve const curve({{0.1, 0.5}, {0.5, 2.5}});
  CHECK(curve(0) == 0.5);
  CHECK(curve(0.0999) == 0.5);
  CHECK(curve(0.5001) == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(curve(support::not_a_number<double>)));
  loss_curve const single({{0.2, 1}});
  CHECK(single(0.1) == 1);
  CHECK(single(0.2) == 1);
  CHECK(single(0.3) == std::numeric_limits<double>::infinity());
}

TEST_CASE("a loss curve refuses points that are no curve, by name") {
  auto const text = [](std::vector<loss_point> points) {
    return refusal<shape_error>([&] { loss_curve{points}; });
  };
  CHECK(text({}) == "loss_curve: no points");
  CHECK(text({{0.1, 1}, {0.1, 2}}) ==
        "loss_curve: error 0.1 of point 1 is not above the 0.1 before it");
  CHECK(text({{0.3, 1}, {0.1, 2}}) ==
        "loss_curve: error 0.1 of point 1 is not above the 0.3 before it");
  CHECK(text({{0.1, 1}, {0.2, 3}, {0.3, 2}}) ==
        "loss_curve: loss 2 of point 2 is below the 3 before it");
  CHECK(text({{-0.5, 1}}) == "loss_curve: point 0 is (-0.5, 1)");
  CHECK(text({{0.1, 1}, {0.2, support::not_a_number<double>}}) ==
        "loss_curve: point 1 is (0.2, nan)");
  CHECK(text({{std::numeric_limits<double>::infinity(), 1}}) == "loss_curve: point 0 is (inf, 1)");
  CHECK(text({{support::not_a_number<double>, 1}}) == "loss_curve: point 0 is (nan, 1)");
  CHECK(text({{0, -1}, {0.5, 0}}) == "nothing thrown");  // a truncation may gain quality
}

TEST_CASE("a loss curve above scattered measurements never falls and refuses what is no number") {
  auto const curve = loss_curve::above({{0.1, 0.4}, {0.2, -0.1}, {0.3, 0.2}, {0.4, 1.5}});
  std::vector<loss_point> const expected{{0.1, 0.4}, {0.2, 0.4}, {0.3, 0.4}, {0.4, 1.5}};
  CHECK(std::ranges::equal(curve.points(), expected));
  CHECK_THROWS_AS(loss_curve::above({{0.2, 1}, {0.1, 2}}), shape_error);
  CHECK_THROWS_AS(loss_curve::above({{0.1, 1}, {0.2, support::not_a_number<double>}, {0.3, 1}}),
                  shape_error);
  CHECK_THROWS_AS(loss_curve::above({}), shape_error);
}

// Relative errors of rank 1 to 4: 0.6, 0.447, 0.2, 0.
TEST_CASE("within_loss of a curve chooses the rank whose error is still good enough") {
  loss_curve const curve({{0, 0}, {0.2, 0.5}, {0.5, 2}});
  CHECK(rank_by(within_loss{0.0, curve}) == 4);
  CHECK(rank_by(within_loss{0.49, curve}) == 4);
  CHECK(rank_by(within_loss{0.51, curve}) == 3);
  CHECK(rank_by(within_loss{1.7, curve}) == 3);
  CHECK(rank_by(within_loss{1.8, curve}) == 2);
  CHECK(rank_by(within_loss{100, curve}) == 2);  // 0.6 was not measured
  CHECK(rank_by(within_loss{0.0, curve}, {0, 0, 0, 0}) == 1);
}

TEST_CASE("a curve through the origin with slope 1 is within_error, for random spectra") {
  loss_curve const same({{0, 0}, {1, 1}});
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    auto const random = support::positive_vector<double>(30, seed);
    std::vector<double> s(random.begin(), random.end());
    std::ranges::sort(s, std::ranges::greater{});
    for (double bound = 0.005; bound < 1; bound += 0.01) {
      CHECK(rank_by(within_loss{bound, same}, s, {30, 30}) ==
            rank_by(within_error{bound}, s, {30, 30}));
    }
  }
}

TEST_CASE("a user's policy takes part by an overload beside its type") {
  CHECK(rank_by(a_users_own::above{3}) == 3);
  CHECK(rank_by(a_users_own::above{4}) == 1);
}

TEST_CASE_TEMPLATE("the truncation error is the norm of the values cut off", T, float, double) {
  std::vector<T> const s{12, 4, 3};
  auto const all = std::span<T const>(s);
  // Three squares, sums, a scaling and a root in double.
  auto const close = [](double x, double y) {
    return std::abs(x - y) <= 7 * support::epsilon<double> * y;
  };
  CHECK(close(truncation_error(all, 0), 13));
  CHECK(close(truncation_error(all, 1), 5));
  CHECK(close(truncation_error(all, 2), 3));
  CHECK(truncation_error(all, 3) == 0);
  CHECK(refusal<shape_error>([&] { truncation_error(all, 4); }) ==
        "truncation_error: rank 4 of 3 values");
  CHECK_THROWS_AS(truncation_error(all, -1), shape_error);
}
