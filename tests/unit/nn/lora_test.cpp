#include "eckart/nn/lora.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "support/allocation_counter.hpp"
#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>

using namespace eckart;
using nn_test::exact;
using nn_test::has;
using nn_test::misfit;
using nn_test::plain_linear;
using nn_test::random_source;
using nn_test::same;
using nn_test::stored_forms;
using support::epsilon;
using support::in_double;
using support::refusal;

namespace {

struct lora_sizes {
  index_t outputs;
  index_t inputs;
  index_t base_rank;
  index_t rank;
};

// A trained layer: both A and B are there. The base has a bias.
template <class T>
auto random_lora(random_source& random, form stored_as, lora_sizes s, double alpha = 6) -> lora<T> {
  auto base = random.linear<T>(s.outputs, s.inputs, stored_as, s.base_rank);
  auto a = random.matrix<T>(s.rank, s.inputs);
  auto b = random.matrix<T>(s.outputs, s.rank);
  return {std::move(base), std::move(a), std::move(b), alpha};
}

// x W^T + bias and x ((alpha / r) B A)^T by plain loops. One rounding more for the sum; the scaling
// by alpha / r is among the operations that plain_linear has to spare.
template <class T>
auto plain_lora(matrix_view<T const> x, lora<T> const& layer) -> nn_test::bounded {
  auto y = plain_linear(exact(x), layer.base());
  auto const update = plain_linear(exact(x), linear<T>(layer.update()));
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    auto& error = y.error.data()[i];
    error += update.error.data()[i];
    error += epsilon<T> * (std::abs(y.value.data()[i]) + std::abs(update.value.data()[i]) + error);
    y.value.data()[i] += update.value.data()[i];
  }
  return y;
}

// W + (alpha / r) B A in double.
template <class T>
auto plain_weight(lora<T> const& layer) -> matrix<double> {
  auto w = in_double(layer.base().dense_weight());
  auto const update = support::product(in_double(layer.b()), in_double(layer.a()));
  auto const scale = layer.alpha() / static_cast<double>(layer.rank());
  std::ranges::transform(w, update, w.begin(), [&](double x, double u) { return x + scale * u; });
  return w;
}

template <class T>
auto outputs(lora<T> const& layer, matrix_view<T const> x) -> matrix<T> {
  auto y = make_matrix<T>({x.rows, layer.shape().rows});
  workspace<T> scratch;
  layer(x, as_view(y), scratch);
  return y;
}

// ||y - wanted||² / 2.
template <class T>
auto loss(lora<T> const& layer, matrix<T> const& x, matrix<T> const& wanted) -> double {
  auto const y = outputs(layer, matrix_view<T const>(as_view(x)));
  auto const distance = support::distance(y, wanted);
  return distance * distance / 2;
}

// (L(entry + h) - L(entry - h)) / 2h, exact but for rounding: L is of degree two in one entry.
auto slope(lora<double>& layer, double& entry, matrix<double> const& x,
           matrix<double> const& wanted) -> double {
  constexpr double h = 0.25;
  auto const before = entry;
  entry = before + h;
  auto const above = loss(layer, x, wanted);
  entry = before - h;
  auto const below = loss(layer, x, wanted);
  entry = before;
  return (above - below) / (2 * h);
}

}  // namespace

TEST_CASE_TEMPLATE("the unmerged call equals plain loops for every form of the base", T, float,
                   double) {
  random_source random(1);
  workspace<T> scratch;
  for (auto const stored_as : stored_forms) {
    for (int round = 0; round < 8; ++round) {
      auto const m = random.integer(1, 30);
      auto const n = random.integer(1, 30);
      auto const rows = random.integer(1, 9);
      auto const k = random.integer(1, std::min(m, n));
      CAPTURE(message(name_of(stored_as), " ", m, " x ", n, ", rank ", k));
      auto const layer = random_lora<T>(random, stored_as, {m, n, k, random.integer(1, 5)});
      auto const x = random.matrix<T>(rows, n + 3);
      auto const input = as_view(x).col_range(2, n);
      auto y = make_matrix<T>({rows, m});
      y.fill(std::numeric_limits<T>::quiet_NaN());  // what was there must not count
      layer(input, as_view(y), scratch);
      auto const expected = plain_lora<T>(input, layer);
      CHECK(misfit(as_view(y), expected) <= 1);
      layer(input, as_view(y), scratch, reference{});
      CHECK(misfit(as_view(y), expected) <= 1);
    }
  }
}

