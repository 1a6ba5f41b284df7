#include "eckart/factor/algebra.hpp"

#include "factor_fixture.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

using namespace eckart;
using fixture::for_all;
using fixture::for_all_pairs;
using fixture::full_rank;
using fixture::meaning;
using fixture::same_shape;
using fixture::size;
using fixture::svd_error;
using support::distance;
using support::epsilon;
using support::identical;
using support::random_matrix;
using support::refusal;

namespace {

auto sum_of(matrix<double> a, matrix<double> const& b) -> matrix<double> {
  for (std::size_t i = 0; i < a.size(); ++i) {
    a.data()[i] += b.data()[i];
  }
  return a;
}

auto times(matrix<double> a, double factor) -> matrix<double> {
  for (auto& x : a) {
    x *= factor;
  }
  return a;
}

auto turned(matrix<double> const& a) -> matrix<double> {
  auto const from = as_view(a);
  auto result = make_matrix<double>({from.cols, from.rows});
  for (index_t i = 0; i < from.rows; ++i) {
    for (index_t j = 0; j < from.cols; ++j) {
      as_view(result)(j, i) = from(i, j);
    }
  }
  return result;
}

template <class F, class G>
auto ranks(F const& a, G const& b) -> double {
  return static_cast<double>(a.rank() + b.rank());
}

// Two products with k terms each, the absorbed core and a sum.
template <class T, class F, class G>
auto sum_rounding(F const& a, G const& b) -> double {
  return (2 * ranks(a, b) + 5) * epsilon<T> * (size(a) + size(b));
}

// What the roundings of a sum are relative to: the norms of its stacked factors.
template <class F, class G>
auto stacked_size(F const& a, G const& b) -> double {
  auto const s = add(a, b);
  return size(s);
}

}  // namespace

TEST_CASE_TEMPLATE("a sum without truncation is the sum, with the ranks added", T, float, double) {
  for_all_pairs<T>(same_shape, [](auto const& a, auto const& b) {
    auto const sum = add(a, b);
    CHECK(sum.shape() == a.shape());
    CHECK(sum.rank() == a.rank() + b.rank());
    CHECK(distance(meaning(sum), sum_of(meaning(a), meaning(b))) <= sum_rounding<T>(a, b));
  });
}

TEST_CASE_TEMPLATE("a truncated sum is the best approximation of the sum at every rank", T, float,
                   double) {
  for (auto const& e : fixture::examples()) {
    auto const shape = e.shape;
    auto const rank = e.rank;
    CAPTURE(shape);
    CAPTURE(rank);
    auto const a = support::random_diagonal_core<T>(shape, rank, 1);
    auto const b = support::random_pivoted<T>(shape, 1 + rank / 2, 2);
    auto const expected = sum_of(meaning(a), meaning(b));
    auto const s = svd(expected).s;
    auto const both = a.rank() + b.rank();
    // The tail is measured in double; the layers are rounded and so is the absorbed core.
    auto const bound = svd_error<T>(shape, both) * stacked_size(a, b);
    for (index_t k = 1; k <= full_rank(shape); ++k) {
      CAPTURE(k);
      auto const sum = add(a, b, at_rank{k});
      CHECK(sum.rank() == std::min(k, both));
      CHECK(fixture::is_spectrum(sum.s()));
      auto const error = distance(meaning(sum), expected);
      CHECK(std::abs(error - truncation_error(as_span(s), k)) <= bound);
    }
  }
}

TEST_CASE_TEMPLATE("a sum is truncated by any policy and in any form", T, float, double) {
  for_all_pairs<T>(same_shape, [](auto const& a, auto const& b) {
    auto const shape = a.shape();
    auto const expected = sum_of(meaning(a), meaning(b));
    auto const bound = svd_error<T>(shape, a.rank() + b.rank()) * stacked_size(a, b);
    auto const most = std::min(full_rank(shape), a.rank() + b.rank());
    auto const all = add(a, b, at_ratio{1});
    CHECK(all.rank() == most);
    CHECK(distance(meaning(all), expected) <= bound);
    auto const close = add(a, b, within_error{0.25});
    CHECK(distance(meaning(close), expected) <= 0.25 * frobenius_norm(expected) + 2 * bound);
    CHECK(add(a, b, within_budget{1'000'000}).rank() == most);
    auto const loss = [](index_t k, spectrum s, shape2 w) {
      CHECK(static_cast<index_t>(s.size()) == full_rank(w));
      return truncation_error(s, k);
    };
    CHECK(add(a, b, within_loss{frobenius_norm(expected) + bound, loss}).rank() == 1);
  });
}

