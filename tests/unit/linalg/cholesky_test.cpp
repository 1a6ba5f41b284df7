#include "eckart/linalg/cholesky.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::not_a_number;
using support::refusal;

namespace {

// 70 and 150 are beyond the size of one block.
constexpr index_t orders[] = {1, 2, 3, 8, 33, 70, 150};

// |a - l l^T| <= (n + 1) eps / 2 |l| |l^T|, and || |l| |l^T| || <= n ||a||, rarely so much (Higham
// 2002, theorem 10.3). 10 n eps ||a|| suffices for matrices that are well conditioned.
template <class T>
auto tolerance(index_t n) -> double {
  return 10 * static_cast<double>(n) * epsilon<T>;
}

// b b^T + n for a random b: symmetric positive definite, the elements exactly symmetric.
template <class T>
auto positive_definite(index_t n, std::uint32_t seed, double scale = 1) -> matrix<T> {
  auto const b = support::in_double(support::random_matrix<T>(n, n, seed));
  auto const gram = support::product(op::none, b, op::transpose, b);
  auto a = make_matrix<T>({n, n});
  for (index_t i = 0; i < n; ++i) {
    for (index_t j = 0; j <= i; ++j) {
      auto const x = as_view(gram)(i, j) + (i == j ? static_cast<double>(n) : 0);
      as_view(a)(i, j) = as_view(a)(j, i) = static_cast<T>(scale * x);
    }
  }
  return a;
}

template <class T>
auto is_lower(matrix<T> const& l) -> bool {
  auto const view = as_view(l);
  for (index_t i = 0; i < view.rows; ++i) {
    for (index_t j = i; j < view.cols; ++j) {
      if (j == i ? !(view(i, j) > 0) : view(i, j) != 0) {
        return false;
      }
    }
  }
  return true;
}

template <class T>
void forget_upper(matrix_view<T> a) {
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = i + 1; j < a.cols; ++j) {
      a(i, j) = not_a_number<T>;
    }
  }
}

// l d l^T with a unit lower l of -1, 0 and 1 and d = 1 but for `last` at `pivot`: all steps of the
// factorization up to that pivot are exact, also in float.
template <class T>
auto failing_at(index_t pivot, double last, index_t n) -> matrix<T> {
  auto l = support::in_double(support::integer_matrix<double>(n, n, 5));
  auto d = make_matrix<double>({n, n});
  d.fill(0);
  for (index_t i = 0; i < n; ++i) {
    as_view(d)(i, i) = i == pivot ? last : 1;
    for (index_t j = 0; j < n; ++j) {
      auto& x = as_view(l)(i, j);
      x = i == j ? 1 : (j > i ? 0 : std::clamp(x, -1.0, 1.0));
    }
  }
  auto const exact = support::product(op::none, support::product(l, d), op::transpose, l);
  auto a = make_matrix<T>({n, n});
  std::ranges::transform(exact, a.begin(), [](double x) { return static_cast<T>(x); });
  return a;
}

template <class T>
auto failing_pivot(matrix<T> const& a) -> index_t {
  try {
    cholesky(a);
  } catch (not_positive_definite const& e) {
    CHECK(e.info == e.pivot + 1);
    return e.pivot;
  }
  return -1;
}

}  // namespace

TEST_CASE_TEMPLATE("the factor is lower triangular and times its transpose the matrix", T, float,
                   double) {
  for (auto const scale : {1.0, 1e-30, 1e30}) {
    for (auto const n : orders) {
      CAPTURE(n);
      CAPTURE(scale);
      auto const a = positive_definite<T>(n, 1, scale);
      auto const l = cholesky(a);
      REQUIRE(as_view(l).shape() == shape2{n, n});
      CHECK(is_lower(l));
      auto const wide = support::in_double(l);
      auto const product = support::product(op::none, wide, op::transpose, wide);
      CHECK(support::distance(a, product) <= tolerance<T>(n) * frobenius_norm(a));
    }
  }
}

TEST_CASE_TEMPLATE("the matrix 4 2; 2 5 has the factor 2 0; 1 2", T, float, double) {
  CHECK(identical(cholesky(matrix<T>{{4, 2}, {2, 5}}), matrix<T>{{2, 0}, {1, 2}}));
  CHECK(identical(cholesky(matrix<T>{{9}}), matrix<T>{{3}}));
}

TEST_CASE_TEMPLATE("the upper triangle is not read", T, float, double) {
  for (auto const n : orders) {
    CAPTURE(n);
    auto a = positive_definite<T>(n, 2);
    auto const expected = cholesky(a);
    forget_upper(as_view(a));
    CHECK(identical(cholesky(a), expected));
  }
}

TEST_CASE_TEMPLATE("the input stays as it is", T, float, double) {
  auto const a = positive_definite<T>(9, 3);
  auto const before = a;
  cholesky(a);
  CHECK(identical(a, before));
}

TEST_CASE_TEMPLATE("a part of a matrix is factored in place and nothing else is written", T, float,
                   double) {
  for (auto const n : {index_t{1}, index_t{7}, index_t{70}}) {
    CAPTURE(n);
    auto const a = positive_definite<T>(n, 4);
    auto around = make_matrix<T>({n + 3, n + 5});
    around.fill(T{-77});  // no entry of a factor is so small
    auto const part = as_view(around).block(1, 2, n, n);
    copy(as_view(a), part);
    CHECK(identical(cholesky(part), cholesky(a)));
    cholesky_work(part);
    CHECK(identical(to_matrix(part), cholesky(a)));
    CHECK(std::ranges::count(around, T{-77}) == (n + 3) * (n + 5) - n * n);
  }
}

