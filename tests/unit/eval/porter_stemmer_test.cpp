#include "eckart/eval/porter_stemmer.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace eckart;

namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

void check_stems(pairs const& expected) {
  for (auto const& pair : expected) {
    CAPTURE(pair.first);
    CHECK(porter_stem(pair.first) == pair.second);
  }
}

}  // namespace

// rouge_test.cpp compares 1,592 more stems with NLTK's own.

TEST_CASE("the measure counts the vowel runs that a consonant follows, as in Porter's examples") {
  for (std::string const word : {"tr", "ee", "tree", "y", "by", "", "x"}) {
    CAPTURE(word);
    CHECK(detail::measure_of(word) == 0);
  }
  for (std::string const word : {"trouble", "oats", "trees", "ivy"}) {
    CAPTURE(word);
    CHECK(detail::measure_of(word) == 1);
  }
  for (std::string const word : {"troubles", "private", "oaten", "orrery"}) {
    CAPTURE(word);
    CHECK(detail::measure_of(word) == 2);
  }
}

TEST_CASE("y is a vowel after a consonant and a consonant elsewhere") {
  CHECK(detail::shape_of_stem("syzygy").measure == 2);
  CHECK(detail::shape_of_stem("toy").ends_consonant);
  CHECK_FALSE(detail::shape_of_stem("sky").ends_consonant);
  CHECK_FALSE(detail::shape_of_stem("y").has_vowel);
  CHECK(detail::shape_of_stem("yy").has_vowel);
}

TEST_CASE("plurals, -ed and -ing become what Porter's paper says") {
  check_stems({{"caresses", "caress"},   {"ponies", "poni"},       {"caress", "caress"},
               {"cats", "cat"},          {"feed", "feed"},         {"agreed", "agre"},
               {"plastered", "plaster"}, {"bled", "bled"},         {"motoring", "motor"},
               {"sing", "sing"},         {"conflated", "conflat"}, {"troubled", "troubl"},
               {"sized", "size"},        {"hopping", "hop"},       {"tanned", "tan"},
               {"falling", "fall"},      {"hissing", "hiss"},      {"fizzed", "fizz"},
               {"failing", "fail"},      {"filing", "file"},       {"happy", "happi"}});
}

TEST_CASE("derived words lose their suffixes one after the other, as in Porter's paper") {
  check_stems({{"generalizations", "gener"}, {"oscillators", "oscil"}, {"triplicate", "triplic"},
               {"formalize", "formal"},      {"electrical", "electr"}, {"hopeful", "hope"},
               {"goodness", "good"},         {"revival", "reviv"},     {"allowance", "allow"},
               {"airliner", "airlin"},       {"adjustable", "adjust"}, {"replacement", "replac"},
               {"adoption", "adopt"},        {"communism", "commun"},  {"bowdlerize", "bowdler"},
               {"probate", "probat"},        {"rate", "rate"},         {"cease", "ceas"},
               {"controll", "control"},      {"roll", "roll"},         {"relational", "relat"}});
}

TEST_CASE("where NLTK departs from the paper, its stems are the ones") {
  check_stems({{"skies", "sky"},
               {"sky", "sky"},
               {"dying", "die"},
               {"news", "news"},
               {"innings", "inning"},
               {"proceed", "proceed"},
               {"dies", "die"},
               {"tied", "tie"},
               {"flies", "fli"},
               {"cried", "cri"},
               {"enjoy", "enjoy"},
               {"say", "say"},
               {"by", "by"},
               {"cry", "cri"},
               {"archaeology", "archaeolog"},
               {"rationally", "ration"},
               {"usefully", "use"},
               {"owed", "owe"}});
}

TEST_CASE("words of two letters or none and words without a vowel stay") {
  for (std::string const word : {"", "s", "as", "is", "by", "42", "bcd", "x86"}) {
    CAPTURE(word);
    CHECK(porter_stem(word) == word);
  }
}
