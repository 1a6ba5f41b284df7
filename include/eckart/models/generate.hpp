#pragma once

#include "eckart/models/bart/bart.hpp"
#include "eckart/models/generation_config.hpp"
#include "eckart/models/search.hpp"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>
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

/// BART's decoder as the searches see it (a step_decoder), over sentences that were encoded by the
/// constructor. Owns every buffer that a step needs: a step within the capacity allocates nothing.
class bart_step_decoder {
 public:
  /// Encodes the sources and makes `rows_per_sentence` rows for each, with room for `capacity`
  /// tokens. The model must outlive it.
  bart_step_decoder(bart<float> const& model, padded_batch const& batch, index_t rows_per_sentence,
                    index_t capacity)
      : model_(model) {
    auto const& c = model.config();
    auto memory = make_matrix<float>({batch.sentences() * batch.tokens, c.d_model});
    model.encoder()(batch.ids, batch.sentences(), batch.key_lengths, as_view(memory), scratch_);
    std::vector<index_t> source_of;
    for (index_t s = 0; s < batch.sentences(); ++s) {
      source_of.insert(source_of.end(), static_cast<std::size_t>(rows_per_sentence), s);
    }
    state_ = model.decoder().start(as_view(memory), batch.sentences(), batch.key_lengths, source_of,
                                   capacity, scratch_);
    scratch_.reserve(model.decoder().worksize(state_.rows(), std::max(capacity, batch.tokens)));
    hidden_ = make_matrix<float>({state_.rows(), c.d_model});
    logits_ = make_matrix<float>({state_.rows(), c.vocab_size});
  }

  auto vocabulary() const -> index_t { return model_.config().vocab_size; }

  /// Logits (tokens, vocabulary) of the tokens that follow; valid until the next call.
  auto step(std::span<token_id const> tokens) -> matrix_view<float> {
    auto const rows = static_cast<index_t>(tokens.size());
    if (rows != state_.rows()) {
      throw shape_error(
          message("bart_step_decoder: ", rows, " tokens for ", state_.rows(), " rows"));
    }
    auto const hidden = as_view(hidden_).row_range(0, rows);
    auto const logits = as_view(logits_).row_range(0, rows);
    model_.decoder()(tokens, state_, hidden, scratch_);
    model_.logits(hidden, logits);
    return logits;
  }

  void reorder(std::span<index_t const> parents) { state_.reorder(parents); }

 private:
  bart<float> const& model_;
  workspace<float> scratch_;
  bart_decoder_state<float> state_;
  matrix<float> hidden_;  // (rows, d_model)
  matrix<float> logits_;  // (rows, vocabulary)
};
static_assert(step_decoder<bart_step_decoder>);

/// Continues each source with the best sequences that greedy or beam search finds, as Hugging
/// Face's generate() does for the same options: one entry a source with num_return_sequences
/// sequences. Throws shape_error for empty or too long sources and for options that do not fit.
inline auto generate(bart<float> const& model, std::span<std::vector<token_id> const> sources,
                     generation_options const& options) -> std::vector<std::vector<generated>> {
  auto const& c = model.config();
  validate(options, c.vocab_size);
  auto const lengths = resolve_lengths(options, c.max_position_embeddings);
  auto const batch = pad_batch(sources, options.pad_token_id.value_or(c.pad_token_id));
  if (batch.tokens > c.max_position_embeddings) {
    throw shape_error(message("generate: a source of ", batch.tokens, " tokens, the model has ",
                              c.max_position_embeddings, " positions"));
  }
  constexpr index_t room = 64;  // tokens for which caches are made at once; longer ones double it
  bart_step_decoder decoder(model, batch, options.num_beams, std::min(lengths.max_length, room));
  return search(decoder, sources, options, c.max_position_embeddings);
}

/// The generation options of a model directory: generation_config.json or, in its absence, what
/// config.json says of generation. Special tokens that neither names are BART's own.
inline auto load_generation_options(std::filesystem::path const& directory) -> generation_options {
  auto const config_file = directory / "config.json";
  auto const config = read_json(config_file);
  auto const c = read_bart_config(config, config_file.string());
  auto const own_file = directory / "generation_config.json";
  generation_options options;
  if (std::filesystem::exists(own_file)) {
    options = read_generation_options(read_json(own_file), own_file.string());
  } else {
    options = read_generation_options(config, config_file.string());
    if (!config.contains("forced_eos_token_id")) {
      options.forced_eos_token_id = {2};  // the default of BART's configuration class
    }
  }
  options.bos_token_id = options.bos_token_id.value_or(c.bos_token_id);
  options.pad_token_id = options.pad_token_id.value_or(c.pad_token_id);
  options.decoder_start_token_id =
      options.decoder_start_token_id.value_or(c.decoder_start_token_id);
  if (options.eos_token_id.empty()) {
    options.eos_token_id = {c.eos_token_id};
  }
  return options;
}

}  // namespace v0
}  // namespace eckart
