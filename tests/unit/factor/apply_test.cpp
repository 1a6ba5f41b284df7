#define ECKART_DEFINE_ALLOCATION_COUNTER
#include "eckart/factor/apply.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "support/allocation_counter.hpp"
#include "support/matrix_check.hpp"
#include "support/random_low_rank.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <random>
#include <vector>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::in_double;
using support::integer_matrix;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

namespace {

constexpr std::array<shape2, 6> shapes{{{1, 1}, {1, 8}, {8, 1}, {9, 9}, {6, 15}, {15, 6}}};
constexpr std::array<index_t, 4> row_counts{0, 1, 2, 17};

template <class T>
auto norms(low_rank<T, full_core> const& w) -> double {
  return frobenius_norm(w.u()) * frobenius_norm(w.core()) * frobenius_norm(w.vt());
}
template <class T>
auto norms(low_rank<T, diagonal_core> const& w) -> double {
  return frobenius_norm(w.u()) * euclidean_norm(w.s()) * frobenius_norm(w.vt());
}
template <class T>
auto norms(low_rank<T, two_factor> const& w) -> double {
  return frobenius_norm(w.left()) * frobenius_norm(w.right());
}

// x to_dense(w)^T in double.
template <class T, class Form>
auto expected_product(matrix<T> const& x, low_rank<T, Form> const& w) -> matrix<double> {
  return support::product(op::none, in_double(x), op::transpose, in_double(to_dense(w)));
}

// x W^T through the factors: sums of n, k and k products. W itself: sums of k and k. Added up with
// the products in double where T is double, at most 2 n + 4 k + 8 roundings of half an eps,
// relative to the product of the norms of x and of the factors.
template <class T, class Form>
auto tolerance(matrix<T> const& x, low_rank<T, Form> const& w) -> double {
  auto const roundings = static_cast<double>(2 * w.shape().cols + 4 * w.rank() + 8);
  return roundings * epsilon<T> / 2 * frobenius_norm(x) * norms(w);
}

// f(x, w) for every form, shape, rank and number of rows.
template <class T, class F>
void for_all(F&& f) {
  for (auto const shape : shapes) {
    for (index_t k = 1; k <= std::min(shape.rows, shape.cols); k += 2) {
      for (auto const rows : row_counts) {
        CAPTURE(shape);
        CAPTURE(k);
        CAPTURE(rows);
        auto const x = random_matrix<T>(rows, shape.cols, 1);
        f(x, support::random_full_core<T>(shape, k, 2));
        f(x, support::random_diagonal_core<T>(shape, k, 3));
        f(x, support::random_two_factor<T>(shape, k, 4));
      }
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("applying factors is multiplying with the transposed matrix they stand for", T,
                   float, double) {
  for_all<T>([](auto const& x, auto const& w) {
    auto const expected = expected_product(x, w);
    auto const bound = tolerance(x, w);
    CHECK(support::distance(apply(x, w, reference{}), expected) <= bound);
    CHECK(support::distance(apply(x, w), expected) <= bound);
  });
}

TEST_CASE_TEMPLATE("integers are applied exactly", T, float, double) {
  auto const x = integer_matrix<T>(3, 5, 1);
  auto const u = integer_matrix<T>(4, 2, 2);
  auto const core = integer_matrix<T>(2, 2, 3);
  auto const vt = integer_matrix<T>(2, 5, 4);
  low_rank<T, full_core> const full(u, core, vt);
  low_rank<T, diagonal_core> const diagonal(u, {3, -2}, vt);
  low_rank<T, two_factor> const two(u, vt);
  CHECK(support::distance(apply(x, full), expected_product(x, full)) == 0);
  CHECK(support::distance(apply(x, diagonal), expected_product(x, diagonal)) == 0);
  CHECK(support::distance(apply(x, two), expected_product(x, two)) == 0);
}

TEST_CASE_TEMPLATE("beta adds to what was there", T, float, double) {
  for_all<T>([](auto const& x, auto const& w) {
    auto const before = random_matrix<T>(as_view(x).rows, w.shape().rows, 5);
    auto y = before;
    workspace<T> scratch;
    apply_work(as_view(x), w, as_view(y), scratch, reference{}, T{2});
    auto expected = expected_product(x, w);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected.data()[i] += 2 * static_cast<double>(before.data()[i]);
    }
    // One more rounding for the sum with 2 y.
    auto const bound = tolerance(x, w) + epsilon<T> * 2 * frobenius_norm(before);
    CHECK(support::distance(y, expected) <= bound);
  });
}

TEST_CASE_TEMPLATE("a row is added to every row, and nothing that was there is read", T, float,
                   double) {
  for_all<T>([](auto const& x, auto const& w) {
    auto const m = w.shape().rows;
    auto const added = random_matrix<T>(1, m, 6);
    auto const row = as_view(added).row(0);
    auto expected = expected_product(x, w);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected.data()[i] += static_cast<double>(row[i % static_cast<std::size_t>(m)]);
    }
    auto const rows = static_cast<double>(as_view(x).rows);
    auto const bound = tolerance(x, w) + epsilon<T> * 2 * std::sqrt(rows) * frobenius_norm(added);
    workspace<T> scratch(apply_worksize(w, as_view(x).rows));
    auto const check = [&](auto const& backend) {
      auto y = make_matrix<T>({as_view(x).rows, m});
      y.fill(not_a_number<T>);
      apply_work(as_view(x), w, as_view(y), scratch, backend, row);
      CHECK(support::distance(y, expected) <= bound);
    };
    check(openblas{});
    check(reference{});
    if (m > 1 && as_view(x).rows > 0) {
      auto y = make_matrix<T>({as_view(x).rows, m});
      CHECK_THROWS_AS(apply_work(as_view(x), w, as_view(y), scratch, openblas{}, row.first(1)),
                      shape_error);
    }
  });
}

TEST_CASE_TEMPLATE("without beta nothing that was there is read", T, float, double) {
  for_all<T>([](auto const& x, auto const& w) {
    auto y = make_matrix<T>({as_view(x).rows, w.shape().rows});
    y.fill(not_a_number<T>);
    workspace<T> scratch;
    apply_work(as_view(x), w, as_view(y), scratch);
    CHECK(identical(y, apply(x, w)));
  });
}

TEST_CASE_TEMPLATE("with a reserved workspace nothing is allocated", T, float, double) {
  for_all<T>([](auto const& x, auto const& w) {
    auto y = make_matrix<T>({as_view(x).rows, w.shape().rows});
    workspace<T> scratch(apply_worksize(w, as_view(x).rows));
    CHECK(support::allocations_in([&] {
            apply_work(as_view(x), w, as_view(y), scratch);
            apply_work(as_view(x), w, as_view(y), scratch, reference{}, T{1});
          }) == 0);
    if (x.size() > 0) {  // the counter is alive
      CHECK(support::allocations_in([&] { apply(x, w); }) > 0);
    }
  });
}

TEST_CASE_TEMPLATE("parts of matrices are read and written in place", T, float, double) {
  auto const around = random_matrix<T>(8, 12, 1);
  auto const w = support::random_two_factor<T>({5, 6}, 3, 2);
  auto y = make_matrix<T>({7, 9});
  y.fill(T{100});
  workspace<T> scratch;
  auto const x = as_view(around).block(2, 3, 4, 6);
  apply_work(x, w, as_view(y).block(1, 2, 4, 5), scratch);
  auto const copied = to_matrix(x);
  CHECK(support::distance(to_matrix(as_view(y).block(1, 2, 4, 5)), expected_product(copied, w)) <=
        tolerance(copied, w));
  CHECK(std::ranges::count(y, T{100}) == 7 * 9 - 4 * 5);
  auto const part = xt::view(around, xt::range(2, 6), xt::range(3, 9));
  CHECK(support::distance(apply(part, w), expected_product(copied, w)) <= tolerance(copied, w));
}

TEST_CASE_TEMPLATE("a pivoted matrix puts each column into its place, whatever the rows", T, float,
                   double) {
  for (auto const shape : {shape2{5, 3}, {40, 24}, {24, 40}}) {
    for (index_t k = 1; k <= std::min(shape.rows, shape.cols); k += 7) {
      // Rows around a pair, and enough for more than one piece.
      for (index_t const rows : {0, 1, 2, 3, 16, 17, 3001}) {
        for (T const beta : {T{0}, T{1}, T{-2}}) {
          CAPTURE(shape);
          CAPTURE(k);
          CAPTURE(rows);
          CAPTURE(beta);
          std::vector<index_t> places(static_cast<std::size_t>(shape.rows));
          std::iota(places.begin(), places.end(), index_t{0});
          std::ranges::shuffle(places, std::minstd_rand(static_cast<unsigned>(k)));
          low_rank<T, pivoted> const w(integer_matrix<T>(k, shape.cols, 1),
                                       integer_matrix<T>(shape.rows - k, k, 2), places);
          auto const dense = to_dense(w);
          auto const x = integer_matrix<T>(rows, shape.cols, 3);
          // A window in a larger matrix.
          auto const before = integer_matrix<T>(rows + 2, shape.rows + 3, 4);
          auto expected = before;
          auto const window = as_view(expected).block(1, 2, rows, shape.rows);
          reference{}.gemm(op::none, op::transpose, T{1}, as_view(x), as_view(dense), beta, window);
          for (auto const use_reference : {true, false}) {
            auto y = before;
            workspace<T> scratch;
            auto const out = as_view(y).block(1, 2, rows, shape.rows);
            if (use_reference) {
              apply_work(as_view(x), w, out, scratch, reference{}, beta);
            } else {
              apply_work(as_view(x), w, out, scratch, openblas{}, beta);
            }
            CHECK(identical(y, expected));  // integers: exact in any order
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("shapes that do not fit are refused and nothing is written", T, float, double) {
  auto const check = [](auto const& w) {
    auto const x = random_matrix<T>(3, 6, 1);
    workspace<T> scratch;
    auto const refused = [&](matrix<T> const& input, shape2 output) {
      auto y = make_matrix<T>(output);
      y.fill(T{7});
      CHECK_THROWS_AS(apply_work(as_view(input), w, as_view(y), scratch), shape_error);
      CHECK(std::ranges::count(y, T{7}) == as_view(y).size());
    };
    refused(random_matrix<T>(3, 5, 2), {3, 5});  // x has too few columns
    refused(x, {3, 4});                          // y has too few columns
    refused(x, {2, 5});                          // y has too few rows
    auto y = make_matrix<T>({3, 5});
    CHECK_NOTHROW(apply_work(as_view(x), w, as_view(y), scratch));
  };
  check(support::random_full_core<T>({5, 6}, 2, 3));
  check(support::random_diagonal_core<T>({5, 6}, 2, 4));
  check(support::random_two_factor<T>({5, 6}, 2, 5));
}

TEST_CASE("a refusal names the shapes") {
  auto const w = support::random_two_factor<double>({5, 6}, 2, 1);
  CHECK(refusal<shape_error>([&] { apply(random_matrix<double>(3, 4, 2), w); }) ==
        "gemm: (3 x 4) times (6 x 2) into (3 x 2)");
}

TEST_CASE("the products are made by the backend that was passed") {
  auto const x = random_matrix<double>(3, 6, 1);
  auto const w = support::random_full_core<double>({5, 6}, 2, 2);
  counting<reference> const backend;
  apply(x, w, backend);
  CHECK(backend.flops == cost::flops(form::full_core, {5, 6}, 2, 3));
}

TEST_CASE("apply without a namespace is eckart's and not the standard's") {
  // x and w have standard library types among their template arguments: a function named apply
  // would let std::apply in by argument-dependent lookup.
  auto const x = random_matrix<float>(2, 3, 1);
  auto const w = support::random_two_factor<float>({4, 3}, 2, 2);
  CHECK(identical(apply(x, w), eckart::apply(x, w)));
}
