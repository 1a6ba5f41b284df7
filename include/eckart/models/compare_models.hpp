#pragma once

#include "eckart/eval/cosine.hpp"
#include "eckart/models/teacher_forcing.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace eckart {
inline namespace v0 {

/// How like two models compute, in cosines: 1 is the same direction. Each number is the mean over
/// the examples of that example's number.
struct model_likeness {
  state_likeness encoder;  ///< its output, over the tokens of the source
  state_likeness decoder;  ///< its output under teacher forcing, over the positions
  row_likeness logits;     ///< over the positions
  index_t examples = 0;
};

/// Runs both models over the same sources and, as the decoder's input, the same labels shifted
/// right (positions with an ignored label are compared like any other). The order of the models
/// does not matter; their precisions may differ. Examples are run one by one, padding is no part of
/// the numbers. Throws shape_error for models of other widths, vocabularies or decoder starts, for
/// unequal or zero numbers of examples, and for examples that a model cannot read. Holds the logits
/// of one example twice.
template <real A, real B>
auto compare_models(bart<A> const& dense, bart<B> const& other,
                    std::span<std::vector<token_id> const> sources,
                    std::span<std::vector<token_id> const> labels) -> model_likeness {
  auto const& c = dense.config();
  auto const& d = other.config();
  if (c.d_model != d.d_model || c.vocab_size != d.vocab_size ||
      c.decoder_start_token_id != d.decoder_start_token_id) {
    throw shape_error(message("compare_models: states of width ", c.d_model, " and ", d.d_model,
                              ", vocabularies of ", c.vocab_size, " and ", d.vocab_size,
                              ", decoder starts ", c.decoder_start_token_id, " and ",
                              d.decoder_start_token_id));
  }
  if (sources.size() != labels.size() || sources.empty()) {
    throw shape_error(message("compare_models: ", sources.size(), " sources, ", labels.size(),
                              " sequences of labels"));
  }
  auto const count = static_cast<index_t>(sources.size());
  model_likeness sum{{}, {}, {}, count};
  auto const add = [](state_likeness& to, state_likeness const& one) {
    to.pooled += one.pooled;
    to.mean_token += one.mean_token;
    to.worst_token += one.worst_token;
  };
  for (std::size_t i = 0; i < sources.size(); ++i) {
    auto const a = decoder_states(dense, sources[i], labels[i]);
    auto const b = decoder_states(other, sources[i], labels[i]);
    add(sum.encoder, compare_states(a.encoder, b.encoder));
    add(sum.decoder, compare_states(a.decoder, b.decoder));
    auto const logits = compare_rows(a.logits, b.logits);
    sum.logits.mean += logits.mean;
    sum.logits.worst += logits.worst;
  }
  for (auto* total :
       {&sum.encoder.pooled, &sum.encoder.mean_token, &sum.encoder.worst_token, &sum.decoder.pooled,
        &sum.decoder.mean_token, &sum.decoder.worst_token, &sum.logits.mean, &sum.logits.worst}) {
    *total /= static_cast<double>(count);
  }
  return sum;
}

}  // namespace v0
}  // namespace eckart