TEST_CASE_TEMPLATE("a new layer equals its base to the bit, and its A depends on the seed alone", T,
                   float, double) {
  random_source random(2);
  workspace<T> scratch;
  for (auto const stored_as : stored_forms) {
    CAPTURE(std::string(name_of(stored_as)));
    auto const base = random.linear<T>(14, 9, stored_as, 5);
    auto const layer = make_lora(base, 3, 8, 7);
    auto const x = random.matrix<T>(6, 9);
    auto y = make_matrix<T>({6, 14});
    base(as_view(x), as_view(y), scratch);
    CHECK(support::identical(outputs<T>(layer, as_view(x)), y));
    CHECK(same(layer.a(), make_lora(base, 3, 8, 7).a()));
    CHECK_FALSE(same(layer.a(), make_lora(base, 3, 8, 8).a()));
    CHECK(max_abs(layer.a()) > 0);
  }
}

TEST_CASE("A of a new layer is normal with variance 1 / n") {
  random_source random(3);
  auto const layer = make_lora(random.linear<double>(40, 400), 40, 1, 5);
  double sum = 0;
  double squares = 0;
  for (index_t i = 0; i < 40; ++i) {
    for (auto const a : layer.a().row(i)) {
      sum += a;
      squares += a * a;
    }
  }
  // 16000 numbers: the mean of the squares has a relative deviation of sqrt(2 / 16000) = 0.011,
  // the sum of the numbers one of sqrt(16000 / 400) = 6.3. Five of them are allowed.
  CHECK(squares / 40 == doctest::Approx(1).epsilon(0.056));
  CHECK(std::abs(sum) < 32);
}

TEST_CASE_TEMPLATE("r (m + n) numbers are trained, and flops() is what the products do", T, float,
                   double) {
  random_source random(4);
  workspace<T> scratch;
  for (auto const stored_as : stored_forms) {
    CAPTURE(std::string(name_of(stored_as)));
    auto const layer = random_lora<T>(random, stored_as, {11, 7, 3, 2}, 5);
    CHECK(layer.shape() == shape2{11, 7});
    CHECK(layer.rank() == 2);
    CHECK(layer.alpha() == 5);
    CHECK(layer.scaling() == T{2.5});
    CHECK(layer.trainable_parameters() == 2 * (11 + 7));
    CHECK(layer.trainable_parameters() ==
          static_cast<std::uint64_t>(layer.a().size() + layer.b().size()));
    CHECK(layer.parameters() == layer.base().parameters() + 2 * (11 + 7));
    constexpr index_t rows = 5;
    auto const x = random.matrix<T>(rows, 7);
    auto y = make_matrix<T>({rows, 11});
    counting<reference> const counted;
    layer(as_view(x), as_view(y), scratch, counted);
    CHECK(layer.flops(rows) == counted.flops + 11 * rows);  // and one addition a bias
  }
}

TEST_CASE_TEMPLATE("calls and gradients allocate nothing within a workspace of worksize()", T,
                   float, double) {
  random_source random(5);
  for (auto const stored_as : stored_forms) {
    for (auto const rank : {index_t{2}, index_t{12}}) {  // below and above that of the base
      CAPTURE(message(name_of(stored_as), ", ", rank));
      auto const layer = random_lora<T>(random, stored_as, {30, 20, 9, rank});
      auto const x = random.matrix<T>(6, 20);
      auto y = make_matrix<T>({6, 30});
      auto da = make_matrix<T>({rank, 20});
      auto db = make_matrix<T>({30, rank});
      workspace<T> scratch(layer.worksize(6));
      auto const called =
          support::allocations_in([&] { layer(as_view(x), as_view(y), scratch, reference{}); });
      CHECK(called == 0);
      workspace<T> other(lora_gradients_worksize(layer, 6));
      auto const differentiated = support::allocations_in([&] {
        lora_gradients_work(layer, as_view(x), as_view(y), as_view(da), as_view(db), other,
                            reference{});
      });
      CHECK(differentiated == 0);
    }
  }
}

