#include "eckart/factor/pivoted.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "eckart/factor/apply.hpp"
#include "eckart/factor/factorize.hpp"
#include "support/allocation_counter.hpp"
#include "support/matrix_check.hpp"
#include "support/random_low_rank.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

using namespace eckart;
using support::distance;
using support::epsilon;
using support::in_double;
using support::not_a_number;
using support::random_matrix;
using support::random_two_factor;
using support::refusal;

namespace {

struct example {
  shape2 shape;
  index_t rank;
};
constexpr std::array<example, 10> examples{{{{1, 1}, 1},
                                            {{1, 9}, 1},
                                            {{9, 1}, 1},
                                            {{7, 7}, 3},
                                            {{7, 7}, 7},
                                            {{20, 8}, 5},
                                            {{8, 20}, 5},
                                            {{8, 20}, 8},
                                            {{60, 40}, 17},
                                            {{40, 60}, 39}}};

/// Rounding of combinations and kept rows: both come from products over k terms, and the triangular
/// solve amplifies by at most the growth. 8 leaves room for the exchanges.
template <class T>
auto bound(low_rank<T, two_factor> const& from, low_rank<T, pivoted> const& w) -> double {
  auto const k = static_cast<double>(w.rank());
  auto const size = frobenius_norm(from.left()) * frobenius_norm(from.right());
  return 8 * k * epsilon<T> * (1 + w.growth()) * k * size;
}

}  // namespace

TEST_CASE_TEMPLATE("kept rows and combinations are the matrix of the two factors", T, float,
                   double) {
  for (auto const& e : examples) {
    auto const shape = e.shape;
    auto const rank = e.rank;
    CAPTURE(shape);
    CAPTURE(rank);
    auto const factors = random_two_factor<T>(shape, rank, 11);
    auto const w = to_pivoted(factors);
    CHECK(w.shape() == shape);
    CHECK(w.rank() == rank);
    CHECK(distance(to_dense(w), to_dense(factors)) <= bound(factors, w));
    CHECK(distance(to_dense(to_two_factor(w)), to_dense(w)) == 0);
  }
}

TEST_CASE(
    "the kept rows are rows of the matrix, and a hand-worked matrix of rank 1 keeps its largest") {
  // Rows 1, -2 and 3 times (4, 5): the third is kept, the others are 1/3 and -2/3 of it.
  matrix<double> const left{{1}, {-2}, {3}};
  matrix<double> const right{{4, 5}};
  auto const w = to_pivoted(low_rank<double, two_factor>(left, right));
  CHECK(w.rows()[0] == 2);
  CHECK(w.kept()(0, 0) == doctest::Approx(12));
  CHECK(w.kept()(0, 1) == doctest::Approx(15));
  for (std::size_t i = 1; i < 3; ++i) {
    auto const row = w.rows()[i];
    CHECK(w.combinations()(static_cast<index_t>(i) - 1, 0) ==
          doctest::Approx(left(static_cast<std::size_t>(row), 0) / 3));
  }
}

TEST_CASE("factors in any order are brought into the one in which the rows stand in W") {
  // Rows 3 and 0 are kept, row 2 is their sum, row 1 the first less twice the second.
  low_rank<double, pivoted> const w({{7, 8, 9}, {1, 2, 3}}, {{1, 1}, {1, -2}}, {3, 0, 2, 1});
  CHECK(std::ranges::equal(w.rows(), std::array<index_t, 4>{0, 3, 1, 2}));
  CHECK(w.kept()(0, 0) == 1);
  CHECK(w.combinations()(0, 0) == -2);
  matrix<double> const dense{{1, 2, 3}, {5, 4, 3}, {8, 10, 12}, {7, 8, 9}};
  CHECK(distance(to_dense(w), dense) == 0);
  matrix<double> const x{{1, 0, 2}};
  CHECK(distance(apply(x, w), matrix<double>{{7, 11, 32, 25}}) == 0);
}

TEST_CASE_TEMPLATE("no combination exceeds the growth that is asked for", T, float, double) {
  int exchanged = 0;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    auto const factors = random_two_factor<T>({50, 12}, 9, seed);
    auto const loose = to_pivoted(factors, 1e6);
    auto const tight = to_pivoted(factors, 1.01);
    exchanged += loose.growth() > 1.01 ? 1 : 0;
    CHECK(tight.growth() <= 1.01);
    CHECK(distance(to_dense(tight), to_dense(factors)) <= bound(factors, tight));
  }
  CHECK(exchanged > 0);  // the exchange is really exercised
}

TEST_CASE("the numbers stored are k (m + n - k), below dense at every rank under min(m, n)") {
  for (auto const& [shape, rank] : examples) {
    auto const w = to_pivoted(random_two_factor<double>(shape, rank, 5));
    auto const held = static_cast<std::uint64_t>(w.kept().size() + w.combinations().size());
    CHECK(held == parameters(w));
    auto const dense = static_cast<std::uint64_t>(shape.rows * shape.cols);
    CHECK((parameters(w) < dense) == (rank < std::min(shape.rows, shape.cols)));
  }
}

