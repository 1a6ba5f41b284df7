#include "eckart/backend/many_rows.hpp"

#include "eckart/backend/openblas.hpp"
#include "support/framed_product.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <span>
#include <vector>

using namespace eckart;
using support::count_wrong;
using support::framed_operands;
using support::random_matrix;

namespace {

void multiply(float alpha, matrix_view<float const> x, matrix_view<float const> w, float beta,
              matrix_view<float> y) {
  detail::many_rows_product(alpha, x, w, {beta, y.data, y.ld}, y);
}

}  // namespace

TEST_CASE("many rows are multiplied like the textbook, all rests of panels, tiles and depths") {
  if (!detail::can_multiply_panels({33, 12})) {
    return;  // not with this processor
  }
  for (index_t const rows : {33, 47, 48, 49, 64, 100}) {
    for (index_t const n : {12, 13, 23, 24, 48, 49, 60, 107}) {
      for (index_t const k : {1, 15, 16, 17, 50}) {
        CAPTURE(rows);
        CAPTURE(n);
        CAPTURE(k);
        framed_operands const from(rows, n, k);
        REQUIRE(count_wrong(from, 1, 0, multiply) == 0);
        REQUIRE(count_wrong(from, -0.5F, -0.75F, multiply) == 0);
      }
    }
  }
}

TEST_CASE("more rows and numbers than are multiplied at once, on one thread and on several") {
  if (!detail::can_multiply_panels({33, 12})) {
    return;
  }
  auto const before = blas_info().threads;
  for (int const threads : {1, 2, 5}) {
    CAPTURE(threads);
    set_threads(threads);
    for (shape2 const y : {shape2{550, 30}, {40, 250}, {33, 50}, {1100, 12}}) {
      CAPTURE(y.rows);
      framed_operands const from(y.rows, y.cols, 800);
      CHECK(count_wrong(from, 1, 0, multiply) == 0);
      CHECK(count_wrong(from, 2, 0.5F, multiply) == 0);
    }
  }
  set_threads(before);
}

TEST_CASE("rows of W that are a power of 2 apart") {
  if (!detail::can_multiply_panels({33, 12})) {
    return;
  }
  // framed_operands keeps rows of k + 5 numbers: a whole number of 4096 bytes.
  framed_operands const from(70, 110, 2043);
  REQUIRE(detail::collide(from.right().ld));
  CHECK(count_wrong(from, 1, 0, multiply) == 0);
  CHECK(count_wrong(from, -1, 1, multiply) == 0);
}

TEST_CASE("a row that is added to the product is what filling y with it and adding gives") {
  for (index_t const rows : {1, 3, 8, 20, 40, 600}) {
    CAPTURE(rows);
    auto const x = random_matrix<float>(rows, 90, 1);
    auto const w = random_matrix<float>(61, 90, 2);
    auto const row = random_matrix<float>(1, 61, 3);
    auto expected = make_matrix<float>({rows, 61});
    auto got = make_matrix<float>({rows, 61});
    fill_rows(as_view(row).row(0), as_view(expected));
    openblas{}.gemm<float>(op::none, op::transpose, 1, as_view(x), as_view(w), 1,
                           as_view(expected));
    openblas{}.add_row_to_product<float>(as_view(x), as_view(w), as_view(row).row(0), as_view(got));
    CHECK(std::ranges::equal(got, expected));
  }
  auto const x = random_matrix<float>(40, 90, 1);
  auto const w = random_matrix<float>(61, 90, 2);
  auto y = make_matrix<float>({40, 61});
  std::vector<float> const row(60);
  CHECK_THROWS_AS(openblas{}.add_row_to_product<float>(as_view(x), as_view(w), row, as_view(y)),
                  shape_error);
}
