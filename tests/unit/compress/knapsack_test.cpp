#include "eckart/compress/knapsack.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using eckart::detail::bin_losses;
using eckart::detail::bin_picks;
using eckart::detail::kept_choices;
using eckart::detail::shifted_min;

namespace {

/// What shifted_min is said to do, a bin at a time.
void check_bins(kept_choices const& choices, bin_losses const& from, bin_losses const& to,
                bin_picks const& picks) {
  for (std::size_t b = 0; b < picks.size(); ++b) {
    auto least = std::numeric_limits<double>::infinity();
    std::size_t pick = 0;
    for (std::size_t c = 0; c < choices.size(); ++c) {
      if (choices[c].extra <= b && from[b - choices[c].extra] + choices[c].loss < least) {
        least = from[b - choices[c].extra] + choices[c].loss;
        pick = c;
      }
    }
    CAPTURE(b);
    REQUIRE(to[b] == least);
    REQUIRE(picks[b] == pick);
  }
}

}  // namespace

TEST_CASE("shifted_min is the minimum over the choices at every bin, in blocks of any length") {
  std::mt19937 random(3);
  for (std::size_t const bins : {1U, 2U, 1023U, 1024U, 1025U, 3000U}) {
    CAPTURE(bins);
    bin_losses from(bins);
    for (auto& x : from) {
      x = static_cast<double>(random() % 50);
    }
    kept_choices choices;
    for (std::uint64_t extra = 0; extra < 4000; extra += 1 + random() % 300) {
      choices.push_back({extra, static_cast<double>(random() % 50), 0});
    }
    bin_losses to(bins, -1.0);
    bin_picks picks(bins, 7);
    shifted_min(choices, from, to, picks);
    check_bins(choices, from, to, picks);
  }
}

TEST_CASE("shifted_min is infinite where not even the cheapest choice fits") {
  bin_losses to(4);
  bin_picks picks(4);
  shifted_min({{2, 0.5, 0}}, {3, 2, 1, 0}, to, picks);
  auto const infinity = std::numeric_limits<double>::infinity();
  CHECK(to == bin_losses{infinity, infinity, 3.5, 2.5});
}
