#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/models/beam_search.hpp"
#include "eckart/models/generation_options.hpp"
#include "eckart/models/greedy_search.hpp"
#include "eckart/models/step_decoder.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Greedy search for one beam, beam search for more. See greedy_search and beam_search; the
/// decoder holds num_beams rows a sentence.
template <step_decoder D>
auto search(D& decoder, std::span<std::vector<std::int32_t> const> sources,
            generation_options const& options, index_t max_positions = unlimited_positions)
    -> std::vector<std::vector<generated>> {
  return options.num_beams == 1 ? greedy_search(decoder, sources, options, max_positions)
                                : beam_search(decoder, sources, options, max_positions);
}

}  // namespace v0
}  // namespace eckart
