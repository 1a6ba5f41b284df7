#pragma once

#include "eckart/models/bart/config.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// A tensor that a checkpoint must hold, by its published name.
struct tensor_spec {
  std::string name;
  std::vector<index_t> shape;

  auto parameters() const -> std::uint64_t {
    std::uint64_t product = 1;
    for (auto const n : shape) {
      product *= static_cast<std::uint64_t>(n);
    }
    return product;
  }
};

namespace detail {

class schema_builder {
 public:
  void linear(std::string const& name, index_t outputs, index_t inputs) {
    add(name + ".weight", {outputs, inputs});
    add(name + ".bias", {outputs});
  }
  void layer_norm(std::string const& name, index_t width) {
    add(name + ".weight", {width});
    add(name + ".bias", {width});
  }
  void attention(std::string const& name, index_t width) {
    for (auto const* projection : {".k_proj", ".v_proj", ".q_proj", ".out_proj"}) {
      linear(name + projection, width, width);
    }
  }
  void add(std::string name, std::vector<index_t> shape) {
    specs.push_back({std::move(name), std::move(shape)});
  }

  std::vector<tensor_spec> specs;
};

}  // namespace detail

/// Name of an encoder or decoder layer: `layer_name("decoder", 3)`.
inline auto layer_name(std::string_view side, index_t layer) -> std::string {
  return message("model.", side, ".layers.", layer);
}

/// Every tensor of a BART with dense layers, in the order of its modules, tied tables once (as
/// model.shared.weight; an untied output as lm_head.weight). The sum of their parameters is the
/// model's size before compression.
inline auto bart_schema(bart_config const& c) -> std::vector<tensor_spec> {
  detail::schema_builder b;
  auto const d = c.d_model;
  auto const positions = c.max_position_embeddings + bart_config::position_offset;
  b.add("model.shared.weight", {c.vocab_size, d});
  b.add("model.encoder.embed_positions.weight", {positions, d});
  for (index_t i = 0; i < c.encoder_layers; ++i) {
    auto const name = layer_name("encoder", i);
    b.attention(name + ".self_attn", d);
    b.layer_norm(name + ".self_attn_layer_norm", d);
    b.linear(name + ".fc1", c.encoder_ffn_dim, d);
    b.linear(name + ".fc2", d, c.encoder_ffn_dim);
    b.layer_norm(name + ".final_layer_norm", d);
  }
  b.layer_norm("model.encoder.layernorm_embedding", d);
  b.add("model.decoder.embed_positions.weight", {positions, d});
  for (index_t i = 0; i < c.decoder_layers; ++i) {
    auto const name = layer_name("decoder", i);
    b.attention(name + ".self_attn", d);
    b.layer_norm(name + ".self_attn_layer_norm", d);
    b.attention(name + ".encoder_attn", d);
    b.layer_norm(name + ".encoder_attn_layer_norm", d);
    b.linear(name + ".fc1", c.decoder_ffn_dim, d);
    b.linear(name + ".fc2", d, c.decoder_ffn_dim);
    b.layer_norm(name + ".final_layer_norm", d);
  }
  b.layer_norm("model.decoder.layernorm_embedding", d);
  if (!c.tie_word_embeddings) {
    b.add("lm_head.weight", {c.vocab_size, d});
  }
  return std::move(b.specs);
}

/// Parameters of the whole model with dense layers, tied tables once.
inline auto bart_parameters(bart_config const& c) -> std::uint64_t {
  std::uint64_t total = 0;
  for (auto const& spec : bart_schema(c)) {
    total += spec.parameters();
  }
  return total;
}

/// The published name of nothing: the layer that stands for all keys and values of the memory.
inline constexpr std::string_view cross_kv_name = "model.decoder.cross_kv_proj";

/// The output layer in the place of the output table, which is no layer.
inline constexpr std::string_view lm_head_name = "lm_head";

/// A linear layer of a BART by its name. A joint one stands for several, whose outputs it has one
/// below the other.
struct linear_spec {
  std::string name;
  shape2 shape;                      ///< (outputs, inputs)
  std::vector<std::string> members;  ///< of a joint layer
};

