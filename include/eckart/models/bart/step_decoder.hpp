#pragma once

#include "eckart/models/bart/bart.hpp"
#include "eckart/models/padded_batch.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <vector>

namespace eckart {
inline namespace v0 {

/// BART's decoder as the searches see it (a step_decoder), over sentences that were encoded by the
/// constructor. Owns every buffer that a step needs: a step within the capacity allocates nothing.
/// The searches compare floats; T is a parameter so that only a file that searches compiles it.
template <std::same_as<float> T>
class bart_step_decoder {
 public:
  /// Encodes the sources and makes `rows_per_sentence` rows for each, with room for `capacity`
  /// tokens. The model must outlive it.
  bart_step_decoder(bart<T> const& model, padded_batch const& batch, index_t rows_per_sentence,
                    index_t capacity)
      : model_(model) {
    auto const& c = model.config();
    auto memory = make_matrix<T>({batch.sentences() * batch.tokens, c.d_model});
    model.encoder()(batch.ids, batch.sentences(), batch.key_lengths, as_view(memory), scratch_);
    std::vector<index_t> source_of;
    for (index_t s = 0; s < batch.sentences(); ++s) {
      source_of.insert(source_of.end(), static_cast<std::size_t>(rows_per_sentence), s);
    }
    state_ = model.decoder().start(as_view(memory), batch.sentences(), batch.key_lengths, source_of,
                                   capacity, scratch_);
    scratch_.reserve(
        std::max(model.decoder().worksize(state_.rows(), std::max(capacity, batch.tokens)),
                 model.logits_worksize(state_.rows())));
    hidden_ = make_matrix<T>({state_.rows(), c.d_model});
    logits_ = make_matrix<T>({state_.rows(), c.vocab_size});
  }

  auto vocabulary() const -> index_t { return model_.config().vocab_size; }

  /// Logits (tokens, vocabulary) of the tokens that follow; valid until the next call.
  auto step(std::span<token_id const> tokens) -> matrix_view<T> {
    auto const rows = static_cast<index_t>(tokens.size());
    if (rows != state_.rows()) {
      throw shape_error(
          message("bart_step_decoder: ", rows, " tokens for ", state_.rows(), " rows"));
    }
    auto const hidden = as_view(hidden_).row_range(0, rows);
    auto const logits = as_view(logits_).row_range(0, rows);
    model_.decoder()(tokens, state_, hidden, scratch_);
    model_.logits(hidden, logits, scratch_);
    return logits;
  }

  void reorder(std::span<index_t const> parents) { state_.reorder(parents); }

 private:
  bart<T> const& model_;
  workspace<T> scratch_;
  bart_decoder_state<T> state_;
  matrix<T> hidden_;  // (rows, d_model)
  matrix<T> logits_;  // (rows, vocabulary)
};

}  // namespace v0
}  // namespace eckart
