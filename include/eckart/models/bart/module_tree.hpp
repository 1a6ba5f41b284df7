#pragma once

#include "eckart/models/bart/bart.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// A part of a model as a program prints it: `(name): label(children)`.
struct module_node {
  std::string name;
  std::string label;
  std::vector<module_node> children;

  auto operator==(module_node const&) const -> bool = default;
};

namespace detail {

inline auto linear_label(stored_linear const& layer) -> std::string {
  auto const w = layer.shape;
  bool const is_dense = layer.stored_as == form::dense;
  bool const has_factors = !is_dense && layer.stored_as != form::int8;
  auto const rank = has_factors ? message(", rank=", layer.rank) : std::string();
  auto const stored_as = is_dense ? std::string() : message(", form=", name_of(layer.stored_as));
  return message(has_factors ? "LowRank" : "Linear", "(in_features=", w.cols,
                 ", out_features=", w.rows, rank, stored_as,
                 ", bias=", layer.bias ? "True" : "False", ")");
}

inline auto layer_norm_label(index_t width) -> std::string {
  return message("LayerNorm((", width, ",), eps=1e-05, elementwise_affine=True)");
}

inline auto activation_label(activation f) -> std::string {
  switch (f) {
    case activation::relu:
      return "ReLU()";
    case activation::gelu:
      return "GELUActivation()";
    case activation::gelu_tanh:
      return "NewGELUActivation()";
  }
  return "";
}

/// Labels of the linear layers by name: of a joint layer and its members those that are there.
using linear_labels = std::map<std::string, std::string>;

class tree_builder {
 public:
  tree_builder(bart_config const& c, linear_labels const& labels) : c_(c), labels_(labels) {}

  auto build() const -> module_node {
    module_node model{"model", "BartModel", {}};
    auto const words = message("Embedding(", c_.vocab_size, ", ", c_.d_model,
                               ", padding_idx=", c_.pad_token_id, ")");
    model.children.push_back({"shared", words, {}});
    for (auto const* side : {"encoder", "decoder"}) {
      model.children.push_back(stack(side, words));
    }
    module_node root{"", "BartForConditionalGeneration", {std::move(model)}};
    auto const head = labels_.find(std::string(lm_head_name));
    root.children.push_back(
        {std::string(lm_head_name),
         head != labels_.end() ? head->second
                               : linear_label({{c_.vocab_size, c_.d_model}, form::dense, 0, false}),
         {}});
    return root;
  }

 private:
  auto stack(std::string const& side, std::string const& words) const -> module_node {
    bool const is_decoder = side == "decoder";
    module_node result{side, is_decoder ? "BartDecoder" : "BartEncoder", {}};
    result.children.push_back({"embed_tokens", words, {}});
    result.children.push_back(
        {"embed_positions",
         message("BartLearnedPositionalEmbedding(",
                 c_.max_position_embeddings + bart_config::position_offset, ", ", c_.d_model, ")"),
         {}});
    if (is_decoder) {
      add_linear("cross_kv_proj", "model.decoder", result);
    }
    module_node layers{"layers", "ModuleList", {}};
    auto const count = is_decoder ? c_.decoder_layers : c_.encoder_layers;
    for (index_t i = 0; i < count; ++i) {
      layers.children.push_back(layer(i, side));
    }
    result.children.push_back(std::move(layers));
    result.children.push_back({"layernorm_embedding", layer_norm_label(c_.d_model), {}});
    return result;
  }

  auto layer(index_t i, std::string const& side) const -> module_node {
    bool const is_decoder = side == "decoder";
    auto const path = layer_name(side, i);
    module_node result{std::to_string(i), is_decoder ? "BartDecoderLayer" : "BartEncoderLayer", {}};
    auto& parts = result.children;
    parts.push_back(attention("self_attn", path));
    parts.push_back({"self_attn_layer_norm", layer_norm_label(c_.d_model), {}});
    if (is_decoder) {
      parts.push_back(attention("encoder_attn", path));
      parts.push_back({"encoder_attn_layer_norm", layer_norm_label(c_.d_model), {}});
    }
    parts.push_back({"activation_fn", activation_label(c_.activation_function), {}});
    add_linear("fc1", path, result);
    add_linear("fc2", path, result);
    parts.push_back({"final_layer_norm", layer_norm_label(c_.d_model), {}});
    return result;
  }

  auto attention(std::string const& name, std::string const& path) const -> module_node {
    module_node result{name, "BartAttention", {}};
    for (auto const* projection : {"k_proj", "v_proj", "q_proj", "qkv_proj", "out_proj"}) {
      add_linear(projection, message(path, ".", name), result);
    }
    return result;
  }

  void add_linear(std::string const& name, std::string const& path, module_node& parent) const {
    if (auto const label = labels_.find(message(path, ".", name)); label != labels_.end()) {
      parent.children.push_back({name, label->second, {}});
    }
  }

  bart_config const& c_;
  linear_labels const& labels_;
};

inline void print_node(module_node const& node, std::string const& title, std::string const& indent,
                       std::string& out) {
  out += indent + title + node.label;
  if (node.children.empty()) {
    out += '\n';
    return;
  }
  out += "(\n";
  auto const inner = indent + "  ";
  auto const& parts = node.children;
  for (std::size_t first = 0; first < parts.size();) {
    // Equal neighbours in a list of layers stand in one entry, "(0-5): 6 x".
    auto last = first;
    auto const alike = [&](module_node other) {
      other.name = parts[first].name;
      return node.label == "ModuleList" && other == parts[first];
    };
    while (last + 1 < parts.size() && alike(parts[last + 1])) {
      ++last;
    }
    auto const name = first == last ? message("(", parts[first].name, "): ")
                                    : message("(", parts[first].name, "-", parts[last].name,
                                              "): ", last - first + 1, " x ");
    print_node(parts[first], name, inner, out);
    first = last + 1;
  }
  out += indent + ")\n";
}

}  // namespace detail

/// The modules that a configuration describes; layers in factors show their rank and form.
inline auto module_tree(bart_config const& c) -> module_node {
  detail::linear_labels labels;
  for (auto const& [name, layer] : stored_linears(c)) {
    labels[name] = detail::linear_label(layer);
  }
  return detail::tree_builder(c, labels).build();
}

/// The modules of a model, as it is now.
template <real T>
auto module_tree(bart<T> const& model) -> module_node {
  detail::linear_labels labels;
  model.visit_linears([&](std::string const& name, linear<T> const& layer) {
    labels[name] =
        detail::linear_label({layer.shape(), layer.stored_as(), layer.rank(), layer.has_bias()});
  });
  return detail::tree_builder(model.config(), labels).build();
}

/// The tree as PyTorch prints a module.
inline auto to_text(module_node const& root) -> std::string {
  std::string out;
  detail::print_node(root, "", "", out);
  return out;
}

}  // namespace v0
}  // namespace eckart
