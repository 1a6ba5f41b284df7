#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/models/generation_options.hpp"
#include "eckart/nn/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

/// What changes the scores of the next token before the search looks at them, each as in Hugging
/// Face (transformers 5.16, generation/logits_process.py). Throughout: `scores`, shape
/// (vocabulary), is changed in place; `ids` are the row's ids so far, decoder start included;
/// `source` are the encoder's ids. Nothing here allocates or throws once it is built.
namespace eckart {
inline namespace v0 {

namespace detail {

inline constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// Whether the row's last ids are these; they are no more than the row has. A loop, because GCC 12
/// takes the bound of an inlined std::equal for a negative one and warns.
inline auto ends_with(std::span<std::int32_t const> ids, std::span<std::int32_t const> tail)
    -> bool {
  auto const first = ids.size() - tail.size();
  for (std::size_t i = 0; i < tail.size(); ++i) {
    if (ids[first + i] != tail[i]) {
      return false;
    }
  }
  return true;
}

/// A source may hold ids that the head does not know (<mask> of bart-large-cnn).
inline auto in_vocabulary(std::int32_t id, std::span<float> scores) -> bool {
  return id >= 0 && static_cast<std::size_t>(id) < scores.size();
}

inline void ban(std::span<float> scores, std::int32_t id) {
  if (in_vocabulary(id, scores)) {
    scores[static_cast<std::size_t>(id)] = minus_infinity;
  }
}

inline void ban(std::span<float> scores, std::span<std::int32_t const> ids) {
  for (auto const id : ids) {
    ban(scores, id);
  }
}

/// Bans the last id of every n-gram of `text` whose first n - 1 ids are the end of `ids`.
inline void ban_completed_ngrams(std::span<float> scores, std::span<std::int32_t const> ids,
                                 std::span<std::int32_t const> text, std::size_t n) {
  auto const suffix = ids.last(n - 1);
  for (std::size_t i = 0; i + n <= text.size(); ++i) {
    if (std::equal(suffix.begin(), suffix.end(), text.begin() + static_cast<std::ptrdiff_t>(i))) {
      ban(scores, text[i + n - 1]);
    }
  }
}

/// Everything impossible but the given tokens, whose score becomes exactly 0.
inline void force(std::span<float> scores, std::span<std::int32_t const> tokens) {
  std::fill(scores.begin(), scores.end(), minus_infinity);
  for (auto const token : tokens) {
    scores[static_cast<std::size_t>(token)] = 0.0F;
  }
}

}  // namespace detail

/// Makes the given ids less likely (penalty > 1) or likelier (< 1): a negative score is multiplied
/// by the penalty, another divided by it, once for each distinct id. O(ids^2).
inline void apply_repetition_penalty(std::span<float> scores, std::span<std::int32_t const> ids,
                                     double penalty) {
  auto const factor = static_cast<float>(penalty);
  for (auto id = ids.begin(); id != ids.end(); ++id) {
    if (detail::in_vocabulary(*id, scores) && std::find(ids.begin(), id, *id) == id) {
      auto& s = scores[static_cast<std::size_t>(*id)];
      s = s < 0 ? s * factor : s / factor;
    }
  }
}

/// Makes the ids of the source likelier (penalty > 1): the repetition penalty inverted.
inline void apply_encoder_repetition_penalty(std::span<float> scores,
                                             std::span<std::int32_t const> source, double penalty) {
  apply_repetition_penalty(scores, source, 1.0 / penalty);
}

/// Adds each sequence's bias to its last id where the ids before it are the end of the row.
/// A sequence longer than the row is skipped, even if only its last id is missing.
inline void apply_sequence_bias(std::span<float> scores, std::span<std::int32_t const> ids,
                                std::span<token_bias const> biases) {
  for (auto const& [sequence, bias] : biases) {
    auto const before_last = std::span(sequence).first(sequence.size() - 1);
    if (before_last.empty() ||
        (sequence.size() <= ids.size() && detail::ends_with(ids, before_last))) {
      scores[static_cast<std::size_t>(sequence.back())] += bias;
    }
  }
}

/// No n-gram twice in the row, decoder start included. n = 1 bans every id seen. O(ids * n).
inline void apply_no_repeat_ngram(std::span<float> scores, std::span<std::int32_t const> ids,
                                  index_t n) {
  if (std::cmp_greater_equal(ids.size(), n)) {
    detail::ban_completed_ngrams(scores, ids, ids, static_cast<std::size_t>(n));
  }
}

/// No n-gram of the source in the row. O(source * n).
inline void apply_encoder_no_repeat_ngram(std::span<float> scores,
                                          std::span<std::int32_t const> ids,
                                          std::span<std::int32_t const> source, index_t n) {
  if (std::cmp_greater_equal(ids.size() + 1, n)) {
    detail::ban_completed_ngrams(scores, ids, source, static_cast<std::size_t>(n));
  }
}

/// No EOS while the row is shorter than min_length.
inline void apply_min_length(std::span<float> scores, std::span<std::int32_t const> ids,
                             index_t min_length, std::span<std::int32_t const> eos) {
  if (std::cmp_less(ids.size(), min_length)) {
    detail::ban(scores, eos);
  }
}

/// No EOS before min_new_tokens ids follow the decoder start.
inline void apply_min_new_tokens(std::span<float> scores, std::span<std::int32_t const> ids,
                                 index_t min_new_tokens, std::span<std::int32_t const> eos) {
  if (std::cmp_less(ids.size() - 1, min_new_tokens)) {
    detail::ban(scores, eos);
  }
}

/// The token after the decoder start is bos, at score 0.
inline void apply_forced_bos(std::span<float> scores, std::span<std::int32_t const> ids,
                             std::int32_t bos) {
  if (ids.size() == 1) {
    detail::force(scores, std::span(&bos, 1));
  }
}

/// The last id that fits into max_length is one of eos, at score 0.
inline void apply_forced_eos(std::span<float> scores, std::span<std::int32_t const> ids,
                             index_t max_length, std::span<std::int32_t const> eos) {
  if (std::cmp_equal(ids.size() + 1, max_length)) {
    detail::force(scores, eos);
  }
}

/// NaN becomes 0, an infinity the finite number nearest to it.
inline void apply_remove_invalid(std::span<float> scores) {
  constexpr auto largest = std::numeric_limits<float>::max();
  for (auto& s : scores) {
    s = std::isnan(s) ? 0.0F : std::clamp(s, -largest, largest);
  }
}

/// Pulls towards the end: with n tokens generated beyond decay.start, EOS gains
/// |score| * (factor^n - 1). A banned EOS stays banned. eos holds distinct ids.
inline void apply_exponential_decay(std::span<float> scores, std::span<std::int32_t const> ids,
                                    exponential_decay const& decay,
                                    std::span<std::int32_t const> eos) {
  auto const beyond = static_cast<index_t>(ids.size()) - 1 - decay.start;
  if (beyond <= 0) {
    return;
  }
  auto const gain = static_cast<float>(std::pow(decay.factor, static_cast<double>(beyond)) - 1.0);
  for (auto const token : eos) {
    auto& s = scores[static_cast<std::size_t>(token)];
    // The reference of 5.16 makes NaN of an infinite score here, later ones leave it alone.
    s += std::isfinite(s) ? std::abs(s) * gain : 0.0F;
  }
}

/// The tokens are never generated.
inline void apply_suppress(std::span<float> scores, std::span<std::int32_t const> tokens) {
  detail::ban(scores, tokens);
}

/// The tokens are not generated while the row has begin ids (1, or 2 behind a forced BOS).
inline void apply_begin_suppress(std::span<float> scores, std::span<std::int32_t const> ids,
                                 std::span<std::int32_t const> tokens, index_t begin) {
  if (std::cmp_equal(ids.size(), begin)) {
    detail::ban(scores, tokens);
  }
}

/// All processors that the options switch on, in the order of Hugging Face's
/// _get_logits_processor. Greedy search feeds raw logits, beam search log-probabilities.
class logits_processors {
 public:
  /// The options must have passed validate(). Copies what it needs.
  logits_processors(generation_options const& options, generation_lengths lengths)
      : options_(options), lengths_(lengths), eos_(options.eos_token_id) {
    std::sort(eos_.begin(), eos_.end());
    eos_.erase(std::unique(eos_.begin(), eos_.end()), eos_.end());
    for (auto const& entry : options.sequence_bias) {
      add(biases_, entry);
    }
    for (auto const& word : options.bad_words_ids) {
      // EOS alone as a bad word would keep every row from ending.
      if (word.size() > 1 || !std::binary_search(eos_.begin(), eos_.end(), word.front())) {
        add(bad_words_, {word, detail::minus_infinity});
      }
    }
  }

  /// Changes the scores of the token that follows `ids`. `ids` holds the decoder start at least.
  void apply(std::span<float> scores, std::span<std::int32_t const> ids,
             std::span<std::int32_t const> source) const {
    discourage(scores, ids, source);
    constrain_ends(scores, ids);
    if (options_.remove_invalid_values) {
      apply_remove_invalid(scores);
    }
    if (options_.exponential_decay_length_penalty) {
      apply_exponential_decay(scores, ids, *options_.exponential_decay_length_penalty, eos_);
    }
    apply_suppress(scores, options_.suppress_tokens);
    apply_begin_suppress(scores, ids, options_.begin_suppress_tokens,
                         options_.forced_bos_token_id ? 2 : 1);
    if (options_.renormalize_logits) {
      log_softmax(scores);
    }
  }

 private:
  /// Of equal sequences the last bias counts: they are the keys of a dictionary in the reference.
  static void add(std::vector<token_bias>& biases, token_bias const& entry) {
    auto const same = std::find_if(biases.begin(), biases.end(),
                                   [&](auto const& known) { return known.ids == entry.ids; });
    if (same == biases.end()) {
      biases.push_back(entry);
    } else {
      same->bias = entry.bias;
    }
  }

  void discourage(std::span<float> scores, std::span<std::int32_t const> ids,
                  std::span<std::int32_t const> source) const {
    apply_sequence_bias(scores, ids, biases_);
    if (options_.encoder_repetition_penalty != 1.0) {
      apply_encoder_repetition_penalty(scores, source, options_.encoder_repetition_penalty);
    }
    if (options_.repetition_penalty != 1.0) {
      apply_repetition_penalty(scores, ids, options_.repetition_penalty);
    }
    if (options_.no_repeat_ngram_size > 0) {
      apply_no_repeat_ngram(scores, ids, options_.no_repeat_ngram_size);
    }
    if (options_.encoder_no_repeat_ngram_size > 0) {
      apply_encoder_no_repeat_ngram(scores, ids, source, options_.encoder_no_repeat_ngram_size);
    }
    apply_sequence_bias(scores, ids, bad_words_);
  }

  void constrain_ends(std::span<float> scores, std::span<std::int32_t const> ids) const {
    apply_min_length(scores, ids, lengths_.min_length, eos_);
    if (options_.min_new_tokens) {
      apply_min_new_tokens(scores, ids, *options_.min_new_tokens, eos_);
    }
    if (options_.forced_bos_token_id) {
      apply_forced_bos(scores, ids, *options_.forced_bos_token_id);
    }
    if (!options_.forced_eos_token_id.empty()) {
      apply_forced_eos(scores, ids, lengths_.max_length, options_.forced_eos_token_id);
    }
  }

  generation_options options_;
  generation_lengths lengths_;
  std::vector<std::int32_t> eos_;  // sorted, distinct
  std::vector<token_bias> biases_;
  std::vector<token_bias> bad_words_;
};

}  // namespace v0
}  // namespace eckart