TEST_CASE_TEMPLATE("merging adds the update to the weight and keeps the bias", T, float, double) {
  random_source random(6);
  for (auto const stored_as : stored_forms) {
    CAPTURE(std::string(name_of(stored_as)));
    auto const layer = random_lora<T>(random, stored_as, {13, 8, 4, 3});
    auto const merged = layer.merged();
    auto const expected = plain_weight(layer);
    CHECK(merged.stored_as() == form::dense);
    REQUIRE(merged.has_bias());
    CHECK(std::ranges::equal(*merged.bias(), *layer.base().bias()));
    // Roundings of r products, the scaling and the sum, and for a base in factors of its product,
    // which is of rank 4: the sums have terms of at most the norms' product.
    auto const size = frobenius_norm(layer.a()) * frobenius_norm(layer.b()) * 2 +
                      frobenius_norm(layer.base().dense_weight());
    CHECK(support::distance(merged.dense_weight(), expected) <= 10 * epsilon<T> * size);
    CHECK(support::distance(to_dense(layer.update()),
                            support::product(in_double(layer.b()), in_double(layer.a()))) >
          epsilon<T> * size);  // it is scaled, here by 2
    auto const changed = support::distance(expected, layer.base().dense_weight());
    CHECK(frobenius_norm(to_dense(layer.update())) == doctest::Approx(changed).epsilon(1e-5));
  }
}

TEST_CASE_TEMPLATE("merged and unmerged outputs differ by rounding alone", T, float, double) {
  random_source random(7);
  for (auto const stored_as : stored_forms) {
    for (int round = 0; round < 6; ++round) {
      CAPTURE(std::string(name_of(stored_as)));
      auto const m = random.integer(4, 30);
      auto const n = random.integer(4, 30);
      auto const layer = random_lora<T>(random, stored_as, {m, n, 4, 3});
      auto const x = random.matrix<T>(7, n);
      auto const merged = merge(layer, x);
      // Both are as near to the exact outputs as plain_lora bounds, up to a factor for the merged
      // weight's own roundings, which are less than those of the product over n.
      auto const expected = plain_lora<T>(as_view(x), layer);
      auto const bound = std::ranges::max(expected.error);
      CHECK(merged.largest_difference <= 4 * bound);
      CHECK(merged.largest_difference == merge_difference(layer, x));
      CHECK(support::identical(merged.layer.dense_weight(), layer.merged().dense_weight()));
      auto y = make_matrix<T>({7, m});
      workspace<T> scratch;
      merged.layer(as_view(x), as_view(y), scratch);
      double largest = 0;
      auto const separate = outputs<T>(layer, as_view(x));
      for (std::size_t i = 0; i < y.size(); ++i) {
        largest =
            std::max(largest, static_cast<double>(std::abs(y.data()[i] - separate.data()[i])));
      }
      CHECK(merged.largest_difference == largest);
    }
  }
}

TEST_CASE("the difference of merging shows an update that the weight's rounding swallows") {
  // W + u = W in float, where W = 1e8 and u = 1; x W^T = 0 keeps u in the unmerged sum.
  auto w = make_matrix<float>({1, 2});
  w.fill(1e8F);
  auto a = make_matrix<float>({1, 2});
  a(0, 0) = 1;
  a(0, 1) = 0;
  auto b = make_matrix<float>({1, 1});
  b(0, 0) = 1;
  lora<float> const layer(linear<float>(w), a, b, 1);
  auto x = make_matrix<float>({1, 2});
  x(0, 0) = 1;
  x(0, 1) = -1;
  CHECK(merge_difference(layer, x) == 1);
  x(0, 1) = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(merge_difference(layer, x)));
}

TEST_CASE_TEMPLATE(
    "re-truncation gives the best approximation of the merged weight in the base's "
    "form",
    T, float, double) {
  random_source random(8);
  constexpr lora_sizes s{24, 17, 5, 3};
  for (auto const stored_as : stored_forms) {
    for (auto const k : {index_t{2}, index_t{5}, index_t{8}}) {
      CAPTURE(message(name_of(stored_as), ", rank ", k));
      auto const layer = random_lora<T>(random, stored_as, s);
      auto const result = layer.retruncated(at_rank{k});
      CHECK(result.stored_as() == (stored_as == form::dense ? form::diagonal_core : stored_as));
      CHECK(result.rank() == k);
      REQUIRE(result.has_bias());
      CHECK(std::ranges::equal(*result.bias(), *layer.base().bias()));
      auto const merged = plain_weight(layer);
      auto const exact_layers = svd(merged);
      auto const optimum = truncation_error(as_span(exact_layers.s), k);
      // QR and SVD of the factors: some max(m, n) eps of the norms' product; pivoted weights
      // multiply their rounding by at most 4 an entry.
      auto const noise =
          200 * 24 * epsilon<T> *
          (frobenius_norm(merged) + frobenius_norm(layer.a()) * frobenius_norm(layer.b()));
      auto const error = support::distance(result.dense_weight(), merged);
      CHECK(error <= optimum + noise);
      CHECK(error >= optimum - noise);
      CHECK((optimum <= noise) == (k == 8 && stored_as != form::dense));  // 5 + 3 hold it all
    }
  }
}

