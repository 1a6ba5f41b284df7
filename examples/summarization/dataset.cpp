#include "dataset.hpp"

#include "csv_rows.hpp"
#include "fingerprint.hpp"

#include <eckart/io/json.hpp>
#include <eckart/text/utf8.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace program {

namespace {

using eckart::format_error;
using eckart::message;

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

void check_utf8(std::string_view text, std::string const& place, std::uint64_t offset) {
  if (auto const bad = eckart::find_invalid_utf8(text)) {
    throw format_error(message(place, ": byte ", offset + *bad, ": not valid UTF-8"),
                       offset + *bad);
  }
}

void check_not_blank(std::string_view text, std::string const& field, std::string const& place) {
  if (eckart::is_blank(text)) {
    throw format_error(message(place, ": the field '", field, "' is empty"), 0);
  }
}

/// Gathers the usable rows of a file, and what is wrong with the others.
class row_collector {
 public:
  explicit row_collector(dataset_options const& options)
      : options_(options), name_(options.file.string()) {}

  auto options() const -> dataset_options const& { return options_; }
  auto name() const -> std::string const& { return name_; }

  /// Are there as many as asked for, so that the rest need not be read?
  auto is_full() const -> bool {
    return options_.limit && !options_.sample_seed && result_.examples.size() >= *options_.limit;
  }

  /// Adds the example that `read(place)` gives for the row at `line` and byte `offset`.
  template <class F>
  void add(std::size_t line, std::uint64_t offset, F&& read) {
    auto const place = message(name_, ":", line);
    try {
      example one = read(place);
      one.line = line;
      if (one.id.empty()) {
        one.id = std::to_string(line);
      }
      check(one, place);
      result_.examples.push_back(std::move(one));
    } catch (format_error const& e) {
      report({e.what(), e.offset == 0 ? offset : e.offset});
    }
  }

  /// A fault: thrown, or kept together with `consequence`.
  void report(format_error const& fault, std::string_view consequence = {}) {
    if (options_.fault == on_fault::refuse) {
      throw fault;
    }
    result_.faults.push_back(message(fault.what(), consequence));
  }

  auto take() -> dataset { return std::move(result_); }

 private:
  void check(example const& one, std::string const& place) {
    check_not_blank(one.dialogue, options_.text_field, place);
    if (one.references.empty()) {
      throw format_error(message(place, ": the field '", options_.summary_field, "' is empty"), 0);
    }
    for (auto const& reference : one.references) {
      check_not_blank(reference, options_.summary_field, place);
    }
    auto const [first, is_new] = lines_.emplace(one.id, one.line);
    if (!is_new) {
      throw format_error(
          message(place, ": the id '", one.id, "' stands already in line ", first->second), 0);
    }
  }