namespace detail {

class linear_lister {
 public:
  explicit linear_lister(bart_config const& c) : c_(c) {}

  void encoder_layer(index_t i) {
    auto const name = layer_name("encoder", i);
    self_attention(name + ".self_attn");
    feed_forward(name, c_.encoder_ffn_dim);
  }
  void cross_kv() {
    linear_spec all{
        std::string(cross_kv_name), {2 * c_.decoder_layers * c_.d_model, c_.d_model}, {}};
    for (index_t i = 0; i < c_.decoder_layers; ++i) {
      for (auto const* projection : {".encoder_attn.k_proj", ".encoder_attn.v_proj"}) {
        all.members.push_back(layer_name("decoder", i) + projection);
      }
    }
    if (!all.members.empty()) {
      linears.push_back(std::move(all));
    }
  }
  void lm_head() {
    linears.push_back({std::string(lm_head_name), {c_.vocab_size, c_.d_model}, {}});
  }
  void decoder_layer(index_t i) {
    auto const name = layer_name("decoder", i);
    self_attention(name + ".self_attn");
    projections(name + ".encoder_attn");
    square(name + ".encoder_attn.out_proj");
    feed_forward(name, c_.decoder_ffn_dim);
  }

  std::vector<linear_spec> linears;

 private:
  void square(std::string name) {
    linears.push_back({std::move(name), {c_.d_model, c_.d_model}, {}});
  }
  void projections(std::string const& attention) {
    for (auto const* projection : {".k_proj", ".v_proj", ".q_proj"}) {
      square(attention + projection);
    }
  }
  void self_attention(std::string const& name) {
    projections(name);
    linears.push_back({name + ".qkv_proj",
                       {3 * c_.d_model, c_.d_model},
                       {name + ".q_proj", name + ".k_proj", name + ".v_proj"}});
    square(name + ".out_proj");
  }
  void feed_forward(std::string const& name, index_t inner) {
    linears.push_back({name + ".fc1", {inner, c_.d_model}, {}});
    linears.push_back({name + ".fc2", {c_.d_model, inner}, {}});
  }

  bart_config const& c_;
};

}  // namespace detail

/// Every linear layer that a BART of these sizes can have, joint ones and the output layer
/// included, in the order of the modules.
inline auto bart_linears(bart_config const& c) -> std::vector<linear_spec> {
  detail::linear_lister list(c);
  for (index_t i = 0; i < c.encoder_layers; ++i) {
    list.encoder_layer(i);
  }
  list.cross_kv();
  for (index_t i = 0; i < c.decoder_layers; ++i) {
    list.decoder_layer(i);
  }
  list.lm_head();
  return std::move(list.linears);
}

/// A linear layer as a checkpoint of this configuration holds it.
struct stored_linear {
  shape2 shape;  ///< (outputs, inputs)
  form stored_as = form::dense;
  index_t rank = 0;
  bool bias = true;
};

/// The linear layers that a checkpoint of this configuration holds, by name: of a joint layer and
/// its members only those that are there, the output layer only if it is listed.
inline auto stored_linears(bart_config const& c)
    -> std::map<std::string, stored_linear, std::less<>> {
  std::map<std::string, stored_layer const*, std::less<>> listed;
  if (c.compression) {
    for (auto const& layer : c.compression->layers) {
      listed.emplace(layer.name, &layer);
    }
  }
  std::map<std::string, stored_linear, std::less<>> result;
  std::vector<std::string> replaced;
  for (auto const& linear : bart_linears(c)) {
    if (auto const found = listed.find(linear.name); found != listed.end()) {
      auto const& layer = *found->second;
      result[linear.name] = {linear.shape, layer.stored_as, layer.rank, layer.bias};
      replaced.insert(replaced.end(), linear.members.begin(), linear.members.end());
    } else if (linear.members.empty() && linear.name != lm_head_name) {
      result[linear.name] = {linear.shape, form::dense,
                             std::min(linear.shape.rows, linear.shape.cols), true};
    }
  }
  for (auto const& name : replaced) {
    result.erase(name);
  }
  return result;
}

}  // namespace v0
}  // namespace eckart
