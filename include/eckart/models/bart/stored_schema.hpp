#pragma once

#include "eckart/models/bart/schema.hpp"
#include "eckart/models/low_rank_parts.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {
namespace detail {

/// What stands behind the name of a linear layer: the dense weight, the factors, the bias.
inline auto linear_suffixes() -> std::vector<std::string> {
  std::vector<std::string> suffixes{".weight", ".bias"};
  for (auto const part : all_low_rank_parts) {
    suffixes.push_back(part_name(".weight", part));
  }
  return suffixes;
}

inline void add_linear_tensors(std::string const& name, stored_linear const& layer,
                               std::vector<tensor_spec>& specs) {
  auto const weight = name + ".weight";
  if (layer.stored_as == form::dense) {
    specs.push_back({weight, {layer.shape.rows, layer.shape.cols}});
  }
  auto shapes = low_rank_shapes(layer.stored_as, layer.shape, layer.rank);
  auto const parts = low_rank_parts(layer.stored_as);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    specs.push_back({part_name(weight, parts[i]), std::move(shapes[i])});
  }
  if (layer.bias) {
    specs.push_back({name + ".bias", {layer.shape.rows}});
  }
}

/// Whether the tensor belongs to a linear layer: "a.b.weight" and "a.b.bias" to "a.b".
template <class Linears>
auto is_linear_tensor(std::string_view tensor, Linears const& linears) -> bool {
  return linears.contains(tensor.substr(0, tensor.rfind('.')));
}

}  // namespace detail

/// Every tensor that a checkpoint of this configuration must hold: bart_schema where nothing is
/// compressed; otherwise its tensors without those of linear layers, then those of the linear
/// layers as they are stored.
inline auto stored_schema(bart_config const& c) -> std::vector<tensor_spec> {
  auto published = bart_schema(c);
  if (!c.compression) {
    return published;
  }
  auto const layers = bart_linears(c);
  auto const stored = stored_linears(c);
  std::set<std::string, std::less<>> names;
  for (auto const& layer : layers) {
    if (layer.name != lm_head_name || stored.contains(layer.name)) {
      names.insert(layer.name);
    }
  }
  std::vector<tensor_spec> specs;
  for (auto& spec : published) {
    if (!detail::is_linear_tensor(spec.name, names)) {
      specs.push_back(std::move(spec));
    }
  }
  for (auto const& layer : layers) {
    if (auto const found = stored.find(layer.name); found != stored.end()) {
      detail::add_linear_tensors(layer.name, found->second, specs);
    }
  }
  return specs;
}

/// Tensors that contradict the configuration where a checkpoint holds them, each with the reason:
/// of a linear layer in another form, or one that a joint layer stands for. An output table of its
/// own is none, unless an output layer is listed.
inline auto refused_tensors(bart_config const& c) -> std::map<std::string, std::string> {
  std::set<std::string> expected;
  for (auto const& spec : stored_schema(c)) {
    expected.insert(spec.name);
  }
  auto const stored = stored_linears(c);
  auto const suffixes = detail::linear_suffixes();
  std::map<std::string, std::string> refused;
  for (auto const& layer : bart_linears(c)) {
    auto const found = stored.find(layer.name);
    auto const is_table = found == stored.end() && layer.name == lm_head_name;
    auto const reason =
        found != stored.end()
            ? message("in config.json the layer is ", name_of(found->second.stored_as),
                      found->second.bias ? "" : " without bias")
            : std::string(is_table                ? "config.json lists no such layer"
                          : layer.members.empty() ? "in config.json a joint layer stands for it"
                                                  : "config.json lists no such joint layer");
    for (auto const& suffix : suffixes) {
      if (auto tensor = layer.name + suffix;
          !expected.contains(tensor) && !(is_table && suffix == ".weight")) {
        refused.emplace(std::move(tensor), reason);
      }
    }
  }
  return refused;
}

}  // namespace v0
}  // namespace eckart
