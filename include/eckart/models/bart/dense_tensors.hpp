#pragma once

#include "eckart/io/safetensors_writer.hpp"
#include "eckart/models/bart/bart.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <variant>

namespace eckart {
inline namespace v0 {
namespace detail {

/// The scale of an attention's scores that no fold has changed.
template <real T>
auto published_scale(multi_head_attention<T> const& a) -> T {
  return T{1} / std::sqrt(static_cast<T>(a.head_width()));
}

/// (1, vocabulary), as it is published.
template <real T>
void add_logits_bias(safetensors_writer& writer, std::span<T const> bias, dtype stored) {
  auto const size = static_cast<index_t>(bias.size());
  writer.add("final_logits_bias", matrix_view<T const>(bias.data(), 1, size), stored);
}

/// The linear layers of a model as dense ones under their published names, and the bias of the
/// logits, added to a writer, which keeps views: of the model, and of what is computed here. Both
/// must live until it has written.
template <real T>
class dense_tensors {
 public:
  dense_tensors(safetensors_writer& writer, dtype stored) : writer_(writer), stored_(stored) {}
  dense_tensors(dense_tensors const&) = delete;
  auto operator=(dense_tensors const&) -> dense_tensors& = delete;

  void add_all(bart<T> const& model) {
    model.visit_linears([this](std::string const& name, linear<T> const& layer) {
      if (name.ends_with(".out_proj") || name.ends_with(".fc1") || name.ends_with(".fc2")) {
        add(name, opened(layer));
      }
    });
    model.visit_attentions(
        [this](std::string const& name, multi_head_attention<T> const& a) { add_inputs(name, a); });
    if (auto const& joint = model.decoder().cross_kv_proj) {
      add_memory(model.decoder(), opened(*joint));
    }
    add_head(model);
  }

 private:
  struct part {
    matrix_view<T const> weight;  // (rows, inputs)
    std::span<T const> bias;      // (rows), empty for none

    auto rows(index_t first, index_t count) const -> part {
      return {weight.row_range(first, count),
              bias.empty()
                  ? bias
                  : bias.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count))};
    }
  };

  auto opened(linear<T> const& layer) -> part {
    auto const* dense = std::get_if<matrix<T>>(&layer.stored_weight());
    if (dense == nullptr) {
      dense = &weights_.emplace_back(layer.dense_weight());
    }
    return {as_view(*dense), layer.has_bias() ? as_span(*layer.bias()) : std::span<T const>()};
  }

  // Where the scale was folded into the queries, they are divided by it: times sqrt(head width).
  void add_inputs(std::string const& name, multi_head_attention<T> const& a) {
    auto const queries =
        a.scale == published_scale(a) ? T{1} : a.scale * std::sqrt(static_cast<T>(a.head_width()));
    auto const width = a.width();
    if (a.qkv_proj) {
      auto const all = opened(*a.qkv_proj);
      add(name + ".q_proj", all.rows(0, width), queries);
      add(name + ".k_proj", all.rows(width, width));
      add(name + ".v_proj", all.rows(2 * width, width));
      return;
    }
    add(name + ".q_proj", opened(*a.q_proj), queries);
    if (a.k_proj) {
      add(name + ".k_proj", opened(*a.k_proj));
      add(name + ".v_proj", opened(*a.v_proj));
    }
  }

  void add_memory(bart_decoder<T> const& decoder, part const& all) {
    index_t first = 0;
    index_t i = 0;
    for (auto const& layer : decoder.layers) {
      auto const name = layer_name("decoder", i++) + ".encoder_attn";
      auto const width = layer.encoder_attn.width();
      add(name + ".k_proj", all.rows(first, width));
      add(name + ".v_proj", all.rows(first + width, width));
      first += 2 * width;
    }
  }

  // The weight of the output layer, if there is one; its bias joins that of the logits.
  void add_head(bart<T> const& model) {
    auto bias = model.final_logits_bias();
    if (auto const& head = model.lm_head()) {
      auto const own = opened(*head);
      writer_.add(message(lm_head_name, ".weight"), own.weight, stored_);
      if (!own.bias.empty()) {
        auto& sum = biases_.emplace_back(make_vector<T>(own.weight.rows));
        std::ranges::transform(bias, own.bias, sum.begin(), std::plus<>{});
        bias = as_span(std::as_const(sum));
      }
    }
    add_logits_bias(writer_, bias, stored_);
  }

  // factor * part; a bias of zeros where there is none.
  void add(std::string const& name, part const& from, T factor = T{1}) {
    auto weight = from.weight;
    auto bias = from.bias;
    if (bias.empty()) {
      auto& zeros = biases_.emplace_back(make_vector<T>(weight.rows));
      zeros.fill(T{0});
      bias = as_span(std::as_const(zeros));
    }
    if (factor != T{1}) {
      auto const scale = [factor](T x) { return factor * x; };
      auto& scaled_weight = weights_.emplace_back(to_matrix(weight));
      std::ranges::transform(scaled_weight, scaled_weight.begin(), scale);
      weight = as_view(std::as_const(scaled_weight));
      auto& scaled_bias = biases_.emplace_back(make_vector<T>(weight.rows));
      std::ranges::transform(bias, scaled_bias.begin(), scale);
      bias = as_span(std::as_const(scaled_bias));
    }
    writer_.add(name + ".weight", weight, stored_);
    writer_.add(name + ".bias", bias, stored_);
  }

  safetensors_writer& writer_;
  dtype stored_;
  std::deque<matrix<T>> weights_;
  std::deque<vector<T>> biases_;
};

}  // namespace detail
}  // namespace v0
}  // namespace eckart
