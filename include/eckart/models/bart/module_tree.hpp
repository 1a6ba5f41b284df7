#pragma once

#include "eckart/models/bart/bart.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>
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

/// The label of a linear layer, from its published name and its shape (outputs, inputs).
using describe_linear = std::function<std::string(std::string const&, shape2)>;

namespace detail {

inline auto linear_label(shape2 w, bool bias) -> std::string {
  return message("Linear(in_features=", w.cols, ", out_features=", w.rows,
                 ", bias=", bias ? "True" : "False", ")");
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

class tree_builder {
 public:
  tree_builder(bart_config const& c, describe_linear const& describe)
      : c_(c), describe_(describe) {}

  auto build() const -> module_node {
    module_node model{"model", "BartModel", {}};
    auto const words = message("Embedding(", c_.vocab_size, ", ", c_.d_model,
                               ", padding_idx=", c_.pad_token_id, ")");
    model.children.push_back({"shared", words, {}});
    for (auto const* side : {"encoder", "decoder"}) {
      model.children.push_back(stack(side, words));
    }
    module_node root{"", "BartForConditionalGeneration", {std::move(model)}};
    root.children.push_back({"lm_head", linear_label({c_.vocab_size, c_.d_model}, false), {}});
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
    auto const ffn = is_decoder ? c_.decoder_ffn_dim : c_.encoder_ffn_dim;
    module_node result{std::to_string(i), is_decoder ? "BartDecoderLayer" : "BartEncoderLayer", {}};
    auto& parts = result.children;
    parts.push_back(attention("self_attn", path));
    parts.push_back({"self_attn_layer_norm", layer_norm_label(c_.d_model), {}});
    if (is_decoder) {
      parts.push_back(attention("encoder_attn", path));
      parts.push_back({"encoder_attn_layer_norm", layer_norm_label(c_.d_model), {}});
    }
    parts.push_back({"activation_fn", activation_label(c_.activation_function), {}});
    parts.push_back({"fc1", describe_(path + ".fc1", {ffn, c_.d_model}), {}});
    parts.push_back({"fc2", describe_(path + ".fc2", {c_.d_model, ffn}), {}});
    parts.push_back({"final_layer_norm", layer_norm_label(c_.d_model), {}});
    return result;
  }

  auto attention(std::string const& name, std::string const& path) const -> module_node {
    module_node result{name, "BartAttention", {}};
    for (std::string const projection : {"k_proj", "v_proj", "q_proj", "out_proj"}) {
      result.children.push_back(
          {projection,
           describe_(path + "." + name + "." + projection, {c_.d_model, c_.d_model}),
           {}});
    }
    return result;
  }

  bart_config const& c_;
  describe_linear const& describe_;
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

/// The modules that a configuration describes, all linear layers dense.
inline auto module_tree(bart_config const& c) -> module_node {
  describe_linear const dense = [](std::string const&, shape2 w) {
    return detail::linear_label(w, true);
  };
  return detail::tree_builder(c, dense).build();
}

/// The modules of a model; layers in factors show their rank and form.
template <real T>
auto module_tree(bart<T> const& model) -> module_node {
  std::map<std::string, std::string> labels;
  model.visit_linears([&](std::string const& name, linear<T> const& layer) {
    auto const w = layer.shape();
    labels[name] = layer.stored_as() == form::dense
                       ? detail::linear_label(w, layer.has_bias())
                       : message("LowRank(in_features=", w.cols, ", out_features=", w.rows,
                                 ", rank=", layer.rank(), ", form=", name_of(layer.stored_as()),
                                 ", bias=", layer.has_bias() ? "True" : "False", ")");
  });
  describe_linear const look_up = [&](std::string const& name, shape2) { return labels.at(name); };
  return detail::tree_builder(model.config(), look_up).build();
}

/// The tree as PyTorch prints a module.
inline auto to_text(module_node const& root) -> std::string {
  std::string out;
  detail::print_node(root, "", "", out);
  return out;
}

}  // namespace v0
}  // namespace eckart
