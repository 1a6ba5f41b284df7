#pragma once

#include "eckart/gpu/bart/device_search.cuh"
#include "eckart/models/beam_search.hpp"
#include "eckart/models/step_decoder.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Writes with a model on a device, call after call in the same memory, which grows to what the
/// largest call needs. Used by one thread at a time; the model must outlive it.
template <kernel_number T>
class device_generator {
 public:
  explicit device_generator(device_bart<T> const& model) : model_(&model) {}

  /// Continues each source as generate() does on the host, with the same options and answers; what
  /// the device has no kernel for is refused (check_device_options). Greedy search runs on the
  /// device alone, a graph a step; the host looks every few steps whether a row is still open. Beam
  /// search has one exchange a step: the best continuations there, the chosen ones back. Nothing is
  /// allocated on the device between the first token and the last. Throws shape_error,
  /// numerical_error for scores that are no numbers, backend_error.
  auto operator()(std::span<std::vector<token_id> const> sources, generation_options const& options)
      -> std::vector<std::vector<generated>> {
    auto const& c = model_->config();
    validate(options, c.vocab_size);
    check_device_options(options);
    auto const lengths = resolve_lengths(options, c.max_position_embeddings);
    auto const batch = pad_batch(sources, options.pad_token_id.value_or(c.pad_token_id));
    check_batch(batch);
    auto search = prepare(batch, options, lengths);
    search.read_sources(*model_, batch);
    return options.num_beams == 1 ? greedy(search, options, lengths)
                                  : beams(search, options, lengths);
  }

  /// Of the last call.
  auto memory_use() const -> device_memory_use { return use_; }

 private:
  void check_batch(padded_batch const& batch) const {
    auto const& c = model_->config();
    if (batch.tokens > c.max_position_embeddings) {
      throw shape_error(message("generate: a source of ", batch.tokens, " tokens, the model has ",
                                c.max_position_embeddings, " positions"));
    }
    for (auto const id : batch.ids) {
      if (id < 0 || id >= c.vocab_size) {
        throw shape_error(
            message("generate: token id ", id, " is outside the vocabulary of ", c.vocab_size));
      }
    }
  }

  auto prepare(padded_batch const& batch, generation_options const& options,
               generation_lengths lengths) -> device_search<T> {
    device_search<T> search;
    search.rows = {batch.sentences(), options.num_beams, batch.tokens, lengths.max_length};
    search.candidates =
        options.num_beams == 1 ? 1 : static_cast<index_t>(detail::candidates_kept(options));
    device_arena counting;
    search.place(*model_, options, lengths, counting);
    if (static_cast<index_t>(counting.most()) > memory_.size()) {
      memory_ = device_buffer<std::byte>();  // first give back: both may not fit
      memory_ = device_buffer<std::byte>(static_cast<index_t>(counting.most()));
    }
    device_arena arena(memory_.data());
    search.place(*model_, options, lengths, arena);
    use_ = {model_->bytes(), model_->decoder().cache_bytes(search.rows),
            model_->bytes() + model_->backend().workspace_bytes() +
                static_cast<std::size_t>(memory_.size())};
    return search;
  }

  auto greedy(device_search<T>& search, generation_options const& options,
              generation_lengths lengths) -> std::vector<std::vector<generated>> {
    auto const stream = model_->backend().stream();
    auto const rows = search.rows.count();
    auto const start = detail::decoder_start(options);
    auto const flags = pinned_buffer<int>(2);  // open rows, rows with a fault
    feed_start(search, start);
    auto const state =
        gpu::greedy_state{.position = search.position(),
                          .tokens = search.tokens(),
                          .written = search.written.tokens,
                          .lengths = search.lengths,
                          .open = flags.data(),
                          .faults = flags.data() + 1,
                          .rows = static_cast<int>(rows),
                          .capacity = static_cast<int>(search.rows.capacity),
                          .max_length = static_cast<int>(lengths.max_length),
                          .eos = search.rules.eos,
                          .pad = options.pad_token_id.value_or(model_->config().pad_token_id)};
    auto const step = [&] {
      search.step(*model_);
      gpu::accept_greedy(search.best, state, stream);
    };
    step();
    if (lengths.max_length > 2) {
      run_until_closed(captured_step(stream, step), lengths.max_length - 2, flags);
    }
    model_->backend().synchronize();
    if (flags.read(1) != 0) {
      throw numerical_error("generate: a score is not a number", 0);
    }
    return greedy_results(search);
  }

