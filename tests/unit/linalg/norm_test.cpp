#include "eckart/linalg/norm.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

using namespace eckart;
using support::random_matrix;

namespace {

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();

// Relative error of the norm of n numbers in double: n squares and sums, a scaling and a root.
auto close(double value, double expected, int n) -> bool {
  return std::abs(value - expected) <= (n + 4) * support::epsilon<double> * expected;
}

}  // namespace

TEST_CASE_TEMPLATE("norms are those worked by hand", T, float, double) {
  matrix<T> const a{{3, 0, -12}, {0, 4, 0}};
  CHECK(max_abs(a) == 12);
  CHECK(close(frobenius_norm(a), 13, 6));
  CHECK(close(euclidean_norm(std::vector<T>{1, -2, 2}), 3, 3));
}

// The squares of 1e30 and 1e-30 are beyond the range of float, those of 1e200 beyond double's.
TEST_CASE_TEMPLATE("norms neither overflow nor underflow", T, float, double) {
  std::vector<double> scales{1e-30, 1e30};
  if (std::is_same_v<T, double>) {
    scales.insert(scales.end(), {1e-200, 1e200});
  }
  for (auto const scale : scales) {
    auto const x = static_cast<T>(scale);
    CAPTURE(scale);
    matrix<T> const a{{x, x}, {x, x}};
    CHECK(close(frobenius_norm(a), 2 * static_cast<double>(x), 4));
    CHECK(close(euclidean_norm(std::vector<T>(9, x)), 3 * static_cast<double>(x), 9));
    CHECK(max_abs(a) == static_cast<double>(x));
  }
}

TEST_CASE_TEMPLATE("a float's norm is summed in double", T, float, double) {
  // 2^24 + 1 ones: a float sum would stop at 2^24.
  std::vector<T> const ones((std::size_t{1} << 24) + 4, T{1});
  CHECK(close(euclidean_norm(ones) * euclidean_norm(ones), std::ldexp(1.0, 24) + 4, 8));
}

TEST_CASE_TEMPLATE("the norm of a matrix with NaN is NaN, wherever it stands", T, float, double) {
  for (index_t place = 0; place < 4; ++place) {
    matrix<T> a{{1, 2}, {3, 4}};
    as_view(a)(place / 2, place % 2) = support::not_a_number<T>;
    CHECK(std::isnan(max_abs(a)));
    CHECK(std::isnan(frobenius_norm(a)));
    CHECK(std::isnan(euclidean_norm(a)));
  }
}

TEST_CASE_TEMPLATE("NaN beside zeros or infinities is still NaN", T, float, double) {
  auto const x = support::not_a_number<T>;
  for (auto const other : {T{0}, infinity<T>}) {
    for (auto const& values : {std::vector<T>{x, other}, std::vector<T>{other, x}}) {
      CHECK(std::isnan(euclidean_norm(values)));
      CHECK(std::isnan(frobenius_norm(matrix_view<T const>(values.data(), 1, 2))));
      CHECK(std::isnan(max_abs(matrix_view<T const>(values.data(), 2, 1))));
    }
  }
  CHECK(std::isnan(euclidean_norm(std::vector<T>{x})));
}

TEST_CASE_TEMPLATE("the norm of a matrix with an infinity is infinite", T, float, double) {
  matrix<T> const a{{1, -infinity<T>}, {3, 4}};
  CHECK(max_abs(a) == infinity<double>);
  CHECK(frobenius_norm(a) == infinity<double>);
  CHECK(euclidean_norm(a) == infinity<double>);
}

TEST_CASE_TEMPLATE("norms of nothing and of zeros are 0", T, float, double) {
  CHECK(max_abs(make_matrix<T>({0, 3})) == 0);
  CHECK(frobenius_norm(make_matrix<T>({3, 0})) == 0);
  CHECK(euclidean_norm(std::vector<T>{}) == 0);
  CHECK(max_abs(matrix<T>{{0, 0}}) == 0);
  CHECK(frobenius_norm(matrix<T>{{0, 0}}) == 0);
  CHECK(euclidean_norm(std::vector<T>{0, 0}) == 0);
}

TEST_CASE_TEMPLATE("the norm of a part does not see what is around it", T, float, double) {
  matrix<T> const a{{99, 99, 99}, {99, 3, -4}, {99, 99, 99}};
  auto const part = as_view(a).block(1, 1, 1, 2);
  CHECK(max_abs(part) == 4);
  CHECK(close(frobenius_norm(part), 5, 2));
}

TEST_CASE_TEMPLATE("the first entry that is not finite is found, row by row", T, float, double) {
  for (auto const bad : {support::not_a_number<T>, infinity<T>, -infinity<T>}) {
    auto a = random_matrix<T>(4, 5, 1);
    CHECK_FALSE(find_non_finite(as_view(a)));
    as_view(a)(2, 1) = bad;
    as_view(a)(2, 3) = bad;
    as_view(a)(3, 0) = bad;
    auto const found = find_non_finite(as_view(a));
    REQUIRE(found);
    CHECK(found->row == 2);
    CHECK(found->col == 1);
    CHECK_FALSE(find_non_finite(as_view(a).row_range(0, 2)));
  }
}

TEST_CASE_TEMPLATE("two infinities of opposite sign do not hide each other", T, float, double) {
  matrix<T> const a{{1, infinity<T>, -infinity<T>}};
  auto const found = find_non_finite(as_view(a));
  REQUIRE(found);
  CHECK(found->col == 1);
}

TEST_CASE_TEMPLATE("the largest finite numbers count as finite", T, float, double) {
  constexpr auto largest = std::numeric_limits<T>::max();
  matrix<T> const a{{largest, largest, -largest}};
  CHECK_FALSE(find_non_finite(as_view(a)));
}
