#include "eckart/core/view.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

using namespace eckart;
using support::random_matrix;
using support::refusal;

TEST_CASE_TEMPLATE("a view on an xtensor sees its elements in place", T, float, double) {
  matrix<T> a{{1, 2, 3}, {4, 5, 6}};
  auto const v = as_view(a);
  static_assert(std::is_same_v<decltype(v), matrix_view<T> const>);
  CHECK(v.data == a.data());
  CHECK(v.shape() == shape2{2, 3});
  CHECK(v.ld == 3);
  CHECK(v.size() == 6);
  CHECK(v(1, 0) == 4);
  v(0, 2) = 9;
  CHECK(a(0, 2) == 9);
}

TEST_CASE_TEMPLATE("a view on a constant matrix has constant elements", T, float, double) {
  matrix<T> const a{{1, 2}, {3, 4}};
  static_assert(std::is_same_v<decltype(as_view(a)), matrix_view<T const>>);
  CHECK(as_view(a)(1, 1) == 4);
}

TEST_CASE_TEMPLATE("a view on an xarray of rank 2 sees its elements in place", T, float, double) {
  xt::xarray<T> a{{1, 2, 3}, {4, 5, 6}};
  auto const v = as_view(a);
  CHECK(v.data == a.data());
  CHECK(v.shape() == shape2{2, 3});
  CHECK(v.ld == 3);
  CHECK(v(1, 2) == 6);
}

TEST_CASE_TEMPLATE("a view on an adapted std::vector sees the vector's elements", T, float,
                   double) {
  std::vector<T> numbers{1, 2, 3, 4, 5, 6};
  auto a = xt::adapt(numbers, std::array<std::size_t, 2>{3, 2});
  auto const v = as_view(a);
  CHECK(v.data == numbers.data());
  CHECK(v.shape() == shape2{3, 2});
  v(2, 0) = 9;
  CHECK(numbers[4] == 9);
}

TEST_CASE_TEMPLATE("a view on a part of a matrix has the matrix's leading dimension", T, float,
                   double) {
  auto a = random_matrix<T>(5, 7, 1);
  auto part = xt::view(a, xt::range(1, 4), xt::range(2, 6));
  auto const v = as_view(part);
  CHECK(v.data == &a(1, 2));
  CHECK(v.shape() == shape2{3, 4});
  CHECK(v.ld == 7);
  CHECK(v(2, 3) == a(3, 5));
}

TEST_CASE_TEMPLATE("a view on every other row has twice the leading dimension", T, float, double) {
  auto a = random_matrix<T>(5, 4, 2);
  auto part = xt::view(a, xt::range(0, 5, 2), xt::all());
  auto const v = as_view(part);
  CHECK(v.shape() == shape2{3, 4});
  CHECK(v.ld == 8);
  CHECK(v(2, 1) == a(4, 1));
}

TEST_CASE_TEMPLATE("a view on one column of a matrix steps over the others", T, float, double) {
  auto a = random_matrix<T>(4, 5, 3);
  auto part = xt::view(a, xt::all(), xt::range(3, 4));
  auto const v = as_view(part);
  CHECK(v.shape() == shape2{4, 1});
  CHECK(v.ld == 5);
  CHECK(v(2, 0) == a(2, 3));
}

TEST_CASE_TEMPLATE("stride 0 of an axis of length 1 does not matter", T, float, double) {
  auto row = random_matrix<T>(1, 4, 4);
  auto column = random_matrix<T>(4, 1, 5);
  auto single = random_matrix<T>(1, 1, 6);
  REQUIRE(row.strides()[0] == 0);  // what xtensor writes, the reason for this test
  REQUIRE(column.strides()[1] == 0);
  CHECK(as_view(row).shape() == shape2{1, 4});
  CHECK(as_view(row).ld == 4);
  CHECK(as_view(row)(0, 3) == row(0, 3));
  CHECK(as_view(column).shape() == shape2{4, 1});
  CHECK(as_view(column).ld == 1);
  CHECK(as_view(column)(3, 0) == column(3, 0));
  CHECK(as_view(single).shape() == shape2{1, 1});
  CHECK(as_view(single)(0, 0) == single(0, 0));
}

