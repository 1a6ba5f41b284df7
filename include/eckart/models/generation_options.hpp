#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

/// What steers the search for the best token sequence. Names, defaults and meanings are those of
/// Hugging Face's GenerationConfig (transformers 5.16, generation/configuration_utils.py).
namespace eckart {
inline namespace v0 {

/// When a beam search ends although longer sequences are still possible.
enum class stop_early {
  no,     ///< JSON false: when the best open beam at its present length cannot beat the worst slot
  yes,    ///< JSON true: as soon as num_beams sequences are finished
  never,  ///< JSON "never": when no open beam can win at any length up to max_length
};

/// A token sequence whose completion is made more or less likely.
struct token_bias {
  std::vector<std::int32_t> ids;  ///< the last id gets the bias where the others came before it
  float bias = 0;                 ///< added to the score
};

/// After `start` generated tokens EOS gains |score| * (factor^n - 1) at the n-th further token.
struct exponential_decay {
  index_t start = 0;    ///< generated tokens, the decoder start not counted
  double factor = 1.0;  ///< above 1 makes the end likelier with every token
};

/// Options of greedy and beam search.
struct generation_options {
  // Lengths. A row is: decoder start, generated tokens, EOS.
  std::optional<index_t> max_length{};      ///< ids in a row at most; unset: see resolve_lengths
  std::optional<index_t> max_new_tokens{};  ///< ids after the decoder start; wins over max_length
  index_t min_length = 0;                   ///< no EOS while a row has fewer ids
  std::optional<index_t> min_new_tokens{};  ///< no EOS before so many new ids; wins over min_length

  // Search.
  index_t num_beams = 1;                       ///< 1 is greedy search
  index_t num_return_sequences = 1;            ///< best sequences answered, at most num_beams
  stop_early early_stopping = stop_early::no;  ///< end of a beam search
  double length_penalty = 1.0;                 ///< score = sum of log p / length^this; > 0: longer

  // What changes the scores, see logits_processors.
  index_t no_repeat_ngram_size = 0;          ///< no n-gram occurs twice in a row; 0 is off
  index_t encoder_no_repeat_ngram_size = 0;  ///< no n-gram of the source is repeated; 0 is off
  double repetition_penalty = 1.0;           ///< above 1: ids of the row become less likely
  double encoder_repetition_penalty = 1.0;   ///< above 1: ids of the source become likelier
  std::vector<std::vector<std::int32_t>> bad_words_ids{};  ///< sequences that never occur
  std::vector<token_bias> sequence_bias{};                 ///< of equal sequences the last counts
  std::optional<std::int32_t> forced_bos_token_id{};       ///< first token after the start
  std::vector<std::int32_t> forced_eos_token_id{};    ///< last token at max_length; empty is off
  std::vector<std::int32_t> suppress_tokens{};        ///< never generated
  std::vector<std::int32_t> begin_suppress_tokens{};  ///< never the first free token
  std::optional<exponential_decay> exponential_decay_length_penalty{};  ///< pull towards EOS
  bool remove_invalid_values = false;  ///< NaN -> 0, infinities -> largest finite numbers
  bool renormalize_logits = false;     ///< log-softmax after everything else

  // Special tokens.
  std::optional<std::int32_t> bos_token_id{};
  std::optional<std::int32_t> pad_token_id{};
  std::optional<std::int32_t> decoder_start_token_id{};  ///< unset: bos_token_id
  std::vector<std::int32_t> eos_token_id{};              ///< any of them ends a row
};

/// Effective lengths of a row, the decoder start counted.
struct generation_lengths {
  index_t max_length;  ///< a row never has more ids
  index_t min_length;  ///< no EOS while a row has fewer ids
};

/// Stands for a decoder without a table of positions.
inline constexpr index_t unlimited_positions = std::numeric_limits<std::int32_t>::max();

/// The lengths that the options ask for: max_new_tokens + 1 if given, else max_length, else 21
/// capped by max_positions (transformers 5.16, generation/utils.py, _prepare_generated_length).
/// Throws shape_error if no token could be generated or more than max_positions ids would have to
/// be read (the last id of a row is never read). A min_length beyond max_length is allowed.
inline auto resolve_lengths(generation_options const& options,
                            index_t max_positions = unlimited_positions) -> generation_lengths {
  constexpr index_t default_length = 20 + 1;
  auto const after_start = [](index_t new_tokens) {
    return std::clamp<index_t>(new_tokens, -1, unlimited_positions) + 1;
  };
  generation_lengths lengths{};
  lengths.max_length = options.max_new_tokens
                           ? after_start(*options.max_new_tokens)
                           : options.max_length.value_or(std::min(default_length, max_positions));
  lengths.min_length =
      options.min_new_tokens ? after_start(*options.min_new_tokens) : options.min_length;
  if (lengths.max_length < 2 || lengths.max_length - 1 > max_positions) {
    throw shape_error(message("generation: max_length ", lengths.max_length,
                              " (with the decoder start) is not within 2 to ", max_positions + 1));
  }
  return lengths;
}

namespace detail {

inline void check_ids(std::span<std::int32_t const> ids, index_t vocabulary, char const* option) {
  for (auto const id : ids) {
    if (id < 0 || id >= vocabulary) {
      throw shape_error(message("generation: ", option, " holds ", id,
                                ", which is not in a vocabulary of ", vocabulary));
    }
  }
}

inline void check_ids(std::optional<std::int32_t> const& id, index_t vocabulary,
                      char const* option) {
  if (id) {
    check_ids(std::span(&*id, 1), vocabulary, option);
  }
}

template <class T>
void check_at_least(T value, T least, char const* option) {
  if (!(value >= least)) {
    throw shape_error(message("generation: ", option, " is ", value, ", below ", least));
  }
}

inline void check_positive(double value, char const* option) {
  if (!(value > 0) || !std::isfinite(value)) {
    throw shape_error(message("generation: ", option, " is ", value, ", not a positive number"));
  }
}

inline void check_counts(generation_options const& options) {
  check_at_least<index_t>(options.max_length.value_or(2), 2, "max_length");
  check_at_least<index_t>(options.max_new_tokens.value_or(1), 1, "max_new_tokens");
  check_at_least<index_t>(options.min_length, 0, "min_length");
  check_at_least<index_t>(options.min_new_tokens.value_or(0), 0, "min_new_tokens");
  check_at_least<index_t>(options.num_beams, 1, "num_beams");
  check_at_least<index_t>(options.num_return_sequences, 1, "num_return_sequences");
  check_at_least<index_t>(options.no_repeat_ngram_size, 0, "no_repeat_ngram_size");
  check_at_least<index_t>(options.encoder_no_repeat_ngram_size, 0, "encoder_no_repeat_ngram_size");
  if (options.num_beams > unlimited_positions) {
    throw shape_error(message("generation: num_beams is ", options.num_beams));
  }
  if (options.num_return_sequences > options.num_beams) {
    throw shape_error(message("generation: num_return_sequences ", options.num_return_sequences,
                              " exceeds num_beams ", options.num_beams));
  }
}

inline void check_sequence(std::span<std::int32_t const> ids, index_t vocabulary,
                           char const* option) {
  if (ids.empty()) {
    throw shape_error(message("generation: ", option, " holds an empty sequence"));
  }
  check_ids(ids, vocabulary, option);
}

inline void check_special_tokens(generation_options const& options, index_t vocabulary) {
  check_ids(options.bos_token_id, vocabulary, "bos_token_id");
  check_ids(options.pad_token_id, vocabulary, "pad_token_id");
  check_ids(options.decoder_start_token_id, vocabulary, "decoder_start_token_id");
  check_ids(options.eos_token_id, vocabulary, "eos_token_id");
  check_ids(options.forced_bos_token_id, vocabulary, "forced_bos_token_id");
  check_ids(options.forced_eos_token_id, vocabulary, "forced_eos_token_id");
  check_ids(options.suppress_tokens, unlimited_positions, "suppress_tokens");
  check_ids(options.begin_suppress_tokens, unlimited_positions, "begin_suppress_tokens");
  if (!options.decoder_start_token_id && !options.bos_token_id) {
    throw shape_error("generation: neither decoder_start_token_id nor bos_token_id is given");
  }
}

}  // namespace detail

/// Checks the options against a vocabulary; throws shape_error naming option and value. Tokens to
/// suppress may lie beyond the vocabulary, which has no effect (bart-large-cnn lacks `<mask>`).
inline void validate(generation_options const& options, index_t vocabulary) {
  detail::check_counts(options);
  detail::check_special_tokens(options, vocabulary);
  detail::check_positive(options.repetition_penalty, "repetition_penalty");
  detail::check_positive(options.encoder_repetition_penalty, "encoder_repetition_penalty");
  if (!std::isfinite(options.length_penalty)) {
    throw shape_error(message("generation: length_penalty is ", options.length_penalty));
  }
  for (auto const& word : options.bad_words_ids) {
    detail::check_sequence(word, vocabulary, "bad_words_ids");
  }
  for (auto const& sequence : options.sequence_bias) {
    detail::check_sequence(sequence.ids, vocabulary, "sequence_bias");
    if (std::isnan(sequence.bias)) {
      throw shape_error("generation: sequence_bias holds a bias that is not a number");
    }
  }
  if (auto const& decay = options.exponential_decay_length_penalty) {
    detail::check_at_least<index_t>(decay->start, 0, "exponential_decay_length_penalty's start");
    detail::check_positive(decay->factor, "exponential_decay_length_penalty's factor");
    if (options.eos_token_id.empty()) {
      throw shape_error("generation: exponential_decay_length_penalty needs an eos_token_id");
    }
  }
  // A beam search ranks this many candidates a beam, so that enough of them are not EOS.
  auto const candidates =
      std::max<index_t>(2, 1 + static_cast<index_t>(options.eos_token_id.size()));
  if (vocabulary < candidates) {
    throw shape_error(message("generation: a vocabulary of ", vocabulary, " is too small for ",
                              options.eos_token_id.size(), " EOS tokens"));
  }
}

}  // namespace v0
}  // namespace eckart
