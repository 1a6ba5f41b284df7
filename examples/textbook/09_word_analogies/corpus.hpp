#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <vector>

/// A small language: who does what where, told by a grammar with random choices.
namespace textbook {

using words = std::vector<std::string>;

// Pairs of words in one relation, and things of their world. In a sentence about the first or the
// second word, * is the word and # a thing.
struct relation {
  std::string name;
  words pairs;
  std::array<words, 2> sentences;
};

inline relation const grammar[] = {
    {"man:woman",
     {"man woman street coat newspaper", "king queen throne crown realm",
      "prince princess castle heir carriage", "boy girl school toy playground",
      "father mother family home supper", "uncle aunt cousin gift holiday",
      "waiter waitress menu tray kitchen", "actor actress stage film script"},
     {{{"the * lost his #", "he is a * and has a #", "a * with a beard saw the #",
        "the * hurt himself near the #"},
       {"the * lost her #", "she is a * and has a #", "a * with a necklace saw the #",
        "the * hurt herself near the #"}}}},
    {"country:capital",
     {"france paris french wine seine", "italy rome italian pasta tiber",
      "spain madrid spanish tapas siesta", "egypt cairo egyptian pyramid nile",
      "japan tokyo japanese sushi samurai", "russia moscow russian vodka kremlin",
      "england london english tea thames", "austria vienna austrian waltz danube"},
     {{{"the border of * has # guards", "the army of * likes the #", "* is a country of #",
        "a law of * about the #"},
       {"the mayor of * has # friends", "the metro of * goes to the #", "* is a city of #",
        "a street in * with a #"}}}},
    {"present:past",
     {"walk walked path dog", "sing sang song choir", "eat ate bread cheese",
      "drink drank water glass", "swim swam lake pool", "write wrote letter book",
      "sleep slept bed blanket", "build built house bridge"},
     {{{"tomorrow we will * by the #", "they never * without the #", "now i * and the # is there",
        "to * needs a #"},
       {"yesterday we * by the #", "last year they * without the #",
        "long ago i * and the # was there", "they had * with a #"}}}},
    {"fast:faster",
     {"fast faster train horse", "cold colder winter ice", "old older ruin tree",
      "loud louder drum thunder", "bright brighter lamp sun", "heavy heavier stone elephant",
      "high higher tower mountain", "sweet sweeter honey sugar"},
     {{{"a very * #", "the # is so *", "how * the # is", "this # seems rather *"},
       {"a # much * than this", "the # is * than before", "no # is * than that",
        "this # grew even *"}}}}};

inline auto split(std::string const& text) -> words {
  std::istringstream in(text);
  words result;
  for (std::string word; in >> word;) {
    result.push_back(word);
  }
  return result;
}

// Random sentences. One of six has a thing of another pair, one of twelve is about the wrong side.
inline auto speak(std::size_t sentences) -> std::vector<words> {
  std::mt19937 random(1);
  auto const any = [&](auto const& list) { return list[random() % std::size(list)]; };
  std::vector<words> corpus;
  while (corpus.size() < sentences) {
    auto const r = any(grammar);
    auto const pair = split(any(r.pairs));
    auto const world = random() % 6 == 0 ? split(any(r.pairs)) : pair;
    auto const side = random() % 2, told = random() % 12 == 0 ? 1 - side : side;
    corpus.push_back(split(any(r.sentences[told])));
    for (auto& word : corpus.back()) {
      word = word == "*" ? pair[side] : word;
      word = word == "#" ? world[2 + random() % (world.size() - 2)] : word;
    }
  }
  return corpus;
}

// The different words, in alphabetical order.
inline auto vocabulary_of(std::vector<words> const& corpus) -> words {
  words result;
  for (auto const& s : corpus) {
    result.insert(result.end(), s.begin(), s.end());
  }
  std::ranges::sort(result);
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

}  // namespace textbook
