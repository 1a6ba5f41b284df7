#include "eckart/compress/output_metric.hpp"

#include "support/made_matrix.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

using namespace eckart;
using support::distance;
using support::epsilon;
using support::identical;
using support::not_a_number;
using support::product;
using support::random_matrix;
using support::refusal;

namespace {

constexpr index_t metric_orders[] = {1, 2, 5, 30, 130};

// Positive definite, smallest eigenvalue about 0.1 of the mean diagonal.
auto positive_definite(index_t m, unsigned seed) -> matrix<double> {
  auto const a = random_matrix<double>(m, m, seed);
  auto result = product(op::transpose, a, op::none, a);
  for (index_t i = 0; i < m; ++i) {
    as_view(result)(i, i) += 0.1 * static_cast<double>(m);
  }
  return result;
}

auto of_diagonal(std::vector<double> const& values) -> output_metric {
  output_metric metric;
  metric.diagonal = make_vector<double>(static_cast<index_t>(values.size()));
  std::ranges::copy(values, metric.diagonal->begin());
  return metric;
}

auto of_block(matrix<double> m) -> output_metric {
  output_metric metric;
  metric.blocks.push_back(std::move(m));
  return metric;
}

auto of_blocks(std::vector<matrix<double>> blocks) -> output_metric {
  output_metric metric;
  metric.blocks = std::move(blocks);
  return metric;
}

auto identity(index_t m) -> matrix<double> {
  auto result = make_matrix<double>({m, m});
  result.fill(0);
  for (index_t i = 0; i < m; ++i) {
    as_view(result)(i, i) = 1;
  }
  return result;
}

// Blocks of several orders and sizes, 1 + 7 + 20 + 4 outputs; the third of rank 1 if asked.
auto some_blocks(bool semidefinite) -> std::vector<matrix<double>> {
  auto const reader = random_matrix<double>(1, 20, 20);
  std::vector<matrix<double>> blocks{
      positive_definite(1, 18), positive_definite(7, 19),
      semidefinite ? product(op::transpose, reader, op::none, reader) : positive_definite(20, 20),
      positive_definite(4, 21)};
  for (auto& value : blocks[3]) {
    value *= 1e-4;
  }
  return blocks;
}

auto mean_diagonal(matrix<double> const& m) -> double {
  double sum = 0;
  for (index_t i = 0; i < as_view(m).rows; ++i) {
    sum += as_view(m)(i, i);
  }
  return sum / static_cast<double>(as_view(m).rows);
}

}  // namespace

TEST_CASE("without a metric the root is the identity") {
  auto const a = random_matrix<double>(4, 6, 1);
  detail::metric_root const root({}, 4);
  CHECK(identical(root.times(a), a));
  CHECK(identical(root.solve(a), a));
}

TEST_CASE("the root of a single block, transposed, times itself is the metric") {
  for (auto const m : metric_orders) {
    CAPTURE(m);
    auto const metric = positive_definite(m, 2);
    auto const p = detail::metric_root(of_block(metric), m).times(identity(m));
    auto const back = product(op::transpose, p, op::none, p);
    // Cholesky's error, as in the tests of it, and the lift of a billionth of the diagonal.
    auto const lift = 1e-9 * mean_diagonal(metric) * std::sqrt(static_cast<double>(m));
    CHECK(distance(back, metric) <=
          10 * static_cast<double>(m) * epsilon<double> * frobenius_norm(metric) + 1.001 * lift);
    CHECK(distance(back, metric) >= 0.9 * lift);
  }
}

TEST_CASE("the errors that a root gives cost what the metric says") {
  auto const m = positive_definite(7, 3);
  auto const e = random_matrix<double>(7, 12, 4);
  auto const squared = frobenius_norm(detail::metric_root(of_block(m), 7).times(e));
  auto const cost = product(op::transpose, e, op::none, product(m, e));
  double sum = 0;
  for (index_t i = 0; i < 12; ++i) {
    sum += as_view(cost)(i, i);
  }
  CHECK(std::abs(squared * squared - sum) <= 1e-8 * sum);
}

