#pragma once

#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_parser.hpp"
#include "eckart/io/json_string.hpp"
#include "eckart/io/json_value.hpp"
#include "eckart/models/form_name.hpp"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Measured times of y = x W^T, of a few ranks and numbers of rows for each shape and form, and
/// what lies between them. A file of it is made once for a machine and a number of threads, and
/// gives the same plan each time.
class latency_table {
 public:
  /// `name` stands in errors.
  explicit latency_table(std::string name = "latency table") : name_(std::move(name)) {}

  /// The time of one product with W (m, n); dense has no rank. Throws shape_error for a size, rank
  /// or number of rows below 1, a time that is not positive and finite, and one that is there.
  void add(form stored_as, shape2 w, index_t k, index_t rows, double microseconds) {
    auto const fault = [&](char const* what) {
      throw shape_error(message(name_, ": ", name_of(stored_as), " ", w, " of rank ", k, ", ", rows,
                                " rows, ", microseconds, " us: ", what));
    };
    if (w.rows < 1 || w.cols < 1 || k < 1 || rows < 1) {
      fault("sizes start at 1");
    }
    if (!(microseconds > 0 && std::isfinite(microseconds))) {
      fault("a time is positive");
    }
    auto& times = curves_[key(stored_as, w)][rows];
    if (!times.emplace(stored_as == form::dense ? 1 : k, microseconds).second) {
      fault("is there before");
    }
  }

  /// Microseconds of a product with `rows` rows of x, k at least 1: linear between the ranks and
  /// rows that were added. Above the largest, and below the smallest rank, in proportion; below the
  /// fewest rows as with these, which read the same weights. Throws shape_error where no time of
  /// this form and shape was added.
  auto microseconds(form stored_as, shape2 w, index_t k, index_t rows) const -> double {
    auto const found = curves_.find(key(stored_as, w));
    if (found == curves_.end()) {
      throw shape_error(
          message(name_, ": has no times of a ", name_of(stored_as), " ", w, " matrix"));
    }
    auto const& by_rows = found->second;
    auto const rank = stored_as == form::dense ? index_t{1} : k;
    auto const above = by_rows.lower_bound(rows);
    if (above == by_rows.end()) {
      auto const& [most, times] = *by_rows.rbegin();
      return at_rank(times, rank) * static_cast<double>(rows) / static_cast<double>(most);
    }
    auto const late = at_rank(above->second, rank);
    if (above == by_rows.begin()) {
      return late;
    }
    auto const below = std::prev(above);
    return between(below->first, at_rank(below->second, rank), above->first, late, rows);
  }

 private:
  using curve = std::map<index_t, double>;  // by rank

  static auto key(form stored_as, shape2 w) -> std::tuple<form, index_t, index_t> {
    return {stored_as, w.rows, w.cols};
  }

  static auto between(index_t x0, double y0, index_t x1, double y1, index_t x) -> double {
    auto const part = static_cast<double>(x - x0) / static_cast<double>(x1 - x0);
    return y0 + part * (y1 - y0);
  }

  static auto at_rank(curve const& times, index_t k) -> double {
    auto const above = times.lower_bound(k);
    if (above == times.end()) {
      auto const& [last, time] = *times.rbegin();
      return time * static_cast<double>(k) / static_cast<double>(last);
    }
    auto const below =
        above == times.begin() ? std::pair<index_t const, double>{0, 0.0} : *std::prev(above);
    return between(below.first, below.second, above->first, above->second, k);
  }

  std::string name_;
  std::map<std::tuple<form, index_t, index_t>, std::map<index_t, curve>> curves_;  // by rows
};

/// The table of a parsed file, as bench_rank_pays --latency-table writes it:
///
///   {"eckart_latency_table": 1, "threads": 2, "entries": [{"shape": [768, 768],
///    "form": "two-factor", "rank": 64, "rows": 4, "microseconds": 34.8}, ...]}
///
/// Throws format_error that names the file, the entry and the key: another version, missing or
/// mistyped keys, a form that does not exist, what latency_table::add refuses.
template <class Json = nlohmann::json>
auto read_latency_table(Json const& json, std::string_view name) -> latency_table {
  auto const version = json_value<std::int64_t>(json, "eckart_latency_table", name);
  if (version != 1) {
    throw format_error(
        message(name, ": key \"eckart_latency_table\": version ", version, ", not 1"), 0);
  }
  latency_table table{std::string(name)};
  std::size_t number = 0;
  for (auto const& entry : json_value<std::vector<Json>>(json, "entries", name)) {
    auto const place = message(name, ": entries[", number++, "]");
    auto const shape = json_value<std::vector<index_t>>(entry, "shape", place);
    auto const form_name = json_value<std::string>(entry, "form", place);
    auto const stored_as = form_named(form_name);
    if (shape.size() != 2 || !stored_as) {
      throw format_error(stored_as
                             ? message(place, ": key \"shape\": ", shape.size(), " numbers, not 2")
                             : message(place, ": key \"form\": ", detail::json_quoted(form_name),
                                       " is none of ", known_form_names()),
                         0);
    }
    try {
      table.add(*stored_as, {shape[0], shape[1]}, json_value<index_t>(entry, "rank", place),
                json_value<index_t>(entry, "rows", place),
                json_value<double>(entry, "microseconds", place));
    } catch (shape_error const& fault) {
      throw format_error(message(place, ": ", fault.what()), 0);
    }
  }
  return table;
}

/// The table of a file. Throws io_error, and format_error as above.
template <class Json = nlohmann::json>
auto read_latency_table(std::filesystem::path const& path) -> latency_table {
  return read_latency_table<Json>(read_json<Json>(path), path.string());
}

}  // namespace v0
}  // namespace eckart
