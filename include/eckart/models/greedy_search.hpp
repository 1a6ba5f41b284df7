#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/models/generation_options.hpp"
#include "eckart/models/logits_processors.hpp"
#include "eckart/models/step_decoder.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

/// Index of the first largest score. Throws numerical_error if one is not a number. O(scores).
inline auto first_largest(std::span<float const> scores) -> std::int32_t {
  // Largest numbers side by side, which the compiler makes vectors of.
  constexpr std::size_t lanes = 16;
  std::array<float, lanes> most;
  most.fill(-std::numeric_limits<float>::infinity());
  std::array<std::int32_t, lanes> are_nan{};
  std::size_t j = 0;
  for (; j + lanes <= scores.size(); j += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      auto const score = scores[j + lane];
      most[lane] = score > most[lane] ? score : most[lane];
      are_nan[lane] |= score != score ? 1 : 0;
    }
  }
  for (; j < scores.size(); ++j) {
    most[0] = scores[j] > most[0] ? scores[j] : most[0];
    are_nan[0] |= std::isnan(scores[j]) ? 1 : 0;
  }
  if (std::ranges::find(are_nan, 1) != are_nan.end()) {
    throw numerical_error("greedy_search: a score is not a number", 0);
  }
  return static_cast<std::int32_t>(std::ranges::find(scores, std::ranges::max(most)) -
                                   scores.begin());
}

}  // namespace detail

/// The likeliest token, again and again: for every sentence one sequence, whose score is not
/// summed (NaN). The decoder holds one row a sentence, in the order of `sources`, the encoder's
/// ids (transformers 5.16, generation/utils.py, _sample without sampling: raw logits through the
/// processors, first maximum, until EOS or max_length ids). Sentences do not see each other; one
/// that ends leaves the decoder's rows at once. Throws shape_error for options that do not fit,
/// numerical_error for scores that are not numbers.
template <step_decoder D>
auto greedy_search(D& decoder, std::span<std::vector<std::int32_t> const> sources,
                   generation_options const& options, index_t max_positions = unlimited_positions)
    -> std::vector<std::vector<generated>> {
  validate(options, decoder.vocabulary());
  if (options.num_beams != 1) {
    throw shape_error(message("greedy_search: num_beams is ", options.num_beams, ", not 1"));
  }
  auto const lengths = resolve_lengths(options, max_positions);
  auto const processors = logits_processors(options, lengths);
  auto const start = detail::decoder_start(options);
  std::vector<std::vector<generated>> results(
      sources.size(), {generated{{start}, std::numeric_limits<float>::quiet_NaN()}});
  std::vector<std::size_t> open(sources.size());  // sentence of each row
  std::iota(open.begin(), open.end(), std::size_t{0});
  std::vector<std::int32_t> tokens(sources.size(), start);
  std::vector<index_t> parents(sources.size());

  while (!open.empty()) {
    auto const logits = detail::checked_step(decoder, tokens);
    std::size_t kept = 0;
    for (std::size_t r = 0; r < open.size(); ++r) {
      auto& ids = results[open[r]][0].ids;
      auto const scores = logits.row(static_cast<index_t>(r));
      processors.apply(scores, ids, sources[open[r]]);
      auto const token = detail::first_largest(scores);
      ids.push_back(token);
      if (!detail::is_eos(options, token) && std::cmp_less(ids.size(), lengths.max_length)) {
        open[kept] = open[r];
        tokens[kept] = token;
        parents[kept] = static_cast<index_t>(r);
        ++kept;
      }
    }
    open.resize(kept);
    tokens.resize(kept);
    parents.resize(kept);
    if (kept > 0) {
      detail::continue_rows(decoder, parents, logits.rows);
    }
  }
  return results;
}

}  // namespace v0
}  // namespace eckart
