#include "csv_rows.hpp"

#include <eckart/core/error.hpp>

#include <csv.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

namespace program {

namespace {

// RFC 4180: "Spaces are considered part of a field". libcsv would strip them.
auto is_no_space(unsigned char) -> int {
  return 0;
}

}  // namespace

/// libcsv's parser and what it has reported.
struct csv_reader::parser {
  csv_parser state{};
  std::vector<std::string> fields;
  bool row_ended = false;
  std::exception_ptr failure;  // kept from passing through C

  explicit parser(char delimiter) {
    if (csv_init(&state, CSV_STRICT | CSV_STRICT_FINI) != 0) {
      throw std::bad_alloc();
    }
    csv_set_delim(&state, static_cast<unsigned char>(delimiter));
    csv_set_space_func(&state, is_no_space);
    csv_set_blk_size(&state, std::size_t{1} << 14U);
  }
  parser(parser const&) = delete;
  auto operator=(parser const&) -> parser& = delete;
  ~parser() { csv_free(&state); }

  static void take_field(void* bytes, std::size_t size, void* self) {
    auto& p = *static_cast<parser*>(self);
    try {
      p.fields.emplace_back(static_cast<char const*>(bytes), size);
    } catch (...) {
      p.failure = std::current_exception();
    }
  }
  static void take_row(int, void* self) { static_cast<parser*>(self)->row_ended = true; }

  /// Bytes that were taken: fewer than given where the text is no CSV.
  auto parse(std::string_view text) -> std::size_t {
    auto const taken = csv_parse(&state, text.data(), text.size(), &take_field, &take_row, this);
    check();
    return taken;
  }

  /// False if a quoted field is open.
  auto finish() -> bool {
    auto const status = csv_fini(&state, &take_field, &take_row, this);
    check();
    return status == 0;
  }

 private:
  void check() {
    if (failure) {
      std::rethrow_exception(failure);
    }
    auto const status = csv_error(&state);
    if (status == CSV_ENOMEM || status == CSV_ETOOBIG) {
      throw std::bad_alloc();
    }
  }
};

csv_reader::csv_reader(std::string_view text, std::size_t begin, char delimiter, std::string name)
    : text_(text),
      at_(begin),
      name_(std::move(name)),
      parser_(std::make_unique<parser>(delimiter)) {}

csv_reader::~csv_reader() = default;

void csv_reader::fail(std::uint64_t offset, std::string_view what) {
  at_ = text_.size();
  inside_ = false;
  throw eckart::format_error(eckart::message(name_, ":", row_.line, ": byte ", offset, ": ", what),
                             offset);
}

// A line is given to the parser as a whole, so that at most one row ends in it.
void csv_reader::read_line() {
  auto end = std::min(text_.find_first_of("\r\n", at_), text_.size());
  auto const is_empty = end == at_;
  end += text_.substr(end, 2) == "\r\n" ? 2U : end < text_.size() ? 1U : 0U;
  if (!inside_) {
    row_ = {{}, line_, at_, 0};
    inside_ = !is_empty;
  }
  auto const line = text_.substr(at_, end - at_);
  if (auto const taken = parser_->parse(line); taken < line.size()) {
    fail(at_ + taken, line[taken] == '"' ? "a quote in a field that is not quoted"
                                         : "text after the closing quote of a field");
  }
  at_ = end;
  ++line_;
}

auto csv_reader::next() -> std::optional<csv_row> {
  while (at_ < text_.size() && !parser_->row_ended) {
    read_line();
  }
  if (!parser_->row_ended && inside_ && !parser_->finish()) {
    fail(row_.begin, "a quoted field has no closing quote");
  }
  if (!std::exchange(parser_->row_ended, false)) {
    return std::nullopt;
  }
  inside_ = false;
  row_.end = at_;
  row_.fields = std::exchange(parser_->fields, {});
  return std::move(row_);
}

}  // namespace program