  dataset_options const& options_;
  std::string name_;
  dataset result_;
  std::unordered_map<std::string, std::size_t> lines_;  // of the usable rows, by id
};

auto may_lack_ids(dataset_options const& options) -> bool {
  return options.id_field == dataset_options{}.id_field;
}

auto json_id(nlohmann::json const& row, std::string const& place, dataset_options const& options)
    -> std::string {
  if (may_lack_ids(options) && !row.contains(options.id_field)) {
    return {};
  }
  auto const id = eckart::json_value<nlohmann::json>(row, options.id_field, place);
  if (id.is_number()) {
    return id.dump();
  }
  auto const text = eckart::json_value<std::string>(row, options.id_field, place);
  check_not_blank(text, options.id_field, place);
  return text;
}

auto json_example(nlohmann::json const& row, std::string const& place,
                  dataset_options const& options) -> example {
  example result;
  result.dialogue = eckart::json_value<std::string>(row, options.text_field, place);
  auto const summary = eckart::json_value<nlohmann::json>(row, options.summary_field, place);
  if (summary.is_array()) {
    result.references =
        eckart::json_value<std::vector<std::string>>(row, options.summary_field, place);
  } else {
    result.references = {eckart::json_value<std::string>(row, options.summary_field, place)};
  }
  result.id = json_id(row, place, options);
  return result;
}

void read_json_lines(std::string_view text, std::size_t begin, row_collector& rows) {
  for (std::size_t line_number = 1; begin < text.size() && !rows.is_full(); ++line_number) {
    auto const end = std::min(text.find('\n', begin), text.size());
    auto const line = text.substr(begin, end - begin);
    if (!eckart::is_blank(line)) {
      rows.add(line_number, begin, [&](std::string const& place) {
        check_utf8(line, place, begin);
        return json_example(eckart::parse_json(line, place, 64, begin), place, rows.options());
      });
    }
    begin = end + 1;
  }
}

struct text_place {
  std::size_t line;
  std::uint64_t offset;
};

/// Where the elements of an array begin. The text must be valid JSON.
auto element_places(std::string_view text, std::size_t begin) -> std::vector<text_place> {
  std::vector<text_place> places;
  std::size_t line = 1;
  int depth = 0;
  bool is_due = false;  // the next element of the outermost array
  for (auto i = begin; i < text.size(); ++i) {
    auto const c = text[i];
    line += c == '\n' ? 1U : 0U;
    if (is_due && c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != ']') {
      places.push_back({line, i});
      is_due = false;
    }
    if (c == '"') {
      while (text[++i] != '"') {
        i += text[i] == '\\' ? 1U : 0U;
      }
    } else if (c == '[' || c == '{') {
      is_due = ++depth == 1;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',') {
      is_due = depth == 1;
    }
  }
  return places;
}

void read_json_array(std::string_view text, std::size_t begin, row_collector& rows) {
  check_utf8(text, rows.name(), 0);
  auto const array = eckart::parse_json(text.substr(begin), rows.name(), 65, begin);
  auto const places = element_places(text, begin);
  for (std::size_t i = 0; i < places.size() && !rows.is_full(); ++i) {
    rows.add(places[i].line, places[i].offset, [&](std::string const& place) {
      return json_example(array[i], place, rows.options());
    });
  }
}

/// Which columns hold what.
struct csv_columns {
  std::size_t count;
  std::size_t text;
  std::size_t summary;
  std::optional<std::size_t> id;
};

auto find_column(csv_row const& header, std::string const& field, std::string const& place)
    -> std::size_t {
  auto const& names = header.fields;
  auto const count = std::count(names.begin(), names.end(), field);
  if (count != 1) {
    throw format_error(
        message(place, ": ", count == 0 ? "no column" : "more than one column", " '", field,
                "'; the header is ", fmt::format("{}", fmt::join(names, ", "))),
        header.begin);
  }
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), field) - names.begin());
}

auto find_columns(csv_row const& header, std::string const& place, dataset_options const& options)
    -> csv_columns {
  csv_columns result{header.fields.size(), find_column(header, options.text_field, place),
                     find_column(header, options.summary_field, place), std::nullopt};
  auto const& names = header.fields;
  if (!may_lack_ids(options) ||
      std::find(names.begin(), names.end(), options.id_field) != names.end()) {
    result.id = find_column(header, options.id_field, place);
  }
  return result;
}

auto csv_example(csv_row& row, csv_columns const& columns, std::string const& place,
                 dataset_options const& options) -> example {
  if (row.fields.size() != columns.count) {
    throw format_error(
        message(place, ": ", row.fields.size(), " columns, the header has ", columns.count), 0);
  }
  example result;
  if (columns.id) {
    check_not_blank(row.fields[*columns.id], options.id_field, place);
    result.id = row.fields[*columns.id];
  }
  result.dialogue = row.fields[columns.text];
  result.references = {row.fields[columns.summary]};
  return result;
}

void read_csv(std::string_view text, std::size_t begin, char delimiter, row_collector& rows) {
  csv_reader reader(text, begin, delimiter, rows.name());
  auto const header = reader.next();
  if (!header) {
    return;
  }
  auto const bytes = [&](csv_row const& row) {
    return text.substr(row.begin, row.end - row.begin);
  };
  auto const header_place = message(rows.name(), ":", header->line);
  check_utf8(bytes(*header), header_place, header->begin);
  auto const columns = find_columns(*header, header_place, rows.options());
  try {
    for (auto row = std::optional<csv_row>(); !rows.is_full() && (row = reader.next());) {
      rows.add(row->line, row->begin, [&](std::string const& place) {
        check_utf8(bytes(*row), place, row->begin);
        return csv_example(*row, columns, place, rows.options());
      });
    }
  } catch (format_error const& e) {
    rows.report(e, "; the rows after it are left out, because its end is unknown");
  }
}

