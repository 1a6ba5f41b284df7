#include "eckart/factor/convert.hpp"

#include "factor_fixture.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>

using namespace eckart;
using fixture::backward_error;
using fixture::for_all;
using fixture::full_rank;
using fixture::meaning;
using fixture::size;
using fixture::svd_error;
using support::distance;
using support::epsilon;
using support::identical;
using support::in_double;
using support::integer_matrix;
using support::random_matrix;
using support::refusal;

namespace {

// Two products with k terms each, and the roots and scalings of an absorbed core.
template <class T, class W>
auto rounding(W const& w) -> double {
  return (2 * static_cast<double>(w.rank()) + 4) * epsilon<T> * size(w);
}

template <class T>
void check_orthonormal(low_rank<T, diagonal_core> const& w) {
  // q u and v q: both factors are orthonormal to a decomposition's error, the product of columns of
  // length 1 rounds k times; the error of k columns is sqrt(k) times that of one.
  auto const k = static_cast<double>(w.rank());
  auto const bound = std::sqrt(k) * (2 * backward_error<T>(w.shape(), w.rank()) + k * epsilon<T>);
  CHECK(support::distance_from_orthonormal_columns(w.u()) <= bound);
  CHECK(support::distance_from_orthonormal_rows(w.vt()) <= bound);
}

template <class T, class F>
auto same_numbers(low_rank<T, F> const& a, low_rank<T, F> const& b) -> bool {
  if constexpr (std::same_as<F, two_factor>) {
    return distance(a.left(), b.left()) == 0 && distance(a.right(), b.right()) == 0;
  } else if constexpr (std::same_as<F, pivoted>) {
    return distance(a.kept(), b.kept()) == 0 && distance(a.combinations(), b.combinations()) == 0 &&
           std::ranges::equal(a.rows(), b.rows());
  } else if constexpr (std::same_as<F, full_core>) {
    return distance(a.u(), b.u()) == 0 && distance(a.core(), b.core()) == 0 &&
           distance(a.vt(), b.vt()) == 0;
  } else {
    return distance(a.u(), b.u()) == 0 && std::ranges::equal(a.s(), b.s()) &&
           distance(a.vt(), b.vt()) == 0;
  }
}

}  // namespace

TEST_CASE_TEMPLATE("the diagonal core of any form is the same matrix", T, float, double) {
  for_all<T>([](auto const& w) {
    auto const d = to_diagonal_core(w);
    CHECK(d.shape() == w.shape());
    CHECK(d.rank() == w.rank());
    CHECK(distance(meaning(d), meaning(w)) <= svd_error<T>(w.shape(), w.rank()) * size(w));
  });
}

TEST_CASE_TEMPLATE("the diagonal core of any form is a singular value decomposition", T, float,
                   double) {
  for_all<T>([](auto const& w) {
    auto const d = to_diagonal_core(w);
    check_orthonormal(d);
    CHECK(fixture::is_spectrum(d.s()));
    for (index_t j = 0; j < d.rank(); ++j) {
      auto const column = to_matrix(d.u().col_range(j, 1));
      CHECK(*std::ranges::max_element(column, {}, [](T x) { return std::abs(x); }) > 0);
    }
    // Weyl: singular values move by no more than the matrix.
    auto const expected = svd(meaning(w)).s;
    auto const bound = svd_error<T>(w.shape(), w.rank()) * size(w);
    for (index_t i = 0; i < full_rank(w.shape()); ++i) {
      auto const at = static_cast<std::size_t>(i);
      auto const found = i < d.rank() ? static_cast<double>(d.s()[at]) : 0.0;
      CHECK(std::abs(found - expected(at)) <= bound);
    }
  });
}

TEST_CASE_TEMPLATE("factors of a smaller rank than they store give values of 0 and keep the rank",
                   T, float, double) {
  // Columns 3 and 4 of L repeat 0 and 1, column 5 is their sum: rank 3 stored as 6.
  auto left = random_matrix<T>(12, 6, 1);
  auto const l = as_view(left);
  for (index_t i = 0; i < 12; ++i) {
    l(i, 3) = l(i, 0);
    l(i, 4) = l(i, 1);
    l(i, 5) = l(i, 0) + l(i, 1);
  }
  low_rank<T, two_factor> const w(left, random_matrix<T>(6, 9, 2));
  auto const d = to_diagonal_core(w);
  CHECK(d.rank() == 6);
  check_orthonormal(d);
  auto const bound = svd_error<T>(w.shape(), w.rank()) * size(w);
  CHECK(static_cast<double>(d.s()[2]) > 1e3 * bound);
  CHECK(static_cast<double>(d.s()[3]) <= bound);
  CHECK(distance(meaning(d), meaning(w)) <= bound);
}

TEST_CASE_TEMPLATE("the zero matrix has orthonormal factors and values of 0", T, float, double) {
  auto left = random_matrix<T>(7, 3, 1);
  left.fill(T{0});
  auto const d = to_diagonal_core(low_rank<T, two_factor>(left, random_matrix<T>(3, 5, 2)));
  CHECK(d.rank() == 3);
  check_orthonormal(d);
  CHECK(std::ranges::count(d.s(), T{0}) == 3);
}

TEST_CASE_TEMPLATE("a rank above min(m, n) becomes min(m, n)", T, float, double) {
  for (auto const shape : {shape2{2, 7}, shape2{7, 2}, shape2{3, 3}, shape2{1, 1}}) {
    CAPTURE(shape);
    auto const w = support::random_two_factor<T>(shape, 5, 3);
    auto const d = to_diagonal_core(w);
    CHECK(d.rank() == full_rank(shape));
    check_orthonormal(d);
    CHECK(distance(meaning(d), meaning(w)) <= svd_error<T>(shape, 5) * size(w));
  }
}