  // Position 0, the start token in every row.
  void feed_start(device_search<T> const& search, token_id start) const {
    auto const stream = model_->backend().stream();
    auto const rows = search.rows.count();
    std::vector<int> control(static_cast<std::size_t>(1 + rows), start);
    control[0] = 0;
    gpu::copy_values(std::span<int const>(control), search.control, stream);
    auto const first = device_view<token_id>(search.written.tokens, rows, 1, search.rows.capacity);
    detail::copy_rows(first.data, first.ld, control.data() + 1, index_t{1}, first.shape(),
                      cudaMemcpyHostToDevice, stream);
    check_cuda(
        cudaMemsetAsync(search.lengths, 0, static_cast<std::size_t>(rows) * sizeof(int), stream),
        "cudaMemsetAsync");
    model_->backend().synchronize();
  }

  // At most `steps` more; a few are always under way, so that the device does not wait for a look.
  void run_until_closed(captured_step const& step, index_t steps,
                        pinned_buffer<int> const& flags) const {
    constexpr index_t steps_a_look = 4;
    auto const stream = model_->backend().stream();
    std::array<stream_mark, 2> marks;
    for (index_t done = 0, look = 0; done < steps; ++look) {
      auto const now = std::min(steps_a_look, steps - done);
      for (index_t i = 0; i < now; ++i) {
        step(stream);
      }
      done += now;
      marks[static_cast<std::size_t>(look % 2)].set(stream);
      if (look > 0) {
        marks[static_cast<std::size_t>((look + 1) % 2)].wait();
        if (flags.read(0) == 0 || flags.read(1) != 0) {
          return;
        }
      }
    }
  }

  auto greedy_results(device_search<T> const& search) const -> std::vector<std::vector<generated>> {
    auto const stream = model_->backend().stream();
    auto const rows = search.rows.count();
    auto const capacity = search.rows.capacity;
    std::vector<token_id> ids(static_cast<std::size_t>(rows * capacity));
    std::vector<int> lengths(static_cast<std::size_t>(rows));
    copy_to_host(device_view<token_id const>(search.written.tokens, rows, capacity),
                 matrix_view<token_id>(ids.data(), rows, capacity), stream);
    copy_to_host(device_view<int const>(search.lengths, 1, rows),
                 matrix_view<int>(lengths.data(), 1, rows), stream);
    std::vector<std::vector<generated>> results;
    for (index_t r = 0; r < rows; ++r) {
      auto const first = ids.begin() + r * capacity;
      results.push_back({generated{{first, first + lengths[static_cast<std::size_t>(r)]},
                                   std::numeric_limits<float>::quiet_NaN()}});
    }
    return results;
  }

  auto beams(device_search<T>& search, generation_options const& options,
             generation_lengths lengths) -> std::vector<std::vector<generated>> {
    auto const stream = model_->backend().stream();
    auto const sentences = search.rows.sentences;
    detail::length_factor(options, lengths.max_length - 1);  // the extreme one, refused at once
    auto const down = pinned_buffer<int>(search.control_size(search.rows));
    auto const up = pinned_buffer<gpu::scored_token>(sentences * search.candidates);
    std::vector<detail::beam_sentence> open;
    for (index_t s = 0; s < sentences; ++s) {
      open.emplace_back(options, lengths, static_cast<std::size_t>(s));
    }
    std::vector<std::vector<generated>> results(static_cast<std::size_t>(sentences));
    auto const step = [&] { exchange_step(search, down, up); };
    captured_step graph;
    for (index_t cur_len = 1, left = sentences; left > 0; ++cur_len) {
      write_control(search.rows, open, cur_len, down);
      if (cur_len == 1) {
        step();
      } else {
        if (!graph) {
          graph = captured_step(stream, step);
        }
        graph(stream);
      }
      model_->backend().synchronize();
      auto const now =
          detail::make_beam_step(options, lengths, model_->config().vocab_size, cur_len);
      left = advance(search, now, up, options, open, results);
    }
    return results;
  }

