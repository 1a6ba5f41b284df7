#include "eckart/factor/rank_policy.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
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
              rank_policy<within_error> && rank_policy<within_budget>);
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
