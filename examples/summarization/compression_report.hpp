#pragma once

#include "compress.hpp"
#include "compression_run.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <iosfwd>

namespace program {

/// What became of a model: sizes in memory and on disk, the plan, times, memory, and how much the
/// element type of the file rounds. Reads back what was saved.
auto report_on(compress_command const& command, std::filesystem::path const& before,
               std::filesystem::path const& after, compression_outcome const& result,
               eckart::dtype stored) -> nlohmann::ordered_json;

/// The same for people, at most 98 columns.
void write_report(std::ostream& out, compress_command const& command,
                  compression_outcome const& result, nlohmann::ordered_json const& report);

}  // namespace program
