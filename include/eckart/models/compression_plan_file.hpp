#pragma once

#include "eckart/io/file.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_parser.hpp"
#include "eckart/io/json_string.hpp"
#include "eckart/io/json_value.hpp"
#include "eckart/io/utf8.hpp"
#include "eckart/models/compression_plan.hpp"
#include "eckart/models/form_name.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// A plan as a JSON file that a person can edit.
namespace eckart {
inline namespace v0 {
namespace detail {

inline auto planned_form(std::string_view text, std::string_view name) -> form {
  if (auto const known = form_named(text)) {
    return *known;
  }
  throw format_error(
      message(name, ": key \"form\": ", json_quoted(text), " is none of ", known_form_names()), 0);
}

/// A misspelled key would otherwise be ignored.
template <class Json>
void refuse_unknown_keys(Json const& object, std::span<std::string_view const> known,
                         std::string_view name) {
  for (auto const& [key, value] : object.items()) {
    if (std::ranges::find(known, std::string_view(key)) == known.end()) {
      throw format_error(message(name, ": key ", json_quoted(key), " is unknown"), 0);
    }
  }
}

/// What the file may state, but only rightly.
template <class Json>
void check_stated(Json const& object, std::string_view key, std::uint64_t counted,
                  std::string_view name) {
  auto const stated = json_value_or<std::uint64_t>(object, key, counted, name);
  if (stated != counted) {
    throw format_error(message(name, ": key ", json_quoted(key), " is ", stated, ", should be ",
                               counted, " or left out"),
                       0);
  }
}

template <class Json>
auto read_planned_layer(Json const& json, std::size_t number, std::string_view file)
    -> planned_layer {
  constexpr std::array<std::string_view, 6> keys{"name", "shape",      "form",
                                                 "rank", "parameters", "predicted_loss"};
  planned_layer layer;
  layer.name = json_value<std::string>(json, "name", message(file, ": layers[", number, "]"));
  auto const name = message(file, ": layer ", json_quoted(layer.name));
  refuse_unknown_keys(json, keys, name);
  auto const shape = json_value<std::vector<index_t>>(json, "shape", name);
  if (shape.size() != 2) {
    throw format_error(message(name, ": key \"shape\": ", shape.size(), " numbers, not 2"), 0);
  }
  layer.shape = {shape[0], shape[1]};
  layer.stored_as = planned_form(json_value<std::string>(json, "form", name), name);
  layer.rank = layer.stored_as == form::dense
                   ? json_value_or<index_t>(json, "rank", std::min(shape[0], shape[1]), name)
                   : json_value<index_t>(json, "rank", name);
  layer.predicted_loss = json_value<double>(json, "predicted_loss", name);
  if (auto const fault = fault_of(layer); !fault.empty()) {
    throw format_error(message(name, ": ", fault), 0);
  }
  check_stated(json, "parameters", plan_parameters(layer), name);
  return layer;
}

/// The shortest text that is read as the same number; no locale has a part in it.
template <class T>
auto number_text(T value) -> std::string {
  std::array<char, 32> text;
  auto const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

inline auto json_line(planned_layer const& layer) -> std::string {
  std::string text = "{\"name\": ";
  text += json_string(layer.name);
  text += ", \"shape\": [";
  text += number_text(layer.shape.rows);
  text += ", ";
  text += number_text(layer.shape.cols);
  text += "], \"form\": ";
  text += json_string(name_of(layer.stored_as));
  text += ", \"rank\": ";
  text += number_text(layer.rank);
  text += ", \"parameters\": ";
  text += number_text(plan_parameters(layer));
  text += ", \"predicted_loss\": ";
  text += number_text(layer.predicted_loss);
  text += '}';
  return text;
}

}  // namespace detail

/// The plan as JSON text, a line a layer. Throws shape_error that names the layer if a reader would
/// refuse it.
inline auto to_json(compression_plan const& plan) -> std::string {
  if (auto const fault = detail::fault_of(plan); !fault.empty()) {
    throw shape_error(message("to_json: plan: ", fault));
  }
  std::string text = "{\n  \"eckart_plan\": 1,\n  \"objective\": ";
  text += json_string(plan.objective);
  text += ",\n  \"layers\": [";
  char const* before = "\n    ";
  for (auto const& layer : plan.layers) {
    text += before;
    text += detail::json_line(layer);
    before = ",\n    ";
  }
  text += plan.layers.empty() ? "],\n  \"parameters\": " : "\n  ],\n  \"parameters\": ";
  text += detail::number_text(plan_parameters(plan));
  text += ",\n  \"dense_parameters\": ";
  text += detail::number_text(dense_parameters(plan));
  text += "\n}\n";
  return text;
}

/// Writes the plan, complete or not at all. Throws shape_error as to_json, and io_error.
inline void write_compression_plan(std::filesystem::path const& path,
                                   compression_plan const& plan) {
  auto const text = to_json(plan);
  write_atomically(path, [&](std::ostream& out) { out << text; });
}

/// The plan of a parsed file. Numbers of parameters, and the rank of a dense matrix, may be left
/// out; if they are there, they must be right. Throws format_error that names the file, the layer
/// and the key: a version other than 1, missing, unknown or mistyped keys, a form that does not
/// exist, a shape or rank that cannot be, a name that appears twice, a wrong number of parameters.
template <class Json = nlohmann::json>
auto read_compression_plan(Json const& json, std::string_view name) -> compression_plan {
  constexpr std::array<std::string_view, 5> keys{"eckart_plan", "objective", "layers", "parameters",
                                                 "dense_parameters"};
  auto const version = json_value<std::int64_t>(json, "eckart_plan", name);
  if (version != 1) {
    throw format_error(message(name, ": key \"eckart_plan\": version ", version, ", not 1"), 0);
  }
  detail::refuse_unknown_keys(json, keys, name);
  compression_plan plan{json_value<std::string>(json, "objective", name), {}};
  for (auto const& layer : json_value<std::vector<Json>>(json, "layers", name)) {
    plan.layers.push_back(detail::read_planned_layer(layer, plan.layers.size(), name));
  }
  if (auto const fault = detail::fault_of(plan); !fault.empty()) {
    throw format_error(message(name, ": ", fault), 0);
  }
  detail::check_stated(json, "parameters", plan_parameters(plan), name);
  detail::check_stated(json, "dense_parameters", dense_parameters(plan), name);
  return plan;
}

/// The plan of a file. Throws io_error, and format_error as above.
template <class Json = nlohmann::json>
auto read_compression_plan(std::filesystem::path const& path) -> compression_plan {
  return read_compression_plan<Json>(read_json<Json>(path), path.string());
}

}  // namespace v0
}  // namespace eckart
