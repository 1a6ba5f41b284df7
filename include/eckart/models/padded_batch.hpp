#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/nn/embedding.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Source sequences of a batch as one matrix: every row padded to the longest.
struct padded_batch {
  std::vector<token_id> ids;         ///< (sentences, tokens)
  std::vector<index_t> key_lengths;  ///< (sentences) tokens before the padding
  index_t tokens = 0;

  auto sentences() const -> index_t { return static_cast<index_t>(key_lengths.size()); }
};

/// Throws shape_error for an empty batch or an empty sentence.
inline auto pad_batch(std::span<std::vector<token_id> const> sources, token_id pad)
    -> padded_batch {
  padded_batch batch;
  for (auto const& source : sources) {
    batch.key_lengths.push_back(static_cast<index_t>(source.size()));
    batch.tokens = std::max(batch.tokens, batch.key_lengths.back());
  }
  if (sources.empty() || std::ranges::find(batch.key_lengths, 0) != batch.key_lengths.end()) {
    throw shape_error(message("generate: an empty input among ", sources.size()));
  }
  batch.ids.assign(static_cast<std::size_t>(batch.sentences() * batch.tokens), pad);
  auto row = batch.ids.begin();
  for (auto const& source : sources) {
    std::ranges::copy(source, row);
    row += batch.tokens;
  }
  return batch;
}

}  // namespace v0
}  // namespace eckart