auto opens_array(std::string_view text, std::size_t begin) -> bool {
  auto const first = text.find_first_not_of(" \t\r\n", begin);
  return first != std::string_view::npos && text[first] == '[';
}

void read_rows(std::string_view text, row_collector& rows) {
  auto const begin = text.starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
  auto ending = rows.options().file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (ending == ".csv" || ending == ".tsv") {
    read_csv(text, begin, ending == ".csv" ? ',' : '\t', rows);
  } else if (ending == ".json" && opens_array(text, begin)) {
    read_json_array(text, begin, rows);
  } else if (ending == ".jsonl" || ending == ".json") {
    read_json_lines(text, begin, rows);
  } else {
    throw format_error(message(rows.name(), ": neither .jsonl, .json, .csv nor .tsv by its name"),
                       0);
  }
}

/// Uniform in [0, n). The standard defines the generator, but not what its own distributions draw.
auto draw_below(std::mt19937_64& bits, std::uint64_t n) -> std::uint64_t {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  auto const end = most - most % n;  // a multiple of n
  for (;;) {
    if (auto const x = bits(); x < end) {
      return x % n;
    }
  }
}

/// `count` of the examples in their order, every choice as likely as any other (Knuth, The Art of
/// Computer Programming 2, 3.4.2, algorithm S).
auto sample(std::vector<example> all, std::size_t count, std::uint64_t seed)
    -> std::vector<example> {
  std::mt19937_64 bits(seed);
  std::vector<example> result;
  for (std::size_t i = 0; i < all.size() && result.size() < count; ++i) {
    if (draw_below(bits, all.size() - i) < count - result.size()) {
      result.push_back(std::move(all[i]));
    }
  }
  return result;
}

auto fingerprint_of(std::vector<example> const& examples) -> std::string {
  fingerprint hash;
  for (auto const& one : examples) {
    hash.add(one.id);
    hash.add(one.dialogue);
    hash.add(one.references.size());
    for (auto const& reference : one.references) {
      hash.add(reference);
    }
  }
  return hash.text();
}

}  // namespace

void dataset_options::add_to(CLI::App& command, std::string const& file_option) {
  auto const group = "Data";
  command.add_option(file_option, file, "dialogues with summaries: .jsonl, .json, .csv or .tsv")
      ->option_text("FILE")
      ->required()
      ->check(CLI::ExistingFile)
      ->group(group);
  command.add_option("--text-field", text_field, "key or column of the dialogue")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--summary-field", summary_field,
                  "key or column of the summary; in JSON also an array of summaries")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--id-field", id_field, "key or column of the id; without id: the line number")
      ->capture_default_str()
      ->group(group);
  auto* most = command.add_option("--limit", limit, "only the first N examples")
                   ->option_text("N")
                   ->check(CLI::PositiveNumber)
                   ->group(group);
  command.add_option("--sample-seed", sample_seed, "with --limit: N random examples of this seed")
      ->option_text("SEED")
      ->needs(most)
      ->group(group);
  command
      .add_flag_callback(
          "--skip-faulty", [this] { fault = on_fault::skip; },
          "leave out rows that cannot be used instead of refusing the file")
      ->group(group);
}

auto read_dataset(dataset_options const& options) -> dataset {
  auto const text = eckart::read_text(options.file);
  row_collector rows(options);
  read_rows(text, rows);
  auto result = rows.take();
  if (result.examples.empty()) {
    auto const why = result.faults.empty() ? std::string()
                                           : message("; of ", result.faults.size(),
                                                     " faults the first: ", result.faults.front());
    throw format_error(message(rows.name(), ": no usable row", why), 0);
  }
  if (options.limit && options.sample_seed) {
    result.examples = sample(std::move(result.examples), *options.limit, *options.sample_seed);
  }
  result.fingerprint = fingerprint_of(result.examples);
  return result;
}

}  // namespace program
