#include "eckart/nn/linear.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <array>
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
using support::in_double;
using support::refusal;

TEST_CASE_TEMPLATE("every form equals plain loops, with and without bias", T, float, double) {
  random_source random(1);
  workspace<T> scratch;
  for (auto const stored_as : stored_forms) {
    for (bool const with_bias : {false, true}) {
      for (int round = 0; round < 12; ++round) {
        auto const rows = random.integer(1, 9);
        auto const m = random.integer(1, 40);
        auto const n = random.integer(1, 40);
        auto const k = random.integer(1, std::min(m, n));
        CAPTURE(std::string(name_of(stored_as)));
        CAPTURE(message(rows, " rows, ", m, " x ", n, ", rank ", k));
        auto const layer = random.linear<T>(m, n, stored_as, k, with_bias);
        auto const x = random.matrix<T>(rows, n + 3);
        auto const input = as_view(x).col_range(2, n);
        auto y = make_matrix<T>({rows, m});
        y.fill(std::numeric_limits<T>::quiet_NaN());  // what was there must not count
        layer(input, as_view(y), scratch);
        auto const expected = plain_linear(exact(input), layer);
        CHECK(misfit(as_view(y), expected) <= 1);
        layer(input, as_view(y), scratch, reference{});
        CHECK(misfit(as_view(y), expected) <= 1);
      }
    }
  }
}

TEST_CASE_TEMPLATE("a layer knows shape, rank, form, parameters and bytes", T, float, double) {
  random_source random(2);
  auto const dense = random.linear<T>(6, 4, form::dense, 0, true);
  CHECK(dense.shape() == shape2{6, 4});
  CHECK(dense.rank() == 4);
  CHECK(dense.stored_as() == form::dense);
  CHECK(dense.has_bias());
  CHECK(dense.parameters() == 6 * 4 + 6);
  auto const two = random.linear<T>(6, 4, form::two_factor, 3, false);
  CHECK(two.rank() == 3);
  CHECK(two.stored_as() == form::two_factor);
  CHECK_FALSE(two.has_bias());
  CHECK(two.parameters() == 6 * 3 + 3 * 4);
  auto const diagonal = random.linear<T>(6, 4, form::diagonal_core, 3, true);
  CHECK(diagonal.stored_as() == form::diagonal_core);
  CHECK(diagonal.parameters() == 6 * 3 + 3 + 3 * 4 + 6);
  auto const full = random.linear<T>(6, 4, form::full_core, 3, true);
  CHECK(full.stored_as() == form::full_core);
  CHECK(full.parameters() == 6 * 3 + 3 * 3 + 3 * 4 + 6);
  CHECK(full.bytes() == sizeof(T) * (18 + 9 + 12 + 6));
  CHECK(full.shape() == shape2{6, 4});
}

TEST_CASE_TEMPLATE("flops() is what the products do, plus one addition a bias", T, float, double) {
  random_source random(3);
  workspace<T> scratch;
  for (auto const stored_as : stored_forms) {
    for (bool const with_bias : {false, true}) {
      CAPTURE(std::string(name_of(stored_as)));
      constexpr index_t rows = 5;
      auto const layer = random.linear<T>(11, 7, stored_as, 3, with_bias);
      auto const x = random.matrix<T>(rows, 7);
      auto y = make_matrix<T>({rows, 11});
      counting<reference> const counted;
      layer(as_view(x), as_view(y), scratch, counted);
      CHECK(layer.flops(rows) == counted.flops + (with_bias ? 11 * rows : 0));
    }
  }
}

TEST_CASE_TEMPLATE("a call takes no more workspace than worksize() says", T, float, double) {
  random_source random(4);
  for (auto const stored_as : stored_forms) {
    CAPTURE(std::string(name_of(stored_as)));
    auto const layer = random.linear<T>(30, 20, stored_as, 9);
    workspace<T> scratch(layer.worksize(6));
    auto const reserved = scratch.capacity();
    auto const x = random.matrix<T>(6, 20);
    auto y = make_matrix<T>({6, 30});
    layer(as_view(x), as_view(y), scratch);
    CHECK(scratch.capacity() == reserved);
    CHECK((layer.worksize(6) == 0) == (stored_as == form::dense));
  }
}

