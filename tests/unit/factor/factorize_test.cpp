#include "eckart/factor/factorize.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::random_matrix;
using support::refusal;

namespace {

constexpr std::array<shape2, 8> shapes{
    {{1, 1}, {1, 8}, {8, 1}, {9, 9}, {6, 25}, {25, 6}, {40, 33}, {33, 40}}};

// The backward error of the SVD: see the tests of svd. Twice, for the approximation and its error.
template <class T>
auto tolerance(shape2 a) -> double {
  return 2 * 10 * static_cast<double>(std::max(a.rows, a.cols)) * epsilon<T>;
}

struct of_rank {
  index_t rank;
};
auto choose_rank(of_rank const& policy, spectrum, shape2) -> index_t {
  return policy.rank;
}

}  // namespace

TEST_CASE_TEMPLATE("the error of a truncation is its truncation error", T, float, double) {
  for (auto const shape : shapes) {
    auto const a = random_matrix<T>(shape.rows, shape.cols, 1);
    auto const f = svd(a);
    // to_dense rounds k products and sums an entry, with factors of norm sqrt(k) and at most ||a||.
    auto const full = static_cast<double>(std::min(shape.rows, shape.cols));
    auto const bound =
        (tolerance<T>(shape) + (full + 2) * std::sqrt(full) * epsilon<T>)*frobenius_norm(a);
    for (index_t k = 1; k <= std::min(shape.rows, shape.cols); ++k) {
      CAPTURE(shape);
      CAPTURE(k);
      auto const w = truncate(f, at_rank{k});
      CHECK(w.rank() == k);
      CHECK(w.shape() == shape);
      CHECK(std::abs(support::distance(a, to_dense(w)) - truncation_error(as_span(f.s), k)) <=
            bound);
    }
  }
}

TEST_CASE_TEMPLATE("no other matrix of the same rank is closer: random ones", T, float, double) {
  auto const a = random_matrix<T>(12, 15, 2);
  auto const f = svd(a);
  for (index_t k = 1; k < 12; ++k) {
    auto const best = truncation_error(as_span(f.s), k);
    auto const w = to_two_factor(truncate(f, at_rank{k}));
    for (std::uint32_t seed = 1; seed <= 10; ++seed) {
      auto left = to_matrix(w.left());
      auto const step = random_matrix<T>(12, k, seed);
      for (std::size_t i = 0; i < left.size(); ++i) {
        left.data()[i] += T(0.1) * step.data()[i];
      }
      auto const other = to_dense(low_rank<T, two_factor>(left, to_matrix(w.right())));
      CHECK(support::distance(a, other) > best);
    }
  }
}

TEST_CASE_TEMPLATE("a truncation has the leading layers of the decomposition", T, float, double) {
  auto const f = svd(random_matrix<T>(9, 7, 3));
  auto const w = truncate(f, at_rank{3});
  static_assert(std::is_same_v<decltype(w), low_rank<T, diagonal_core> const>);
  CHECK(support::distance(w.u(), as_view(f.u).col_range(0, 3)) == 0);
  CHECK(support::distance(w.vt(), as_view(f.vt).row_range(0, 3)) == 0);
  CHECK(std::ranges::equal(w.s(), as_span(f.s).first(3)));
}

TEST_CASE_TEMPLATE("factorize is svd and truncate", T, float, double) {
  auto const a = random_matrix<T>(9, 14, 4);
  for (auto const method : {svd_method::divide_and_conquer, svd_method::qr_iteration}) {
    auto const at_once = factorize(a, at_rank{5}, {.method = method});
    auto const in_steps = truncate(svd(a, {.method = method}), at_rank{5});
    CHECK(identical(to_matrix(at_once.u()), to_matrix(in_steps.u())));
    CHECK(std::ranges::equal(at_once.s(), in_steps.s()));
    CHECK(identical(to_matrix(at_once.vt()), to_matrix(in_steps.vt())));
  }
}

TEST_CASE_TEMPLATE("a part of a matrix can be factorized", T, float, double) {
  auto const around = random_matrix<T>(10, 12, 5);
  auto const part = xt::view(around, xt::range(1, 8), xt::range(2, 11));
  auto const copied = to_matrix(as_view(around).block(1, 2, 7, 9));
  CHECK(identical(to_dense(factorize(part, at_rank{3})), to_dense(factorize(copied, at_rank{3}))));
}

TEST_CASE_TEMPLATE("every policy chooses the rank from the values and the shape", T, float,
                   double) {
  // Singular values 8, 4, 4, 2 with energies 0.64, 0.80, 0.96, 1.
  matrix<T> const a{{0, 4, 0, 0, 0}, {8, 0, 0, 0, 0}, {0, 0, 0, 0, 2}, {0, 0, 4, 0, 0}};
  CHECK(factorize(a, at_rank{2}).rank() == 2);
  CHECK(factorize(a, at_ratio{0.75}).rank() == 3);
  CHECK(factorize(a, keep_energy{0.9}).rank() == 3);
  CHECK(factorize(a, within_error{0.5}).rank() == 2);
  CHECK(factorize(a, within_budget{19 * 4}).rank() == 2);  // 9 numbers of 4 bytes a rank
  CHECK(factorize(a, of_rank{1}).rank() == 1);
}

TEST_CASE_TEMPLATE("the chosen error bound holds for the matrix", T, float, double) {
  auto const a = random_matrix<T>(33, 40, 6);
  auto const norm = frobenius_norm(a);
  for (auto const part : {0.05, 0.2, 0.5, 0.9}) {
    auto const w = factorize(a, within_error{part});
    CHECK(support::distance(a, to_dense(w)) <= (part + tolerance<T>({33, 40})) * norm);
  }
}

TEST_CASE_TEMPLATE("a zero matrix is factorized at rank 1", T, float, double) {
  matrix<T> const zero{{0, 0, 0}, {0, 0, 0}};
  auto const w = factorize(zero, keep_energy{0.9});
  CHECK(w.rank() == 1);
  CHECK(frobenius_norm(to_dense(w)) == 0);
}

TEST_CASE_TEMPLATE("ranks that the matrix does not have are refused by name", T, float, double) {
  auto const f = svd(random_matrix<T>(4, 6, 7));
  CHECK(refusal<shape_error>([&] { truncate(f, at_rank{5}); }) ==
        "at_rank: rank 5 exceeds min(4, 6)");
  CHECK(refusal<shape_error>([&] { truncate(f, at_rank{0}); }) ==
        "at_rank: rank 0 is below 1 for min(4, 6)");
  // A user's policy is not trusted.
  CHECK(refusal<shape_error>([&] { truncate(f, of_rank{5}); }) ==
        "truncate: rank 5 of a 4 x 6 matrix");
  CHECK(refusal<shape_error>([&] { truncate(f, of_rank{0}); }) ==
        "truncate: rank 0 of a 4 x 6 matrix");
  CHECK(refusal<shape_error>([&] { truncate(f, of_rank{-1}); }) ==
        "truncate: rank -1 of a 4 x 6 matrix");
}

TEST_CASE("what svd refuses, factorize refuses") {
  auto a = random_matrix<double>(3, 4, 8);
  a(1, 2) = support::not_a_number<double>;
  CHECK(refusal<numerical_error>([&] { factorize(a, at_rank{2}); }) ==
        "svd: element (1, 2) of the 3 x 4 matrix is nan");
}
