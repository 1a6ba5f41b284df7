#include "eckart/linalg/qr.hpp"

#include "eckart/linalg/cholesky.hpp"
#include "eckart/linalg/svd.hpp"

#include "support/allocation_counter.hpp"
#include "support/made_matrix.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

using namespace eckart;
using support::backward_tolerance;
using support::epsilon;
using support::identical;
using support::integer_matrix;
using support::not_a_number;
using support::of_rank;
using support::random_matrix;
using support::refusal;
using support::scaled;
using support::zeros;

namespace {

// 1 x 1, rows, columns, square, wide, tall; those over 32 take LAPACK's blocked way.
constexpr std::array<shape2, 11> qr_shapes{{{1, 1},
                                            {1, 7},
                                            {7, 1},
                                            {2, 2},
                                            {5, 9},
                                            {9, 5},
                                            {64, 64},
                                            {40, 45},
                                            {45, 40},
                                            {30, 150},
                                            {150, 30}}};

template <class T>
auto is_upper(matrix<T> const& r) -> bool {
  auto const view = as_view(r);
  for (index_t i = 0; i < view.rows; ++i) {
    for (index_t j = 0; j < std::min(i, view.cols); ++j) {
      if (view(i, j) != 0) {
        return false;
      }
    }
  }
  return true;
}

template <class T>
auto has_no_negative_diagonal(matrix<T> const& r) -> bool {
  auto const view = as_view(r);
  for (index_t i = 0; i < view.rows; ++i) {
    if (!(view(i, i) >= 0)) {
      return false;
    }
  }
  return true;
}

// What qr and pivoted_qr have in common; `a` has its columns in their order.
template <class T>
void check_factors(matrix<T> const& a, matrix<T> const& q, matrix<T> const& r) {
  auto const shape = as_view(a).shape();
  auto const k = std::min(shape.rows, shape.cols);
  REQUIRE(as_view(q).shape() == shape2{shape.rows, k});
  REQUIRE(as_view(r).shape() == shape2{k, shape.cols});
  CHECK(support::distance_from_orthonormal_columns(as_view(q)) <= backward_tolerance<T>(shape));
  CHECK(is_upper(r));
  auto const product = support::product(support::in_double(q), support::in_double(r));
  CHECK(support::distance(a, product) <= backward_tolerance<T>(shape) * frobenius_norm(a));
}

template <class T>
void check_qr(matrix<T> const& a, qr_result<T> const& f) {
  check_factors(a, f.q, f.r);
  CHECK(has_no_negative_diagonal(f.r));
}

template <class T>
auto same(qr_result<T> const& a, qr_result<T> const& b) -> bool {
  return identical(a.q, b.q) && identical(a.r, b.r);
}

template <class T>
auto with_columns(matrix<T> const& a, std::vector<index_t> const& columns) -> matrix<T> {
  auto result = make_matrix<T>(as_view(a).shape());
  for (index_t i = 0; i < as_view(a).rows; ++i) {
    for (index_t j = 0; j < as_view(a).cols; ++j) {
      as_view(result)(i, j) = as_view(a)(i, columns[static_cast<std::size_t>(j)]);
    }
  }
  return result;
}

template <class T>
void check_pivoted(matrix<T> const& a, pivoted_qr_result<T> const& f) {
  auto sorted = f.columns;
  std::ranges::sort(sorted);
  REQUIRE(static_cast<index_t>(sorted.size()) == as_view(a).cols);
  for (std::size_t j = 0; j < sorted.size(); ++j) {
    REQUIRE(sorted[j] == static_cast<index_t>(j));
  }
  check_factors(with_columns(a, f.columns), f.q, f.r);
  // Column j, less its part in the span of the first i, is not longer than the column taken then.
  // geqp3 updates lengths and measures anew where less than sqrt(eps) of a square is left, so it
  // compares them to about sqrt(eps).
  auto const r = as_view(f.r);
  auto const noise = backward_tolerance<T>(as_view(a).shape()) * frobenius_norm(a);
  for (index_t i = 0; i < r.rows; ++i) {
    auto const taken = std::abs(static_cast<double>(r(i, i)));
    for (index_t j = i + 1; j < r.cols; ++j) {
      auto const rest = r.block(i, j, std::min(j + 1, r.rows) - i, 1);
      CHECK(frobenius_norm(rest) <= (1 + std::sqrt(epsilon<T>)) * taken + noise);
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("qr: q is orthonormal, r upper triangular, the product is the matrix", T, float,
                   double) {
  for (auto const scale : {1.0, 1e-30, 1e30}) {
    for (auto const shape : qr_shapes) {
      CAPTURE(shape);
      CAPTURE(scale);
      auto const a = scaled(random_matrix<T>(shape.rows, shape.cols, 1), scale);
      check_qr(a, qr(a));
    }
  }
}

TEST_CASE_TEMPLATE("qr of a matrix without full rank still has an orthonormal q", T, float,
                   double) {
  for (auto const shape : {shape2{30, 30}, shape2{20, 50}, shape2{50, 20}}) {
    for (auto const rank : {index_t{1}, index_t{4}}) {
      CAPTURE(shape);
      CAPTURE(rank);
      auto const a = of_rank<T>(shape, rank, 21, 22);
      check_qr(a, qr(a));
    }
  }
  for (auto const shape : qr_shapes) {
    CAPTURE(shape);
    auto const f = qr(zeros<T>(shape));
    check_qr(zeros<T>(shape), f);
    CHECK(max_abs(f.r) == 0);
  }
}

TEST_CASE_TEMPLATE("qr of small matrices is as by hand", T, float, double) {
  auto const bound = backward_tolerance<T>({3, 3}) * 10;  // 10 is above the norms
  auto const square = qr(matrix<T>{{3, 1}, {4, 2}});
  CHECK(support::distance(square.q, matrix<double>{{0.6, -0.8}, {0.8, 0.6}}) <= bound);
  CHECK(support::distance(square.r, matrix<double>{{5, 2.2}, {0, 0.4}}) <= bound);
  // Gram and Schmidt: (1, 2, 2) / 3, then (3, 0, 3) - 3 (1, 2, 2) / 3 = (2, -2, 1), of length 3.
  auto const tall = qr(matrix<T>{{1, 3}, {2, 0}, {2, 3}});
  auto const third = 1.0 / 3;
  CHECK(support::distance(
            tall.q, matrix<double>{
                        {third, 2 * third}, {2 * third, -2 * third}, {2 * third, third}}) <= bound);
  CHECK(support::distance(tall.r, matrix<double>{{3, 3}, {0, 3}}) <= bound);
  auto const single = qr(matrix<T>{{-2}});
  CHECK(identical(single.q, matrix<T>{{-1}}));
  CHECK(identical(single.r, matrix<T>{{2}}));
}

TEST_CASE_TEMPLATE("r is the transposed Cholesky factor of a^T a", T, float, double) {
  for (auto const shape : {shape2{1, 1}, shape2{12, 12}, shape2{60, 40}, shape2{90, 5}}) {
    CAPTURE(shape);
    auto a = random_matrix<T>(shape.rows, shape.cols, 2);
    for (index_t i = 0; i < shape.cols; ++i) {
      as_view(a)(i, i) += T{10};
    }
    auto const wide = support::in_double(a);
    auto const l = cholesky(support::product(op::transpose, wide, op::none, wide));
    auto const s = svd(wide).s;
    auto const condition = s(0) / s(s.size() - 1);
    CHECK(condition < 10);
    // r of a + e is off by sqrt(2) condition ||e|| (Sun 1991), l of g + e by condition ||g^-1 e|| /
    // sqrt(2) times ||l||: condition² for both.
    auto const bound = 2 * condition * condition * backward_tolerance<T>(shape) * frobenius_norm(a);
    auto const r = qr(a).r;
    auto transposed = make_matrix<double>({shape.cols, shape.cols});
    detail::transpose(as_view(l), as_view(transposed));
    CHECK(support::distance(r, transposed) <= bound);
  }
}

TEST_CASE_TEMPLATE("qr of a part of a matrix is that of its copy", T, float, double) {
  auto const around = random_matrix<T>(50, 60, 3);
  for (auto const shape : {shape2{30, 30}, shape2{20, 45}, shape2{45, 20}}) {
    CAPTURE(shape);
    auto const part = as_view(around).block(3, 5, shape.rows, shape.cols);
    auto const copied = to_matrix(part);
    auto const f = qr(part);
    check_qr(copied, f);
    CHECK(same(f, qr(copied)));
    auto const pivoted = pivoted_qr(part);
    check_pivoted(copied, pivoted);
    CHECK(pivoted.columns == pivoted_qr(copied).columns);
  }
}

TEST_CASE_TEMPLATE("q and r can be written into parts of larger matrices", T, float, double) {
  for (auto const shape : {shape2{7, 12}, shape2{12, 7}, shape2{9, 9}}) {
    CAPTURE(shape);
    auto const a = random_matrix<T>(shape.rows, shape.cols, 4);
    auto const k = std::min(shape.rows, shape.cols);
    auto q = make_matrix<T>({shape.rows + 2, k + 3});
    auto r = make_matrix<T>({k + 2, shape.cols + 3});
    q.fill(T{100});
    r.fill(T{100});
    workspace<T> scratch;
    auto const q_part = as_view(q).block(1, 1, shape.rows, k);
    auto const r_part = as_view(r).block(1, 1, k, shape.cols);
    qr_work(as_view(a), q_part, r_part, scratch);
    CHECK(same(qr_result<T>{to_matrix(q_part), to_matrix(r_part)}, qr(a)));
    CHECK(std::ranges::count(q, T{100}) == 2 * (k + 3) + 3 * shape.rows);
    CHECK(std::ranges::count(r, T{100}) == 2 * (shape.cols + 3) + 3 * k);
  }
}

TEST_CASE_TEMPLATE("qr_work allocates nothing in a reserved workspace", T, float, double) {
  for (auto const shape : qr_shapes) {
    CAPTURE(shape);
    auto const a = random_matrix<T>(shape.rows, shape.cols, 5);
    auto f = qr(a);
    auto const expected = f;
    f.q.fill(not_a_number<T>);
    f.r.fill(not_a_number<T>);
    workspace<T> scratch(qr_worksize<T>(shape));
    CHECK(support::allocations_in(
              [&] { qr_work(as_view(a), as_view(f.q), as_view(f.r), scratch); }) == 0);
    CHECK(same(f, expected));
    CHECK(support::allocations_in([&] { qr(a); }) > 0);  // the counter is alive
  }
}

TEST_CASE_TEMPLATE("qr refuses an entry that is not finite by its place and value", T, float,
                   double) {
  auto a = random_matrix<T>(4, 3, 6);
  a(2, 1) = not_a_number<T>;
  CHECK(refusal<numerical_error>([&] { qr(a); }) ==
        "qr: element (2, 1) of the 4 x 3 matrix is nan");
  CHECK(refusal<numerical_error>([&] { pivoted_qr(a); }) ==
        "pivoted_qr: element (2, 1) of the 4 x 3 matrix is nan");
  a(1, 2) = -std::numeric_limits<T>::infinity();
  CHECK(refusal<numerical_error>([&] { qr(a); }) ==
        "qr: element (1, 2) of the 4 x 3 matrix is -inf");
}

TEST_CASE("qr refuses matrices without rows or columns by name") {
  CHECK(refusal<shape_error>([] { qr(make_matrix<double>({0, 3})); }) == "qr: of a 0 x 3 matrix");
  CHECK(refusal<shape_error>([] { qr(make_matrix<double>({3, 0})); }) == "qr: of a 3 x 0 matrix");
  CHECK(refusal<shape_error>([] {
          pivoted_qr(make_matrix<double>({0, 3}));
        }) == "pivoted_qr: of a 0 x 3 matrix");
  CHECK(refusal<shape_error>([] {
          pivoted_qr(make_matrix<double>({3, 0}));
        }) == "pivoted_qr: of a 3 x 0 matrix");
}

TEST_CASE("qr refuses outputs of other shapes by name and writes nothing") {
  auto const a = random_matrix<double>(4, 3, 7);
  auto numbers = std::vector<double>(50, 7.0);
  workspace<double> scratch;
  auto const attempt = [&](shape2 q, shape2 r) {
    return refusal<shape_error>([&] {
      qr_work(as_view(a), matrix_view<double>(numbers.data(), q.rows, q.cols),
              matrix_view<double>(numbers.data() + 30, r.rows, r.cols), scratch);
    });
  };
  CHECK(attempt({4, 4}, {3, 3}) == "qr: outputs (4 x 4), (3 x 3) do not fit a 4 x 3 matrix");
  CHECK(attempt({4, 3}, {4, 3}) == "qr: outputs (4 x 3), (4 x 3) do not fit a 4 x 3 matrix");
  CHECK(std::ranges::count(numbers, 7.0) == 50);
  CHECK(attempt({4, 3}, {3, 3}) == "nothing thrown");
}

TEST_CASE_TEMPLATE("pivoted_qr takes the longest rest first and q r are the columns in that order",
                   T, float, double) {
  for (auto const scale : {1.0, 1e-30, 1e30}) {
    for (auto const shape : qr_shapes) {
      CAPTURE(shape);
      CAPTURE(scale);
      auto const a = scaled(random_matrix<T>(shape.rows, shape.cols, 8), scale);
      auto const f = pivoted_qr(a);
      check_pivoted(a, f);
      CHECK(f.rank == std::min(shape.rows, shape.cols));
    }
  }
}

TEST_CASE_TEMPLATE("pivoted_qr of a small matrix is as by hand", T, float, double) {
  // Lengths 1, 5, 2: the second column comes first. Of (1, 0) and (0, 2) less their parts along
  // (3, 4) / 5 remain 4 / 5 and 6 / 5.
  auto const f = pivoted_qr(matrix<T>{{1, 3, 0}, {0, 4, 2}});
  CHECK(f.columns == std::vector<index_t>{1, 2, 0});
  CHECK(f.rank == 2);
  auto const r = support::magnitudes(as_view(f.r));
  CHECK(support::distance(r, matrix<double>{{5, 1.6, 0.6}, {0, 1.2, 0.8}}) <=
        backward_tolerance<T>({2, 3}) * 6);
}

TEST_CASE_TEMPLATE("pivoted_qr finds the rank of a matrix that was made of r columns", T, float,
                   double) {
  for (auto const shape : {shape2{30, 30}, shape2{20, 50}, shape2{50, 20}, shape2{70, 90}}) {
    for (auto const rank : {index_t{1}, index_t{2}, index_t{7}, index_t{19}}) {
      for (auto const scale : {1.0, 1e-30, 1e30}) {
        CAPTURE(shape);
        CAPTURE(rank);
        CAPTURE(scale);
        auto const a = scaled(of_rank<T>(shape, rank, 21, 22), scale);
        auto const f = pivoted_qr(a);
        check_pivoted(a, f);
        CHECK(f.rank == rank);
      }
    }
  }
}

TEST_CASE_TEMPLATE("the zero matrix has rank 0 and an orthonormal q", T, float, double) {
  for (auto const shape : qr_shapes) {
    CAPTURE(shape);
    auto const f = pivoted_qr(zeros<T>(shape));
    check_pivoted(zeros<T>(shape), f);
    CHECK(f.rank == 0);
    CHECK(pivoted_qr(zeros<T>(shape), 0).rank == 0);
  }
}

TEST_CASE_TEMPLATE("the rank counts the diagonal entries above the tolerance times the first", T,
                   float, double) {
  auto a = zeros<T>({5, 4});
  as_view(a)(0, 0) = T(0.25);
  as_view(a)(1, 1) = 16;
  as_view(a)(2, 2) = 1;
  as_view(a)(3, 3) = 4;
  CHECK(pivoted_qr(a).columns == std::vector<index_t>{1, 3, 2, 0});
  CHECK(pivoted_qr(a).rank == 4);
  CHECK(pivoted_qr(a, 0).rank == 4);
  CHECK(pivoted_qr(a, 0.01).rank == 4);  // 0.25 / 16 is 0.0156
  CHECK(pivoted_qr(a, 0.02).rank == 3);
  CHECK(pivoted_qr(a, 0.1).rank == 2);
  CHECK(pivoted_qr(a, 0.25).rank == 1);  // above, not at
  CHECK(pivoted_qr(a, 1).rank == 0);
}