TEST_CASE_TEMPLATE("two factors of any form are the same matrix at the same rank", T, float,
                   double) {
  for_all<T>([](auto const& w) {
    auto const two = to_two_factor(w);
    CHECK(two.shape() == w.shape());
    CHECK(two.rank() == w.rank());
    CHECK(distance(meaning(two), meaning(w)) <= rounding<T>(w));
  });
}

TEST_CASE_TEMPLATE("the full core of any form is the same matrix, to the last bit", T, float,
                   double) {
  for_all<T>([](auto const& w) {
    auto const full = to_full_core(w);
    CHECK(full.shape() == w.shape());
    CHECK(full.rank() == w.rank());
    using form_of_w = std::remove_cvref_t<decltype(w)>;
    if constexpr (!std::same_as<form_of_w, low_rank<T, diagonal_core>>) {
      CHECK(distance(meaning(full), meaning(w)) == 0);
    } else {
      CHECK(distance(meaning(full), meaning(w)) <= rounding<double>(w));  // adds the zeros
    }
  });
}

TEST_CASE_TEMPLATE("the pivoted form of any form is the same matrix, within the growth", T, float,
                   double) {
  for_all<T>([](auto const& w) {
    auto const p = to_pivoted(w);
    CHECK(p.shape() == w.shape());
    CHECK(p.rank() == w.rank());
    CHECK(p.growth() <= 4);
    // Combinations and kept rows come from products over k terms; see the tests of pivoted.
    auto const k = static_cast<double>(w.rank());
    auto const bound = 8 * k * epsilon<T> * (1 + p.growth()) * k * size(w);
    CHECK(distance(meaning(p), meaning(w)) <= bound);
  });
}

TEST_CASE("pivots of a full core are found although the core is singular") {
  matrix<double> const core{{1, 2}, {2, 4}};
  low_rank<double, full_core> const w(random_matrix<double>(6, 2, 1), core,
                                      random_matrix<double>(2, 5, 2));
  CHECK(distance(meaning(to_pivoted(w)), meaning(w)) <= 1e2 * epsilon<double> * size(w));
}

TEST_CASE_TEMPLATE("a form becomes itself as a copy", T, float, double) {
  for_all<T>([](auto const& w) {
    auto const same = [&]<class F>(low_rank<T, F> const& from) {
      CHECK(same_numbers(convert_to<F>(from), from));
    };
    same(w);
  });
  auto const two = support::random_two_factor<T>({6, 5}, 3, 1);
  CHECK(same_numbers(to_two_factor(two), two));
  auto const full = support::random_full_core<T>({6, 5}, 3, 1);
  CHECK(same_numbers(to_full_core(full), full));
  auto const kept = support::random_pivoted<T>({6, 5}, 3, 1);  // combinations below 1
  CHECK(same_numbers(to_pivoted(kept), kept));
}

TEST_CASE("pivoted factors beyond the growth that is asked for get other rows") {
  matrix<double> const kept{{1, 2, 3}};
  matrix<double> const combinations{{5}, {-2}};
  low_rank<double, pivoted> const w(kept, combinations, {0, 1, 2});
  auto const tighter = to_pivoted(w);
  CHECK(tighter.rows()[0] == 1);  // 5 times the row that was kept
  CHECK(tighter.growth() <= 1);
  CHECK(distance(meaning(tighter), meaning(w)) <= 8 * epsilon<double> * size(w));
  CHECK(same_numbers(to_pivoted(w, 5), w));
  CHECK(refusal<shape_error>([&] { to_pivoted(w, 0.5); }) ==
        "to_pivoted: a growth of 0.5 is not above 1");
}

TEST_CASE_TEMPLATE("every form becomes every other one and stays the matrix it was", T, float,
                   double) {
  for_all<T>([](auto const& w) {
    auto const check = [&]<class F>(F) {
      auto const converted = convert_to<F>(w);
      static_assert(std::same_as<std::remove_cvref_t<decltype(converted)>, low_rank<T, F>>);
      CHECK(converted.rank() == w.rank());
      auto const k = static_cast<double>(w.rank());
      auto const bound = (svd_error<T>(w.shape(), w.rank()) + 40 * k * k * epsilon<T>)*size(w);
      CHECK(distance(meaning(converted), meaning(w)) <= bound);
    };
    check(two_factor{});
    check(diagonal_core{});
    check(full_core{});
    check(pivoted{});
  });
}

TEST_CASE("an SVD through the factors of a given matrix is the SVD that is known") {
  // 6 e1 f2^T + 2 e3 f1^T: values 6 and 2.
  matrix<double> const left{{3, 0}, {0, 0}, {0, 1}};
  matrix<double> const right{{0, 2}, {2, 0}};
  auto const d = to_diagonal_core(low_rank<double, two_factor>(left, right));
  auto const close = [](double x, double y) { return std::abs(x - y) <= 60 * epsilon<double>; };
  CHECK(close(d.s()[0], 6));
  CHECK(close(d.s()[1], 2));
  CHECK(close(d.u()(0, 0), 1));
  CHECK(close(d.vt()(0, 1), 1));
  CHECK(close(d.u()(2, 1), 1));
  CHECK(close(d.vt()(1, 0), 1));
}

TEST_CASE("factors that are not finite are refused") {
  auto left = random_matrix<double>(4, 2, 1);
  left(3, 1) = support::not_a_number<double>;
  low_rank<double, two_factor> const w(left, random_matrix<double>(2, 4, 2));
  CHECK(refusal<numerical_error>([&] { to_diagonal_core(w); }).find("element (3, 1)") !=
        std::string::npos);
}
