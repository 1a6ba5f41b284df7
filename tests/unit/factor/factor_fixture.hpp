#pragma once

#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/pivoted.hpp"
#include "support/matrix_check.hpp"
#include "support/random_low_rank.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

/// All forms of factors, at random shapes and ranks, and what they stand for in double.
namespace fixture {

using namespace eckart;

struct example {
  shape2 shape;
  index_t rank;
};

/// 24 shapes and ranks by chance, and the edges: 1 x 1, one row, one column, the full rank.
inline auto examples() -> std::vector<example> {
  std::vector<example> result{{{1, 1}, 1},  {{1, 9}, 1},  {{9, 1}, 1},  {{7, 7}, 7},
                              {{6, 15}, 6}, {{15, 6}, 6}, {{40, 30}, 1}};
  std::mt19937 bits(20);
  auto const size = [&](index_t most) { return 1 + static_cast<index_t>(bits()) % most; };
  for (int round = 0; round < 24; ++round) {
    auto const shape = shape2{size(30), size(30)};
    result.push_back({shape, size(std::min(shape.rows, shape.cols))});
  }
  return result;
}

/// f(factors) in every form.
template <real T, class F>
void in_all_forms(shape2 w, index_t k, std::uint32_t seed, F&& f) {
  f(support::random_two_factor<T>(w, k, seed));
  f(support::random_diagonal_core<T>(w, k, seed + 10));
  f(support::random_full_core<T>(w, k, seed + 20));
  f(support::random_pivoted<T>(w, k, seed + 30));
}

/// f(factors) in every form for every example.
template <real T, class F>
void for_all(F&& f) {
  for (auto const& e : examples()) {
    auto const shape = e.shape;
    auto const rank = e.rank;
    CAPTURE(shape);
    CAPTURE(rank);
    in_all_forms<T>(shape, rank, 1, f);
  }
}

/// f(a, b) in every pair of forms for every example; b has the shape that `partner` makes of that
/// of a, and another rank.
template <real T, class Partner, class F>
void for_all_pairs(Partner&& partner, F&& f) {
  for (auto const& e : examples()) {
    auto const shape = e.shape;
    auto const rank = e.rank;
    auto const other = partner(shape);
    auto const other_rank = 1 + rank % std::min(other.rows, other.cols);
    CAPTURE(shape);
    CAPTURE(rank);
    CAPTURE(other);
    CAPTURE(other_rank);
    in_all_forms<T>(shape, rank, 1, [&](auto const& a) {
      in_all_forms<T>(other, other_rank, 100, [&](auto const& b) { f(a, b); });
    });
  }
}

inline auto same_shape(shape2 w) -> shape2 {
  return w;
}

// What the factors stand for, straight from the definition.
template <class T>
auto meaning(low_rank<T, two_factor> const& w) -> matrix<double> {
  return support::product(support::in_double(w.left()), support::in_double(w.right()));
}
template <class T>
auto meaning(low_rank<T, diagonal_core> const& w) -> matrix<double> {
  return support::layers(w.u(), w.s(), w.vt(), w.rank());
}
template <class T>
auto meaning(low_rank<T, full_core> const& w) -> matrix<double> {
  return support::product(support::product(support::in_double(w.u()), support::in_double(w.core())),
                          support::in_double(w.vt()));
}
template <class T>
auto meaning(low_rank<T, pivoted> const& w) -> matrix<double> {
  auto const kept = support::in_double(w.kept());
  auto const others = support::product(support::in_double(w.combinations()), kept);
  auto result = make_matrix<double>(w.shape());
  for (index_t i = 0; i < w.shape().rows; ++i) {
    auto const from = i < w.rank() ? as_view(kept).row(i) : as_view(others).row(i - w.rank());
    std::ranges::copy(from, as_view(result).row(w.rows()[static_cast<std::size_t>(i)]).begin());
  }
  return result;
}

// The product of the norms of the factors, which bounds every sum that is made of them.
template <class T>
auto size(low_rank<T, two_factor> const& w) -> double {
  return frobenius_norm(w.left()) * frobenius_norm(w.right());
}
template <class T>
auto size(low_rank<T, diagonal_core> const& w) -> double {
  return frobenius_norm(w.u()) * euclidean_norm(w.s()) * frobenius_norm(w.vt());
}
template <class T>
auto size(low_rank<T, full_core> const& w) -> double {
  return frobenius_norm(w.u()) * frobenius_norm(w.core()) * frobenius_norm(w.vt());
}
template <class T>
auto size(low_rank<T, pivoted> const& w) -> double {
  auto const ones = std::sqrt(static_cast<double>(w.rank()));
  return std::hypot(ones, frobenius_norm(w.combinations())) * frobenius_norm(w.kept());
}

/// Smaller side.
inline auto full_rank(shape2 w) -> index_t {
  return std::min(w.rows, w.cols);
}

/// A decomposition's backward error relative to the norm, as in the tests of qr and svd.
template <class T>
auto backward_error(shape2 w, index_t k) -> double {
  return 10 * static_cast<double>(std::max({w.rows, w.cols, k})) * support::epsilon<T>;
}

/// Of an SVD through the factors: two QR and one SVD; three products over at most k or 2 k terms
/// and one that absorbs a core.
template <class T>
auto svd_error(shape2 w, index_t k) -> double {
  return 3 * backward_error<T>(w, k) + 4 * static_cast<double>(k + 1) * support::epsilon<T>;
}

/// Falling and not negative.
template <class T>
auto is_spectrum(std::span<T const> s) -> bool {
  return std::ranges::is_sorted(s, [](T x, T y) { return x > y; }) &&
         std::ranges::all_of(s, [](T x) { return x >= 0; });
}

}  // namespace fixture
