#pragma once

#include "eckart/models/bart/config.hpp"

#include <cstdint>
#include <string>
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

/// Every tensor of a BART, in the order of its modules, tied tables once (as model.shared.weight;
/// an untied output as lm_head.weight). The sum of their parameters is the model's size.
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

/// Parameters of the whole model, tied tables once.
inline auto bart_parameters(bart_config const& c) -> std::uint64_t {
  std::uint64_t total = 0;
  for (auto const& spec : bart_schema(c)) {
    total += spec.parameters();
  }
  return total;
}

}  // namespace v0
}  // namespace eckart
