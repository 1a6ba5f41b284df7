#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/eval/rouge_tokenizer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

/// The counts behind ROUGE, over words that are numbered. m and n are the words of the reference
/// and of the candidate.
namespace eckart {
inline namespace v0 {
namespace detail {

using rouge_word = std::uint32_t;
using rouge_words = std::span<rouge_word const>;

// The words of a text, and where each of its lines ends.
struct rouge_text {
  std::vector<rouge_word> words;
  std::vector<std::size_t> ends;

  auto lines() const -> std::size_t { return ends.size(); }
  auto line(std::size_t i) const -> rouge_words {
    auto const begin = i == 0 ? 0 : ends[i - 1];
    return rouge_words(words).subspan(begin, ends[i] - begin);
  }
};

// Numbers the words of several texts in the order of their first appearance.
class rouge_vocabulary {
 public:
  explicit rouge_vocabulary(rouge_options options) : options_(options) {}

  auto size() const -> std::size_t { return numbers_.size(); }

  // A line break separates words as well, so that the words of the lines are the words of the text.
  auto read(std::string_view text) -> rouge_text {
    rouge_text result;
    while (true) {
      auto const length = std::min(text.find('\n'), text.size());
      for_each_rouge_token(text.substr(0, length), options_, [&](std::string word) {
        auto const next = static_cast<rouge_word>(numbers_.size());
        result.words.push_back(numbers_.try_emplace(std::move(word), next).first->second);
      });
      result.ends.push_back(result.words.size());
      if (length == text.size()) {
        return result;
      }
      text.remove_prefix(length + 1);
    }
  }

 private:
  rouge_options options_;
  std::unordered_map<std::string, rouge_word> numbers_;
};

// Units (n-grams, words of a common subsequence, skip bigrams) of both texts, and those they share.
struct rouge_counts {
  index_t shared = 0;
  index_t reference = 0;
  index_t candidate = 0;
};

constexpr auto operator+(rouge_counts a, rouge_counts b) -> rouge_counts {
  return {a.shared + b.shared, a.reference + b.reference, a.candidate + b.candidate};
}

// Negative, 0 or positive as the n words at a come before, are, or come after those at b.
inline auto compare_grams(rouge_word const* a, rouge_word const* b, std::size_t n) -> int {
  for (std::size_t i = 0; i < n; ++i) {
    if (a[i] != b[i]) {
      return a[i] < b[i] ? -1 : 1;
    }
  }
  return 0;
}

// Where the n-grams of a text begin, in the order of the n-grams.
inline auto sorted_grams(rouge_words words, std::size_t n) -> std::vector<rouge_word const*> {
  std::vector<rouge_word const*> grams(words.size() < n ? 0 : words.size() - n + 1);
  std::iota(grams.begin(), grams.end(), words.data());
  std::sort(grams.begin(), grams.end(),
            [n](auto const* a, auto const* b) { return compare_grams(a, b, n) < 0; });
  return grams;
}

// n-grams; one that stands a times in one text and b times in the other is shared min(a, b) times.
// O((m + n) log(m + n)) comparisons, O(m + n) memory.
inline auto count_grams(rouge_words reference, rouge_words candidate, std::size_t n)
    -> rouge_counts {
  auto const left = sorted_grams(reference, n);
  auto const right = sorted_grams(candidate, n);
  rouge_counts counts{0, std::ssize(left), std::ssize(right)};
  for (auto a = left.begin(), b = right.begin(); a != left.end() && b != right.end();) {
    auto const order = compare_grams(*a, *b, n);
    counts.shared += order == 0 ? 1 : 0;
    a += order <= 0 ? 1 : 0;
    b += order >= 0 ? 1 : 0;
  }
  return counts;
}

// Length of the longest common subsequence. O(m n) time, O(min(m, n)) memory.
inline auto lcs_length(rouge_words a, rouge_words b) -> index_t {
  if (a.size() < b.size()) {
    std::swap(a, b);
  }
  std::vector<index_t> row(b.size() + 1);
  for (auto const word : a) {
    index_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      auto const above = row[j + 1];
      row[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

inline auto count_lcs(rouge_words reference, rouge_words candidate) -> rouge_counts {
  return {lcs_length(reference, candidate), std::ssize(reference), std::ssize(candidate)};
}

// Marks the words of `a` that are in one longest common subsequence with `b`. Which one of several
// matters for the union: from the end, equal words are taken, and else the step goes to the longer
// side, on a tie to the shorter `a`. The way back needs all m n steps, one bit each.
inline void mark_lcs(rouge_words a, rouge_words b, std::vector<bool>& marks) {
  auto const columns = b.size();
  std::vector<bool> shorten_b(a.size() * columns);
  std::vector<index_t> row(columns + 1);
  for (std::size_t i = 0; i < a.size(); ++i) {
    index_t diagonal = 0;
    for (std::size_t j = 0; j < columns; ++j) {
      auto const above = row[j + 1];
      shorten_b[i * columns + j] = row[j] > above;
      row[j + 1] = a[i] == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  for (auto i = a.size(), j = columns; i > 0 && j > 0;) {
    if (a[i - 1] == b[j - 1]) {
      marks[--i] = true;
      --j;
    } else if (shorten_b[(i - 1) * columns + j - 1]) {
      --j;
    } else {
      --i;
    }
  }
}

// How often each word of the vocabulary stands in the text.
inline auto count_words(rouge_words words, std::size_t vocabulary) -> std::vector<index_t> {
  std::vector<index_t> counts(vocabulary);
  for (auto const word : words) {
    ++counts[word];
  }
  return counts;
}

// Union LCS: a word of a reference line is shared if it is in the common subsequence with any line
// of the candidate, as long as both texts have it left. O(m n) time; memory O(m + n) and one bit
// for each pair of words of the two longest lines.
inline auto count_union_lcs(rouge_text const& reference, rouge_text const& candidate,
                            std::size_t vocabulary) -> rouge_counts {
  rouge_counts counts{0, std::ssize(reference.words), std::ssize(candidate.words)};
  auto left_a = count_words(reference.words, vocabulary);
  auto left_b = count_words(candidate.words, vocabulary);
  for (std::size_t i = 0; i < reference.lines(); ++i) {
    auto const line = reference.line(i);
    std::vector<bool> marks(line.size());
    for (std::size_t j = 0; j < candidate.lines(); ++j) {
      mark_lcs(line, candidate.line(j), marks);
    }
    for (std::size_t k = 0; k < line.size(); ++k) {
      if (marks[k] && left_a[line[k]] > 0 && left_b[line[k]] > 0) {
        --left_a[line[k]];
        --left_b[line[k]];
        ++counts.shared;
      }
    }
  }
  return counts;
}

// The positions of each word of the vocabulary, rising.
struct word_positions {
  std::vector<std::size_t> begins;  // vocabulary + 1
  std::vector<std::size_t> positions;

  word_positions(rouge_words words, std::size_t vocabulary)
      : begins(vocabulary + 1), positions(words.size()) {
    for (auto const word : words) {
      ++begins[word + 1];
    }
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    auto next = begins;
    for (std::size_t i = 0; i < words.size(); ++i) {
      positions[next[words[i]]++] = i;
    }
  }
  auto of(std::size_t word) const -> std::span<std::size_t const> {
    return std::span(positions).subspan(begins[word], begins[word + 1] - begins[word]);
  }
};

// Calls `sink` with the second word of every skip bigram that begins with one of the positions.
template <class Sink>
void for_each_partner(rouge_words words, std::span<std::size_t const> positions, std::size_t reach,
                      Sink&& sink) {
  for (auto const i : positions) {
    for (auto const word : words.subspan(i + 1, std::min(reach, words.size() - i - 1))) {
      sink(word);
    }
  }
}

// Pairs of positions at most `reach` apart.
constexpr auto count_pairs(std::size_t words, std::size_t reach) -> index_t {
  auto const m = static_cast<index_t>(words);
  auto const d = static_cast<index_t>(std::min(reach, words));
  return d * m - d * (d + 1) / 2;
}

// Skip bigrams, two words in their order with at most `max_gap` words between them, counted like
// n-grams. One first word after the other: O(m^2 + n^2) time, or O((m + n) max_gap), and O(m + n +
// vocabulary) memory.
inline auto count_skip_bigrams(rouge_words reference, rouge_words candidate, std::size_t vocabulary,
                               index_t max_gap) -> rouge_counts {
  auto const longest = std::max(reference.size(), candidate.size());
  auto const reach = std::min(static_cast<std::size_t>(max_gap), longest) + 1;
  rouge_counts counts{0, count_pairs(reference.size(), reach),
                      count_pairs(candidate.size(), reach)};
  word_positions const in_reference(reference, vocabulary);
  word_positions const in_candidate(candidate, vocabulary);
  std::vector<index_t> left(vocabulary);  // zero between two first words
  for (std::size_t first = 0; first < vocabulary; ++first) {
    auto const positions = in_reference.of(first);
    for_each_partner(reference, positions, reach, [&](rouge_word word) { ++left[word]; });
    for_each_partner(candidate, in_candidate.of(first), reach, [&](rouge_word word) {
      counts.shared += left[word] > 0 ? 1 : 0;
      left[word] -= left[word] > 0 ? 1 : 0;
    });
    for_each_partner(reference, positions, reach, [&](rouge_word word) { left[word] = 0; });
  }
  return counts;
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
