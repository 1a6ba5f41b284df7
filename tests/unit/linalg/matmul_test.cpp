#include "eckart/linalg/matmul.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <array>
#include <type_traits>
#include <vector>

using namespace eckart;
using support::identical;
using support::integer_matrix;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

TEST_CASE_TEMPLATE("the product is the one worked by hand", T, float, double) {
  matrix<T> const a{{1, 2, 3}, {4, 5, 6}};
  matrix<T> const b{{1, 0}, {2, -1}, {0, 3}};
  matrix<T> const expected{{5, 7}, {14, 13}};
  static_assert(std::is_same_v<decltype(matmul(a, b)), matrix<T>>);
  CHECK(identical(matmul(a, b), expected));
  CHECK(identical(matmul(a, b, reference{}), expected));
}

TEST_CASE_TEMPLATE("transposed factors enter transposed", T, float, double) {
  auto const a = integer_matrix<T>(5, 7, 1);
  auto const b = integer_matrix<T>(5, 6, 2);
  auto const c = integer_matrix<T>(4, 7, 3);
  auto const d = integer_matrix<T>(6, 5, 4);
  auto const expected = [](op p, matrix<T> const& x, op q, matrix<T> const& y) {
    return support::product(p, support::in_double(as_view(x)), q, support::in_double(as_view(y)));
  };
  // Integers of at most 9 * 7: exact in both types, whatever the order of the sums.
  CHECK(support::distance(matmul(op::transpose, a, op::none, b),
                          expected(op::transpose, a, op::none, b)) == 0);
  CHECK(support::distance(matmul(op::none, a, op::transpose, c),
                          expected(op::none, a, op::transpose, c)) == 0);
  CHECK(support::distance(matmul(op::transpose, a, op::transpose, d),
                          expected(op::transpose, a, op::transpose, d)) == 0);
}

TEST_CASE_TEMPLATE("the returned and the written product are the same", T, float, double) {
  auto const a = random_matrix<T>(13, 29, 1);
  auto const b = random_matrix<T>(29, 17, 2);
  auto written = make_matrix<T>({13, 17});
  written.fill(not_a_number<T>);
  matmul(as_view(a), as_view(b), as_view(written));
  CHECK(identical(matmul(a, b), written));
  written.fill(not_a_number<T>);
  matmul(op::none, as_view(a), op::none, as_view(b), as_view(written));
  CHECK(identical(matmul(op::none, a, op::none, b), written));
}

TEST_CASE_TEMPLATE("a product of parts is written into a part and nowhere else", T, float, double) {
  auto const a = integer_matrix<T>(6, 8, 1);
  auto const b = integer_matrix<T>(9, 7, 2);
  auto c = make_matrix<T>({5, 6});
  c.fill(T{100});
  auto const left = as_view(a).block(1, 2, 3, 4);
  auto const right = as_view(b).block(2, 1, 4, 5);
  matmul(left, right, as_view(c).block(1, 1, 3, 5));
  auto const expected = support::product(support::in_double(left), support::in_double(right));
  CHECK(support::distance(as_view(c).block(1, 1, 3, 5), as_view(expected)) == 0);
  for (index_t i = 0; i < 5; ++i) {
    for (index_t j = 0; j < 6; ++j) {
      bool const inside = i >= 1 && i < 4 && j >= 1;
      CHECK((inside || as_view(c)(i, j) == 100));
    }
  }
}

TEST_CASE_TEMPLATE("views of xtensor, adapted vectors and xarrays are factors", T, float, double) {
  auto const a = integer_matrix<T>(4, 6, 1);
  auto const part = xt::view(a, xt::range(1, 3), xt::range(2, 5));
  std::vector<T> numbers{1, 2, 3, 4, 5, 6};
  auto const adapted = xt::adapt(numbers, std::array<std::size_t, 2>{3, 2});
  xt::xarray<T> const array{{1, 2}, {3, 4}, {5, 6}};
  auto const expected =
      matmul(to_matrix(as_view(a).block(1, 2, 2, 3)), matrix<T>{{1, 2}, {3, 4}, {5, 6}});
  CHECK(identical(matmul(part, adapted), expected));
  CHECK(identical(matmul(part, array), expected));
}

TEST_CASE_TEMPLATE("factors of one buffer are multiplied like copies of them", T, float, double) {
  auto const a = integer_matrix<T>(4, 2, 1);
  auto const first_rows = as_view(a).row_range(0, 3);
  auto c = make_matrix<T>({4, 3});
  matmul(op::none, as_view(a), op::transpose, first_rows, as_view(c));
  CHECK(identical(c, matmul(op::none, a, op::transpose, to_matrix(first_rows))));
}

TEST_CASE_TEMPLATE("the product is made by the backend that was passed", T, float, double) {
  auto const a = random_matrix<T>(3, 4, 1);
  auto const b = random_matrix<T>(4, 5, 2);
  counting<reference> const backend;
  auto c = matmul(a, b, backend);
  CHECK(backend.flops == 2 * 3 * 4 * 5);
  matmul(op::none, as_view(a), op::none, as_view(b), as_view(c), backend);
  matmul(as_view(a), as_view(b), as_view(c), backend);
  CHECK(backend.flops == 3 * 2 * 3 * 4 * 5);
}

TEST_CASE("shapes that do not fit are refused by name and nothing is written") {
  auto const a = random_matrix<double>(2, 3, 1);
  auto c = random_matrix<double>(2, 2, 2);
  auto const before = c;
  CHECK(refusal<shape_error>([&] { matmul(a, a); }) == "gemm: (2 x 3) times (2 x 3) into (2 x 3)");
  CHECK(refusal<shape_error>([&] { matmul(op::transpose, a, op::transpose, a); }) ==
        "gemm: (3 x 2) times (3 x 2) into (3 x 2)");
  CHECK(refusal<shape_error>([&] {
          matmul(op::transpose, as_view(a), op::none, as_view(a), as_view(c));
        }) == "gemm: (3 x 2) times (2 x 3) into (2 x 2)");
  CHECK(identical(c, before));
}
