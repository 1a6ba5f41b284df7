#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/core/view.hpp"
#include "eckart/models/beam_hypotheses.hpp"
#include "eckart/models/generation_options.hpp"
#include "eckart/models/logits_processors.hpp"
#include "eckart/models/step_decoder.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

/// n^length_penalty as the reference divides by it. Throws shape_error where float cannot hold it.
inline auto length_factor(generation_options const& options, index_t n) -> float {
  auto const factor = static_cast<float>(std::pow(static_cast<double>(n), options.length_penalty));
  if (!std::isnormal(factor)) {
    throw shape_error(message("beam_search: ", n, " tokens to the length_penalty ",
                              options.length_penalty, " is out of range"));
  }
  return factor;
}

inline auto make_beam_step(generation_options const& options, generation_lengths lengths,
                           index_t vocabulary, index_t cur_len) -> beam_step {
  bool const hopes_for_longest =
      options.early_stopping == stop_early::never && options.length_penalty > 0;
  return {vocabulary, cur_len + 1 >= lengths.max_length, length_factor(options, cur_len),
          length_factor(options, hopes_for_longest ? lengths.max_length - 1 : cur_len)};
}

/// The K best continuations of sentence s, whose rows stand in `all_scores` from s * B on:
/// logarithms of probabilities, which become processed ones. Best first, valid until the next call.
inline auto rank_continuations(best_candidates& best, beam_sentence const& sentence, std::size_t s,
                               matrix_view<float> all_scores, logits_processors const& processors,
                               std::span<std::int32_t const> source)
    -> std::span<beam_candidate const> {
  best.clear();
  for (std::size_t b = 0; b < sentence.beams(); ++b) {
    auto const scores = all_scores.row(static_cast<index_t>(s * sentence.beams() + b));
    processors.apply(scores, sentence.ids(b), source);
    best.offer(scores, sentence.score(b), static_cast<index_t>(b) * all_scores.cols);
  }
  return best.sorted();
}

/// The decoder's rows: beams of the first sentence that is still open, of the next, ...
struct beam_rows {
  std::size_t beams;
  std::vector<std::int32_t> tokens;  // (sentences * B): last id of each row
  std::vector<index_t> parents;      // (sentences * B): the row before the step that it continues

  beam_rows(std::size_t sentences, std::size_t beams_, std::int32_t start)
      : beams(beams_), tokens(sentences * beams, start), parents(tokens.size()) {}

  /// What was sentence `from` is now sentence `to`, to <= from.
  void move(beam_sentence const& sentence, std::size_t from, std::size_t to) {
    for (std::size_t b = 0; b < beams; ++b) {
      tokens[to * beams + b] = sentence.ids(b).back();
      parents[to * beams + b] = static_cast<index_t>(from * beams + sentence.parent(b));
    }
  }

  void truncate(std::size_t sentences) {
    tokens.resize(sentences * beams);
    parents.resize(sentences * beams);
  }
};

}  // namespace detail

/// For every sentence the num_return_sequences best sequences found with num_beams hypotheses,
/// best first. The decoder holds num_beams rows a sentence, the sentences in the order of
/// `sources`, the encoder's ids. Scores are sequences_scores of the reference: sum of the processed
/// log-probabilities / (ids without the decoder start)^length_penalty.
/// Sentences do not see each other; one that ends leaves the decoder's rows at once. (The reference
/// goes on with it until all have ended, but lets nothing more into its slots.) Equal scores are
/// ranked by beam, then token. Throws shape_error for options that do not fit, numerical_error for
/// scores that are not numbers. A step costs O(rows * V) beside the decoder's own work; buffers are
/// allocated before the first.
template <step_decoder D>
auto beam_search(D& decoder, std::span<std::vector<std::int32_t> const> sources,
                 generation_options const& options, index_t max_positions = unlimited_positions)
    -> std::vector<std::vector<generated>> {
  index_t const vocabulary = decoder.vocabulary();
  validate(options, vocabulary);
  auto const lengths = resolve_lengths(options, max_positions);
  detail::length_factor(options, lengths.max_length - 1);  // the extreme one, refused at once
  auto const processors = logits_processors(options, lengths);
  auto const beams = static_cast<std::size_t>(options.num_beams);
  auto best = detail::best_candidates(detail::candidates_kept(options));
  auto rows = detail::beam_rows(sources.size(), beams, detail::decoder_start(options));
  std::vector<detail::beam_sentence> sentences;  // the open ones
  sentences.reserve(sources.size());
  for (std::size_t s = 0; s < sources.size(); ++s) {
    sentences.emplace_back(options, lengths, s);
  }
  std::vector<std::vector<generated>> results(sources.size());

  for (index_t cur_len = 1; !sentences.empty(); ++cur_len) {
    auto const logits = detail::checked_step(decoder, rows.tokens);
    parallel_rows(logits.rows, logits.cols, [&](index_t first, index_t last) {
      for (index_t r = first; r < last; ++r) {
        log_softmax(logits.row(r));
      }
    });
    auto const step = detail::make_beam_step(options, lengths, vocabulary, cur_len);
    std::size_t kept = 0;
    for (std::size_t s = 0; s < sentences.size(); ++s) {
      auto const sentence = sentences[s].sentence();
      if (sentences[s].advance(step, detail::rank_continuations(best, sentences[s], s, logits,
                                                                processors, sources[sentence]))) {
        rows.move(sentences[s], s, kept);
        std::swap(sentences[s], sentences[kept]);
        ++kept;
      } else {
        results[sentence] = sentences[s].results(options.num_return_sequences);
      }
    }
    sentences.erase(sentences.begin() + static_cast<std::ptrdiff_t>(kept), sentences.end());
    rows.truncate(kept);
    if (kept > 0) {
      detail::continue_rows(decoder, rows.parents, logits.rows);
    }
  }
  return results;
}

}  // namespace v0
}  // namespace eckart
