#pragma once

#include "eckart/models/bart/bart.hpp"
#include "eckart/models/padded_batch.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

/// How probable a model finds a given continuation: the decoder reads the continuation itself, not
/// what it would have written (teacher forcing). Labels are the ids to be predicted, a tokenizer's
/// whole output with <s> and </s>.
namespace eckart {
inline namespace v0 {

/// The label of a position that counts for nothing, as in Hugging Face and PyTorch.
inline constexpr token_id ignored_label = -100;

/// Cross-entropy of some tokens, in nats. The loss of a batch in Hugging Face is the mean() of the
/// sum over its examples.
struct token_loss {
  double sum = 0;      ///< of -log p(token)
  index_t tokens = 0;  ///< without ignored ones

  /// A token's share; NaN for no tokens.
  auto mean() const -> double {
    return tokens > 0 ? sum / static_cast<double>(tokens)
                      : std::numeric_limits<double>::quiet_NaN();
  }
  /// exp(mean()): among how many equally probable tokens the model is undecided.
  auto perplexity() const -> double { return std::exp(mean()); }

  auto operator+=(token_loss const& other) -> token_loss& {
    sum += other.sum;
    tokens += other.tokens;
    return *this;
  }
  auto operator==(token_loss const&) const -> bool = default;
};

/// What the decoder reads to predict the labels: `start`, then all labels but the last; `pad` for
/// ignored ones (transformers, shift_tokens_right).
inline auto shift_right(std::span<token_id const> labels, token_id start, token_id pad)
    -> std::vector<token_id> {
  if (labels.empty()) {
    return {};
  }
  std::vector<token_id> inputs{start};
  inputs.insert(inputs.end(), labels.begin(), labels.end() - 1);
  std::ranges::replace(inputs, ignored_label, pad);
  return inputs;
}

namespace detail {

/// log sum_j exp(x_j) - x_label for each row, summed in double. `first` is the position of the
/// first row in what the caller scores.
template <real T>
auto cross_entropy_from(matrix_view<T const> logits, std::span<token_id const> labels,
                        index_t first) -> token_loss {
  token_loss loss;
  for (index_t i = 0; i < logits.rows; ++i) {
    auto const label = labels[static_cast<std::size_t>(i)];
    if (label == ignored_label) {
      continue;
    }
    if (label < 0 || label >= logits.cols) {
      throw shape_error(message("cross_entropy: label ", label, " at position ", first + i,
                                " is outside the vocabulary of ", logits.cols));
    }
    auto const normalizer = log_sum_exp(logits.row(i));
    auto const nats = normalizer - static_cast<double>(logits(i, label));
    if (!std::isfinite(normalizer) || std::isnan(nats)) {
      throw numerical_error(
          message("cross_entropy: the logits of position ", first + i, " are not finite"), 0);
    }
    loss += {nats, 1};
  }
  return loss;
}

/// Throws shape_error for an example that the model cannot read; `name` tells which.
inline void check_example(bart_config const& c, std::span<token_id const> source,
                          std::span<token_id const> labels, std::string const& name) {
  auto const check_length = [&](std::span<token_id const> row, char const* what) {
    if (row.empty() || std::cmp_greater(row.size(), c.max_position_embeddings)) {
      throw shape_error(message(name, ": ", row.size(), " ", what, ", the model has ",
                                c.max_position_embeddings, " positions"));
    }
  };
  check_length(source, "source tokens");
  check_length(labels, "labels");
  for (auto const id : source) {
    if (id < 0 || id >= c.vocab_size) {
      throw shape_error(
          message(name, ": source token id ", id, " is outside the vocabulary of ", c.vocab_size));
    }
  }
  for (auto const id : labels) {
    if (id != ignored_label && (id < 0 || id >= c.vocab_size)) {
      throw shape_error(
          message(name, ": label ", id, " is outside the vocabulary of ", c.vocab_size));
    }
  }
}

/// Throws shape_error for examples that do not go together or that the model cannot read.
inline void check_examples(bart_config const& c, std::span<std::vector<token_id> const> sources,
                           std::span<std::vector<token_id> const> labels, index_t batch_size) {
  if (sources.size() != labels.size() || batch_size < 1) {
    throw shape_error(message("teacher_forced_loss: ", sources.size(), " sources, ", labels.size(),
                              " sequences of labels, ", batch_size, " examples at a time"));
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    check_example(c, sources[i], labels[i], message("teacher_forced_loss: example ", i));
  }
}

/// append(sources, labels, losses) for so many examples at a time. Errors of the numbers tell
/// which example they are of.
template <class Append>
auto losses_of_batches(std::span<std::vector<token_id> const> sources,
                       std::span<std::vector<token_id> const> labels, index_t batch_size,
                       Append append) -> std::vector<token_loss> {
  std::vector<token_loss> losses;
  losses.reserve(sources.size());
  auto const step = static_cast<std::size_t>(batch_size);
  for (std::size_t first = 0; first < sources.size(); first += step) {
    auto const count = std::min(step, sources.size() - first);
    try {
      append(sources.subspan(first, count), labels.subspan(first, count), losses);
    } catch (numerical_error const& e) {
      throw numerical_error(message("teacher_forced_loss: example ", losses.size(), ": ", e.what()),
                            e.info);
    }
  }
  return losses;
}

/// Encodes the sources into memory (sentences * source tokens, d_model) and decodes the targets
/// into hidden (sentences * target tokens, d_model), all positions at once. Padding behind a target
/// changes nothing before it, for the decoder is causal.
template <real T>
void run_forced(bart<T> const& model, padded_batch const& sources, padded_batch const& targets,
                matrix_view<T> memory, matrix_view<T> hidden, workspace<T>& scratch) {
  auto const sentences = sources.sentences();
  model.encoder()(sources.ids, sentences, sources.key_lengths, memory, scratch);
  std::vector<index_t> source_of(sources.key_lengths.size());
  std::iota(source_of.begin(), source_of.end(), index_t{0});
  auto state = model.decoder().start(memory, sentences, sources.key_lengths, source_of,
                                     targets.tokens, scratch);
  model.decoder()(targets.ids, state, hidden, scratch);
}

/// The losses of one padded batch, appended. Logits are made for a few positions at a time: those
/// of a whole batch would be the largest matrix of all.
template <real T>
void append_losses(bart<T> const& model, std::span<std::vector<token_id> const> sources,
                   std::span<std::vector<token_id> const> labels, workspace<T>& scratch,
                   std::vector<token_loss>& losses) {
  constexpr index_t positions_at_once = 64;
  auto const& c = model.config();
  std::vector<std::vector<token_id>> inputs;
  for (auto const& one : labels) {
    inputs.push_back(shift_right(one, c.decoder_start_token_id, c.pad_token_id));
  }
  auto const read = pad_batch(sources, c.pad_token_id);
  auto const written = pad_batch(inputs, c.pad_token_id);
  auto memory = make_matrix<T>({read.sentences() * read.tokens, c.d_model});
  auto hidden = make_matrix<T>({written.sentences() * written.tokens, c.d_model});
  run_forced(model, read, written, as_view(memory), as_view(hidden), scratch);
  auto buffer = make_matrix<T>({std::min(written.tokens, positions_at_once), c.vocab_size});
  for (index_t b = 0; b < written.sentences(); ++b) {
    auto const at = static_cast<std::size_t>(b);
    auto const length = written.key_lengths[at];
    auto const states = as_view(hidden).row_range(b * written.tokens, length);
    token_loss loss;
    for (index_t first = 0; first < length; first += positions_at_once) {
      auto const count = std::min(positions_at_once, length - first);
      auto const logits = as_view(buffer).row_range(0, count);
      model.logits(states.row_range(first, count), logits, scratch);
      loss += cross_entropy_from(
          matrix_view<T const>(logits),
          std::span(labels[at])
              .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
          first);
    }
    losses.push_back(loss);
  }
}

}  // namespace detail

/// -log softmax(logits)[label] of each row, summed in double: logits (positions, vocabulary),
/// labels (positions). Ignored labels count for nothing. Throws shape_error, and numerical_error
/// for logits that have no softmax.
template <matrix_like A>
auto cross_entropy(A const& logits, std::span<token_id const> labels) -> token_loss {
  auto const scores = matrix_view<value_t<A> const>(as_view(logits));
  if (std::cmp_not_equal(labels.size(), scores.rows)) {
    throw shape_error(
        message("cross_entropy: ", labels.size(), " labels for ", scores.shape(), " logits"));
  }
  return detail::cross_entropy_from(scores, labels, 0);
}

/// For each example the cross-entropy of its labels under the model that reads the source and, as
/// the decoder's input, the labels before. Examples are padded and run `batch_size` at a time,
/// which changes nothing but the time and the memory. Throws shape_error, before anything is
/// computed, for an example that is empty, too long or not of the vocabulary; numerical_error where
/// the model answers no finite numbers.
template <real T>
auto teacher_forced_loss(bart<T> const& model, std::span<std::vector<token_id> const> sources,
                         std::span<std::vector<token_id> const> labels, index_t batch_size = 8)
    -> std::vector<token_loss> {
  detail::check_examples(model.config(), sources, labels, batch_size);
  workspace<T> scratch;
  return detail::losses_of_batches(
      sources, labels, batch_size,
      [&](auto some_sources, auto some_labels, std::vector<token_loss>& losses) {
        detail::append_losses(model, some_sources, some_labels, scratch, losses);
      });
}

/// What a model computes of one example under teacher forcing.
template <real T>
struct forced_states {
  matrix<T> encoder;  ///< (source tokens, d_model), the encoder's output
  matrix<T> decoder;  ///< (labels, d_model), the decoder's output
  matrix<T> logits;   ///< (labels, vocabulary), row i predicts label i
};

/// States and logits of the model that reads `source` and, as the decoder's input, `labels` shifted
/// right: two models asked so are comparable position by position. Throws shape_error.
template <real T>
auto decoder_states(bart<T> const& model, std::span<token_id const> source,
                    std::span<token_id const> labels) -> forced_states<T> {
  auto const& c = model.config();
  detail::check_example(c, source, labels, "decoder_states");
  auto const alone = [](std::vector<token_id> row) {
    auto const tokens = static_cast<index_t>(row.size());
    return padded_batch{std::move(row), {tokens}, tokens};
  };
  auto const read = alone({source.begin(), source.end()});
  auto const written = alone(shift_right(labels, c.decoder_start_token_id, c.pad_token_id));
  forced_states<T> result{make_matrix<T>({read.tokens, c.d_model}),
                          make_matrix<T>({written.tokens, c.d_model}),
                          make_matrix<T>({written.tokens, c.vocab_size})};
  workspace<T> scratch;
  detail::run_forced(model, read, written, as_view(result.encoder), as_view(result.decoder),
                     scratch);
  model.logits(as_view(result.decoder), as_view(result.logits), scratch);
  return result;
}

}  // namespace v0
}  // namespace eckart
