#include "eckart/linalg/transpose.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

using namespace eckart;
using support::identical;
using support::random_matrix;

namespace {

// Below, at and beyond one and two tiles of 32.
constexpr std::array<shape2, 9> transposed_shapes{
    {{1, 1}, {1, 40}, {40, 1}, {31, 33}, {32, 32}, {33, 31}, {64, 32}, {65, 97}, {5, 70}}};

}  // namespace

TEST_CASE_TEMPLATE("the element (i, j) moves to (j, i)", T, float, double) {
  for (auto const shape : transposed_shapes) {
    CAPTURE(shape);
    auto const a = random_matrix<T>(shape.rows, shape.cols, 1);
    auto to = make_matrix<T>({shape.cols, shape.rows});
    to.fill(support::not_a_number<T>);
    detail::transpose(as_view(a), as_view(to));
    auto wrong = index_t{0};
    for (index_t i = 0; i < shape.rows; ++i) {
      for (index_t j = 0; j < shape.cols; ++j) {
        wrong += as_view(to)(j, i) == as_view(a)(i, j) ? 0 : 1;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE_TEMPLATE("transposition works between parts of matrices and writes nothing else", T,
                   float, double) {
  auto const around = random_matrix<T>(50, 60, 2);
  auto const from = as_view(around).block(3, 5, 35, 40);
  auto to = make_matrix<T>({45, 41});
  to.fill(T{7});  // random_matrix stays below 1
  auto const part = as_view(to).block(2, 1, 40, 35);
  detail::transpose(from, part);
  auto expected = make_matrix<T>({40, 35});
  auto const copied = to_matrix(from);
  detail::transpose(as_view(copied), as_view(expected));
  CHECK(identical(to_matrix(part), expected));
  CHECK(std::ranges::count(to, T{7}) == 45 * 41 - 40 * 35);
}

TEST_CASE("the transpose of a matrix without rows has nothing to write") {
  auto const a = make_matrix<double>({0, 3});
  auto to = make_matrix<double>({3, 0});
  detail::transpose(as_view(a), as_view(to));
  CHECK(as_view(to).shape() == shape2{3, 0});
}
