#include "eckart/eval/cosine.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
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

TEST_CASE("the cosine of a vector with itself is exactly 1, and the order does not matter") {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    auto const a = random_row<double>(33, seed);
    auto const b = random_row<double>(33, seed + 500);
    CHECK(cosine_of(a, a) == 1);
    CHECK(cosine_of(a, b) == cosine_of(b, a));
  }
}

TEST_CASE("the size of the entries changes no cosine, from the smallest numbers to the largest") {
  auto const a = random_row<double>(40, 11);
  auto const b = random_row<double>(40, 12);
  auto const c = cosine_of(a, b);
  for (int const exponent : {-1000, -665, -300, 300, 665, 1000}) {  // 2^665 is about 1e200
    CAPTURE(exponent);
    auto const by = std::ldexp(1.0, exponent);
    // A power of two changes no digit, so what remains is the rounding of sums of 40 squares.
    CHECK(cosine_of(scaled(a, by), b) == doctest::Approx(c).epsilon(1e-14));
    CHECK(cosine_of(a, scaled(b, by)) == doctest::Approx(c).epsilon(1e-14));
    CHECK(cosine_of(scaled(a, by), scaled(b, by)) == doctest::Approx(c).epsilon(1e-14));
    CHECK(cosine_of(scaled(a, by), scaled(b, 1 / by)) == doctest::Approx(c).epsilon(1e-14));
    CHECK(cosine_of(scaled(a, by), scaled(a, -by)) == -1);
  }
  CHECK(cosine_of<double>({3e200, 4e200}, {4e-200, 3e-200}) == doctest::Approx(0.96));
  CHECK(cosine_of<double>({5e-324, 0}, {5e-324, 5e-324}) == doctest::Approx(std::sqrt(0.5)));
  CHECK(cosine_of<double>({1e308, 1e308}, {1e308, -1e308}) == 0);
  CHECK(cosine_of<float>({1e-45F, 0}, {1e38F, 1e38F}) == doctest::Approx(std::sqrt(0.5)));
  CHECK(cosine_of<double>({1e-300, 0}, {0, 0}) == 0);
}

TEST_CASE("an entry that is not finite makes the cosine NaN, wherever it stands") {
  constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
  constexpr auto infinite = std::numeric_limits<double>::infinity();
  for (auto const bad : {nan, infinite, -infinite}) {
    CHECK(std::isnan(cosine_of<double>({1, bad, 2}, {1, 1, 1})));
    CHECK(std::isnan(cosine_of<double>({1, 1, 1}, {1, 1, bad})));
    CHECK(std::isnan(cosine_of<double>({bad, 1}, {0, 0})));
    CHECK(std::isnan(cosine_of<double>({bad, 1}, {bad, 1})));
  }
}

TEST_CASE_TEMPLATE("the cosine of matrices is that of all their entries as one vector", T, float,
                   double) {
  auto const a = random_matrix<T>(6, 9, 21);
  auto const b = random_matrix<T>(6, 9, 22);
  row<T> const x(a.begin(), a.end());
  row<T> const y(b.begin(), b.end());
  CHECK(cosine(a, b) == cosine_of(x, y));
  CHECK(cosine(a, a) == 1);
  // Parts of wider matrices, constant and mutable views, and expressions.
  auto wide = random_matrix<T>(6, 12, 23);
  copy(as_view(a), as_view(wide).col_range(2, 9));
  CHECK(cosine(as_view(wide).col_range(2, 9), b) == cosine(a, b));
  CHECK(cosine(T(-4) * a, b) == -cosine(a, b));
}

TEST_CASE("a matrix and an approximation have a cosine and a relative error") {
  auto exact = make_matrix<double>({2, 2});
  exact(0, 0) = 3;
  exact(0, 1) = exact(1, 0) = 0;
  exact(1, 1) = 4;
  auto other = exact;
  other(0, 0) = 0;  // the best approximation of rank 1
  auto const likeness = compare_matrices(exact, other);
  CHECK(likeness.cosine == 0.8);
  CHECK(likeness.relative_error == 0.6);  // and 0.8 = sqrt(1 - 0.6^2)
  auto const twice = compare_matrices(exact, 2.0 * exact);
  CHECK(twice.cosine == 1);
  CHECK(twice.relative_error == 1);
  auto const same = compare_matrices(exact, exact);
  CHECK(same.cosine == 1);
  CHECK(same.relative_error == 0);
}