TEST_CASE_TEMPLATE("matrices without rows or without columns can be viewed", T, float, double) {
  auto no_rows = make_matrix<T>({0, 3});
  auto no_columns = make_matrix<T>({3, 0});
  CHECK(as_view(no_rows).shape() == shape2{0, 3});
  CHECK(as_view(no_columns).shape() == shape2{3, 0});
  CHECK(as_view(no_columns).size() == 0);
}

TEST_CASE_TEMPLATE("column-major storage is refused and its strides are named", T, float, double) {
  auto a = xt::xtensor<T, 2, xt::layout_type::column_major>::from_shape({2, 3});
  CHECK(refusal<shape_error>([&] { as_view(a); }) ==
        "as_view: needs row-major storage, got strides (1, 2) for 2 x 3");
}

TEST_CASE_TEMPLATE("a view on every other column is refused", T, float, double) {
  auto a = random_matrix<T>(3, 6, 7);
  auto part = xt::view(a, xt::all(), xt::range(0, 6, 2));
  CHECK(refusal<shape_error>([&] { as_view(part); }) ==
        "as_view: needs row-major storage, got strides (6, 2) for 3 x 3");
}

TEST_CASE_TEMPLATE("other ranks than 2 are refused", T, float, double) {
  auto three = xt::xtensor<T, 3>::from_shape({2, 3, 4});
  auto three_at_run_time = xt::xarray<T>::from_shape({2, 3, 4});
  auto one = make_vector<T>(3);
  CHECK(refusal<shape_error>([&] { as_view(three); }) == "as_view: needs 2 dimensions, got 3");
  CHECK(refusal<shape_error>([&] { as_view(three_at_run_time); }) ==
        "as_view: needs 2 dimensions, got 3");
  CHECK(refusal<shape_error>([&] { as_view(one); }) == "as_view: needs 2 dimensions, got 1");
}

TEST_CASE("a view on a view is that view") {
  double numbers[6] = {};
  auto const v = matrix_view<double>(numbers, 2, 2, 3);
  auto const same = as_view(v);
  CHECK(same.data == v.data);
  CHECK(same.shape() == v.shape());
  CHECK(same.ld == 3);
}

TEST_CASE_TEMPLATE("matrices, adaptors, parts and views are matrix_like", T, float, double) {
  std::vector<T> numbers(6);
  using adaptor = decltype(xt::adapt(numbers, std::array<std::size_t, 2>{3, 2}));
  using part = decltype(xt::view(std::declval<matrix<T>&>(), xt::range(1, 4), xt::range(2, 6)));
  static_assert(matrix_like<matrix<T>>);
  static_assert(matrix_like<matrix<T> const>);
  static_assert(matrix_like<xt::xarray<T>>);
  static_assert(matrix_like<adaptor>);
  static_assert(matrix_like<part>);
  static_assert(matrix_like<matrix_view<T>>);
  static_assert(matrix_like<matrix_view<T const>>);
  static_assert(matrix_like<matrix_view<T> const>);
}

TEST_CASE_TEMPLATE("numbers, pointers, spans and lazy expressions are not matrix_like", T, float,
                   double) {
  using sum = decltype(std::declval<matrix<T>&>() + std::declval<matrix<T>&>());
  static_assert(!matrix_like<T>);
  static_assert(!matrix_like<T*>);
  static_assert(!matrix_like<std::span<T>>);
  static_assert(!matrix_like<std::vector<T>>);
  static_assert(!matrix_like<shape2>);
  static_assert(!matrix_like<sum>);
}

TEST_CASE_TEMPLATE("value_t is the scalar without const", T, float, double) {
  static_assert(std::is_same_v<value_t<matrix<T>>, T>);
  static_assert(std::is_same_v<value_t<matrix<T> const>, T>);
  static_assert(std::is_same_v<value_t<xt::xarray<T>>, T>);
  static_assert(std::is_same_v<value_t<matrix_view<T>>, T>);
  static_assert(std::is_same_v<value_t<matrix_view<T const>>, T>);
  static_assert(std::is_same_v<value_t<matrix_view<T const> const>, T>);
}

