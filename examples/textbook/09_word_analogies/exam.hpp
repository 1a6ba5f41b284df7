#pragma once

#include "corpus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

/// Questions "a is to b as c is to ..." for whoever can answer them.
namespace textbook {

/// A word that may be the answer, and how near it is to b - a + c.
struct candidate {
  std::string word;
  double cosine;
};

/// Answers a, b and c with the other words, the best one first.
using solver = std::function<std::vector<candidate>(words const& abc)>;

/// The share of right answers, and the mean lead of the wanted word over the best of the others.
struct score {
  double share = 0, lead = 0;
};

/// The questions "a : b = c : ?" for all pairs of pairs.
inline auto examine(solver const& solve, relation const& r) -> score {
  score total;
  double questions = 0;
  for (auto const& one : r.pairs) {
    for (auto const& other : r.pairs) {
      if (one != other) {
        auto const x = split(one), y = split(other);
        auto const found = solve({x[0], x[1], y[0]});
        auto const wanted = std::ranges::find(found, y[1], &candidate::word);
        bool const right = wanted == found.begin();
        total.share += right ? 1 : 0;
        total.lead += wanted->cosine - found[right ? 1 : 0].cosine;
        questions += 1;
      }
    }
  }
  return {total.share / questions, total.lead / questions};
}

inline constexpr std::array<std::array<char const*, 4>, 6> examples{
    {{"man", "king", "woman", "queen"},
     {"man", "boy", "woman", "girl"},
     {"uncle", "aunt", "prince", "princess"},
     {"france", "paris", "japan", "tokyo"},
     {"sing", "sang", "eat", "ate"},
     {"fast", "faster", "cold", "colder"}}};

/// Prints the answers to the examples; says whether all are right, by more than 0.05 in cosine.
inline auto solve_examples(solver const& solve) -> bool {
  bool all_right = true;
  for (auto const& [a, b, c, d] : examples) {
    auto const found = solve({a, b, c});
    fmt::print("  {:7} - {:7} + {:7} = {:9}{:.2f}   {:9}{:.2f}\n", b, a, c, found[0].word,
               found[0].cosine, found[1].word, found[1].cosine);
    all_right = all_right && found[0].word == d && found[0].cosine > found[1].cosine + 0.05;
  }
  return all_right;
}

}  // namespace textbook