TEST_CASE("policies choose the rank of a re-truncated layer from the merged spectrum") {
  random_source random(9);
  auto const layer = random_lora<double>(random, form::two_factor, {40, 30, 6, 2});
  auto const result = layer.retruncated(within_error{1e-10});
  CHECK(result.rank() == 8);
  CHECK(result.parameters() == 8 * (40 + 30) + 40);
  CHECK(layer.retruncated(keep_energy{0.9}).rank() < 8);
  CHECK_THROWS_AS(layer.retruncated(at_rank{31}), shape_error);
}

TEST_CASE("the gradients are the slopes of the loss") {
  random_source random(10);
  for (auto const stored_as : stored_forms) {
    CAPTURE(std::string(name_of(stored_as)));
    auto layer = random_lora<double>(random, stored_as, {6, 5, 3, 2}, 3);
    auto const x = random.matrix<double>(7, 5);
    auto const wanted = random.matrix<double>(7, 6);
    auto dy = outputs<double>(layer, as_view(x));  // of ||y - wanted||² / 2: y - wanted
    std::ranges::transform(dy, wanted, dy.begin(), std::minus{});
    auto da = make_matrix<double>({2, 5});
    auto db = make_matrix<double>({6, 2});
    da.fill(std::numeric_limits<double>::quiet_NaN());
    db.fill(std::numeric_limits<double>::quiet_NaN());
    lora_gradients(layer, as_view(x), as_view(dy), as_view(da), as_view(db));
    // The difference quotient loses eps L / h, and L is some hundreds at most.
    for (index_t i = 0; i < 2; ++i) {
      for (index_t j = 0; j < 5; ++j) {
        auto const expected = slope(layer, layer.a()(i, j), x, wanted);
        CHECK(std::abs(as_view(da)(i, j) - expected) <= 1e-10);
      }
    }
    for (index_t i = 0; i < 6; ++i) {
      for (index_t j = 0; j < 2; ++j) {
        auto const expected = slope(layer, layer.b()(i, j), x, wanted);
        CHECK(std::abs(as_view(db)(i, j) - expected) <= 1e-10);
      }
    }
    CHECK(max_abs(da) > 0.1);
    CHECK(max_abs(db) > 0.1);
  }
}

TEST_CASE_TEMPLATE("the gradients are (alpha / r) B^T dy^T x and (alpha / r) dy^T x A^T", T, float,
                   double) {
  random_source random(11);
  auto const layer = random_lora<T>(random, form::dense, {9, 12, 0, 4});
  auto const x = random.matrix<T>(15, 12);
  auto const dy = random.matrix<T>(15, 9);
  auto da = make_matrix<T>({4, 12});
  auto db = make_matrix<T>({9, 4});
  counting<openblas> const counted;
  lora_gradients(layer, as_view(x), as_view(dy), as_view(da), as_view(db), counted);
  CHECK(counted.flops == 4 * 15 * 4 * (9 + 12));
  auto full = support::product(op::transpose, in_double(dy), op::none, in_double(x));  // of W
  std::ranges::for_each(full, [](double& g) { g *= 1.5; });
  auto const expected_a = support::product(op::transpose, in_double(layer.b()), op::none, full);
  auto const expected_b = support::product(op::none, full, op::transpose, in_double(layer.a()));
  // Sums over 15 rows and 9 or 12 columns, of products of norms.
  auto const size = 1.5 * frobenius_norm(x) * frobenius_norm(dy) * epsilon<T> * (15 + 12 + 3);
  CHECK(support::distance(da, expected_a) <= size * frobenius_norm(layer.b()));
  CHECK(support::distance(db, expected_b) <= size * frobenius_norm(layer.a()));
}