TEST_CASE("negative sizes and rows that overlap are refused by name") {
  double x = 0;
  CHECK(refusal<shape_error>([&] { matrix_view<double>(&x, 2, 3, 2); }) ==
        "matrix_view: 2 x 3 with leading dimension 2");
  CHECK_THROWS_AS((matrix_view<double>(&x, -1, 3)), shape_error);
  CHECK_THROWS_AS((matrix_view<double>(&x, 1, -3)), shape_error);
}

TEST_CASE("a block is the sub-matrix at its place") {
  auto a = random_matrix<double>(5, 6, 8);
  auto const v = as_view(a);
  auto const b = v.block(1, 2, 3, 4);
  CHECK(b.shape() == shape2{3, 4});
  CHECK(b.ld == 6);
  CHECK(&b(0, 0) == &a(1, 2));
  CHECK(&b(2, 3) == &a(3, 5));
  CHECK(&b.block(1, 1, 1, 1)(0, 0) == &a(2, 3));
  CHECK(&v.row_range(2, 3)(0, 0) == &a(2, 0));
  CHECK(v.row_range(2, 3).shape() == shape2{3, 6});
  CHECK(&v.col_range(4, 2)(0, 0) == &a(0, 4));
  CHECK(v.col_range(4, 2).shape() == shape2{5, 2});
  CHECK(v.row(3).data() == &a(3, 0));
  CHECK(v.row(3).size() == 6);
}

TEST_CASE("a block may touch the border and may be empty") {
  auto a = random_matrix<double>(5, 6, 9);
  auto const v = as_view(a);
  CHECK(v.block(0, 0, 5, 6).shape() == v.shape());
  CHECK(v.block(5, 6, 0, 0).size() == 0);
  CHECK(v.row_range(5, 0).shape() == shape2{0, 6});
  CHECK(v.col_range(6, 0).shape() == shape2{5, 0});
}

TEST_CASE("a block that leaves the matrix is refused by name") {
  auto a = random_matrix<double>(5, 6, 10);
  auto const v = as_view(a);
  CHECK(refusal<shape_error>([&] { v.block(3, 0, 3, 2); }) ==
        "block: 3 x 2 at (3, 0) leaves a 5 x 6 matrix");
  CHECK_THROWS_AS(v.block(0, 5, 1, 2), shape_error);
  CHECK_THROWS_AS(v.block(-1, 0, 1, 1), shape_error);
  CHECK_THROWS_AS(v.block(0, -1, 1, 1), shape_error);
  CHECK_THROWS_AS(v.block(0, 0, -1, 1), shape_error);
  CHECK_THROWS_AS(v.block(0, 0, 1, -1), shape_error);
  CHECK_THROWS_AS(v.row_range(5, 1), shape_error);
  CHECK_THROWS_AS(v.row_range(0, 6), shape_error);
  CHECK_THROWS_AS(v.col_range(0, 7), shape_error);
  CHECK_THROWS_AS(v.col_range(-1, 2), shape_error);
}

TEST_CASE("a block whose end does not fit an index is refused") {
  auto a = random_matrix<double>(5, 6, 11);
  auto const v = as_view(a);
  constexpr auto largest = std::numeric_limits<index_t>::max();
  CHECK(refusal<shape_error>([&] { v.block(1, 0, largest, 1); }) ==
        "block: 9223372036854775807 x 1 at (1, 0) leaves a 5 x 6 matrix");
  CHECK(refusal<shape_error>([&] { v.block(0, 1, 1, largest); }) ==
        "block: 1 x 9223372036854775807 at (0, 1) leaves a 5 x 6 matrix");
  CHECK_THROWS_AS(v.block(largest, 0, largest, 1), shape_error);
}

TEST_CASE("a mutable view is a constant one and not the reverse") {
  static_assert(std::is_convertible_v<matrix_view<float>, matrix_view<float const>>);
  static_assert(!std::is_convertible_v<matrix_view<float const>, matrix_view<float>>);
  static_assert(!std::is_convertible_v<matrix_view<float>, matrix_view<double const>>);
  float numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  matrix_view<float const> const v = matrix_view<float>(numbers, 2, 3, 4);
  CHECK(v.data == numbers);
  CHECK(v.shape() == shape2{2, 3});
  CHECK(v.ld == 4);
}

