#pragma once

#include "eckart/core/error.hpp"
#include "eckart/eval/rouge_overlap.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

/// ROUGE (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"), counted as the
/// Python package rouge-score 0.1.2 counts it. Texts are UTF-8; rouge_tokenizer.hpp says what a
/// word is.
namespace eckart {
inline namespace v0 {

/// Shares in 0..1, 0 where there is nothing to share.
struct rouge_score {
  double precision = 0;  ///< of the candidate's units
  double recall = 0;     ///< of the reference's units
  double f = 0;          ///< harmonic mean of the two

  friend auto operator==(rouge_score const&, rouge_score const&) -> bool = default;
};

enum class rouge_kind {
  n,     ///< n-grams
  l,     ///< longest common subsequence of the whole texts
  lsum,  ///< union of the common subsequences of every two lines; sentences stand on lines of their
         ///< own
  s,     ///< skip bigrams: two words in their order
  su     ///< skip bigrams and single words
};

/// Any number of words may stand between the two of a skip bigram.
inline constexpr index_t any_gap = std::numeric_limits<index_t>::max();

/// What to measure.
struct rouge_metric {
  rouge_kind kind = rouge_kind::n;
  /// n of ROUGE-N, 1..9; for ROUGE-S and ROUGE-SU the most words between two (0: bigrams).
  index_t size = 1;

  friend auto operator==(rouge_metric const&, rouge_metric const&) -> bool = default;
};

namespace detail {

inline void check(rouge_metric metric) {
  if (metric.kind == rouge_kind::n && (metric.size < 1 || metric.size > 9)) {
    throw shape_error(message("rouge: n-grams of ", metric.size, " words, not of 1 to 9"));
  }
  if ((metric.kind == rouge_kind::s || metric.kind == rouge_kind::su) && metric.size < 0) {
    throw shape_error(message("rouge: skip bigrams with a gap of ", metric.size, " words"));
  }
}

inline auto count(rouge_metric metric, rouge_text const& reference, rouge_text const& candidate,
                  std::size_t vocabulary) -> rouge_counts {
  auto const& a = reference.words;
  auto const& b = candidate.words;
  switch (metric.kind) {
    case rouge_kind::n:
      return count_grams(a, b, static_cast<std::size_t>(metric.size));
    case rouge_kind::l:
      return count_lcs(a, b);
    case rouge_kind::lsum:
      return count_union_lcs(reference, candidate, vocabulary);
    case rouge_kind::s:
      return count_skip_bigrams(a, b, vocabulary, metric.size);
    case rouge_kind::su:
      return count_skip_bigrams(a, b, vocabulary, metric.size) + count_grams(a, b, 1);
  }
  throw shape_error(message("rouge: no kind ", static_cast<int>(metric.kind)));
}

inline auto to_score(rouge_counts counts) -> rouge_score {
  auto const share = [&](index_t of) {
    return static_cast<double>(counts.shared) / static_cast<double>(std::max<index_t>(of, 1));
  };
  rouge_score score{share(counts.candidate), share(counts.reference), 0};
  if (counts.shared > 0) {
    score.f = 2 * score.precision * score.recall / (score.precision + score.recall);
  }
  return score;
}

// The number that `digits` are, or -1.
inline auto rouge_number(std::string_view digits) -> index_t {
  index_t value = -1;
  auto const* const end = digits.data() + digits.size();
  auto const [rest, status] = std::from_chars(digits.data(), end, value);
  return status == std::errc() && rest == end ? value : -1;
}

}  // namespace detail

/// The metric of a name: rouge1 to rouge9, rougeL, rougeLsum, rougeS and rougeSU, the last two also
/// with the most words between, as in rougeSU4. Throws shape_error for any other.
inline auto parse_rouge_metric(std::string_view name) -> rouge_metric {
  auto const refuse = [&] {
    return shape_error(message("rouge: no metric \"", name,
                               "\", only rouge1 to rouge9, rougeL, rougeLsum, rougeS, rougeSU"));
  };
  if (!name.starts_with("rouge")) {
    throw refuse();
  }
  auto const rest = name.substr(5);
  if (rest == "L") {
    return {rouge_kind::l, 0};
  }
  if (rest == "Lsum") {
    return {rouge_kind::lsum, 0};
  }
  auto const letters = rest.starts_with("SU") ? 2U : rest.starts_with("S") ? 1U : 0U;
  auto const digits = rest.substr(letters);
  auto const size = letters > 0 && digits.empty() ? any_gap : detail::rouge_number(digits);
  if (size < 0 || (letters == 0 && (size < 1 || size > 9 || digits.size() != 1))) {
    throw refuse();
  }
  return {letters == 2 ? rouge_kind::su : letters == 1 ? rouge_kind::s : rouge_kind::n, size};
}

/// Several metrics of the same texts, which are split into words once.
class rouge_scorer {
 public:
  /// Throws shape_error for a metric that does not exist.
  explicit rouge_scorer(std::vector<rouge_metric> metrics, rouge_options options = {})
      : metrics_(std::move(metrics)), options_(options) {
    for (auto const& metric : metrics_) {
      detail::check(metric);
    }
  }

  /// The metrics in the order of the scores.
  auto metrics() const -> std::span<rouge_metric const> { return metrics_; }

  /// A score for each metric.
  auto score(std::string_view reference, std::string_view candidate) const
      -> std::vector<rouge_score> {
    detail::rouge_vocabulary vocabulary(options_);
    auto const a = vocabulary.read(reference);
    auto const b = vocabulary.read(candidate);
    return score(a, b, vocabulary);
  }

  /// For each metric the score with the largest F over the references, the first of equals. Throws
  /// shape_error if there is no reference.
  auto score_best(std::span<std::string const> references, std::string_view candidate) const
      -> std::vector<rouge_score> {
    if (references.empty()) {
      throw shape_error("rouge: no reference");
    }
    detail::rouge_vocabulary vocabulary(options_);
    auto const b = vocabulary.read(candidate);
    std::vector<rouge_score> best;
    for (auto const& reference : references) {
      auto const a = vocabulary.read(reference);
      auto const scores = score(a, b, vocabulary);
      best.resize(scores.size(), {0, 0, -1});
      for (std::size_t i = 0; i < scores.size(); ++i) {
        if (scores[i].f > best[i].f) {
          best[i] = scores[i];
        }
      }
    }
    return best;
  }

 private:
  auto score(detail::rouge_text const& a, detail::rouge_text const& b,
             detail::rouge_vocabulary const& vocabulary) const -> std::vector<rouge_score> {
    std::vector<rouge_score> scores;
    for (auto const& metric : metrics_) {
      scores.push_back(detail::to_score(detail::count(metric, a, b, vocabulary.size())));
    }
    return scores;
  }

  std::vector<rouge_metric> metrics_;
  rouge_options options_;
};

/// One metric of one pair. Throws shape_error for a metric that does not exist.
inline auto rouge(rouge_metric metric, std::string_view reference, std::string_view candidate,
                  rouge_options options = {}) -> rouge_score {
  return rouge_scorer({metric}, options).score(reference, candidate).front();
}

/// ROUGE-N: the n-grams that two texts share. Throws shape_error unless n is in 1..9. Of m words
/// together: O(m log m) comparisons, O(m) memory.
inline auto rouge_n(index_t n, std::string_view reference, std::string_view candidate,
                    rouge_options options = {}) -> rouge_score {
  return rouge({rouge_kind::n, n}, reference, candidate, options);
}

/// ROUGE-L: the longest common subsequence of the whole texts; line breaks mean nothing. Of m and n
/// words: O(m n) time, O(m + n) memory.
inline auto rouge_l(std::string_view reference, std::string_view candidate,
                    rouge_options options = {}) -> rouge_score {
  return rouge({rouge_kind::l, 0}, reference, candidate, options);
}

/// ROUGE-L of summaries whose sentences stand on lines of their own: the union of each reference
/// line's common subsequences with all lines of the candidate. Of m and n words: O(m n) time, and
/// besides the words one bit of memory for each pair of words of the two longest lines.
inline auto rouge_lsum(std::string_view reference, std::string_view candidate,
                       rouge_options options = {}) -> rouge_score {
  return rouge({rouge_kind::lsum, 0}, reference, candidate, options);
}

/// ROUGE-S: skip bigrams of the whole texts with at most `max_gap` words between the two, repeated
/// ones counted like repeated n-grams. Throws shape_error for a negative gap. Of m words together:
/// O(m min(m, max_gap)) time, O(m) memory.
inline auto rouge_s(std::string_view reference, std::string_view candidate,
                    index_t max_gap = any_gap, rouge_options options = {}) -> rouge_score {
  return rouge({rouge_kind::s, max_gap}, reference, candidate, options);
}

/// ROUGE-SU: the units of ROUGE-S and the single words. With any gap this is ROUGE-S of texts with
/// a begin marker (Lin 2004, section 5.2). Cost and errors as rouge_s.
inline auto rouge_su(std::string_view reference, std::string_view candidate,
                     index_t max_gap = any_gap, rouge_options options = {}) -> rouge_score {
  return rouge({rouge_kind::su, max_gap}, reference, candidate, options);
}

}  // namespace v0
}  // namespace eckart
