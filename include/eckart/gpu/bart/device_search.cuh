#pragma once

#include "eckart/gpu/bart/captured_step.cuh"
#include "eckart/gpu/bart/device_bart.cuh"
#include "eckart/gpu/bart/device_rules.cuh"
#include "eckart/gpu/kernels/search_steps.cuh"
#include "eckart/models/padded_batch.hpp"

#include <algorithm>
#include <span>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Memory of the device in bytes, without the code of kernels.
struct device_memory_use {
  std::size_t weights = 0;
  std::size_t caches = 0;  ///< keys and values, as many as the longest row may have
  std::size_t peak = 0;    ///< with all working memory, the backend's workspace included
};

/// What a search on a device works on: the buffers of one call, all in one piece of memory. The
/// encoder's part is used again for the caches of the decoder.
template <kernel_number T>
struct device_search {
  using decoder_state = typename device_decoder<T>::state;

  /// Rows that the encoder works on together; more sentences come one part after another. So few
  /// that its working memory fits where the decoder's comes later.
  static constexpr index_t encoder_rows = 8192;

  device_rows rows;
  index_t candidates = 1;  ///< continuations a sentence and step
  device_sources sources;
  decoder_state state;
  gpu::score_rules rules;
  gpu::written_view written;
  device_view<float> logits;            ///< (rows, vocabulary)
  double* norms = nullptr;              ///< (rows) that the logits of beams are still to lose
  T* logits_inner = nullptr;            ///< (rows, logits_inner_width)
  gpu::scored_token* pieces = nullptr;  ///< (rows * pieces of the vocabulary * candidates)
  gpu::scored_token* best = nullptr;    ///< (sentences, candidates)
  // position, then (rows) each: tokens, parents, sums of the hypotheses so far
  int* control = nullptr;
  int* ancestors = nullptr;  ///< (2, rows, capacity); null for greedy search
  int* lengths = nullptr;    ///< (rows), for greedy search
  device_view<T> memory;  ///< (rows of a part, d_model) encoder states, before the decoder's part
  typename device_encoder<T>::scratch encoder_work;
  T* cross_inner = nullptr;

  auto position() const -> int* { return control; }
  auto tokens() const -> token_id* { return control + 1; }
  auto parents() const -> int* { return control + 1 + rows.count(); }
  auto running() const -> float* {
    return reinterpret_cast<float*>(control + 1 + 2 * rows.count());
  }
  static auto control_size(device_rows rows) -> index_t { return 1 + 3 * rows.count(); }

  /// Sentences that the encoder reads together.
  auto sentences_at_once() const -> index_t {
    return std::clamp<index_t>(encoder_rows / rows.source_tokens, 1, rows.sentences);
  }

  /// Places all buffers; while the arena counts they are null.
  void place(device_bart<T> const& model, generation_options const& options,
             generation_lengths lengths_of_rows, device_arena& arena) {
    auto const& c = model.config();
    auto const count = rows.count();
    auto* const ids = arena.take<token_id>(rows.sentences * rows.source_tokens);
    auto* const key_lengths = arena.take<int>(rows.sentences);
    sources = {ids, key_lengths, rows.sentences, rows.source_tokens};
    rules = make_device_rules(options, lengths_of_rows, arena, model.backend().stream());
    rules.sources = ids;
    rules.source_lengths = key_lengths;
    rules.source_tokens = static_cast<int>(rows.source_tokens);
    control = arena.take<int>(control_size(rows));
    bool const has_beams = rows.beams > 1;
    ancestors = has_beams ? arena.take<int>(2 * count * rows.capacity) : nullptr;
    lengths = arena.take<int>(count);
    auto const cross =
        arena.take_matrix<T>(rows.sentences * rows.source_tokens, model.decoder().cross_width());
    place_encoder(model, arena);
    auto const history =
        gpu::history_view{ancestors, static_cast<int>(count), static_cast<int>(rows.capacity)};
    state = model.decoder().make_state(rows, arena);
    state.cross = cross;
    state.key_lengths = key_lengths;
    state.history = history;
    state.position = position();
    written = {arena.take<token_id>(count * rows.capacity), history};
    auto const ld = model.logits_ld();
    logits = {arena.take<float>(count * ld), count, c.vocab_size, ld};
    // A penalty of repetition is for final scores: then log-softmax is taken in place.
    norms = has_beams && rules.repetition_penalty == 1.0F ? arena.take<double>(count) : nullptr;
    logits_inner = arena.take<T>(count * model.logits_inner_width());
    pieces = arena.take<gpu::scored_token>(count * gpu::score_pieces(c.vocab_size) * candidates);
    best = arena.take<gpu::scored_token>(rows.sentences * candidates);
  }

  /// Brings the sources to the device, encodes them and leaves their keys and values in the cache.
  void read_sources(device_bart<T> const& model, padded_batch const& batch) {
    auto const stream = model.backend().stream();
    std::vector<int> const lengths_of_keys(batch.key_lengths.begin(), batch.key_lengths.end());
    gpu::copy_values(std::span(batch.ids), const_cast<token_id*>(sources.ids), stream);
    gpu::copy_values(std::span(lengths_of_keys), const_cast<int*>(sources.key_lengths), stream);
    for (index_t first = 0; first < rows.sentences; first += sentences_at_once()) {
      auto const count = std::min(sentences_at_once(), rows.sentences - first);
      auto const part = sources.part(first, count);
      auto const x = memory.row_range(0, part.rows());
      auto work = encoder_work;
      work.update = work.update.row_range(0, part.rows());
      model.encoder()(part, x, work, model.products());
      model.decoder().remember(x, state.cross.row_range(first * rows.source_tokens, part.rows()),
                               cross_inner, model.products());
    }
  }

  /// One step: logits of the token behind the ones that are fed, and the best continuations.
  void step(device_bart<T> const& model) const {
    auto const stream = model.backend().stream();
    model.decoder()(tokens(), state, model.products());
    model.logits(state.x, logits, logits_inner);
    bool const has_beams = rows.beams > 1;
    if (norms != nullptr) {
      gpu::log_norms(logits, norms, stream);
    } else if (has_beams) {
      gpu::log_softmax(logits, stream);
    }
    gpu::process_scores(logits, rows.beams, rules, written, position(), stream, norms);
    gpu::top_scores(logits, {norms, has_beams ? running() : nullptr}, rows.sentences, candidates,
                    pieces, best, stream);
  }

 private:
  // What only the encoder needs is given back: the decoder's buffers come in its place.
  void place_encoder(device_bart<T> const& model, device_arena& arena) {
    auto const before = arena.used();
    auto const most = sentences_at_once() * rows.source_tokens;
    memory = arena.take_matrix<T>(most, model.config().d_model);
    encoder_work = model.encoder().make_scratch(most, arena);
    cross_inner = arena.take<T>(most * model.decoder().cross_inner_width());
    arena.rewind(before);
  }
};

}  // namespace v0
}  // namespace eckart