TEST_CASE_TEMPLATE("factors are truncated as their dense matrix is", T, float, double) {
  for_all<T>([](auto const& w) {
    auto const expected = meaning(w);
    auto const s = svd(expected).s;
    auto const bound = svd_error<T>(w.shape(), w.rank()) * size(w);
    for (index_t k = 1; k <= w.rank(); ++k) {
      auto const cut = truncate(w, at_rank{k});
      CHECK(cut.rank() == k);
      CHECK(std::abs(distance(meaning(cut), expected) - truncation_error(as_span(s), k)) <= bound);
    }
  });
}

TEST_CASE("a difference of equal matrices has no energy left") {
  auto const a = support::random_two_factor<double>({9, 7}, 3, 1);
  auto const difference = add(a, scale(a, -1), at_rank{6});
  CHECK(difference.rank() == 6);
  CHECK(euclidean_norm(difference.s()) <= svd_error<double>({9, 7}, 6) * 2 * size(a));
}

TEST_CASE_TEMPLATE("a multiple is the matrix times the factor, in the same form", T, float,
                   double) {
  for_all<T>([](auto const& w) {
    for (auto const factor : {T(2.5), T(-0.3), T(0)}) {
      auto const multiple = scale(w, factor);
      static_assert(std::same_as<decltype(multiple), std::remove_cvref_t<decltype(w)> const>);
      auto const expected = times(meaning(w), static_cast<double>(factor));
      // One rounding for each number that is multiplied; the oracle rounds too, in double.
      auto const bound = (2 * static_cast<double>(w.rank()) + 4) * epsilon<double> + epsilon<T>;
      CHECK(distance(meaning(multiple), expected) <=
            bound * std::abs(static_cast<double>(factor)) * size(w));
    }
  });
}

TEST_CASE("only the kept rows of pivoted factors are multiplied") {
  auto const w = support::random_pivoted<double>({6, 5}, 2, 1);
  auto const twice = scale(w, 2);
  CHECK(identical(to_matrix(twice.combinations()), to_matrix(w.combinations())));
  CHECK(std::ranges::equal(twice.rows(), w.rows()));
  CHECK(twice.kept()(1, 2) == 2 * w.kept()(1, 2));
}

TEST_CASE("a negative multiple of an SVD is an SVD") {
  auto const w = to_diagonal_core(support::random_two_factor<double>({6, 5}, 3, 1));
  auto const negative = scale(w, -2);
  CHECK(fixture::is_spectrum(negative.s()));
  CHECK(negative.s()[0] == 2 * w.s()[0]);
  CHECK(distance(negative.u(), w.u()) == 0);
  CHECK(negative.vt()(1, 3) == -w.vt()(1, 3));
}

TEST_CASE_TEMPLATE("the transpose is the transpose, and the form stays but for pivots", T, float,
                   double) {
  for_all<T>([](auto const& w) {
    auto const t = transpose(w);
    using given = std::remove_cvref_t<decltype(w)>;
    using expected_form = std::conditional_t<std::same_as<given, low_rank<T, pivoted>>,
                                             low_rank<T, two_factor>, given>;
    static_assert(std::same_as<decltype(t), expected_form const>);
    CHECK(t.rank() == w.rank());
    // No number changes; the oracle sums in another order.
    auto const bound = (2 * static_cast<double>(w.rank()) + 4) * epsilon<double>;
    CHECK(distance(meaning(t), turned(meaning(w))) <= bound * size(w));
    CHECK(distance(meaning(transpose(t)), meaning(w)) == 0);
  });
}

TEST_CASE_TEMPLATE("a product is the product, at the smaller rank", T, float, double) {
  auto const partner = [](shape2 w) { return shape2{w.cols, w.rows + 3}; };
  for_all_pairs<T>(partner, [](auto const& a, auto const& b) {
    auto const product = multiply(a, b);
    CHECK(product.shape() == shape2{a.shape().rows, b.shape().cols});
    CHECK(product.rank() == std::min(a.rank(), b.rank()));
    // Sums over both ranks and the inner side, of which the core takes one and the oracle another.
    auto const terms = 2 * ranks(a, b) + static_cast<double>(a.shape().cols) + 6;
    CHECK(distance(meaning(product), support::product(meaning(a), meaning(b))) <=
          terms * epsilon<T> * size(a) * size(b));
  });
}