TEST_CASE_TEMPLATE("dense_weight is the product of the factors", T, float, double) {
  random_source random(5);
  for (auto const stored_as : stored_forms) {
    CAPTURE(std::string(name_of(stored_as)));
    auto const layer = random.linear<T>(8, 5, stored_as, 4, false);
    // The rows of I W^T are the columns of W.
    auto identity = nn_test::zeros(5, 5);
    for (index_t i = 0; i < 5; ++i) {
      identity(i, i) = 1;
    }
    auto const transposed = plain_linear(exact(as_view(identity)), layer);
    nn_test::bounded expected{nn_test::zeros(8, 5), nn_test::zeros(8, 5)};
    for (index_t i = 0; i < 8; ++i) {
      for (index_t j = 0; j < 5; ++j) {
        expected.value(i, j) = transposed.value(j, i);
        expected.error(i, j) = transposed.error(j, i);
      }
    }
    auto const w = layer.dense_weight();
    CHECK(misfit(as_view(w), expected) <= 1);
  }
}

TEST_CASE_TEMPLATE("with_weight keeps the bias and refuses another shape", T, float, double) {
  random_source random(6);
  auto const layer = random.linear<T>(6, 4);
  auto const replaced =
      layer.with_weight(low_rank<T, two_factor>{random.matrix<T>(6, 2), random.matrix<T>(2, 4)});
  CHECK(replaced.stored_as() == form::two_factor);
  CHECK(replaced.rank() == 2);
  REQUIRE(replaced.has_bias());
  CHECK(std::ranges::equal(*replaced.bias(), *layer.bias()));
  CHECK(layer.stored_as() == form::dense);
  CHECK(has(refusal<shape_error>([&] { layer.with_weight(random.matrix<T>(6, 5)); }),
            "a 6 x 5 weight in place of 6 x 4"));
  CHECK_THROWS_AS(layer.with_weight(random.matrix<T>(4, 6)), shape_error);
  CHECK_THROWS_AS(
      layer.with_weight(low_rank<T, two_factor>{random.matrix<T>(6, 2), random.matrix<T>(2, 5)}),
      shape_error);
}

TEST_CASE_TEMPLATE("weight_in_form gives the three forms of an SVD, all of the same matrix", T,
                   float, double) {
  random_source random(7);
  auto const a = random.matrix<T>(9, 6);
  auto const factors = factorize(a, at_rank{4});
  auto const expected =
      plain_linear(exact(as_view(a)), linear<T>(weight_in_form<T>(factors, form::diagonal_core)));
  for (auto const stored_as :
       {form::diagonal_core, form::two_factor, form::full_core, form::pivoted}) {
    CAPTURE(std::string(name_of(stored_as)));
    linear<T> const layer(weight_in_form<T>(factors, stored_as));
    CHECK(layer.stored_as() == stored_as);
    CHECK(layer.rank() == 4);
    auto y = make_matrix<T>({9, 9});
    workspace<T> scratch;
    layer(as_view(a), as_view(y), scratch);
    // The split into two factors rounds twice more an entry, which the bound's slack of one eps
    // for each of n + 2k + 4 operations covers.
    CHECK(misfit(as_view(y), expected) <= 1);
  }
}

