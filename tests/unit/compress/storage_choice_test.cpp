#include "eckart/compress/storage_choice.hpp"

#include "support/matrix_check.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

using namespace eckart;
using support::refusal;

namespace {

std::vector<double> const values{8, 4, 2, 1};

auto levels_of(shape2 w, std::vector<double> const& spectrum, level_options const& options)
    -> std::vector<storage_choice> {
  return levels(w, std::span<double const>(spectrum), options);
}

/// One form, every rank, costs in parameters.
auto only(form f) -> level_options {
  level_options options;
  options.forms = {f};
  options.step = 1;
  options.bytes_each = 1;
  return options;
}

}  // namespace

TEST_CASE("levels are dense without a loss, and the ranks that save with what they cut off") {
  auto const made = levels_of({4, 6}, values, only(form::two_factor));
  CHECK(made == std::vector<storage_choice>{{form::dense, 4, 24, 0},
                                            {form::two_factor, 1, 10, 7},
                                            {form::two_factor, 2, 20, 3}});
}

TEST_CASE("pivots save up to the last rank below the full one, and the full rank is not offered") {
  auto const made = levels_of({4, 6}, values, only(form::pivoted));
  CHECK(made == std::vector<storage_choice>{{form::dense, 4, 24, 0},
                                            {form::pivoted, 1, 9, 7},
                                            {form::pivoted, 2, 16, 3},
                                            {form::pivoted, 3, 21, 1}});
}

TEST_CASE("at each rank the cheapest of the listed forms is offered, the first of equal ones") {
  auto options = only(form::full_core);
  options.forms = {form::full_core, form::diagonal_core};  // equal at rank 1
  auto const made = levels_of({4, 6}, values, options);
  CHECK(made == std::vector<storage_choice>{{form::dense, 4, 24, 0},
                                            {form::full_core, 1, 11, 7},
                                            {form::diagonal_core, 2, 22, 3}});
  CHECK(level_options{}.forms == std::vector(all_factor_forms.begin(), all_factor_forms.end()));
  for (auto const& level : levels({384, 384}, [](index_t) { return 1.0; })) {
    CHECK(level.stored_as == (level.rank == 384 ? form::dense : form::pivoted));
  }
}

TEST_CASE("ranks are multiples of the step, and costs are bytes") {
  auto const made = levels({100, 50}, [](index_t k) { return 50.0 - static_cast<double>(k); });
  REQUIRE(made.size() == 4);
  CHECK(made[0] == storage_choice{form::dense, 50, 20'000, 0});
  CHECK(made[1] == storage_choice{form::pivoted, 16, 4 * 16 * 134, 34});
  CHECK(made[3] == storage_choice{form::pivoted, 48, 4 * 48 * 102, 2});
  auto options = level_options{};
  options.step = std::numeric_limits<index_t>::max();
  CHECK(levels(
            {100, 50}, [](index_t) { return 0.0; }, options)
            .size() == 1);
  options.step = 1;
  options.forms = {};
  CHECK(levels(
            {100, 50}, [](index_t) { return 0.0; }, options)
            .size() == 1);
}

TEST_CASE("a loss is weighed, with what no rank explains; dense loses nothing still") {
  auto options = only(form::two_factor);
  options.weight = 10;
  options.unexplained = 0.5;
  auto const made = levels_of({4, 6}, values, options);
  CHECK(made[0].loss == 0);
  CHECK(made[1].loss == 75);
  CHECK(made[2].loss == 35);
}

TEST_CASE("small values of a spectrum are not lost beside large ones") {
  std::vector<double> const spectrum{1e16, 1, 1, 1};
  auto const made = levels_of({4, 6}, spectrum, only(form::two_factor));
  CHECK(made[1].loss == 3);
}

TEST_CASE("levels that make no sense are refused by name") {
  auto const refused = [](shape2 w, std::vector<double> const& s, level_options const& o) {
    return refusal<shape_error>([&] { levels_of(w, s, o); });
  };
  auto const good = only(form::pivoted);
  CHECK(refused({4, 6}, {1, 2}, good) == "levels: 2 values for a 4 x 6 matrix");
  CHECK(refused({4, 6}, {1, -2, 0, 0}, good) == "levels: value 1 of a 4 x 6 matrix is -2");
  CHECK_THROWS_AS(levels_of({4, 6}, {support::not_a_number<double>, 0, 0, 0}, good), shape_error);
  CHECK(refused({0, 6}, {}, good) == "levels: a 0 x 6 matrix of 1 bytes a number");
  constexpr auto most = std::numeric_limits<index_t>::max();
  auto const flat = [](index_t) { return 0.0; };
  CHECK_THROWS_AS(levels({most, most}, flat), shape_error);
  CHECK_THROWS_AS(levels({-1, 6}, flat), shape_error);
  auto options = good;
  options.step = 0;
  CHECK(refused({4, 6}, values, options) == "levels: ranks in steps of 0");
  options = good;
  options.weight = -1;
  CHECK(refused({4, 6}, values, options) == "levels: the loss of a 4 x 6 matrix at rank 1 is -7");
  options = good;
  options.unexplained = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(levels_of({4, 6}, values, options), shape_error);
  options = good;
  options.bytes_each = 0;
  CHECK_THROWS_AS(levels_of({4, 6}, values, options), shape_error);
}
