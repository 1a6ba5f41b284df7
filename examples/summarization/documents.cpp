#include "documents.hpp"

#include <eckart/io/json.hpp>
#include <eckart/text/utf8.hpp>

#include <cstdint>
#include <iostream>
#include <iterator>
#include <string_view>

namespace program {

namespace {

void check_text(std::string_view text, std::string const& origin, std::uint64_t offset) {
  if (auto const bad = eckart::find_invalid_utf8(text)) {
    throw eckart::format_error(
        eckart::message(origin, ": byte ", offset + *bad, ": not valid UTF-8"), offset + *bad);
  }
  if (eckart::is_blank(text)) {
    throw eckart::format_error(eckart::message(origin, ": empty input"), offset);
  }
}

auto row(std::string_view line, std::string const& origin, std::uint64_t offset,
         std::string const& field) -> document {
  check_text(line, origin, offset);
  auto const json = eckart::parse_json(line, origin, 64, offset);
  document result{origin, eckart::json_value<std::string>(json, field, origin), nullptr};
  if (json.contains("id")) {
    result.id = json["id"];
  }
  if (eckart::is_blank(result.text)) {
    throw eckart::format_error(eckart::message(origin, ": the field '", field, "' is empty"),
                               offset);
  }
  return result;
}

void read_rows(std::string_view content, std::string const& name, document_source const& source,
               std::vector<document>& documents) {
  std::size_t line_number = 0;
  for (std::size_t first = 0; first < content.size();) {
    auto const end = std::min(content.find('\n', first), content.size());
    auto const line = content.substr(first, end - first);
    ++line_number;
    if (!eckart::is_blank(line) && (!source.limit || documents.size() < *source.limit)) {
      documents.push_back(row(line, eckart::message(name, ":", line_number), first, source.field));
    }
    first = end + 1;
  }
}

/// A text file ends with a newline that is no part of the text.
auto without_final_newlines(std::string text) -> std::string {
  text.erase(text.find_last_not_of("\r\n") + 1);
  return text;
}

auto read_standard_input() -> std::string {
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

}  // namespace

auto read_documents(document_source const& source) -> std::vector<document> {
  auto const files = source.files.empty() ? std::vector<std::string>{"-"} : source.files;
  std::vector<document> documents;
  for (auto const& file : files) {
    auto const is_input = file == "-";
    auto const name = is_input ? std::string("standard input") : file;
    auto const content = is_input ? read_standard_input() : eckart::read_text(file);
    if (source.jsonl) {
      read_rows(content, name, source, documents);
    } else if (!source.limit || documents.size() < *source.limit) {
      check_text(content, name, 0);
      documents.push_back({name, without_final_newlines(content), nullptr});
    }
  }
  if (documents.empty()) {
    throw eckart::format_error(eckart::message(files.front(), ": no document in it"), 0);
  }
  return documents;
}

}  // namespace program
