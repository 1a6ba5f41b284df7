#include "eckart/eval/cosine.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

using namespace eckart;
using support::integer_matrix;
using support::random_matrix;
using support::refusal;

namespace {

template <class T>
using row = std::vector<T>;

template <class T>
auto cosine_of(row<T> const& a, row<T> const& b) -> double {
  return cosine(std::span<T const>(a), std::span<T const>(b));
}

template <class T>
auto random_row(index_t n, unsigned seed) -> row<T> {
  auto const a = random_matrix<T>(1, n, seed);
  return {a.begin(), a.end()};
}

template <class T>
auto scaled(row<T> x, T by) -> row<T> {
  for (auto& v : x) {
    v *= by;
  }
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("a vector is like its positive multiples and unlike its negative ones", T, float,
                   double) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    auto const a = random_row<T>(37, seed);
    CHECK(cosine_of(a, a) == doctest::Approx(1).epsilon(1e-14));
    CHECK(cosine_of(a, scaled(a, T(4))) == doctest::Approx(1).epsilon(1e-14));
    CHECK(cosine_of(a, scaled(a, T(-0.5))) == doctest::Approx(-1).epsilon(1e-14));
  }
}

TEST_CASE_TEMPLATE("the cosine is symmetric, without scale and in -1..1", T, float, double) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    auto const a = random_row<T>(5, seed);
    auto const b = random_row<T>(5, seed + 100);
    auto const c = cosine_of(a, b);
    CHECK(c == doctest::Approx(cosine_of(b, a)).epsilon(1e-15));
    CHECK(c == doctest::Approx(cosine_of(scaled(a, T(8)), b)).epsilon(1e-14));
    CHECK(std::abs(c) < 1);
  }
}

TEST_CASE("known angles have their cosines") {
  CHECK(cosine_of<double>({1, 0}, {0, 1}) == 0);
  CHECK(cosine_of<double>({1, 0}, {1, 1}) == doctest::Approx(std::sqrt(0.5)));
  CHECK(cosine_of<double>({1, 0}, {1, std::sqrt(3.0)}) == doctest::Approx(0.5));
  CHECK(cosine_of<float>({1, 2, 3}, {4, 5, 6}) ==
        doctest::Approx(32 / std::sqrt(14.0 * 77.0)).epsilon(1e-14));
}

TEST_CASE("floats are summed in double") {
  // In float the million ones after 2^24 would be lost.
  row<float> a(1 << 20, 1.0F);
  auto b = a;
  a[0] = b[0] = 4096.0F;
  b[1] = -1.0F;
  auto const n = static_cast<double>(a.size()) - 1;
  auto const square = 4096.0 * 4096.0;
  CHECK(cosine_of(a, b) == doctest::Approx((square + n - 2) / (square + n)).epsilon(1e-12));
}

TEST_CASE("zero is like zero and unlike anything else") {
  CHECK(cosine_of<double>({0, 0}, {0, 0}) == 1);
  CHECK(cosine_of<double>({0, 0}, {1, 2}) == 0);
  CHECK(cosine_of<double>({1, 2}, {0, 0}) == 0);
  CHECK(cosine_of<double>({}, {}) == 1);
}

TEST_CASE("the mean row is the mean over rows, also of a part of a wider matrix") {
  auto const wide = integer_matrix<float>(4, 6, 3);
  auto const part = as_view(wide).col_range(1, 3);
  auto const mean = mean_row(part);
  CHECK(mean.size() == 3);
  for (index_t j = 0; j < 3; ++j) {
    double sum = 0;
    for (index_t i = 0; i < 4; ++i) {
      sum += static_cast<double>(part(i, j));
    }
    CHECK(mean[static_cast<std::size_t>(j)] == sum / 4);
  }
}

TEST_CASE_TEMPLATE("hidden states are entirely like themselves and their multiples", T, float,
                   double) {
  auto const a = random_matrix<T>(7, 12, 4);
  auto b = a;
  for (auto& x : b) {
    x *= T(2);
  }
  auto const same = compare_states(as_view(a), as_view(std::as_const(b)));
  CHECK(same.pooled == doctest::Approx(1).epsilon(1e-14));
  CHECK(same.mean_token == doctest::Approx(1).epsilon(1e-14));
  CHECK(same.worst_token == doctest::Approx(1).epsilon(1e-14));
}

TEST_CASE("one turned token is the worst, and the mean tells its share") {
  auto const a = random_matrix<double>(5, 8, 6);
  auto b = a;
  for (index_t j = 0; j < 8; ++j) {
    as_view(b)(3, j) *= -1;
  }
  auto const likeness = compare_states(as_view(a), as_view(std::as_const(b)));
  CHECK(likeness.worst_token == doctest::Approx(-1).epsilon(1e-14));
  CHECK(likeness.mean_token == doctest::Approx(0.6).epsilon(1e-14));
  auto const mean_a = mean_row(as_view(a));
  auto const mean_b = mean_row(as_view(b));
  CHECK(likeness.pooled == cosine_of(mean_a, mean_b));
  CHECK(likeness.pooled < 1);
}

TEST_CASE("pooling does not see the order of the tokens, the tokens do") {
  auto const a = random_matrix<double>(6, 9, 7);
  auto b = make_matrix<double>({6, 9});
  for (index_t i = 0; i < 6; ++i) {
    std::ranges::copy(as_view(a).row(i), as_view(b).row(5 - i).begin());
  }
  auto const likeness = compare_states(as_view(a), as_view(std::as_const(b)));
  CHECK(likeness.pooled == doctest::Approx(1).epsilon(1e-14));
  CHECK(likeness.worst_token < 0.9);
}

TEST_CASE("unequal lengths and matrices without rows are refused") {
  CHECK(refusal<shape_error>([] {
          cosine_of<double>({1, 2}, {1, 2, 3});
        }) == "cosine: 2 and 3 entries");
  auto const none = make_matrix<double>({0, 3});
  auto const a = random_matrix<double>(2, 3, 1);
  auto const b = random_matrix<double>(3, 2, 1);
  CHECK(refusal<shape_error>([&] { mean_row(as_view(none)); }).starts_with("mean_row: of a "));
  CHECK(refusal<shape_error>([&] {
          compare_states(as_view(none), as_view(none));
        }).starts_with("compare_states: "));
  CHECK(refusal<shape_error>([&] {
          compare_states(as_view(a), as_view(std::as_const(b)));
        }).starts_with("compare_states: "));
}
