#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace program {

/// A row of a CSV text and where it stands in it.
struct csv_row {
  std::vector<std::string> fields;
  std::size_t line = 0;     ///< of its first character, from 1; LF, CRLF and a lone CR end lines
  std::uint64_t begin = 0;  ///< first byte
  std::uint64_t end = 0;    ///< behind its newline
};

/// Reads CSV (RFC 4180, strictly) row by row: a field that holds the delimiter, a quote or a
/// newline is quoted, a quote in it doubled; spaces belong to the field. Empty lines are passed
/// over.
class csv_reader {
 public:
  /// Reads `text` from byte `begin` on; `name` is the file in messages. The text must outlive this.
  csv_reader(std::string_view text, std::size_t begin, char delimiter, std::string name);
  csv_reader(csv_reader const&) = delete;
  auto operator=(csv_reader const&) -> csv_reader& = delete;
  ~csv_reader();

  /// The next row; nothing at the end. Throws format_error "NAME:LINE: byte OFFSET: ..." with the
  /// line where the row begins for a quote that is not doubled or not closed. Where that row ends
  /// is unknown, so nothing comes after it.
  auto next() -> std::optional<csv_row>;

 private:
  struct parser;

  void start_line();
  void read_line();
  [[noreturn]] void fail(std::uint64_t offset, std::string_view what);

  std::string_view text_;
  std::size_t at_;
  std::size_t line_ = 1;
  std::string name_;
  csv_row row_;
  bool inside_ = false;  // of a row, between two of its lines
  std::unique_ptr<parser> parser_;
};

}  // namespace program
