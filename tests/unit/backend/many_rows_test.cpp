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

bool const has_kernels = detail::can_multiply_strips({33, 8});

void multiply_transposed(float alpha, matrix_view<float const> x, matrix_view<float const> w,
                         float beta, matrix_view<float> y) {
  detail::many_rows_product(alpha, x, {w, true}, {beta, y.data, y.ld}, y);
}

/// With the transpose of w in memory, other columns beside it.
void multiply_plain(float alpha, matrix_view<float const> x, matrix_view<float const> w, float beta,
                    matrix_view<float> y) {
  auto framed = random_matrix<float>(w.cols, w.rows + 3, 4);
  auto const turned = as_view(framed).col_range(2, w.rows);
  for (index_t i = 0; i < w.rows; ++i) {
    for (index_t p = 0; p < w.cols; ++p) {
      turned(p, i) = w(i, p);
    }
  }
  detail::many_rows_product(alpha, x, {turned, false}, {beta, y.data, y.ld}, y);
}

}  // namespace

TEST_CASE("many rows are multiplied like the textbook, all rests of strips, tiles and squares") {
  if (!has_kernels) {
    return;  // not with this processor
  }
  for (index_t const rows : {33, 36, 47, 100}) {
    for (index_t const n : {8, 15, 16, 17, 40, 63, 64, 65, 107, 130}) {
      for (index_t const k : {1, 3, 4, 5, 16, 50}) {
        CAPTURE(rows);
        CAPTURE(n);
        CAPTURE(k);
        framed_operands const from(rows, n, k);
        for (auto const multiply : {multiply_transposed, multiply_plain}) {
          REQUIRE(count_wrong(from, 1, 0, multiply) == 0);
          REQUIRE(count_wrong(from, -0.5F, -0.75F, multiply) == 0);
        }
      }
    }
  }
}

TEST_CASE("more rows and numbers than are multiplied at once, on one thread and on several") {
  if (!has_kernels) {
    return;
  }
  auto const before = blas_info().threads;
  for (int const threads : {1, 2, 5}) {
    CAPTURE(threads);
    set_threads(threads);
    for (shape2 const y : {shape2{550, 30}, {40, 250}, {33, 50}, {1100, 12}, {70, 700}}) {
      CAPTURE(y.rows);
      framed_operands const from(y.rows, y.cols, 800);
      for (auto const multiply : {multiply_transposed, multiply_plain}) {
        CHECK(count_wrong(from, 1, 0, multiply) == 0);
        CHECK(count_wrong(from, 2, 0.5F, multiply) == 0);
      }
    }
  }
  set_threads(before);
}

TEST_CASE("a row of y is the same whatever rows it stands among and however many threads") {
  if (!has_kernels) {
    return;
  }
  auto const before = blas_info().threads;
  framed_operands const from(600, 200, 900);
  auto all = make_matrix<float>({600, 200});
  multiply_transposed(1, from.left(), from.right(), 0, as_view(all));
  set_threads(3);
  for (index_t const rows : {33, 100, 513}) {
    auto some = make_matrix<float>({rows, 200});
    multiply_transposed(1, from.left().row_range(50, rows), from.right(), 0, as_view(some));
    auto const same = as_view(all).row_range(50, rows);
    CHECK(std::equal(some.begin(), some.end(), same.data));
  }
  set_threads(before);
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