TEST_CASE("solve takes back what times does, for any number of columns") {
  for (auto const m : metric_orders) {
    for (index_t const columns : {1, 3, 40}) {
      CAPTURE(m);
      CAPTURE(columns);
      auto const a = random_matrix<double>(m, columns, 5);
      auto const weights = support::positive_vector<double>(m, 6);
      for (auto const& metric :
           {of_block(positive_definite(m, 7)), of_diagonal({weights.begin(), weights.end()}),
            of_blocks(std::vector(static_cast<std::size_t>(m), positive_definite(1, 8)))}) {
        detail::metric_root const root(metric, m);
        // The condition of the roots is below 1e3 sqrt(m) here.
        auto const bound = 1e-11 * static_cast<double>(m) * frobenius_norm(a);
        CHECK(distance(root.solve(root.times(a)), a) <= bound);
        CHECK(distance(root.times(root.solve(a)), a) <= bound);
      }
    }
  }
}

TEST_CASE("a diagonal metric multiplies rows by the roots of its weights") {
  detail::metric_root const root(of_diagonal({4, 0, 16}), 3);
  matrix<double> const a{{1, 2}, {3, 4}, {5, 6}};
  CHECK(identical(root.times(a), matrix<double>{{2, 4}, {0, 0}, {20, 24}}));
  CHECK(identical(root.solve(a), matrix<double>{{0.5, 1}, {0, 0}, {1.25, 1.5}}));
}

TEST_CASE("the root of blocks, transposed, times itself is the matrix that they make up") {
  for (bool const semidefinite : {false, true}) {
    CAPTURE(semidefinite);
    auto const blocks = some_blocks(semidefinite);
    auto expected = support::along_diagonal(blocks, 32);
    auto const rounding = 10 * 32 * epsilon<double> * frobenius_norm(expected);
    // Every diagonal entry is lifted by a billionth of the mean of all.
    auto const lift = 1e-9 * mean_diagonal(expected);
    for (index_t i = 0; i < 32; ++i) {
      as_view(expected)(i, i) += lift;
    }
    auto const p = detail::metric_root(of_blocks(blocks), 32).times(identity(32));
    CHECK(distance(product(op::transpose, p, op::none, p), expected) <= rounding);
    CHECK(rounding < lift);
  }
}

TEST_CASE("blocks answer what the one matrix that they make up answers") {
  for (bool const semidefinite : {false, true}) {
    CAPTURE(semidefinite);
    auto const blocks = some_blocks(semidefinite);
    auto const m = support::along_diagonal(blocks, 32);
    detail::metric_root const one(of_block(m), 32);
    detail::metric_root const several(of_blocks(blocks), 32);
    // Both are roots of m + E, E of this size; P moves by |E P^-1| and P^-1 by |M^-1 E| of itself.
    auto const e = 10 * 32 * epsilon<double> * frobenius_norm(m);
    auto const smallest = semidefinite ? 1e-9 * mean_diagonal(m) : 0.1 * 4 * 1e-4;
    for (index_t const columns : {1, 5, 40}) {
      CAPTURE(columns);
      auto const a = random_matrix<double>(32, columns, 22);
      CHECK(distance(one.times(a), several.times(a)) <=
            e / std::sqrt(smallest) * frobenius_norm(a));
      auto const solved = one.solve(a);
      CHECK(distance(solved, several.solve(a)) <= e / smallest * frobenius_norm(solved));
    }
  }
}

