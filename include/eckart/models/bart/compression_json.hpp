#pragma once

#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_value.hpp"
#include "eckart/models/bart/schema.hpp"
#include "eckart/models/form_name.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The section "eckart" of a config.json: docs/format.md.
namespace eckart {
inline namespace v0 {

/// The version of the section that is written, and the only one that is read.
inline constexpr int bart_compression_version = 1;

namespace detail {

template <class... Parts>
[[noreturn]] void refuse_section(std::string_view place, Parts const&... parts) {
  throw format_error(message(place, ": ", parts...), 0);
}

/// A misspelled key would otherwise be ignored; new keys are for new versions.
template <class Json>
void check_section_keys(Json const& object, std::span<std::string_view const> known,
                        std::string_view place) {
  for (auto const& [key, value] : object.items()) {
    if (std::ranges::find(known, std::string_view(key)) == known.end()) {
      refuse_section(place, "key ", json_quoted(key), " is unknown");
    }
  }
}

inline auto section_form(std::string_view text, std::string_view place) -> form {
  if (auto const known = form_named(text)) {
    return *known;
  }
  if (text == name_of(form::int8)) {
    return form::int8;
  }
  refuse_section(place, "key \"form\": ", json_quoted(text), " is none of ", known_form_names(),
                 ", ", name_of(form::int8));
}

/// The linear layers of a BART by name.
using linears_by_name = std::map<std::string, linear_spec, std::less<>>;

template <class Json>
auto read_section_layer(Json const& json, std::size_t number, linears_by_name const& linears,
                        std::string_view section) -> stored_layer {
  constexpr std::array<std::string_view, 4> keys{"name", "form", "rank", "bias"};
  stored_layer layer;
  layer.name = json_value<std::string>(json, "name", message(section, ": layers[", number, "]"));
  auto const place = message(section, ": layer ", json_quoted(layer.name));
  check_section_keys(json, keys, place);
  auto const known = linears.find(layer.name);
  if (known == linears.end()) {
    refuse_section(place, "no linear layer has this name");
  }
  auto const shape = known->second.shape;
  auto const full = std::min(shape.rows, shape.cols);
  layer.stored_as = section_form(json_value<std::string>(json, "form", place), place);
  auto const has_factors = layer.stored_as != form::dense && layer.stored_as != form::int8;
  layer.rank = has_factors ? json_value<index_t>(json, "rank", place)
                           : json_value_or<index_t>(json, "rank", full, place);
  if (layer.rank < (has_factors ? 1 : full) || layer.rank > full) {
    refuse_section(place, "rank ", layer.rank, " of a ", name_of(layer.stored_as), " ", shape,
                   " matrix is not ", has_factors ? "in 1 to " : "", full);
  }
  layer.bias = json_value<bool>(json, "bias", place);
  return layer;
}

/// Throws format_error where a layer is listed twice, by itself or as a member of a joint one.
inline void check_section_names(std::vector<stored_layer> const& layers,
                                linears_by_name const& linears, std::string_view section) {
  std::set<std::string_view> names;
  for (auto const& layer : layers) {
    if (!names.insert(layer.name).second) {
      refuse_section(section, "layer ", json_quoted(layer.name), ": the name appears twice");
    }
  }
  for (auto const& layer : layers) {
    for (auto const& member : linears.find(layer.name)->second.members) {
      if (names.contains(member)) {
        refuse_section(section, "layer ", json_quoted(member), ": the joint layer ",
                       json_quoted(layer.name), " stands for it");
      }
    }
  }
}

}  // namespace detail

/// The section "eckart" of a config.json whose other content is `c`; nothing if there is none.
/// `name` is the file's. Throws format_error that names the file, the layer and the key.
template <class Json = nlohmann::json>
auto read_bart_compression(Json const& json, bart_config const& c, std::string_view name)
    -> std::optional<bart_compression> {
  auto const* const found = detail::find_json(json, "eckart", name);
  if (found == nullptr || found->is_null()) {
    return std::nullopt;
  }
  auto const section = message(name, ": eckart");
  auto const version = json_value<std::int64_t>(*found, "version", section);
  if (version != bart_compression_version) {
    detail::refuse_section(section, "version ", version, " is not ", bart_compression_version,
                           ", the only one that is read");
  }
  constexpr std::array<std::string_view, 4> keys{"version", "method", "score_scale_folded",
                                                 "layers"};
  detail::check_section_keys(*found, keys, section);
  detail::linears_by_name linears;
  for (auto& linear : bart_linears(c)) {
    auto key = linear.name;
    linears.emplace(std::move(key), std::move(linear));
  }
  bart_compression result;
  result.method = json_value<std::string>(*found, "method", section);
  result.score_scale_folded = json_value<bool>(*found, "score_scale_folded", section);
  for (auto const& layer : json_value<std::vector<Json>>(*found, "layers", section)) {
    result.layers.push_back(
        detail::read_section_layer(layer, result.layers.size(), linears, section));
  }
  detail::check_section_names(result.layers, linears, section);
  return result;
}

/// The section as read_bart_compression reads it. Throws format_error if the method is not UTF-8.
template <class Json = nlohmann::json>
auto compression_json(bart_compression const& compression) -> parsed_json<Json> {
  if (find_invalid_utf8(compression.method)) {
    throw format_error(
        message("method ", detail::json_quoted(compression.method), " is not valid UTF-8"), 0);
  }
  Json section = Json::object();
  section["version"] = bart_compression_version;
  section["method"] = compression.method;
  section["score_scale_folded"] = compression.score_scale_folded;
  section["layers"] = Json::array();
  for (auto const& layer : compression.layers) {
    Json entry = Json::object();
    entry["name"] = layer.name;
    entry["form"] = std::string(name_of(layer.stored_as));
    entry["rank"] = layer.rank;
    entry["bias"] = layer.bias;
    section["layers"].push_back(std::move(entry));
  }
  return section;
}

}  // namespace v0
}  // namespace eckart
