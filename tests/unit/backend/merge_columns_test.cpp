#include "eckart/backend/merge_columns.hpp"

#include "eckart/core/xtensor.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

using namespace eckart;
using support::random_matrix;

namespace {

/// k of the first m numbers, rising.
auto some_of(index_t m, index_t k, unsigned seed) -> std::vector<index_t> {
  std::vector<index_t> all(static_cast<std::size_t>(m));
  std::iota(all.begin(), all.end(), index_t{0});
  std::ranges::shuffle(all, std::minstd_rand(seed));
  all.resize(static_cast<std::size_t>(k));
  std::ranges::sort(all);
  return all;
}

/// Column by column from where it was: kept ones by their places, the others in turn.
template <class T>
auto merged(matrix<T> const& kept, std::vector<index_t> const& places, std::vector<T> const& added,
            matrix<T> const& y) -> matrix<T> {
  auto result = y;
  auto const k = as_view(kept).cols;
  for (index_t i = 0; i < as_view(y).rows; ++i) {
    index_t other = k;
    for (index_t j = 0; j < as_view(y).cols; ++j) {
      auto const at = std::ranges::find(places, j);
      auto const value = at == places.end() ? as_view(y)(i, other++)
                                            : as_view(kept)(i, std::distance(places.begin(), at));
      as_view(result)(i, j) = added.empty() ? value : value + added[static_cast<std::size_t>(j)];
    }
  }
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("columns are merged in place, for every number of kept ones", T, float, double) {
  for (index_t const m : {1, 2, 15, 16, 17, 33, 70}) {
    for (index_t k = 0; k <= m; k += m < 20 ? 1 : 7) {
      for (index_t const rows : {1, 4, 6}) {
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(rows);
        auto const places = some_of(m, k, static_cast<unsigned>(m + k));
        auto const kept = random_matrix<T>(rows, k, 1);
        auto const row = random_matrix<T>(1, m, 2);
        auto const y = random_matrix<T>(rows, m, 3);
        for (bool const adds : {false, true}) {
          auto const added = adds ? std::vector<T>(row.begin(), row.end()) : std::vector<T>();
          auto got = y;
          detail::merge_columns(as_view(kept), std::span(places), adds ? added.data() : nullptr,
                                as_view(got));
          CHECK(std::ranges::equal(got, merged(kept, places, added, y)));
        }
      }
    }
  }
}

TEST_CASE("columns beside the merged ones stay, and rows may lie apart") {
  auto const all = random_matrix<float>(9, 60, 4);
  auto const kept = random_matrix<float>(9, 30, 5);
  auto const places = some_of(37, 12, 6);
  auto got = all;
  detail::merge_columns(as_view(std::as_const(kept)).col_range(3, 12), std::span(places),
                        static_cast<float const*>(nullptr), as_view(got).col_range(11, 37));
  auto const before = to_matrix(as_view(all).col_range(11, 37));
  auto const expected = merged(to_matrix(as_view(kept).col_range(3, 12)), places, {}, before);
  auto want = all;
  for (index_t i = 0; i < 9; ++i) {
    std::ranges::copy(as_view(expected).row(i), as_view(want).row(i).begin() + 11);
  }
  CHECK(std::ranges::equal(got, want));
}

TEST_CASE("many rows are merged on all threads as on one") {
  auto const y = random_matrix<float>(700, 200, 7);
  auto const kept = random_matrix<float>(700, 90, 8);
  auto const places = some_of(200, 90, 9);
  auto got = y;
  detail::merge_columns(as_view(kept), std::span(places), static_cast<float const*>(nullptr),
                        as_view(got));
  CHECK(std::ranges::equal(got, merged(kept, places, {}, y)));
}
