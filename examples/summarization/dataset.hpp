#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace program {

/// A dialogue and the summaries that people wrote of it, at least one.
struct example {
  std::string id;
  std::string dialogue;
  std::vector<std::string> references;
  std::size_t line = 0;  ///< where its row begins in the file, from 1
};

/// What happens to a row that cannot be used.
enum class on_fault { refuse, skip };

/// Which examples are read, from where.
struct dataset_options {
  /// .jsonl (an object a line), .json (the same, or one array of objects), .csv and .tsv (RFC 4180,
  /// first row a header)
  std::filesystem::path file;
  std::string text_field = "dialogue";
  std::string summary_field = "summary";  ///< a string, in JSON also an array of them
  /// A string or number. Rows without "id" are named after their line; another name must be there.
  std::string id_field = "id";
  std::optional<std::size_t> limit;  ///< at most so many; rows behind the last are not looked at
  std::optional<std::uint64_t> sample_seed;  ///< with limit: a random sample of the usable rows
  on_fault fault = on_fault::refuse;

  /// Adds the option for the file, --text-field, --summary-field, --id-field, --limit,
  /// --sample-seed, --skip-faulty.
  void add_to(CLI::App& command, std::string const& file_option = "--data");
};

/// Examples in the order of the file.
struct dataset {
  std::vector<example> examples;
  std::vector<std::string> faults;  ///< "FILE:LINE: ..." of the rows that were skipped
  /// 16 hexadecimal digits over ids, dialogues and references, the same on every machine: tells
  /// whether two runs read the same examples.
  std::string fingerprint;
};

/// Reads and checks examples. Faults of a row: JSON or CSV syntax, invalid UTF-8, a field that is
/// missing or of another type, nothing but white space in one, an id that an earlier row has, too
/// few or too many columns. Throws format_error "FILE:LINE: ..." for the first of them, or collects
/// them if they are skipped; a CSV row with a broken quote has no certain end and takes the rows
/// after it along. Thrown in any case: a bad CSV header, a .json array with bad syntax, no usable
/// row, an unknown ending of the file name; io_error for a file that cannot be read.
auto read_dataset(dataset_options const& options) -> dataset;

}  // namespace program
