#pragma once

#include "eckart/models/bart/config.hpp"
#include "eckart/nn/embedding.hpp"

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Token sequences one behind the other, without padding.
class packed_sequences {
 public:
  void add(std::span<token_id const> ids) {
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    starts_.push_back(static_cast<index_t>(ids_.size()));
  }

  auto count() const -> index_t { return static_cast<index_t>(starts_.size()) - 1; }
  auto tokens() const -> index_t { return starts_.back(); }
  auto start(index_t i) const -> index_t { return starts_[static_cast<std::size_t>(i)]; }
  auto length(index_t i) const -> index_t { return start(i + 1) - start(i); }
  auto ids(index_t i) const -> std::span<token_id const> {
    return std::span(ids_).subspan(static_cast<std::size_t>(start(i)),
                                   static_cast<std::size_t>(length(i)));
  }

 private:
  std::vector<token_id> ids_;
  std::vector<index_t> starts_{0};
};

/// What a model reads in calibration: sources, and for each the tokens that its decoder reads.
struct calibration_tokens {
  packed_sequences sources;
  packed_sequences targets;

  /// Throws shape_error for a pair that the model cannot read; names its number.
  void add(bart_config const& c, std::span<token_id const> source,
           std::span<token_id const> decoder_inputs) {
    auto const check = [&](std::span<token_id const> ids, char const* what) {
      if (ids.empty() || std::cmp_greater(ids.size(), c.max_position_embeddings)) {
        throw shape_error(message("calibration: example ", sources.count(), " has ", ids.size(),
                                  ' ', what, " tokens, the model has ", c.max_position_embeddings,
                                  " positions"));
      }
    };
    check(source, "source");
    check(decoder_inputs, "target");
    sources.add(source);
    targets.add(decoder_inputs);
  }
};

namespace detail {

/// Neighbouring sequences of about this many tokens pass through a layer together: enough rows for
/// the matrix products, few enough that what is between two layers stays small.
inline constexpr index_t walk_chunk = 4096;

/// Sequences first to last, whose tokens are rows `row` to `row + rows`.
struct sequence_range {
  index_t first;
  index_t last;
  index_t row;
  index_t rows;
};

inline auto chunks_of(packed_sequences const& all) -> std::vector<sequence_range> {
  std::vector<sequence_range> result;
  for (index_t first = 0; first < all.count();) {
    auto last = first;
    while (last < all.count() &&
           (last == first || all.start(last + 1) - all.start(first) <= walk_chunk)) {
      ++last;
    }
    result.push_back({first, last, all.start(first), all.start(last) - all.start(first)});
    first = last;
  }
  return result;
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
