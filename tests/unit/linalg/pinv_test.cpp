#include "eckart/linalg/pinv.hpp"

#include "eckart/linalg/cholesky.hpp"

#include "support/made_matrix.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"
#include "support/random_shapes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using namespace eckart;
using support::backward_tolerance;
using support::epsilon;
using support::identical;
using support::integer_matrix;
using support::not_a_number;
using support::of_rank;
using support::property_shapes;
using support::random_matrix;
using support::refusal;
using support::zeros;

namespace {

// Full rank and well conditioned: random entries and a strong diagonal.
template <class T>
auto well_conditioned(shape2 shape, std::uint32_t seed) -> matrix<T> {
  auto a = random_matrix<T>(shape.rows, shape.cols, seed);
  for (index_t i = 0; i < std::min(shape.rows, shape.cols); ++i) {
    as_view(a)(i, i) += T{10};
  }
  return a;
}

auto transposed(matrix<double> const& a) -> matrix<double> {
  auto result = make_matrix<double>({as_view(a).cols, as_view(a).rows});
  detail::transpose(as_view(a), as_view(result));
  return result;
}

// Largest over smallest singular value that is not rounding.
template <class T>
auto condition(matrix<T> const& a) -> double {
  auto const s = svd(support::in_double(a)).s;
  auto smallest = s(0);
  for (auto const x : s) {
    smallest = x > 1e-10 * s(0) ? x : smallest;
  }
  return smallest > 0 ? s(0) / smallest : 1;
}

// Penrose 1955: these four make x the pseudoinverse. With a backward error d in the SVD x is the
// pseudoinverse of a + d, ||d|| <= tolerance ||a||, so each condition is off by products of d, a
// and x: tolerance condition, times the norm of the result.
template <class T>
void check_penrose(matrix<T> const& a_in_T, matrix<T> const& x_in_T) {
  auto const shape = as_view(a_in_T).shape();
  REQUIRE(as_view(x_in_T).shape() == shape2{shape.cols, shape.rows});
  auto const a = support::in_double(a_in_T);
  auto const x = support::in_double(x_in_T);
  auto const bound = 3 * backward_tolerance<T>(shape) * condition(a);
  CHECK(bound < 0.1);  // else the conditions say nothing
  auto const ax = support::product(a, x);
  auto const xa = support::product(x, a);
  CHECK(support::distance(support::product(ax, a), a) <= bound * frobenius_norm(a));
  CHECK(support::distance(support::product(xa, x), x) <= bound * frobenius_norm(x));
  CHECK(support::distance(transposed(ax), ax) <= bound * frobenius_norm(ax));
  CHECK(support::distance(transposed(xa), xa) <= bound * frobenius_norm(xa));
}

// a x - b in double.
template <class T>
auto residual(matrix<T> const& a, matrix<T> const& x, matrix<T> const& b) -> matrix<double> {
  auto result = support::product(support::in_double(a), support::in_double(x));
  std::ranges::transform(result, b, result.begin(),
                         [](double p, T q) { return p - static_cast<double>(q); });
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("the pseudoinverse of full rank meets the four conditions of Penrose", T, float,
                   double) {
  for (auto const shape : property_shapes(24, 40, 1)) {
    CAPTURE(shape);
    auto const a = well_conditioned<T>(shape, 2);
    check_penrose(a, pinv(a));
  }
}

TEST_CASE_TEMPLATE("the pseudoinverse of deficient rank meets the four conditions of Penrose", T,
                   float, double) {
  for (auto const shape : property_shapes(24, 40, 1)) {
    auto const full = std::min(shape.rows, shape.cols);
    for (auto const rank : {index_t{1}, (full + 2) / 3}) {
      CAPTURE(shape);
      CAPTURE(rank);
      auto const a = of_rank<T>(shape, rank, 3, 103);
      check_penrose(a, pinv(a));
    }
  }
}

TEST_CASE_TEMPLATE("tiny and huge matrices are inverted as well as others", T, float, double) {
  for (auto const scale : {1e-30, 1e30}) {
    for (auto const shape : {shape2{9, 9}, shape2{12, 5}, shape2{5, 12}}) {
      CAPTURE(scale);
      CAPTURE(shape);
      auto a = well_conditioned<T>(shape, 4);
      for (auto& x : a) {
        x *= static_cast<T>(scale);
      }
      check_penrose(a, pinv(a));
    }
  }
}

TEST_CASE_TEMPLATE("the pseudoinverse of the zero matrix is zero", T, float, double) {
  for (auto const shape : {shape2{1, 1}, shape2{3, 5}, shape2{5, 3}}) {
    CHECK(identical(pinv(zeros<T>(shape)), zeros<T>({shape.cols, shape.rows})));
    CHECK(identical(pinv(zeros<T>(shape), 0), zeros<T>({shape.cols, shape.rows})));
  }
}

TEST_CASE_TEMPLATE("pseudoinverses of small matrices are as by hand", T, float, double) {
  auto const bound =
      backward_tolerance<T>({3, 3}) * 10;  // 10 is above norms times conditions but the last
  CHECK(support::distance(pinv(matrix<T>{{-4}}), matrix<double>{{-0.25}}) <= bound);
  // A vector's is its transpose over its squared length, here 9.
  CHECK(support::distance(pinv(matrix<T>{{1}, {2}, {2}}),
                          matrix<double>{{1.0 / 9, 2.0 / 9, 2.0 / 9}}) <= bound);
  CHECK(support::distance(pinv(matrix<T>{{3, 4}}), matrix<double>{{0.12}, {0.16}}) <= bound);
  // Rank 1: (1, 2) (1, 1)^T, so x = (1, 1) (1, 2)^T / (5 * 2).
  CHECK(support::distance(pinv(matrix<T>{{1, 1}, {2, 2}}),
                          matrix<double>{{0.1, 0.2}, {0.1, 0.2}}) <= bound);
  // Full column rank: (a^T a)^-1 a^T with a^T a = [2 1; 1 2].
  CHECK(support::distance(
            pinv(matrix<T>{{1, 0}, {0, 1}, {1, 1}}),
            matrix<double>{{2.0 / 3, -1.0 / 3, 1.0 / 3}, {-1.0 / 3, 2.0 / 3, 1.0 / 3}}) <= bound);
  // Regular: the inverse. det = 1, ||a|| = ||x|| = 11.6.
  CHECK(support::distance(pinv(matrix<T>{{2, 5}, {5, 13}}), matrix<double>{{13, -5}, {-5, 2}}) <=
        backward_tolerance<T>({2, 2}) * 15 * 230);
}

TEST_CASE_TEMPLATE("singular values up to the tolerance times the largest count as 0", T, float,
                   double) {
  auto a = zeros<T>({4, 3});
  as_view(a)(0, 0) = T(0.25);
  as_view(a)(1, 1) = 16;
  as_view(a)(2, 2) = 1;
  auto const diagonal = [](T first, T second, T third) {
    auto x = zeros<T>({3, 4});
    as_view(x)(0, 0) = first;
    as_view(x)(1, 1) = second;
    as_view(x)(2, 2) = third;
    return x;
  };
  auto const b = zeros<T>({4, 1});
  auto const check = [&](double cut, matrix<T> const& expected, index_t rank) {
    CAPTURE(cut);
    CHECK(support::distance(pinv(a, cut), expected) <= backward_tolerance<T>({4, 3}) * 64 * 4);
    CHECK(least_squares(a, b, cut).rank == rank);
  };
  check(-1, diagonal(4, T(0.0625), 1), 3);
  check(0, diagonal(4, T(0.0625), 1), 3);
  check(0.01, diagonal(4, T(0.0625), 1), 3);  // 0.25 / 16 is 0.0156
  check(0.02, diagonal(0, T(0.0625), 1), 2);
  check(0.1, diagonal(0, T(0.0625), 0), 1);
  check(1, zeros<T>({3, 4}), 0);  // above, not at
}

TEST_CASE_TEMPLATE("least_squares finds the rank of a matrix that was made of r columns", T, float,
                   double) {
  for (auto const shape : {shape2{30, 30}, shape2{20, 50}, shape2{50, 20}}) {
    for (auto const rank : {index_t{1}, index_t{2}, index_t{7}, index_t{19}}) {
      CAPTURE(shape);
      CAPTURE(rank);
      CHECK(least_squares(of_rank<T>(shape, rank, 5, 105), zeros<T>({shape.rows, 1})).rank == rank);
    }
  }
}

TEST_CASE_TEMPLATE("a straight line through four points is as by hand", T, float, double) {
  // y = c + d t at t = 0, 1, 2, 3 for y = 1, 3, 4, 4: [4 6; 6 14] (c, d) = (12, 19), so c = 1.5 and
  // d = 1. Residuals 0.5, -0.5, -0.5, 0.5 have length 1. The second column lies on y = 2 - t.
  matrix<T> const a{{1, 0}, {1, 1}, {1, 2}, {1, 3}};
  matrix<T> const b{{1, 2}, {3, 1}, {4, 0}, {4, -1}};
  auto const f = least_squares(a, b);
  auto const bound = backward_tolerance<T>({4, 2}) * 4 * 7;  // ||a|| = 4.2 and ||b|| = 6.9
  CHECK(f.rank == 2);
  CHECK(support::distance(f.x, matrix<double>{{1.5, 2}, {1, -1}}) <= bound);
  REQUIRE(f.residual_norms.size() == 2);
  CHECK(std::abs(f.residual_norms[0] - 1) <= bound);
  CHECK(f.residual_norms[1] <= bound);
}

TEST_CASE_TEMPLATE("of all points on a line least_squares takes the one nearest to 0", T, float,
                   double) {
  // 3 x + 4 y = 10 twice, once as 10 and once as 15: the mean 12.5 / 5 along (3, 4) / 5.
  matrix<T> const a{{3, 4}, {3, 4}};
  auto const f = least_squares(a, matrix<T>{{10}, {15}});
  auto const bound = backward_tolerance<T>({2, 2}) * 8 * 20;
  CHECK(f.rank == 1);
  CHECK(support::distance(f.x, matrix<double>{{1.5}, {2}}) <= bound);
  CHECK(std::abs(f.residual_norms[0] - std::sqrt(12.5)) <= bound);
}

TEST_CASE_TEMPLATE("least_squares agrees with the normal equations by Cholesky", T, float, double) {
  for (auto const shape : property_shapes(24, 40, 1)) {
    if (shape.rows < shape.cols) {
      continue;  // a^T a is singular
    }
    CAPTURE(shape);
    auto const a = well_conditioned<T>(shape, 6);
    auto const b = random_matrix<T>(shape.rows, 3, 7);
    auto const wide = support::in_double(a);
    auto const l = cholesky(support::product(op::transpose, wide, op::none, wide));
    auto x = support::product(op::transpose, wide, op::none, support::in_double(b));
    auto const lower = as_view(l);
    auto const to = as_view(x);
    for (index_t column = 0; column < to.cols; ++column) {
      for (index_t i = 0; i < to.rows; ++i) {  // l y = a^T b
        for (index_t j = 0; j < i; ++j) {
          to(i, column) -= lower(i, j) * to(j, column);
        }
        to(i, column) /= lower(i, i);
      }
      for (index_t i = to.rows - 1; i >= 0; --i) {  // l^T x = y
        for (index_t j = i + 1; j < to.rows; ++j) {
          to(i, column) -= lower(j, i) * to(j, column);
        }
        to(i, column) /= lower(i, i);
      }
    }
    auto const f = least_squares(a, b);
    auto const kappa = condition(a);
    CHECK(kappa < 20);
    // Golub and Van Loan, theorem 5.3.1: x is off by condition² eps ||b|| / ||a||_2 where residuals
    // are large, and ||a||_2 > 5 here.
    CHECK(f.rank == shape.cols);
    CHECK(support::distance(f.x, x) <=
          2 * backward_tolerance<T>(shape) * kappa * kappa * frobenius_norm(b));
  }
}

TEST_CASE_TEMPLATE("residuals are orthogonal to the columns and their norms are those told", T,
                   float, double) {
  for (auto const shape : property_shapes(24, 40, 1)) {
    for (auto const deficient : {false, true}) {
      CAPTURE(shape);
      CAPTURE(deficient);
      auto const full = std::min(shape.rows, shape.cols);
      auto const a =
          deficient ? of_rank<T>(shape, (full + 1) / 2, 8, 108) : well_conditioned<T>(shape, 8);
      auto const b = random_matrix<T>(shape.rows, 4, 9);
      auto const f = least_squares(a, b);
      auto const rest = residual(a, f.x, b);
      // (a + d)^T r = 0 with d and the rounding of r, ||x|| ||a|| <= condition ||b||.
      auto const bound = 3 * backward_tolerance<T>(shape) * condition(a) * frobenius_norm(b);
      auto const inside = support::product(op::transpose, support::in_double(a), op::none, rest);
      CHECK(frobenius_norm(inside) <= bound * frobenius_norm(a));
      REQUIRE(f.residual_norms.size() == 4);
      for (index_t j = 0; j < 4; ++j) {
        auto const expected = frobenius_norm(as_view(rest).col_range(j, 1));
        CHECK(std::abs(f.residual_norms[static_cast<std::size_t>(j)] - expected) <= bound);
      }
    }
  }
}

TEST_CASE_TEMPLATE("any other solution is longer", T, float, double) {
  for (auto const shape : {shape2{3, 8}, shape2{10, 12}, shape2{20, 20}, shape2{25, 9}}) {
    CAPTURE(shape);
    auto const a = of_rank<T>(shape, 3, 10, 110);
    auto const b = random_matrix<T>(shape.rows, 1, 11);
    auto const x = least_squares(a, b).x;
    auto const xa = support::product(support::in_double(pinv(a)), support::in_double(a));
    // z less its projection on the row space does not change a x.
    auto const z = support::in_double(random_matrix<T>(shape.cols, 1, 12));
    auto shift = support::product(xa, z);
    std::ranges::transform(z, shift, shift.begin(), [](double p, double q) { return p - q; });
    auto other = support::in_double(x);
    std::ranges::transform(other, shift, other.begin(), [](double p, double q) { return p + q; });
    auto const bound = 3 * backward_tolerance<T>(shape) * condition(a);
    auto const image = support::product(support::in_double(a), shift);
    CHECK(frobenius_norm(image) <= bound * frobenius_norm(a) * frobenius_norm(z));
    CHECK(frobenius_norm(shift) > 0.1);
    // Orthogonal: ||x + shift||² = ||x||² + ||shift||².
    CHECK(std::abs(std::hypot(frobenius_norm(x), frobenius_norm(shift)) - frobenius_norm(other)) <=
          bound * (frobenius_norm(x) + frobenius_norm(z)));
    CHECK(frobenius_norm(other) > frobenius_norm(x));
  }
}

TEST_CASE_TEMPLATE("least_squares is the pseudoinverse times the right-hand side", T, float,
                   double) {
  for (auto const shape : property_shapes(24, 40, 1)) {
    CAPTURE(shape);
    auto const a = well_conditioned<T>(shape, 13);
    auto const b = random_matrix<T>(shape.rows, 2, 14);
    auto const x = pinv(a);
    auto const expected = support::product(support::in_double(x), support::in_double(b));
    CHECK(support::distance(least_squares(a, b).x, expected) <=
          3 * backward_tolerance<T>(shape) * condition(a) * frobenius_norm(x) * frobenius_norm(b));
  }
}

TEST_CASE_TEMPLATE("parts of matrices are taken like their copies", T, float, double) {
  auto const around = random_matrix<T>(50, 60, 15);
  auto const a = as_view(around).block(3, 5, 20, 12);
  auto const b = as_view(around).block(7, 30, 20, 4);
  CHECK(identical(pinv(a), pinv(to_matrix(a))));
  CHECK(support::distance(least_squares(a, b).x, least_squares(to_matrix(a), to_matrix(b)).x) <=
        backward_tolerance<T>({20, 12}) * condition(to_matrix(a)) * frobenius_norm(b));
}

TEST_CASE_TEMPLATE("no right-hand side gives no solution and the rank", T, float, double) {
  auto const f = least_squares(well_conditioned<T>({5, 3}, 16), make_matrix<T>({5, 0}));
  CHECK(as_view(f.x).shape() == shape2{3, 0});
  CHECK(f.rank == 3);
  CHECK(f.residual_norms.empty());
}

TEST_CASE_TEMPLATE("a zero matrix leaves the whole right-hand side", T, float, double) {
  auto const f = least_squares(zeros<T>({2, 3}), matrix<T>{{3, 1}, {4, 0}});
  CHECK(f.rank == 0);
  CHECK(identical(f.x, zeros<T>({3, 2})));
  CHECK(f.residual_norms == std::vector<double>{5, 1});
}

TEST_CASE_TEMPLATE("entries that are not finite are refused by place and value", T, float, double) {
  auto a = random_matrix<T>(4, 3, 17);
  auto b = random_matrix<T>(4, 2, 18);
  b(3, 1) = std::numeric_limits<T>::infinity();
  CHECK(refusal<numerical_error>([&] { least_squares(a, b); }) ==
        "least_squares: right-hand side: element (3, 1) of the 4 x 2 matrix is inf");
  b(3, 1) = 0;
  a(2, 1) = not_a_number<T>;
  CHECK(refusal<numerical_error>([&] { pinv(a); }) ==
        "pinv: element (2, 1) of the 4 x 3 matrix is nan");
  CHECK(refusal<numerical_error>([&] { least_squares(a, b); }) ==
        "least_squares: element (2, 1) of the 4 x 3 matrix is nan");
}

TEST_CASE_TEMPLATE("a singular value without a finite reciprocal is refused", T, float, double) {
  matrix<T> const a{{std::numeric_limits<T>::denorm_min()}};
  CHECK(refusal<numerical_error>([&] {
          pinv(a);
        }).starts_with("pinv: the reciprocal of the singular value "));
  CHECK(refusal<numerical_error>([&] {
          least_squares(a, a);
        }).starts_with("least_squares: the reciprocal of the singular value "));
}

TEST_CASE("empty matrices, other heights and a tolerance that is no number are refused by name") {
  auto const a = random_matrix<double>(4, 3, 19);
  CHECK(refusal<shape_error>([] {
          pinv(make_matrix<double>({0, 3}));
        }) == "pinv: of a 0 x 3 matrix");
  CHECK(refusal<shape_error>([] {
          pinv(make_matrix<double>({3, 0}));
        }) == "pinv: of a 3 x 0 matrix");
  CHECK(refusal<shape_error>([&] { pinv(a, not_a_number<double>); }) == "pinv: tolerance nan");
  CHECK(refusal<shape_error>([&] { least_squares(a, random_matrix<double>(3, 2, 20)); }) ==
        "least_squares: 4 x 3 matrix, 3 x 2 right-hand side");
  CHECK(refusal<shape_error>([&] { least_squares(a, a, not_a_number<double>); }) ==
        "least_squares: tolerance nan");
  CHECK(refusal<shape_error>([] {
          least_squares(make_matrix<double>({3, 0}), make_matrix<double>({3, 1}));
        }) == "least_squares: of a 3 x 0 matrix");
}
