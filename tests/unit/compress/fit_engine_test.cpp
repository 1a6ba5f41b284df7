#include "eckart/compress/fit_engine.hpp"

#include "support/counted_engine.hpp"
#include "unit/compress/fit_fixture.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>

using namespace fit_test;
using support::counted_engine;

static_assert(fit_engine<host_engine>);
static_assert(fit_engine<counted_engine>);

namespace {

void check_equal(fitted_basis<double> const& a, fitted_basis<double> const& b) {
  CHECK(a.losses == b.losses);
  CHECK(a.left == b.left);
  CHECK(a.right == b.right);
  CHECK(a.at_origin == b.at_origin);
  CHECK(a.energy == b.energy);
}

}  // namespace

TEST_CASE("what is expensive about a fit is the engine's, and nothing else changes") {
  auto const x = samples(200, 12, 1);
  auto const w = random_matrix<double>(9, 12, 2);
  vector<double> const bias = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  input_moments inputs(12);
  inputs.add(x);
  counted_engine::counts seen;
  counted_engine const engine(seen);
  check_equal(fit(w, as_span(bias), inputs, {}, {}, engine), fit(w, as_span(bias), inputs));
  CHECK(seen.factors == 1);
  check_equal(svd_basis(w, as_span(bias), engine), svd_basis(w, as_span(bias)));
  CHECK(seen.decompositions == 1);
  joint_moments joint(9, 12);
  joint.add(outputs(x, w, bias), x);
  check_equal(fit<double>(joint, 0.01, {}, engine), fit<double>(joint, 0.01));
  CHECK(seen.solutions == 1);
  CHECK(seen.factors == 2);
  CHECK(seen.grams == 0);
}

TEST_CASE("a block of rows is one Gram matrix, and pairs of rows one product more") {
  auto const rows = 2 * eckart::detail::moment_block + 1;
  auto const x = samples(rows, 5, 3);
  auto const y = samples(rows, 4, 4);
  counted_engine::counts seen;
  counted_engine const engine(seen);
  input_moments inputs(5);
  inputs.add(x, engine);
  CHECK(seen.grams == 3);
  input_moments plain(5);
  plain.add(x);
  CHECK(inputs.covariance() == plain.covariance());
  joint_moments joint(4, 5);
  joint.add(y, x, engine);
  CHECK(seen.grams == 6);
  CHECK(seen.products == 3);
  joint_moments other(4, 5);
  other.add(y, x);
  CHECK(joint.cross_covariance() == other.cross_covariance());
}

TEST_CASE("the factors of full rank give the matrix back, and U is orthonormal in the metric") {
  auto const a = random_matrix<double>(7, 11, 5);
  auto const x = samples(300, 11, 6);
  input_moments inputs(11);
  inputs.add(x);
  output_metric metric;
  metric.diagonal = vector<double>{1, 2, 3, 4, 5, 6, 7};
  auto const c = inputs.covariance();
  auto const found = host_engine().factors(a, c, metric);
  // U^T U = I up to n eps, and so P^-1 U U^T P a = a; P enlarges by no more than sqrt(7).
  auto const bound = 20 * 18 * epsilon<double> * std::sqrt(7.0) * frobenius_norm(a);
  CHECK(support::distance(product(found.left, found.right), a) <= bound);
  for (index_t i = 0; i < 7; ++i) {
    for (index_t j = 0; j < 7; ++j) {
      double dot = 0;
      for (index_t k = 0; k < 7; ++k) {
        dot += (*metric.diagonal)(static_cast<std::size_t>(k)) * as_view(found.left)(k, i) *
               as_view(found.left)(k, j);
      }
      CHECK(std::abs(dot - (i == j ? 1 : 0)) <= 20 * 7 * epsilon<double>);
    }
  }
}

TEST_CASE("rows are solved for a definite matrix, another is refused") {
  auto const x = samples(100, 6, 7);
  input_moments inputs(6);
  inputs.add(x);
  auto const c = inputs.covariance();
  auto const b = random_matrix<double>(3, 6, 8);
  auto rows = b;
  host_engine().solve(c, as_view(rows));
  // (c + e) x = b with |e| <= 4 n² eps |c| (Higham, theorem 10.4).
  auto const bound =
      4 * 36 * epsilon<double> * frobenius_norm(rows) * frobenius_norm(c) + 6 * epsilon<double>;
  CHECK(support::distance(product(rows, c), b) <= bound);
  auto indefinite = c;
  as_view(indefinite)(2, 2) = -1;
  CHECK_THROWS_AS(host_engine().solve(indefinite, as_view(rows)), not_positive_definite);
}