TEST_CASE_TEMPLATE(
    "apply equals the product with the dense matrix, and costs what the formula says", T, float,
    double) {
  for (auto const& [shape, rank] : examples) {
    auto const w = to_pivoted(random_two_factor<T>(shape, rank, 23));
    for (index_t const rows : {0, 1, 2, 17}) {
      auto const x = random_matrix<T>(rows, shape.cols, 3);
      counting<reference> backend;
      auto const y = apply(x, w, backend);
      auto const expected =
          support::product(op::none, in_double(x), op::transpose, in_double(to_dense(w)));
      auto const size = frobenius_norm(x) * frobenius_norm(w.kept()) * (1 + w.growth());
      auto const terms = static_cast<double>(shape.cols + 2 * rank);
      CHECK(distance(y, expected) <= 2 * terms * epsilon<T> * terms * size);
      CHECK(backend.flops == cost::flops(form::pivoted, shape, rank, rows));
    }
  }
}

TEST_CASE("apply_work adds to beta times the output, and ignores NaN in it for beta 0") {
  auto const w = to_pivoted(random_two_factor<double>({6, 5}, 3, 7));
  auto const x = random_matrix<double>(4, 5, 8);
  auto const once = apply(x, w);
  workspace<double> scratch;
  matrix<double> y = once;
  apply_work(as_view(x), w, as_view(y), scratch, openblas{}, 2.0);
  matrix<double> const thrice = 3.0 * once;
  CHECK(distance(y, thrice) <= 8 * epsilon<double> * frobenius_norm(thrice));
  y.fill(not_a_number<double>);
  apply_work(as_view(x), w, as_view(y), scratch, openblas{}, 0.0);
  CHECK(distance(y, once) <= 8 * epsilon<double> * frobenius_norm(once));
}

TEST_CASE("apply_work allocates nothing in a workspace of apply_worksize") {
  auto const w = to_pivoted(random_two_factor<float>({40, 30}, 11, 7));
  auto const x = random_matrix<float>(9, 30, 8);
  auto y = make_matrix<float>({9, 40});
  workspace<float> scratch(apply_worksize(w, 9));
  auto const from = as_view(x);
  auto const to = as_view(y);
  CHECK(support::allocations_in([&] { apply_work(from, w, to, scratch); }) == 0);
}

TEST_CASE("truncation, then pivoting, keeps the error of Eckart and Young") {
  auto const a = random_matrix<double>(30, 20, 4);
  auto const f = svd(a);
  for (index_t const k : {1, 7, 19, 20}) {
    auto const w = to_pivoted(truncate(f, at_rank{k}));
    auto const tail = truncation_error(as_span(f.s), k);
    auto const slack = 1e3 * epsilon<double> * frobenius_norm(a);  // k^2 (1 + growth) units
    CHECK(std::abs(distance(to_dense(w), a) - tail) <= slack);
  }
}

TEST_CASE("dependent columns, non-finite numbers, misfits and a growth of 1 are refused") {
  matrix<double> const dependent{{1, 2}, {2, 4}, {3, 6}};
  matrix<double> const right{{1, 0}, {0, 1}};
  matrix<double> zero_column{{1, 0}, {2, 0}, {3, 0}};
  CHECK(refusal<numerical_error>([&] {
          to_pivoted(low_rank<double, two_factor>(zero_column, right));
        }).find("linearly dependent") != std::string::npos);
  zero_column(1, 1) = not_a_number<double>;
  CHECK(refusal<numerical_error>([&] {
          to_pivoted(low_rank<double, two_factor>(zero_column, right));
        }).find("element (1, 1)") != std::string::npos);
  CHECK(refusal<shape_error>([&] {
          to_pivoted(random_two_factor<double>({3, 3}, 2, 1), 1.0);
        }).find("a growth of 1 is not above 1") != std::string::npos);
  CHECK(refusal<shape_error>([&] {
          to_pivoted(random_two_factor<double>({2, 5}, 3, 1));
        }).find("rank 3 of 2 rows") != std::string::npos);
  using w = low_rank<double, pivoted>;
  auto const kept = random_matrix<double>(2, 4, 1);
  auto const others = random_matrix<double>(1, 2, 2);
  CHECK_THROWS_AS(w(kept, others, {0, 1}), shape_error);
  CHECK_THROWS_AS(w(kept, others, {0, 1, 1}), shape_error);
  CHECK_THROWS_AS(w(kept, others, {0, 1, 3}), shape_error);
  CHECK_NOTHROW(w(kept, others, {2, 0, 1}));
}
