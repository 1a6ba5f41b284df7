#include "inspect.hpp"

#include "terminal.hpp"

#include <eckart/factor/break_even.hpp>
#include <eckart/io/json.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/bart/module_tree.hpp>
#include <eckart/models/bart/save.hpp>
#include <eckart/models/bart/stored_schema.hpp>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace program {

namespace {

using eckart::shape2;

struct part {
  std::string name;
  std::uint64_t parameters = 0;
};

/// What is printed of a model.
struct inspection {
  std::string tree;
  std::vector<part> parts;
  std::uint64_t total = 0;
  std::vector<shape2> shapes;  ///< of the weights, each once
  std::vector<int> counts;     ///< weights of this shape
};

auto part_of(std::string const& name) -> std::string {
  auto const has = [&](char const* text) { return name.find(text) != std::string::npos; };
  auto const side = has("decoder.") ? "decoder " : "encoder ";
  if (has("shared.weight")) {
    return "word embedding (shared)";
  }
  if (has("lm_head")) {
    return "output table";
  }
  if (has("cross_kv_proj")) {
    return "decoder cross-attention";
  }
  if (has("embed_positions")) {
    return eckart::message(side, "positions");
  }
  if (has("layer_norm") || has("layernorm")) {
    return eckart::message(side, "layer norms");
  }
  if (has("encoder_attn")) {
    return eckart::message(side, "cross-attention");
  }
  return eckart::message(side, has("self_attn") ? "self-attention" : "feed-forward");
}

/// Parts of a configuration as it is stored, and the shapes of its weights where all are dense.
auto inspect(eckart::bart_config const& c, std::string tree) -> inspection {
  inspection result{std::move(tree), {}, 0, {}, {}};
  auto const part_named = [&](std::string const& name) -> part& {
    auto const found = std::ranges::find(result.parts, name, &part::name);
    return found != result.parts.end() ? *found
                                       : *result.parts.insert(result.parts.end(), part{name, 0});
  };
  for (auto const& spec : eckart::bart_schema(c)) {
    part_named(part_of(spec.name));  // in the order of the modules
    if (spec.shape.size() == 2 && spec.name.find("embed_positions") == std::string::npos) {
      auto const shape = shape2{spec.shape[0], spec.shape[1]};
      auto const at = std::ranges::find(result.shapes, shape) - result.shapes.begin();
      if (at == std::ssize(result.shapes)) {
        result.shapes.push_back(shape);
        result.counts.push_back(0);
      }
      ++result.counts[static_cast<std::size_t>(at)];
    }
  }
  for (auto const& spec : eckart::stored_schema(c)) {
    if (!spec.name.ends_with(".weight.rows")) {  // places, no numbers
      part_named(part_of(spec.name)).parameters += spec.parameters();
      result.total += spec.parameters();
    }
  }
  return result;
}

void write_text(std::ostream& out, inspection const& result) {
  out << result.tree << '\n';
  fmt::print(out, "{:<28}{:>14}\n", "parameters", "");
  for (auto const& p : result.parts) {
    fmt::print(out, "  {:<26}{:>14}{:>8.1f} %\n", p.name, grouped(p.parameters),
               100.0 * static_cast<double>(p.parameters) / static_cast<double>(result.total));
  }
  fmt::print(out, "  {:<26}{:>14}\n\n", "in all", grouped(result.total));
  fmt::print(out, "last rank that saves storage and FLOPs, by weight shape and form\n");
  fmt::print(out, "  {:<16}{:>6}{:>13}", "shape", "count", "parameters");
  for (auto const f : eckart::all_factor_forms) {
    fmt::print(out, "{:>15}", eckart::name_of(f));
  }
  out << '\n';
  for (auto count = result.counts.begin();
       auto const& row : eckart::break_even_table(result.shapes)) {
    fmt::print(out, "  {:<16}{:>6}{:>13}", fmt::format("{} x {}", row.shape.rows, row.shape.cols),
               *count++, grouped(row.dense_parameters));
    for (auto const f : eckart::all_factor_forms) {
      fmt::print(out, "{:>15}", row[f].all());
    }
    out << '\n';
  }
}

auto as_json(eckart::module_node const& node) -> nlohmann::ordered_json {
  nlohmann::ordered_json json{{"name", node.name}, {"label", node.label}};
  for (auto const& child : node.children) {
    json["children"].push_back(as_json(child));
  }
  return json;
}

void write_json(std::ostream& out, inspection const& result, eckart::module_node const& tree) {
  nlohmann::ordered_json json;
  json["modules"] = as_json(tree);
  for (auto const& p : result.parts) {
    json["parameters"][p.name] = p.parameters;
  }
  json["total_parameters"] = result.total;
  for (auto count = result.counts.begin();
       auto const& row : eckart::break_even_table(result.shapes)) {
    nlohmann::ordered_json entry{
        {"rows", row.shape.rows}, {"cols", row.shape.cols}, {"count", *count++}};
    for (auto const f : eckart::all_factor_forms) {
      entry["last_saving_rank"][std::string(eckart::name_of(f))] = row[f].all();
    }
    json["weight_shapes"].push_back(std::move(entry));
  }
  out << json.dump(2) << '\n';
}

}  // namespace

void inspect_command::add_to(CLI::App& app) {
  auto* command =
      app.add_subcommand("inspect", "Print a BART's modules, parameters and break-even ranks");
  command->add_option("--config", config, "a config.json alone: shapes and counts without weights")
      ->check(CLI::ExistingFile);
  command->add_flag("--json", json, "one JSON object");
  model.add_to(*command);
  command->callback([this] { run(); });
}

void inspect_command::run() const {
  eckart::bart_config c;
  eckart::module_node tree;
  if (!config.empty()) {
    if (!model.directory.empty() || model.changes_model()) {
      throw eckart::error("--config stands alone: there are no weights to load or compress");
    }
    c = eckart::read_bart_config(config);
    tree = eckart::module_tree(c);
  } else {
    auto const directory = model.location();
    auto bart = eckart::bart<float>::load(directory);
    if (model.changes_model()) {
      model.prepare_blas();
      compress(bart, model, model.policy());
    }
    c = bart.config();
    c.compression = eckart::compression_of(bart);
    tree = eckart::module_tree(bart);
  }
  auto const result = inspect(c, eckart::to_text(tree));
  json ? write_json(std::cout, result, tree) : write_text(std::cout, result);
}

}  // namespace program