TEST_CASE_TEMPLATE("the pivot that fails is named, counted from 0", T, float, double) {
  for (auto const n : {index_t{1}, index_t{5}, index_t{70}, index_t{150}}) {
    for (auto const pivot : {index_t{0}, n / 2, n - 1}) {
      for (auto const last : {-1.0, 0.0}) {
        CAPTURE(n);
        CAPTURE(pivot);
        CAPTURE(last);
        CHECK(failing_pivot(failing_at<T>(pivot, last, n)) == pivot);
      }
    }
    CHECK(failing_pivot(failing_at<T>(0, 1, n)) == -1);  // the same matrix without a bad pivot
  }
  CHECK(refusal<numerical_error>([] {
          cholesky(matrix<T>{{1, 2}, {2, 1}});
        }) == "cholesky: the 2 x 2 matrix is not positive definite, pivot 1 fails");
}

TEST_CASE_TEMPLATE("an entry of the lower triangle that is not finite is refused by its place", T,
                   float, double) {
  auto a = positive_definite<T>(4, 6);
  a(2, 1) = not_a_number<T>;
  CHECK(refusal<numerical_error>([&] { cholesky(a); }) ==
        "cholesky: element (2, 1) of the 4 x 4 matrix is nan");
  a(0, 0) = std::numeric_limits<T>::infinity();
  CHECK(refusal<numerical_error>([&] { cholesky(a); }) ==
        "cholesky: element (0, 0) of the 4 x 4 matrix is inf");
}

TEST_CASE("matrices that are not square or are empty are refused by name and not written") {
  auto a = make_matrix<double>({2, 3});
  a.fill(7);
  CHECK(refusal<shape_error>([&] { cholesky_work(as_view(a)); }) == "cholesky: of a 2 x 3 matrix");
  CHECK(std::ranges::count(a, 7.0) == 6);
  CHECK(refusal<shape_error>([] {
          cholesky(make_matrix<double>({3, 2}));
        }) == "cholesky: of a 3 x 2 matrix");
  CHECK(refusal<shape_error>([] {
          cholesky(make_matrix<double>({0, 0}));
        }) == "cholesky: of a 0 x 0 matrix");
}

TEST_CASE_TEMPLATE("rows are solved for the matrix that was factored", T, float, double) {
  for (auto const n : orders) {
    for (auto const rows : {index_t{1}, index_t{3}, n + 2}) {
      CAPTURE(n);
      CAPTURE(rows);
      auto const a = positive_definite<T>(n, 7);
      auto const b = support::random_matrix<T>(rows, n, 8);
      auto x = b;
      auto const l = cholesky(a);
      cholesky_solve_work(as_view(l), as_view(x));
      // The residual of one row is below some n eps || |L| |L^T| || |x| (Higham 2002, theorem
      // 10.4), which these matrices keep below the tolerance times ||a|| ||x||.
      auto const residual = support::product(support::in_double(x), support::in_double(a));
      CHECK(support::distance(residual, b) <=
            tolerance<T>(n) * frobenius_norm(a) * frobenius_norm(x));
    }
  }
}

TEST_CASE_TEMPLATE("the rows 8 7 and 2 -3 over 4 2; 2 5 are 1.625 0.75 and 1 -1", T, float,
                   double) {
  auto const l = cholesky(matrix<T>{{4, 2}, {2, 5}});
  auto b = matrix<T>{{8, 7}, {2, -3}};
  cholesky_solve_work(as_view(l), as_view(b));
  CHECK(identical(b, matrix<T>{{T(1.625), T(0.75)}, {1, -1}}));
}

TEST_CASE_TEMPLATE("parts of matrices are solved in place and nothing else is written", T, float,
                   double) {
  for (auto const n : {index_t{1}, index_t{7}, index_t{70}}) {
    CAPTURE(n);
    auto const a = positive_definite<T>(n, 9);
    auto l_around = support::random_matrix<T>(n + 2, n + 3, 10);
    auto const l = as_view(l_around).block(1, 1, n, n);
    copy(as_view(a), l);
    cholesky_work(l);
    auto around = make_matrix<T>({9, n + 5});
    around.fill(T{-77});  // no solution is so large
    auto const part = as_view(around).block(2, 3, 4, n);
    auto rows = support::random_matrix<T>(4, n, 11);
    copy(as_view(rows), part);
    cholesky_solve_work(l, part);
    auto const whole = cholesky(a);
    cholesky_solve_work(as_view(whole), as_view(rows));
    CHECK(identical(to_matrix(part), rows));
    CHECK(std::ranges::count(around, T{-77}) == 9 * (n + 5) - 4 * n);
  }
}

TEST_CASE("factors and rows that do not fit are refused by name, and no rows are solved at once") {
  auto const l = cholesky(matrix<double>{{4, 2}, {2, 5}});
  auto b = make_matrix<double>({3, 4});
  b.fill(7);
  CHECK(refusal<shape_error>([&] { cholesky_solve_work(as_view(l), as_view(b)); }) ==
        "cholesky_solve: a 2 x 2 factor for rows of 4");
  CHECK(refusal<shape_error>([&] { cholesky_solve_work(as_view(b), as_view(b)); }) ==
        "cholesky_solve: a 3 x 4 factor for rows of 4");
  CHECK(std::ranges::count(b, 7.0) == 12);
  auto none = make_matrix<double>({0, 2});
  cholesky_solve_work(as_view(l), as_view(none));
  CHECK(as_view(none).rows == 0);
}
