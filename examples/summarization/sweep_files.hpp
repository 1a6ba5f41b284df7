#pragma once

#include "sweep_result.hpp"

#include <nlohmann/json.hpp>

#include <ostream>
#include <string_view>

/// A sweep as files for other programs, and as a table for the terminal.
namespace program {

/// All figures of a model. Reading them back gives the same numbers bit by bit; those that are not
/// finite are the strings "nan", "inf" and "-inf".
auto to_json(sweep_point const& point) -> nlohmann::ordered_json;

/// The point that to_json wrote. `name` is the file's in messages. Throws eckart::format_error for
/// a key that is missing, of another type or out of range.
auto point_from_json(nlohmann::json const& json, std::string_view name) -> sweep_point;

/// The whole result: the points as above under "dense" and "points".
auto to_json(sweep_result const& result) -> nlohmann::ordered_json;

/// One row a model, dense first, as RFC 4180 quotes; lines end with LF. The header names the units,
/// a figure that does not exist (seconds not told, dense's difference to itself) is empty. Numbers
/// have all digits and a point in every locale. Summaries of the shown dialogues come last.
void write_csv(std::ostream& out, sweep_result const& result);

/// For people, at most 100 columns wide as long as names are short.
void write_table(std::ostream& out, sweep_result const& result);

}  // namespace program