TEST_CASE_TEMPLATE("the inner product is the sum of the products of all entries", T, float,
                   double) {
  for_all_pairs<T>(same_shape, [](auto const& a, auto const& b) {
    auto const x = meaning(a);
    auto const y = meaning(b);
    double expected = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      expected += x.data()[i] * y.data()[i];
    }
    auto const [m, n] = a.shape();
    auto const terms = static_cast<double>(m + n) + 2 * ranks(a, b) + 6;
    // The oracle sums m n numbers in double.
    auto const own = static_cast<double>(m * n) * epsilon<double>;
    auto const bound = (terms * epsilon<T> + own) * size(a) * size(b);
    CHECK(std::abs(inner_product(a, b) - expected) <= bound);
    CHECK(std::abs(inner_product(b, a) - expected) <= bound);
  });
}

TEST_CASE_TEMPLATE("the Frobenius norm is that of the dense matrix", T, float, double) {
  for_all<T>([](auto const& w) {
    auto const bound = svd_error<T>(w.shape(), w.rank()) * size(w);
    CHECK(std::abs(frobenius_norm(w) - frobenius_norm(meaning(w))) <= bound);
  });
}

TEST_CASE(
    "the norm of a small difference keeps its digits, the root of an inner product does not") {
  auto const a = support::random_two_factor<double>({30, 20}, 4, 1);
  auto const change = support::random_two_factor<double>({30, 20}, 1, 2);
  auto const b = add(a, scale(change, 1e-9));
  auto const difference = add(a, scale(b, -1));
  auto const expected = 1e-9 * frobenius_norm(meaning(change));
  auto const bound = svd_error<double>({30, 20}, 9) * size(difference);
  CHECK(bound < 0.01 * expected);
  CHECK(std::abs(frobenius_norm(difference) - expected) <= bound);
  auto const squared = inner_product(difference, difference);
  CHECK(std::abs(std::sqrt(std::max(0.0, squared)) - expected) > 10 * bound);
}

TEST_CASE("norms of huge and tiny matrices neither overflow nor vanish") {
  auto const a = support::random_two_factor<double>({6, 5}, 2, 1);
  auto const norm = frobenius_norm(a);
  for (auto const factor : {1e-200, 1e200}) {
    auto const scaled = frobenius_norm(scale(a, factor));
    CHECK(std::abs(scaled / factor - norm) <= svd_error<double>({6, 5}, 2) * size(a));
  }
}

TEST_CASE("shapes that do not fit are refused by name") {
  auto const a = support::random_two_factor<double>({5, 6}, 2, 1);
  auto const b = support::random_diagonal_core<double>({6, 5}, 2, 2);
  CHECK(refusal<shape_error>([&] { add(a, b); }) == "add: a 5 x 6 and a 6 x 5 matrix");
  CHECK(refusal<shape_error>([&] { add(a, b, at_rank{2}); }) == "add: a 5 x 6 and a 6 x 5 matrix");
  CHECK(refusal<shape_error>([&] { inner_product(a, b); }) ==
        "inner_product: a 5 x 6 and a 6 x 5 matrix");
  CHECK(refusal<shape_error>([&] { multiply(a, a); }) == "multiply: a 5 x 6 times a 5 x 6 matrix");
  CHECK_NOTHROW(multiply(a, b));
}

TEST_CASE("a rank that the sum cannot have is refused by the policy") {
  auto const a = support::random_two_factor<double>({5, 6}, 1, 1);
  CHECK(refusal<shape_error>([&] { add(a, a, at_rank{6}); }) ==
        "at_rank: rank 6 exceeds min(5, 6)");
  CHECK_THROWS_AS(truncate(a, at_rank{0}), shape_error);
}

TEST_CASE("factors that are not finite are refused") {
  auto left = random_matrix<double>(4, 2, 1);
  left(2, 0) = std::numeric_limits<double>::infinity();
  low_rank<double, two_factor> const w(left, random_matrix<double>(2, 4, 2));
  CHECK(refusal<numerical_error>([&] { truncate(w, at_rank{1}); }).find("element (2, 0)") !=
        std::string::npos);
  CHECK_THROWS_AS(frobenius_norm(w), numerical_error);
}