TEST_CASE("a block of 0 among others is lifted as they are, and divides by no less") {
  auto zero = make_matrix<double>({3, 3});
  zero.fill(0);
  auto const other = positive_definite(5, 23);
  auto const level = 1e-9 * mean_diagonal(other) * 5 / 8;
  auto const a = random_matrix<double>(8, 4, 24);
  for (bool const first : {false, true}) {
    CAPTURE(first);
    auto const blocks = first ? std::vector{zero, other} : std::vector{other, zero};
    detail::metric_root const root(of_blocks(blocks), 8);
    auto const solved = root.solve(a);
    auto const multiplied = root.times(a);
    for (index_t i = 0; i < 3; ++i) {
      for (index_t j = 0; j < 4; ++j) {
        auto const row = first ? i : 5 + i;
        auto const x = as_view(a)(row, j);
        CHECK(as_view(multiplied)(row, j) == doctest::Approx(x * std::sqrt(level)).epsilon(1e-12));
        CHECK(as_view(solved)(row, j) == doctest::Approx(x / std::sqrt(level)).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("only the lower triangle of a block is read") {
  auto m = positive_definite(5, 8);
  auto const a = random_matrix<double>(5, 4, 9);
  auto const expected = detail::metric_root(of_block(m), 5).times(a);
  for (index_t i = 0; i < 5; ++i) {
    for (index_t j = i + 1; j < 5; ++j) {
      as_view(m)(i, j) = not_a_number<double>;
    }
  }
  CHECK(identical(detail::metric_root(of_block(m), 5).times(a), expected));
}

TEST_CASE("a semidefinite metric has a root up to a billionth, the metric 0 next to none") {
  for (index_t const m : {2, 9, 60}) {
    CAPTURE(m);
    auto const reader = random_matrix<double>(1, m, 10);
    auto const metric = product(op::transpose, reader, op::none, reader);
    auto const e = random_matrix<double>(m, 3, 11);
    auto const root = detail::metric_root(of_block(metric), m);
    auto const norm = frobenius_norm(root.times(e));
    auto const expected = frobenius_norm(product(reader, e));
    CHECK(std::abs(norm * norm - expected * expected) <=
          2e-9 * mean_diagonal(metric) * frobenius_norm(e) * frobenius_norm(e));
    auto zero = metric;
    zero.fill(0);
    CHECK(frobenius_norm(detail::metric_root(of_block(zero), m).times(e)) <= 1e-90);
    CHECK(distance(detail::metric_root(of_block(zero), m)
                       .solve(detail::metric_root(of_block(zero), m).times(e)),
                   e) <= 1e-12 * frobenius_norm(e));
  }
}

TEST_CASE("the weighted variance is the sum of the variances, each times its weight") {
  auto variance = make_vector<double>(3);
  std::ranges::copy(std::vector<double>{1, 2, 4}, variance.begin());
  CHECK(detail::weighted_variance(variance, {}) == 7);
  CHECK(detail::weighted_variance(variance, of_diagonal({3, 0, 0.5})) == 5);
}

TEST_CASE("metrics that do not fit the outputs, or are none, are refused by name") {
  auto const told = [](output_metric const& metric, index_t outputs) {
    return refusal<shape_error>([&] { detail::metric_root(metric, outputs); });
  };
  CHECK(told(of_diagonal({1, 2}), 3) == "fit: 2 output weights for 3 outputs");
  CHECK(told(of_diagonal({1, -2}), 2) == "fit: an output weight is -2");
  CHECK(told(of_diagonal({not_a_number<double>}), 1) == "fit: an output weight is nan");
  CHECK(told(of_diagonal({std::numeric_limits<double>::infinity()}), 1) ==
        "fit: an output weight is inf");
  CHECK(told(of_block(make_matrix<double>({2, 3})), 2) == "fit: a block 2 x 3 of an output metric");
  CHECK(told(of_block(make_matrix<double>({0, 0})), 2) == "fit: a block 0 x 0 of an output metric");
  CHECK(told(of_block(positive_definite(3, 12)), 2) ==
        "fit: an output metric of order 3 for 2 outputs");
  auto const blocks = std::vector{positive_definite(3, 12), positive_definite(2, 12)};
  CHECK(told(of_blocks(blocks), 6) == "fit: an output metric of order 5 for 6 outputs");
  CHECK(told(of_blocks(blocks), 4) == "fit: an output metric of order 5 for 4 outputs");
  CHECK(told(of_blocks({positive_definite(3, 12), make_matrix<double>({1, 2})}), 4) ==
        "fit: a block 1 x 2 of an output metric");
  auto both = of_block(positive_definite(2, 13));
  both.diagonal = of_diagonal({1, 1}).diagonal;
  CHECK(told(both, 2) == "fit: an output metric with a diagonal and blocks");
  auto indefinite = positive_definite(4, 14);
  indefinite(2, 2) = -1;
  CHECK_THROWS_AS(detail::metric_root(of_block(indefinite), 4), not_positive_definite);
  auto negative = matrix<double>{{-1, 0}, {0, -1}};
  CHECK_THROWS_AS(detail::metric_root(of_block(negative), 2), not_positive_definite);
  CHECK_THROWS_AS(detail::metric_root(of_blocks({positive_definite(9, 15), indefinite}), 13),
                  not_positive_definite);
  indefinite(2, 2) = not_a_number<double>;
  CHECK_THROWS_AS(detail::metric_root(of_block(indefinite), 4), numerical_error);
}