TEST_CASE_TEMPLATE("copy works between leading dimensions and writes nothing else", T, float,
                   double) {
  auto const from = random_matrix<T>(4, 9, 12);
  auto to = matrix<T>::from_shape({6, 5});
  to.fill(T{7});
  copy(as_view(from).block(1, 3, 2, 3), as_view(to).block(2, 1, 2, 3));
  for (index_t i = 0; i < 6; ++i) {
    for (index_t j = 0; j < 5; ++j) {
      bool const inside = i >= 2 && i < 4 && j >= 1 && j < 4;
      auto const expected = inside ? as_view(from)(i - 2 + 1, j - 1 + 3) : T{7};
      CHECK(as_view(to)(i, j) == expected);
    }
  }
}

TEST_CASE("copy refuses another shape and writes nothing") {
  auto const from = random_matrix<double>(2, 3, 13);
  auto to = matrix<double>::from_shape({3, 2});
  to.fill(7);
  CHECK(refusal<shape_error>([&] { copy(as_view(from), as_view(to)); }) ==
        "copy: 2 x 3 into 3 x 2");
  CHECK(std::ranges::count(to, 7.0) == 6);
}

TEST_CASE_TEMPLATE("to_matrix owns a copy without gaps", T, float, double) {
  auto a = random_matrix<T>(5, 6, 14);
  auto const block = as_view(a).block(1, 1, 3, 4);
  auto const copied = to_matrix(block);
  auto const from_constant = to_matrix(matrix_view<T const>(block));
  CHECK(copied.data() != block.data);
  CHECK(as_view(copied).ld == 4);
  CHECK(support::distance(as_view(copied), block) == 0);
  CHECK(support::identical(copied, from_constant));
}

TEST_CASE("new matrices and vectors have the shape asked for") {
  auto const a = make_matrix<double>({2, 5});
  CHECK(as_view(a).shape() == shape2{2, 5});
  CHECK(make_vector<float>(4).size() == 4);
  CHECK(refusal<shape_error>([] { make_matrix<float>({-1, 5}); }) == "make_matrix: -1 x 5");
  CHECK(refusal<shape_error>([] { make_vector<float>(-2); }) == "make_vector: -2");
}

TEST_CASE("a span of a vector sees its elements in place") {
  auto v = make_vector<float>(3);
  auto const& constant = v;
  CHECK(as_span(v).data() == v.data());
  CHECK(as_span(v).size() == 3);
  static_assert(std::is_same_v<decltype(as_span(constant)), std::span<float const>>);
  CHECK(as_span(constant).data() == v.data());
}

TEST_CASE_TEMPLATE("what is not stored is lazy, and what is stored is not", T, float, double) {
  using sum = decltype(std::declval<matrix<T> const&>() + std::declval<matrix<T> const&>());
  using choice = decltype(xt::view(std::declval<matrix<T>&>(), xt::keep(0, 2), xt::all()));
  using part = decltype(xt::view(std::declval<matrix<T>&>(), xt::range(0, 2), xt::all()));
  static_assert(lazy_matrix<sum> && matrix_operand<sum>);
  static_assert(matrix_operand<choice>);
  static_assert(!lazy_matrix<part> && matrix_operand<part>);
  static_assert(!lazy_matrix<matrix<T>> && !lazy_matrix<matrix_view<T>>);
  static_assert(!matrix_operand<T> && !matrix_operand<std::vector<T>>);
  static_assert(std::is_same_v<value_t<sum>, T>);
  static_assert(std::is_same_v<value_t<matrix_view<T const>>, T>);
}

TEST_CASE_TEMPLATE("what is stored is seen in place, what is lazy is computed", T, float, double) {
  auto const a = random_matrix<T>(3, 4, 8);
  CHECK(evaluated(a).data == a.data());
  auto const twice = evaluated(a + a);
  static_assert(std::is_same_v<decltype(twice), matrix<T> const>);
  CHECK(twice(2, 1) == 2 * a(2, 1));
}
