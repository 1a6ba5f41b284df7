#include "eckart/backend/reference.hpp"

#include "support/matrix_check.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace eckart;
using support::identical;
using support::not_a_number;
using support::refusal;

// With a = [1 2 3; 4 5 6] and b = [1 0; 2 -1; 0 3]: a b = [5 7; 14 13]. All numbers are small
// integers, so that every result is exact.
TEST_CASE_TEMPLATE("the four products of two matrices are those worked by hand", T, float, double) {
  matrix<T> const a{{1, 2, 3}, {4, 5, 6}};
  matrix<T> const b{{1, 0}, {2, -1}, {0, 3}};
  matrix<T> const a_transposed{{1, 4}, {2, 5}, {3, 6}};
  matrix<T> const b_transposed{{1, 2, 0}, {0, -1, 3}};
  matrix<T> const expected{{5, 7}, {14, 13}};
  auto const product = [](op p, matrix<T> const& left, op q, matrix<T> const& right) {
    matrix<T> c{{not_a_number<T>, not_a_number<T>}, {not_a_number<T>, not_a_number<T>}};
    reference{}.gemm(p, q, T{1}, as_view(left), as_view(right), T{0}, as_view(c));
    return c;
  };
  CHECK(identical(product(op::none, a, op::none, b), expected));
  CHECK(identical(product(op::transpose, a_transposed, op::none, b), expected));
  CHECK(identical(product(op::none, a, op::transpose, b_transposed), expected));
  CHECK(identical(product(op::transpose, a_transposed, op::transpose, b_transposed), expected));
}

TEST_CASE_TEMPLATE("alpha scales the product and beta what was there", T, float, double) {
  matrix<T> const a{{1, 2, 3}, {4, 5, 6}};
  matrix<T> const b{{1, 0}, {2, -1}, {0, 3}};
  matrix<T> c{{1, -1}, {10, 0}};
  reference{}.gemm(op::none, op::none, T{2}, as_view(a), as_view(b), T{-3}, as_view(c));
  CHECK(identical(c, matrix<T>{{7, 17}, {-2, 26}}));
}

TEST_CASE_TEMPLATE("beta 0 does not read what was there", T, float, double) {
  matrix<T> const a{{2}};
  matrix<T> c{{not_a_number<T>}};
  reference{}.gemm(op::none, op::none, T{1}, as_view(a), as_view(a), T{0}, as_view(c));
  CHECK(c(0, 0) == 4);
}

TEST_CASE_TEMPLATE("a product reads and writes only inside its blocks", T, float, double) {
  matrix<T> const a{{99, 1, 2}, {99, 3, 4}};
  matrix<T> const b{{5, 6, 99, 99}, {7, 8, 99, 99}};
  matrix<T> c{{-1, -1, -1}, {-1, -1, -1}, {-1, -1, -1}};
  reference{}.gemm(op::none, op::none, T{1}, as_view(a).block(0, 1, 2, 2),
                   as_view(b).block(0, 0, 2, 2), T{0}, as_view(c).block(1, 1, 2, 2));
  CHECK(identical(c, matrix<T>{{-1, -1, -1}, {-1, 19, 22}, {-1, 43, 50}}));
}

TEST_CASE_TEMPLATE("an empty inner dimension leaves beta c", T, float, double) {
  auto const a = make_matrix<T>({1, 0});
  auto const b = make_matrix<T>({0, 2});
  matrix<T> c{{3, -4}};
  reference{}.gemm(op::none, op::none, T{1}, as_view(a), as_view(b), T{2}, as_view(c));
  CHECK(identical(c, matrix<T>{{6, -8}}));
}

TEST_CASE_TEMPLATE("scale_columns multiplies column j by d[j]", T, float, double) {
  std::array<T, 3> const d{2, 0, -1};
  matrix<T> c{{1, 2, 3, 7}, {4, 5, 6, 7}};
  reference{}.scale_columns(std::span<T const>(d), as_view(c).col_range(0, 3));
  CHECK(identical(c, matrix<T>{{2, 0, -3, 7}, {8, 0, -6, 7}}));
}

TEST_CASE_TEMPLATE("shapes that do not fit are refused and nothing is written", T, float, double) {
  matrix<T> const a{{1, 2, 3}, {4, 5, 6}};
  matrix<T> c{{1, 2}, {3, 4}};
  auto const before = c;
  CHECK(refusal<shape_error>([&] {
          reference{}.gemm(op::none, op::none, T{1}, as_view(a), as_view(a), T{0}, as_view(c));
        }) == "gemm: (2 x 3) times (2 x 3) into (2 x 2)");
  std::array<T, 3> const d{2, 2, 2};
  CHECK_THROWS_AS(reference{}.scale_columns(std::span<T const>(d), as_view(c)), shape_error);
  CHECK(identical(c, before));
}
