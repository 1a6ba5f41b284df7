#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

/// Stems of English words as ROUGE compares them: Porter 1980, "An algorithm for suffix stripping",
/// Program 14(3), with the extensions that NLTK's PorterStemmer has in its usual mode.
namespace eckart {
inline namespace v0 {

namespace detail {

// What the rules ask of a stem. In Porter's terms a stem is [C](VC)^m[V], where C and V are runs
// of consonants and vowels.
struct stem_shape {
  int measure = 0;         // m
  bool has_vowel = false;  // *v*
  bool ends_consonant = false;
  bool ends_short = false;  // *o: consonant, vowel, consonant that is not w, x or y
};

// One pass: whether y is a vowel depends on the letter before it alone. O(length).
constexpr auto shape_of_stem(std::string_view stem) -> stem_shape {
  stem_shape shape;
  unsigned kinds = 0;  // the last three letters, 1 for a consonant
  for (std::size_t i = 0; i < stem.size(); ++i) {
    auto const after_consonant = i > 0 && shape.ends_consonant;
    auto const vowel = stem[i] == 'y'
                           ? after_consonant
                           : std::string_view("aeiou").find(stem[i]) != std::string_view::npos;
    shape.has_vowel = shape.has_vowel || vowel;
    shape.measure += (i > 0 && !vowel && !after_consonant) ? 1 : 0;
    shape.ends_consonant = !vowel;
    kinds = ((kinds << 1U) | (vowel ? 0U : 1U)) & 7U;
  }
  // NLTK: a word of a vowel and a consonant counts as short, too ("as", "ow").
  shape.ends_short = (stem.size() > 2 && kinds == 5U &&
                      std::string_view("wxy").find(stem.back()) == std::string_view::npos) ||
                     (stem.size() == 2 && kinds == 1U);
  return shape;
}

constexpr auto measure_of(std::string_view stem) -> int {
  return shape_of_stem(stem).measure;
}

constexpr auto ends_double_consonant(std::string_view word) -> bool {
  return word.size() > 1 && word.back() == word[word.size() - 2] &&
         shape_of_stem(word).ends_consonant;
}

constexpr auto without_last(std::string_view word, std::size_t count) -> std::string_view {
  return word.substr(0, word.size() - count);
}

inline void replace_last(std::string& word, std::size_t count, std::string_view by) {
  word.erase(word.size() - count);
  word += by;
}

struct suffix_rule {
  std::string_view suffix;
  std::string_view by;
};

// The first rule whose suffix the word has decides: it replaces the suffix if the measure of what
// stands before is above `least`, else the word stays.
inline void apply_first(std::string& word, std::span<suffix_rule const> rules, int least) {
  for (auto const& rule : rules) {
    if (word.ends_with(rule.suffix)) {
      if (measure_of(without_last(word, rule.suffix.size())) > least) {
        replace_last(word, rule.suffix.size(), rule.by);
      }
      return;
    }
  }
}

// Plurals.
inline void porter_step_1a(std::string& word) {
  if (word.ends_with("ies")) {
    replace_last(word, word.size() == 4 ? 1 : 2, "");  // NLTK: dies -> die, but flies -> fli
  } else if (word.ends_with("sses")) {
    replace_last(word, 2, "");
  } else if (word.ends_with("s") && !word.ends_with("ss")) {
    replace_last(word, 1, "");
  }
}

// Makes a word of what stands before -ed and -ing: at -> ate, hopp -> hop, fil -> file.
inline void porter_mend(std::string& word) {
  if (word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz")) {
    word += 'e';
  } else if (ends_double_consonant(word)) {
    if (word.back() != 'l' && word.back() != 's' && word.back() != 'z') {
      word.pop_back();
    }
  } else if (auto const shape = shape_of_stem(word); shape.measure == 1 && shape.ends_short) {
    word += 'e';
  }
}

// -eed, -ed, -ing; NLTK adds -ied.
inline void porter_step_1b(std::string& word) {
  if (word.ends_with("ied")) {
    replace_last(word, word.size() == 4 ? 1 : 2, "");
    return;
  }
  if (word.ends_with("eed")) {
    if (measure_of(without_last(word, 3)) > 0) {
      word.pop_back();
    }
    return;
  }
  auto const length = word.ends_with("ed") ? 2U : word.ends_with("ing") ? 3U : 0U;
  if (length != 0 && shape_of_stem(without_last(word, length)).has_vowel) {
    replace_last(word, length, "");
    porter_mend(word);
  }
}

// NLTK: y becomes i after a consonant that is not the word's first letter (happy, but not enjoy).
inline void porter_step_1c(std::string& word) {
  if (word.size() > 2 && word.back() == 'y' &&
      shape_of_stem(without_last(word, 1)).ends_consonant) {
    word.back() = 'i';
  }
}

inline void porter_step_2(std::string& word) {
  static constexpr std::array<suffix_rule, 21> rules{{
      {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
      {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
      {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
      {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
      {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
      {"fulli", "ful"},
  }};
  // NLTK: -alli goes first, and then what is left may lose a second suffix of this step.
  if (word.ends_with("alli") && measure_of(without_last(word, 4)) > 0) {
    replace_last(word, 2, "");
  }
  // NLTK: logi -> log, where the l belongs to the stem that is measured.
  if (word.ends_with("logi") && measure_of(without_last(word, 3)) > 0) {
    word.pop_back();
    return;
  }
  apply_first(word, rules, 0);
}

inline void porter_step_3(std::string& word) {
  static constexpr std::array<suffix_rule, 7> rules{{
      {"icate", "ic"},
      {"ative", ""},
      {"alize", "al"},
      {"iciti", "ic"},
      {"ical", "ic"},
      {"ful", ""},
      {"ness", ""},
  }};
  apply_first(word, rules, 0);
}

inline void porter_step_4(std::string& word) {
  static constexpr std::array<suffix_rule, 18> rules{{
      {"al", ""},
      {"ance", ""},
      {"ence", ""},
      {"er", ""},
      {"ic", ""},
      {"able", ""},
      {"ible", ""},
      {"ant", ""},
      {"ement", ""},
      {"ment", ""},
      {"ent", ""},
      {"ou", ""},
      {"ism", ""},
      {"ate", ""},
      {"iti", ""},
      {"ous", ""},
      {"ive", ""},
      {"ize", ""},
  }};
  if (word.ends_with("ion")) {
    auto const stem = without_last(word, 3);
    if (measure_of(stem) > 1 && (stem.back() == 's' || stem.back() == 't')) {
      replace_last(word, 3, "");
    }
    return;
  }
  apply_first(word, rules, 1);
}

// A final e, and one l of two.
inline void porter_step_5(std::string& word) {
  if (word.ends_with("e")) {
    auto const shape = shape_of_stem(without_last(word, 1));
    if (shape.measure > 1 || (shape.measure == 1 && !shape.ends_short)) {
      word.pop_back();
    }
  }
  if (word.ends_with("ll") && measure_of(without_last(word, 1)) > 1) {
    word.pop_back();
  }
}

// Words that NLTK looks up before any rule.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 16> irregular_stems{{
    {"sky", "sky"},
    {"skies", "sky"},
    {"dying", "die"},
    {"lying", "lie"},
    {"tying", "tie"},
    {"news", "news"},
    {"innings", "inning"},
    {"inning", "inning"},
    {"outings", "outing"},
    {"outing", "outing"},
    {"cannings", "canning"},
    {"canning", "canning"},
    {"howe", "howe"},
    {"proceed", "proceed"},
    {"exceed", "exceed"},
    {"succeed", "succeed"},
}};

}  // namespace detail

/// The stem of a word of lower-case ASCII letters; any other byte counts as a consonant. Words of
/// one or two letters stay as they are. O(length).
inline auto porter_stem(std::string_view word) -> std::string {
  for (auto const& [irregular, stem] : detail::irregular_stems) {
    if (word == irregular) {
      return std::string(stem);
    }
  }
  std::string stem(word);
  if (stem.size() > 2) {
    detail::porter_step_1a(stem);
    detail::porter_step_1b(stem);
    detail::porter_step_1c(stem);
    detail::porter_step_2(stem);
    detail::porter_step_3(stem);
    detail::porter_step_4(stem);
    detail::porter_step_5(stem);
  }
  return stem;
}

}  // namespace v0
}  // namespace eckart