TEST_CASE("the relative error is the norm of the difference over that of the exact one") {
  auto const a = random_matrix<double>(7, 5, 31);
  auto b = random_matrix<double>(7, 5, 32);
  auto const expected = support::distance(a, b) / frobenius_norm(a);
  CHECK(compare_matrices(a, b).relative_error == doctest::Approx(expected).epsilon(1e-14));
  auto const single = matrix<float>(b);
  CHECK(compare_matrices(a, single).relative_error == doctest::Approx(expected).epsilon(1e-6));
  for (int const exponent : {-1000, -665, 665, 1000}) {
    auto const by = std::ldexp(1.0, exponent);
    matrix<double> const far_a = by * a;
    matrix<double> const far_b = by * b;
    CHECK(compare_matrices(far_a, far_b).relative_error ==
          doctest::Approx(expected).epsilon(1e-14));
    CHECK(compare_matrices(far_a, far_a).relative_error == 0);
  }
}

TEST_CASE("the error from zero is 0 or infinite, of what is not finite it is NaN") {
  matrix<double> const zero = xt::zeros<double>({2, 3});
  auto const a = random_matrix<double>(2, 3, 41);
  CHECK(compare_matrices(zero, zero).relative_error == 0);
  CHECK(compare_matrices(zero, zero).cosine == 1);
  CHECK(compare_matrices(zero, a).relative_error == std::numeric_limits<double>::infinity());
  CHECK(compare_matrices(a, zero).relative_error == 1);
  matrix<double> const huge = 1e308 * (a + 1.0) / 4.0;
  matrix<double> const tiny = 1e-308 * (a + 1.0);
  CHECK(compare_matrices(huge, tiny).relative_error == doctest::Approx(1).epsilon(1e-14));
  CHECK(compare_matrices(tiny, huge).relative_error == std::numeric_limits<double>::infinity());
  matrix<double> const far_below = 1e-100 * xt::ones<double>({2, 3});
  matrix<double> const far_above = 1e100 * xt::ones<double>({2, 3});
  CHECK(compare_matrices(far_below, far_above).relative_error ==
        doctest::Approx(1e200).epsilon(1e-14));
  auto bad = a;
  bad(1, 2) = std::numeric_limits<double>::quiet_NaN();
  for (auto const& likeness : {compare_matrices(bad, a), compare_matrices(a, bad)}) {
    CHECK(std::isnan(likeness.relative_error));
    CHECK(std::isnan(likeness.cosine));
  }
}

TEST_CASE("rows are compared one by one, whatever views and precisions they come in") {
  auto const a = random_matrix<double>(4, 6, 51);
  auto b = matrix<float>(a);
  auto const alike = compare_rows(a, b);
  CHECK(alike.mean == doctest::Approx(1).epsilon(1e-13));  // 1 - c is the square of 6e-8
  for (index_t j = 0; j < 6; ++j) {
    as_view(b)(2, j) = static_cast<float>(a(0, j));
  }
  auto const third = cosine(as_view(a).row_range(2, 1), as_view(a).row_range(0, 1));
  auto const mixed = compare_rows(as_view(a), as_view(b));  // constant and mutable
  CHECK(mixed.worst == doctest::Approx(third).epsilon(1e-6));
  CHECK(mixed.mean == doctest::Approx((3 + third) / 4).epsilon(1e-6));
  auto const states = compare_states(as_view(a), as_view(b));
  CHECK(states.mean_token == mixed.mean);
  CHECK(states.worst_token == mixed.worst);
}

TEST_CASE("hidden states of any size are compared, a NaN is seen in the mean and the worst") {
  auto const a = random_matrix<double>(5, 7, 61);
  auto const b = random_matrix<double>(5, 7, 62);
  auto const plain = compare_states(a, b);
  auto const by = std::ldexp(1.0, 665);
  auto const large = compare_states(a * by, b * by);
  auto const small = compare_states(a / by, b / by);
  for (auto const& likeness : {large, small}) {
    CHECK(likeness.pooled == doctest::Approx(plain.pooled).epsilon(1e-13));
    CHECK(likeness.mean_token == doctest::Approx(plain.mean_token).epsilon(1e-13));
    CHECK(likeness.worst_token == doctest::Approx(plain.worst_token).epsilon(1e-13));
  }
  auto bad = a;
  bad(1, 3) = std::numeric_limits<double>::quiet_NaN();
  auto const seen = compare_states(bad, a);
  CHECK(std::isnan(seen.pooled));
  CHECK(std::isnan(seen.mean_token));
  CHECK(std::isnan(seen.worst_token));
}

TEST_CASE("matrices of unequal shapes are refused with both shapes") {
  auto const a = random_matrix<double>(2, 3, 1);
  auto const b = random_matrix<double>(3, 2, 1);
  CHECK(refusal<shape_error>([&] { cosine(a, b); }) == "cosine: 2 x 3 and 3 x 2");
  CHECK(refusal<shape_error>([&] { compare_matrices(a, b); }) ==
        "compare_matrices: 2 x 3 and 3 x 2");
  CHECK(refusal<shape_error>([&] { compare_rows(a, b); }) == "compare_rows: 2 x 3 and 3 x 2");
}
