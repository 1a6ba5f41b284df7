#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace program {

/// A text to summarize and where it came from.
struct document {
  std::string origin;  ///< "chat.txt", "standard input" or "data.jsonl:12"
  std::string text;
  nlohmann::json id;  ///< the row's id; null for plain texts
};

/// Where documents come from.
struct document_source {
  std::vector<std::string> files;  ///< "-" or none at all: standard input
  bool jsonl = false;              ///< JSON lines instead of one text a file
  std::string field = "dialogue";  ///< key of the text in a JSON line
  std::optional<std::size_t> limit;
};

/// All documents, checked: UTF-8, not empty, and for JSON lines valid rows with the field. Throws
/// format_error naming file, line and byte, io_error for a file that cannot be read.
auto read_documents(document_source const& source) -> std::vector<document>;

}  // namespace program