TEST_CASE_TEMPLATE("weight_in_form gives every form of two factors, all of the same matrix", T,
                   float, double) {
  random_source random(17);
  for (auto const shape : {shape2{9, 6}, shape2{5, 8}, shape2{4, 4}}) {
    for (index_t k = 1; k <= std::min(shape.rows, shape.cols); ++k) {
      low_rank<T, two_factor> const factors(random.matrix<T>(shape.rows, k),
                                            random.matrix<T>(k, shape.cols));
      auto const left = in_double(factors.left());
      auto const right = in_double(factors.right());
      auto const expected = support::product(left, right);
      for (auto const stored_as :
           {form::diagonal_core, form::two_factor, form::full_core, form::pivoted}) {
        CAPTURE(std::string(name_of(stored_as)));
        CAPTURE(shape);
        CAPTURE(k);
        linear<T> const layer(weight_in_form<T>(factors, stored_as));
        CHECK(layer.stored_as() == stored_as);
        CHECK(layer.rank() == k);
        // Decompositions of the factors are off by some (m + n) eps ||L|| ||R||.
        CHECK(support::distance(layer.dense_weight(), expected) <=
              10 * static_cast<double>(shape.rows + shape.cols) * support::epsilon<T> *
                  frobenius_norm(left) * frobenius_norm(right));
      }
      auto const same =
          std::get<low_rank<T, two_factor>>(weight_in_form<T>(factors, form::two_factor));
      CHECK(nn_test::same(same.left(), factors.left()));
      CHECK(nn_test::same(same.right(), factors.right()));
    }
  }
}

TEST_CASE_TEMPLATE("a core of two factors is the singular values, with orthonormal factors", T,
                   float, double) {
  random_source random(18);
  low_rank<T, two_factor> const factors(random.matrix<T>(9, 4), random.matrix<T>(4, 7));
  auto const expected =
      svd(support::product(in_double(factors.left()), in_double(factors.right()))).s;
  auto const bound = 200 * support::epsilon<T> * expected(0);
  auto const diagonal =
      std::get<low_rank<T, diagonal_core>>(weight_in_form<T>(factors, form::diagonal_core));
  auto const full = std::get<low_rank<T, full_core>>(weight_in_form<T>(factors, form::full_core));
  for (index_t i = 0; i < 4; ++i) {
    auto const at = static_cast<std::size_t>(i);
    CHECK(std::abs(static_cast<double>(diagonal.s()[at]) - expected(at)) <= bound);
    for (index_t j = 0; j < 4; ++j) {
      CHECK(full.core()(i, j) == (i == j ? diagonal.s()[at] : T{0}));
    }
  }
  CHECK(support::distance_from_orthonormal_columns(full.u()) <= 100 * support::epsilon<T>);
  CHECK(support::distance_from_orthonormal_rows(full.vt()) <= 100 * support::epsilon<T>);
}

TEST_CASE("weight_in_form refuses to store factors as a dense matrix") {
  random_source random(8);
  auto const factors = factorize(random.matrix<double>(5, 4), at_rank{2});
  CHECK(has(refusal<shape_error>([&] { weight_in_form<double>(factors, form::dense); }),
            "cannot store an SVD as dense"));
  CHECK(has(
      refusal<shape_error>([&] { weight_in_form<double>(to_two_factor(factors), form::dense); }),
      "cannot store factors as dense"));
}

TEST_CASE("shapes that do not fit are refused with all of them, the output stays") {
  random_source random(9);
  CHECK(has(refusal<shape_error>(
                [&] { linear<float>(random.matrix<float>(3, 2), random.vector<float>(2)); }),
            "2 biases for a 3 x 2 weight"));
  workspace<float> scratch;
  for (auto const stored_as : stored_forms) {
    auto const layer = random.linear<float>(3, 5, stored_as, 2);
    auto y = random.matrix<float>(4, 3);
    auto const before = y;
    auto const told = [&](index_t rows, index_t cols, matrix_view<float> out) {
      auto const x = random.matrix<float>(rows, cols);
      auto const what = refusal<shape_error>([&] { layer(as_view(x), out, scratch); });
      CHECK(same(as_view(y), as_view(before)));
      return what;
    };
    CHECK(has(told(4, 4, as_view(y)), "input 4 x 4, weight 3 x 5, output 4 x 3"));
    CHECK(has(told(3, 5, as_view(y)), "input 3 x 5, weight 3 x 5, output 4 x 3"));
    CHECK(has(told(4, 5, as_view(y).col_range(0, 2)), "output 4 x 2"));
  }
}