TEST_CASE("at the start only B has a gradient, and steps along it lower the loss") {
  random_source random(12);
  auto layer = make_lora(random.linear<double>(8, 6), 2, 2, 1);
  auto const frozen = layer.base().dense_weight();
  auto const x = random.matrix<double>(20, 6);
  auto const wanted = random.matrix<double>(20, 8);
  auto da = make_matrix<double>({2, 6});
  auto db = make_matrix<double>({8, 2});
  auto before = loss(layer, x, wanted);
  for (int step = 0; step < 20; ++step) {
    auto dy = outputs<double>(layer, as_view(x));
    std::ranges::transform(dy, wanted, dy.begin(), std::minus{});
    lora_gradients(layer, as_view(x), as_view(dy), as_view(da), as_view(db));
    CHECK((max_abs(da) == 0) == (step == 0));
    CHECK(max_abs(db) > 0);
    for (index_t i = 0; i < 2; ++i) {
      for (index_t j = 0; j < 6; ++j) {
        layer.a()(i, j) -= 0.01 * as_view(da)(i, j);
      }
    }
    for (index_t i = 0; i < 8; ++i) {
      for (index_t j = 0; j < 2; ++j) {
        layer.b()(i, j) -= 0.01 * as_view(db)(i, j);
      }
    }
    auto const now = loss(layer, x, wanted);
    CHECK(now < before);
    before = now;
  }
  CHECK(support::identical(layer.base().dense_weight(), frozen));
}

TEST_CASE("what does not fit is refused with its shapes, the outputs stay") {
  random_source random(13);
  auto const base = random.linear<float>(5, 4);
  auto const made = [&](shape2 a, shape2 b, double alpha) {
    return refusal<shape_error>([&] {
      lora<float>(base, random.matrix<float>(a.rows, a.cols), random.matrix<float>(b.rows, b.cols),
                  alpha);
    });
  };
  CHECK(made({2, 4}, {5, 2}, 1) == "nothing thrown");
  CHECK(made({2, 5}, {5, 2}, 1) == "lora: B 5 x 2 times A 2 x 5 for a 5 x 4 layer");
  CHECK(made({2, 4}, {4, 2}, 1) == "lora: B 4 x 2 times A 2 x 4 for a 5 x 4 layer");
  CHECK(made({2, 4}, {5, 3}, 1) == "lora: B 5 x 3 times A 2 x 4 for a 5 x 4 layer");
  CHECK(made({0, 4}, {5, 0}, 1) == "lora: B 5 x 0 times A 0 x 4 for a 5 x 4 layer");
  CHECK(has(made({2, 4}, {5, 2}, std::numeric_limits<double>::infinity()), "alpha is inf"));
  CHECK(refusal<shape_error>([&] { make_lora(base, 0, 1, 1); }) ==
        "make_lora: rank 0 for a 5 x 4 layer");
  CHECK(refusal<shape_error>([&] { make_lora(base, 5, 1, 1); }) ==
        "make_lora: rank 5 for a 5 x 4 layer");

  auto const layer = make_lora(base, 2, 1, 1);
  auto const x = random.matrix<float>(3, 4);
  auto const dy = random.matrix<float>(3, 5);
  auto y = random.matrix<float>(3, 5);
  auto da = random.matrix<float>(2, 4);
  auto db = random.matrix<float>(5, 2);
  auto const kept = std::array{y, da, db};
  workspace<float> scratch;
  CHECK(has(refusal<shape_error>([&] { layer(as_view(dy), as_view(y), scratch); }),
            "input 3 x 5, weight 5 x 4, output 3 x 5"));
  CHECK(refusal<shape_error>(
            [&] { lora_gradients(layer, as_view(x), as_view(x), as_view(da), as_view(db)); }) ==
        "lora_gradients: input 3 x 4, output gradient 3 x 4, gradients 2 x 4 and 5 x 2 for a 5 x 4 "
        "layer of rank 2");
  CHECK_THROWS_AS(lora_gradients(layer, as_view(x), as_view(dy), as_view(db), as_view(da)),
                  shape_error);
  CHECK_THROWS_AS(merge_difference(layer, dy), shape_error);
  CHECK(same(as_view(y), as_view(kept[0])));
  CHECK(same(as_view(da), as_view(kept[1])));
  CHECK(same(as_view(db), as_view(kept[2])));
}
