#pragma once

#include "eckart/compress/fold.hpp"
#include "eckart/models/bart/bart.hpp"

#include <string>

namespace eckart {
inline namespace v0 {

/// Which of the exact steps of compress/fold.hpp to take.
struct fold_options {
  bool key_bias = true;     ///< softmax does not see it
  bool value_bias = true;   ///< joins the bias of the output layer
  bool score_scale = true;  ///< joins weight and bias of the queries
};

/// Takes the steps in all attentions of a model, encoder, decoder and between them, which leave its
/// function as it is and its biases fewer by 2 d_model an attention. Fold before calibrating, for
/// the inputs of out_proj change, and before joining layers: throws shape_error that names the
/// attention if one has a joint layer of queries, keys and values, the model is then as before.
/// Where one layer makes the keys and values of all attentions to the encoder (cross_kv_proj), that
/// layer keeps its biases.
template <real T>
void fold(bart<T>& model, fold_options const& options = {}) {
  model.visit_attentions([](std::string const& name, multi_head_attention<T> const& attention) {
    detail::refuse_joint(name, attention);
  });
  model.visit_attentions([&](std::string const&, multi_head_attention<T>& attention) {
    if (options.key_bias) {
      drop_key_bias(attention);
    }
    if (options.value_bias) {
      fold_value_bias(attention);
    }
    if (options.score_scale) {
      fold_score_scale(attention);
    }
  });
}

}  // namespace v0
}  // namespace eckart
