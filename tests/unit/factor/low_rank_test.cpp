#include "eckart/factor/low_rank.hpp"

#include "support/matrix_check.hpp"
#include "support/random_low_rank.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::in_double;
using support::integer_matrix;
using support::random_matrix;
using support::refusal;

namespace {

constexpr std::array<shape2, 6> shapes{{{1, 1}, {1, 8}, {8, 1}, {9, 9}, {6, 15}, {15, 6}}};
constexpr std::array all_places{absorb::left, absorb::right, absorb::split};

// What the factors stand for, in double and straight from the definition.
template <class T>
auto meaning(low_rank<T, full_core> const& w) -> matrix<double> {
  return support::product(support::product(in_double(w.u()), in_double(w.core())),
                          in_double(w.vt()));
}
template <class T>
auto meaning(low_rank<T, diagonal_core> const& w) -> matrix<double> {
  return support::layers(w.u(), w.s(), w.vt(), w.rank());
}
template <class T>
auto meaning(low_rank<T, two_factor> const& w) -> matrix<double> {
  return support::product(in_double(w.left()), in_double(w.right()));
}

template <class T>
auto size(low_rank<T, full_core> const& w) -> double {
  return frobenius_norm(w.u()) * frobenius_norm(w.core()) * frobenius_norm(w.vt());
}
template <class T>
auto size(low_rank<T, diagonal_core> const& w) -> double {
  return frobenius_norm(w.u()) * euclidean_norm(w.s()) * frobenius_norm(w.vt());
}
template <class T>
auto size(low_rank<T, two_factor> const& w) -> double {
  return frobenius_norm(w.left()) * frobenius_norm(w.right());
}

// Two products with k summands each, and the roots and scalings of an absorbed core: at most
// 2 k + 4 roundings an entry, relative to the product of the factors' norms. As much again for what
// is computed in double here, when T is double.
template <class W>
auto tolerance(W const& w) -> double {
  using T = std::remove_const_t<std::remove_reference_t<decltype(to_dense(w)(0, 0))>>;
  return (2 * static_cast<double>(w.rank()) + 4) * epsilon<T> * size(w);
}

template <class F>
void for_all(F&& f) {
  for (auto const w : shapes) {
    for (index_t k = 1; k <= std::min(w.rows, w.cols); ++k) {
      CAPTURE(w);
      CAPTURE(k);
      f(w, k);
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("factors tell shape, rank and form", T, float, double) {
  auto const full = support::random_full_core<T>({5, 8}, 3, 1);
  auto const diagonal = support::random_diagonal_core<T>({5, 8}, 3, 2);
  auto const two = support::random_two_factor<T>({5, 8}, 3, 3);
  CHECK(full.shape() == shape2{5, 8});
  CHECK(diagonal.shape() == shape2{5, 8});
  CHECK(two.shape() == shape2{5, 8});
  CHECK(full.rank() == 3);
  CHECK(diagonal.rank() == 3);
  CHECK(two.rank() == 3);
  static_assert(low_rank<T, full_core>::stored_as == form::full_core);
  static_assert(low_rank<T, diagonal_core>::stored_as == form::diagonal_core);
  static_assert(low_rank<T, two_factor>::stored_as == form::two_factor);
}

TEST_CASE_TEMPLATE("the storage formulas count the numbers in the factors", T, float, double) {
  for_all([](shape2 w, index_t k) {
    auto const full = support::random_full_core<T>(w, k, 1);
    auto const diagonal = support::random_diagonal_core<T>(w, k, 2);
    auto const two = support::random_two_factor<T>(w, k, 3);
    auto const number = [](index_t n) { return static_cast<std::uint64_t>(n); };
    CHECK(parameters(full) == number(full.u().size() + full.core().size() + full.vt().size()));
    CHECK(parameters(diagonal) ==
          number(diagonal.u().size() + diagonal.vt().size()) + diagonal.s().size());
    CHECK(parameters(two) == number(two.left().size() + two.right().size()));
  });
}

TEST_CASE_TEMPLATE("factors that do not fit together are refused by name", T, float, double) {
  auto const a = [](index_t rows, index_t cols) { return random_matrix<T>(rows, cols, 1); };
  auto const v = [](index_t n) { return support::positive_vector<T>(n, 1); };
  using full = low_rank<T, full_core>;
  using diagonal = low_rank<T, diagonal_core>;
  using two = low_rank<T, two_factor>;
  CHECK(refusal<shape_error>([&] { full(a(5, 3), a(3, 2), a(3, 8)); }) ==
        "low_rank: 5 x 3, 3 x 2, 3 x 8 do not fit together");
  CHECK_THROWS_AS(full(a(5, 3), a(2, 3), a(3, 8)), shape_error);
  CHECK_THROWS_AS(full(a(5, 3), a(3, 3), a(2, 8)), shape_error);
  CHECK_THROWS_AS(full(a(5, 2), a(3, 3), a(3, 8)), shape_error);
  CHECK(refusal<shape_error>([&] { diagonal(a(5, 3), v(2), a(3, 8)); }) ==
        "low_rank: 5 x 3, 2, 3 x 8 do not fit together");
  CHECK_THROWS_AS(diagonal(a(5, 3), v(3), a(8, 3)), shape_error);
  CHECK_THROWS_AS(diagonal(a(5, 2), v(3), a(3, 8)), shape_error);
  CHECK(refusal<shape_error>([&] { two(a(5, 3), a(2, 8)); }) ==
        "low_rank: 5 x 3, 2 x 8 do not fit together");
}

TEST_CASE_TEMPLATE("factors of rank 0 are refused", T, float, double) {
  auto const a = [](index_t rows, index_t cols) { return make_matrix<T>({rows, cols}); };
  CHECK_THROWS_AS((low_rank<T, full_core>(a(5, 0), a(0, 0), a(0, 8))), shape_error);
  CHECK_THROWS_AS((low_rank<T, diagonal_core>(a(5, 0), make_vector<T>(0), a(0, 8))), shape_error);
  CHECK_THROWS_AS((low_rank<T, two_factor>(a(5, 0), a(0, 8))), shape_error);
}

TEST_CASE_TEMPLATE("the dense matrix of integer factors is exact", T, float, double) {
  auto const u = integer_matrix<T>(7, 4, 1);
  auto const core = integer_matrix<T>(4, 4, 2);
  auto const vt = integer_matrix<T>(4, 9, 3);
  vector<T> const s{3, 2, 1, 0};
  low_rank<T, full_core> const full(u, core, vt);
  low_rank<T, diagonal_core> const diagonal(u, s, vt);
  low_rank<T, two_factor> const two(u, vt);
  CHECK(support::distance(to_dense(full), meaning(full)) == 0);
  CHECK(support::distance(to_dense(diagonal), meaning(diagonal)) == 0);
  CHECK(support::distance(to_dense(two), meaning(two)) == 0);
}

TEST_CASE_TEMPLATE("the dense matrix is the product of the factors", T, float, double) {
  for_all([](shape2 w, index_t k) {
    auto const full = support::random_full_core<T>(w, k, 1);
    auto const diagonal = support::random_diagonal_core<T>(w, k, 2);
    auto const two = support::random_two_factor<T>(w, k, 3);
    CHECK(support::distance(to_dense(full), meaning(full)) <= tolerance(full));
    CHECK(support::distance(to_dense(diagonal), meaning(diagonal)) <= tolerance(diagonal));
    CHECK(support::distance(to_dense(two), meaning(two)) <= tolerance(two));
  });
}

TEST_CASE_TEMPLATE("absorbing the core keeps the matrix, wherever the core goes", T, float,
                   double) {
  for_all([](shape2 w, index_t k) {
    auto const diagonal = support::random_diagonal_core<T>(w, k, 1);
    for (auto const where : all_places) {
      auto const two = to_two_factor(diagonal, where);
      CHECK(two.shape() == w);
      CHECK(two.rank() == k);
      CHECK(support::distance(meaning(two), meaning(diagonal)) <= tolerance(diagonal));
    }
    auto const full = support::random_full_core<T>(w, k, 2);
    CHECK(support::distance(meaning(to_two_factor(full)), meaning(full)) <= tolerance(full));
  });
}

TEST_CASE_TEMPLATE("the core goes to the left, to the right, or half to each side", T, float,
                   double) {
  matrix<T> const u{{1, 2}, {3, -4}};
  matrix<T> const vt{{5, 6, 7}, {-1, 0, 2}};
  vector<T> const s{9, 4};
  low_rank<T, diagonal_core> const w(u, s, vt);
  auto const check = [&](absorb where, matrix<T> const& left, matrix<T> const& right) {
    auto const two = to_two_factor(w, where);
    CHECK(identical(to_matrix(two.left()), left));
    CHECK(identical(to_matrix(two.right()), right));
  };
  check(absorb::left, {{9, 8}, {27, -16}}, vt);
  check(absorb::right, u, {{45, 54, 63}, {-4, 0, 8}});
  check(absorb::split, {{3, 4}, {9, -8}}, {{15, 18, 21}, {-2, 0, 4}});  // roots 3 and 2 are exact
  CHECK(identical(to_matrix(to_two_factor(w).left()), matrix<T>{{3, 4}, {9, -8}}));
}

TEST_CASE_TEMPLATE("a negative entry of a diagonal core keeps its sign", T, float, double) {
  low_rank<T, diagonal_core> const w(matrix<T>{{1, 2}}, vector<T>{-9, 4}, matrix<T>{{1}, {1}});
  for (auto const where : all_places) {
    CHECK(to_dense(to_two_factor(w, where))(0, 0) == -1);  // 1 * -9 * 1 + 2 * 4 * 1
  }
}

TEST_CASE_TEMPLATE("a diagonal core written out stands for the same numbers", T, float, double) {
  for_all([](shape2 w, index_t k) {
    auto const diagonal = support::random_diagonal_core<T>(w, k, 1);
    auto const full = to_full_core(diagonal);
    CHECK(support::distance(full.u(), diagonal.u()) == 0);
    CHECK(support::distance(full.vt(), diagonal.vt()) == 0);
    for (index_t i = 0; i < k; ++i) {
      for (index_t j = 0; j < k; ++j) {
        auto const expected = i == j ? diagonal.s()[static_cast<std::size_t>(i)] : T{0};
        CHECK(full.core()(i, j) == expected);
      }
    }
  });
}