  void exchange_step(device_search<T> const& search, pinned_buffer<int> const& down,
                     pinned_buffer<gpu::scored_token> const& up) const {
    auto const stream = model_->backend().stream();
    check_cuda(cudaMemcpyAsync(search.control, down.data(),
                               static_cast<std::size_t>(down.size()) * sizeof(int),
                               cudaMemcpyHostToDevice, stream),
               "cudaMemcpyAsync");
    gpu::follow_parents(search.tokens(), search.parents(), search.ancestors, search.written.tokens,
                        search.rows.count(), search.rows.capacity, search.position(), stream);
    search.step(*model_);
    check_cuda(cudaMemcpyAsync(up.data(), search.best,
                               static_cast<std::size_t>(up.size()) * sizeof(gpu::scored_token),
                               cudaMemcpyDeviceToHost, stream),
               "cudaMemcpyAsync");
  }

  // Sentences that have ended go on with what they have; nobody looks at it.
  static void write_control(device_rows rows, std::vector<detail::beam_sentence> const& sentences,
                            index_t cur_len, pinned_buffer<int> const& down) {
    down[0] = static_cast<int>(cur_len - 1);
    auto const count = rows.count();
    auto* const running = reinterpret_cast<float*>(down.data() + 1 + 2 * count);
    for (std::size_t s = 0; s < sentences.size(); ++s) {
      for (std::size_t b = 0; b < sentences[s].beams(); ++b) {
        auto const first = static_cast<index_t>(s) * rows.beams;
        auto const r = first + static_cast<index_t>(b);
        down[1 + r] = sentences[s].ids(b).back();
        down[1 + count + r] = static_cast<int>(
            cur_len == 1 ? r : first + static_cast<index_t>(sentences[s].parent(b)));
        running[r] = sentences[s].score(b);
      }
    }
  }

  // Takes the step's best continuations in every open sentence. Answers how many are still open.
  static auto advance(device_search<T> const& search, detail::beam_step const& step,
                      pinned_buffer<gpu::scored_token> const& up, generation_options const& options,
                      std::vector<detail::beam_sentence>& sentences,
                      std::vector<std::vector<generated>>& results) -> index_t {
    std::vector<detail::beam_candidate> candidates;
    index_t left = 0;
    for (std::size_t s = 0; s < sentences.size(); ++s) {
      if (!results[s].empty()) {
        continue;
      }
      candidates.clear();
      for (index_t i = 0; i < search.candidates; ++i) {
        auto const one = up[static_cast<index_t>(s) * search.candidates + i];
        if (std::isnan(one.score)) {
          throw numerical_error("generate: a score is not a number", 0);
        }
        if (one.flat >= 0) {
          candidates.push_back({one.score, one.flat});
        }
      }
      if (sentences[s].advance(step, candidates)) {
        ++left;
      } else {
        results[s] = sentences[s].results(options.num_return_sequences);
      }
    }
    return left;
  }

  device_bart<T> const* model_;
  device_buffer<std::byte> memory_;
  device_memory_use use_;
};

/// Continues each source with a model on a device: device_generator, once.
template <kernel_number T>
auto generate(device_bart<T> const& model, std::span<std::vector<token_id> const> sources,
              generation_options const& options) -> std::vector<std::vector<generated>> {
  return device_generator<T>(model)(sources, options);
}

}  // namespace v0
}  // namespace eckart
