#include "eckart/factor/entries.hpp"

#include "factor_fixture.hpp"

#include <cmath>
#include <cstddef>

using namespace eckart;
using fixture::for_all;
using fixture::meaning;
using fixture::size;
using support::epsilon;
using support::integer_matrix;
using support::refusal;

namespace {

// Two products with k terms each and one scaling, an entry; the oracle in double as much again.
template <class T, class W>
auto rounding(W const& w) -> double {
  return (2 * static_cast<double>(w.rank()) + 4) * epsilon<T> * size(w);
}

}  // namespace

TEST_CASE_TEMPLATE("rows, columns and elements are those of the matrix", T, float, double) {
  for_all<T>([](auto const& w) {
    auto const expected = meaning(w);
    auto const entry = as_view(expected);
    auto const bound = rounding<T>(w);
    auto const [m, n] = w.shape();
    auto const close = [&](T x, double y) { return std::abs(static_cast<double>(x) - y) <= bound; };
    int wrong = 0;
    for (index_t i = 0; i < m; ++i) {
      auto const found = row(w, i);
      REQUIRE(static_cast<index_t>(found.size()) == n);
      for (index_t j = 0; j < n; ++j) {
        wrong += !close(found(static_cast<std::size_t>(j)), entry(i, j));
        wrong += !close(element(w, i, j), entry(i, j));
      }
    }
    for (index_t j = 0; j < n; ++j) {
      auto const found = column(w, j);
      REQUIRE(static_cast<index_t>(found.size()) == m);
      for (index_t i = 0; i < m; ++i) {
        wrong += !close(found(static_cast<std::size_t>(i)), entry(i, j));
      }
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE_TEMPLATE("integers are read exactly", T, float, double) {
  auto const u = integer_matrix<T>(4, 2, 1);
  auto const core = integer_matrix<T>(2, 2, 2);
  auto const vt = integer_matrix<T>(2, 5, 3);
  auto const check = [](auto const& w) {
    auto const expected = meaning(w);
    int wrong = 0;
    for (index_t i = 0; i < 4; ++i) {
      for (index_t j = 0; j < 5; ++j) {
        auto const value = as_view(expected)(i, j);
        wrong += static_cast<double>(element(w, i, j)) != value;
        wrong += static_cast<double>(row(w, i)(static_cast<std::size_t>(j))) != value;
        wrong += static_cast<double>(column(w, j)(static_cast<std::size_t>(i))) != value;
      }
    }
    CHECK(wrong == 0);
  };
  check(low_rank<T, two_factor>(u, vt));
  check(low_rank<T, diagonal_core>(u, {3, -2}, vt));
  check(low_rank<T, full_core>(u, core, vt));
  check(low_rank<T, pivoted>(vt, integer_matrix<T>(2, 2, 4), {3, 0, 2, 1}));
}

TEST_CASE("positions outside of the matrix are refused by name, in every form") {
  fixture::in_all_forms<double>({4, 6}, 2, 1, [](auto const& w) {
    CHECK(refusal<shape_error>([&] { row(w, 4); }) == "row: 4 is not in 0 to 3 of a 4 x 6 matrix");
    CHECK(refusal<shape_error>([&] { column(w, -1); }) ==
          "column: -1 is not in 0 to 5 of a 4 x 6 matrix");
    CHECK(refusal<shape_error>([&] { element(w, 4, 0); }) ==
          "element, row: 4 is not in 0 to 3 of a 4 x 6 matrix");
    CHECK(refusal<shape_error>([&] { element(w, 3, 6); }) ==
          "element, column: 6 is not in 0 to 5 of a 4 x 6 matrix");
    CHECK_THROWS_AS(row(w, -1), shape_error);
    CHECK_THROWS_AS(column(w, 6), shape_error);
    CHECK_NOTHROW(element(w, 3, 5));
  });
}
