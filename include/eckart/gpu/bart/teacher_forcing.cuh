#pragma once

#include "eckart/gpu/bart/device_search.cuh"
#include "eckart/gpu/kernels/label_loss.cuh"
#include "eckart/models/teacher_forcing.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace eckart {
inline namespace v0 {
namespace detail {

/// Matrix (rows, cols) as (cols, rows).
inline auto turned(std::vector<token_id> const& ids, index_t rows, index_t cols)
    -> std::vector<token_id> {
  std::vector<token_id> result(ids.size());
  for (index_t r = 0; r < rows; ++r) {
    for (index_t c = 0; c < cols; ++c) {
      result[static_cast<std::size_t>(c * rows + r)] = ids[static_cast<std::size_t>(r * cols + c)];
    }
  }
  return result;
}

/// Teacher forcing on a device: a decoder that is fed the labels step by step, all examples of a
/// batch at once. Its memory grows to what the largest batch needs.
template <kernel_number T>
class device_forcing {
 public:
  explicit device_forcing(device_bart<T> const& model) : model_(&model) {}

  /// The losses of one padded batch, appended.
  void append(std::span<std::vector<token_id> const> sources,
              std::span<std::vector<token_id> const> labels, std::vector<token_loss>& losses) {
    auto const& c = model_->config();
    std::vector<std::vector<token_id>> inputs;
    for (auto const& one : labels) {
      inputs.push_back(shift_right(one, c.decoder_start_token_id, c.pad_token_id));
    }
    auto const read = pad_batch(sources, c.pad_token_id);
    auto const fed = pad_batch(inputs, c.pad_token_id);
    auto const wanted = pad_batch(labels, ignored_label);
    auto const rows = fed.sentences();
    auto search = prepare(read, fed.tokens);
    search.read_sources(*model_, read);
    bring(turned(fed.ids, rows, fed.tokens), turned(wanted.ids, rows, fed.tokens), search);
    run(search, fed.tokens);
    auto nats = make_matrix<double>({fed.tokens, rows});
    copy_to_host(device_view<double const>(texts_.nats, fed.tokens, rows), as_view(nats),
                 model_->backend().stream());
    for (index_t r = 0; r < rows; ++r) {
      losses.push_back(sum_of(as_view(nats), r, labels[static_cast<std::size_t>(r)]));
    }
  }

 private:
  // As a search without choices: one row a sentence, the last id is never fed.
  auto prepare(padded_batch const& sources, index_t steps) -> device_search<T> {
    device_search<T> search;
    search.rows = {sources.sentences(), 1, sources.tokens, steps + 1};
    device_arena counting;
    place(search, steps, counting);
    if (static_cast<index_t>(counting.most()) > memory_.size()) {
      memory_ = device_buffer<std::byte>();  // first give back: both may not fit
      memory_ = device_buffer<std::byte>(static_cast<index_t>(counting.most()));
    }
    device_arena arena(memory_.data());
    place(search, steps, arena);
    return search;
  }

  void place(device_search<T>& search, index_t steps, device_arena& arena) {
    search.place(*model_, {}, {search.rows.capacity, 0}, arena);
    auto const rows = search.rows.count();
    inputs_ = arena.take<token_id>((steps + 1) * rows);
    labels_ = arena.take<token_id>(steps * rows);
    texts_ = {inputs_, labels_, arena.take<double>(steps * rows), search.position()};
  }

  void bring(std::vector<token_id> const& inputs, std::vector<token_id> const& labels,
             device_search<T> const& search) const {
    auto const stream = model_->backend().stream();
    auto const rows = static_cast<std::size_t>(search.rows.count());
    gpu::copy_values(std::span(inputs), inputs_, stream);
    gpu::copy_values(std::span(labels), labels_, stream);
    check_cuda(cudaMemsetAsync(inputs_ + inputs.size(), 0, rows * sizeof(token_id), stream),
               "cudaMemsetAsync");
    std::vector<int> control{0};  // the position, then a token for each row
    control.insert(control.end(), inputs.begin(),
                   inputs.begin() + static_cast<std::ptrdiff_t>(rows));
    gpu::copy_values(std::span<int const>(control), search.control, stream);
  }

  void run(device_search<T> const& search, index_t steps) const {
    auto const stream = model_->backend().stream();
    auto const step = [&] {
      model_->decoder()(search.tokens(), search.state, model_->products());
      model_->logits(search.state.x, search.logits, search.logits_inner);
      gpu::label_loss(search.logits, texts_, stream);
      gpu::feed_next(texts_, search.tokens(), search.rows.count(), stream);
    };
    step();
    if (steps > 1) {
      captured_step const graph(stream, step);
      for (index_t i = 1; i < steps; ++i) {
        graph(stream);
      }
      model_->backend().synchronize();  // before the graph is given up
    }
  }

  static auto sum_of(matrix_view<double const> nats, index_t row, std::span<token_id const> labels)
      -> token_loss {
    token_loss loss;
    for (index_t i = 0; i < static_cast<index_t>(labels.size()); ++i) {
      if (labels[static_cast<std::size_t>(i)] == ignored_label) {
        continue;
      }
      if (std::isnan(nats(i, row))) {
        throw numerical_error(
            message("cross_entropy: the logits of position ", i, " are not finite"), 0);
      }
      loss += {nats(i, row), 1};
    }
    return loss;
  }

  device_bart<T> const* model_;
  device_buffer<std::byte> memory_;
  token_id* inputs_ = nullptr;  // of texts_
  token_id* labels_ = nullptr;  // of texts_
  gpu::forced_texts texts_;
};

}  // namespace detail

/// What teacher_forced_loss answers on the host, with a model on a device: encoder, decoder and the
/// losses run there, the labels are fed step by step, a graph a step. Logits are floats, their
/// exponentials are summed in double. In 16 bits the loss of an example depends on what it is
/// padded with as far as products of other shapes round otherwise. Throws as on the host, and
/// backend_error.
template <kernel_number T>
auto teacher_forced_loss(device_bart<T> const& model,
                         std::span<std::vector<token_id> const> sources,
                         std::span<std::vector<token_id> const> labels, index_t batch_size = 64)
    -> std::vector<token_loss> {
  detail::check_examples(model.config(), sources, labels, batch_size);
  detail::device_forcing<T> forcing(model);
  return detail::losses_of_batches(
      sources, labels, batch_size,
      [&](auto some_sources, auto some_labels, std::vector<token_loss>& losses) {
        forcing.append(some_sources, some_labels, losses);
      });
}

}  // namespace v0
}  // namespace eckart
