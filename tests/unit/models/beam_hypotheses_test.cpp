#include "eckart/models/beam_hypotheses.hpp"

#include "eckart/core/error.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace {

using eckart::detail::beam_candidate;
using eckart::detail::best_candidates;

auto positions(std::span<beam_candidate const> candidates) -> std::vector<eckart::index_t> {
  std::vector<eckart::index_t> result;
  for (auto const& c : candidates) {
    result.push_back(c.flat);
  }
  return result;
}

}  // namespace

TEST_CASE("of equal candidates the lower position ranks first and is kept") {
  best_candidates best(3);
  best.offer(std::vector<float>{1, 2, 1, 2}, 0.0F, 0);
  best.offer(std::vector<float>{2, 3}, 0.0F, 4);
  CHECK(positions(best.sorted()) == std::vector<eckart::index_t>{5, 1, 3});
}

TEST_CASE("the running score is added in float") {
  best_candidates best(2);
  best.offer(std::vector<float>{-1, -2}, -1.0e9F, 10);
  auto const kept = best.sorted();
  // 1e9 has no room for units: the two become equal.
  CHECK(kept[0].score == -1.0e9F);
  CHECK(kept[1].score == -1.0e9F);
  CHECK(positions(kept) == std::vector<eckart::index_t>{10, 11});
}

TEST_CASE("impossible candidates fill the places that others leave") {
  auto const inf = std::numeric_limits<float>::infinity();
  best_candidates best(3);
  best.offer(std::vector<float>{-inf, -inf, 1, -inf}, 0.0F, 0);
  CHECK(positions(best.sorted()) == std::vector<eckart::index_t>{2, 0, 1});
}

TEST_CASE("the best candidates of many are those of a full sort, ties included") {
  std::mt19937 random(3);
  for (std::size_t const k : {1U, 2U, 7U, 16U}) {
    best_candidates best(k);
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<beam_candidate> all;
      best.clear();
      for (int row = 0; row < 3; ++row) {
        std::vector<float> scores(50);
        std::generate(scores.begin(), scores.end(),
                      [&] { return static_cast<float>(random() % 40) / 4.0F; });
        auto const running = static_cast<float>(random() % 4);
        auto const first = static_cast<eckart::index_t>(all.size());
        for (auto const s : scores) {
          all.push_back({s + running, static_cast<eckart::index_t>(all.size())});
        }
        best.offer(scores, running, first);
      }
      std::sort(all.begin(), all.end(), eckart::detail::ranks_before);
      all.resize(k);
      CHECK(positions(best.sorted()) == positions(all));
    }
  }
}

TEST_CASE("a candidate that is not a number is refused wherever it comes") {
  auto const nan = std::numeric_limits<float>::quiet_NaN();
  for (auto const& scores : {std::vector<float>{nan, 1, 2, 3}, std::vector<float>{1, 2, 3, nan}}) {
    best_candidates best(2);
    CHECK_THROWS_AS(best.offer(scores, 0.0F, 0), eckart::numerical_error);
  }
}
