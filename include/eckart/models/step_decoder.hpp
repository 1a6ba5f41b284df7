#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/view.hpp"
#include "eckart/models/generation_options.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

/// What the searches need of a model, and what they answer.
namespace eckart {
inline namespace v0 {

/// A decoder that holds one running row per hypothesis and answers the next token's logits.
/// - `vocabulary()` is the number of logits of a row.
/// - `step(tokens)` feeds tokens[r] to row r and answers logits, shape (tokens.size(), vocabulary),
///   which are the caller's to change and valid until the next call.
/// - `reorder(parents)` makes row r of the next step continue what was row parents[r]. Rows may be
///   dropped or repeated; a row always stays with its sentence, and sentences keep their order.
template <class D>
concept step_decoder = requires(D& d, std::span<std::int32_t const> tokens,
                                std::span<index_t const> parents) {
  { d.vocabulary() } -> std::convertible_to<index_t>;
  { d.step(tokens) } -> std::same_as<matrix_view<float>>;
  { d.reorder(parents) } -> std::same_as<void>;
};

/// One token sequence that a search has found.
struct generated {
  std::vector<std::int32_t> ids;  ///< decoder start, tokens, EOS if it was reached; no padding
  float score = 0;  ///< beams: sum of log p / length^length_penalty; greedy search: NaN, not summed
};

/// Rows of equal length, filled with pad at the end: how a batch of unequal sequences is handed
/// over as one matrix.
inline auto pad_rows(std::vector<std::vector<std::int32_t>> rows, std::int32_t pad)
    -> std::vector<std::vector<std::int32_t>> {
  std::size_t longest = 0;
  for (auto const& row : rows) {
    longest = std::max(longest, row.size());
  }
  for (auto& row : rows) {
    row.resize(longest, pad);
  }
  return rows;
}

namespace detail {

/// First id of every row. The options must have passed validate().
inline auto decoder_start(generation_options const& options) -> std::int32_t {
  return options.decoder_start_token_id ? *options.decoder_start_token_id : *options.bos_token_id;
}

inline auto is_eos(generation_options const& options, std::int32_t token) -> bool {
  auto const& eos = options.eos_token_id;
  return std::find(eos.begin(), eos.end(), token) != eos.end();
}

/// Ids that a row makes room for at once. Longer rows are rare and grow.
inline auto initial_capacity(generation_lengths lengths) -> std::size_t {
  return static_cast<std::size_t>(std::min<index_t>(lengths.max_length, 4096));
}

/// One step of the decoder, with the shape of its answer checked.
template <step_decoder D>
auto checked_step(D& decoder, std::span<std::int32_t const> tokens) -> matrix_view<float> {
  matrix_view<float> const logits = decoder.step(tokens);
  shape2 const expected{static_cast<index_t>(tokens.size()), decoder.vocabulary()};
  if (logits.shape() != expected) {
    throw shape_error(
        message("generation: the decoder answered ", logits.shape(), " logits, not ", expected));
  }
  return logits;
}

/// Tells the decoder which rows go on, unless all do and stay where they are.
template <step_decoder D>
void continue_rows(D& decoder, std::span<index_t const> parents, index_t rows_before) {
  bool unchanged = std::cmp_equal(parents.size(), rows_before);
  for (std::size_t r = 0; unchanged && r < parents.size(); ++r) {
    unchanged = parents[r] == static_cast<index_t>(r);
  }
  if (!unchanged) {
    decoder.reorder(parents);
  }
}

}  // namespace detail

}  // namespace v0
}  // namespace eckart
