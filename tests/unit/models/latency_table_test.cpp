#include "eckart/models/latency_table.hpp"

#include "eckart/models/layer_timing.hpp"

#include "eckart/io/json.hpp"
#include "support/matrix_check.hpp"
#include "support/temporary_directory.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace eckart;
using support::has;
using support::refusal;

namespace {

constexpr shape2 square{64, 64};

// Sums and products of small integers and halves: exact.
auto example() -> latency_table {
  latency_table table("example");
  table.add(form::dense, square, 64, 4, 40);
  table.add(form::dense, square, 64, 8, 56);
  for (index_t const k : {16, 32}) {
    table.add(form::two_factor, square, k, 4, static_cast<double>(k));
    table.add(form::two_factor, square, k, 8, static_cast<double>(2 * k + 8));
  }
  return table;
}

auto table_from(std::string const& text) -> latency_table {
  return read_latency_table(parse_json(text, "t.json"), "t.json");
}

auto entry(std::string const& changed, std::string const& to) -> std::string {
  std::string text = R"({"eckart_latency_table": 1, "threads": 1, "entries": [)"
                     R"({"shape": [2, 3], "form": "pivoted", "rank": 1, "rows": 4, )"
                     R"("microseconds": 2.5}]})";
  auto const at = text.find(changed);
  REQUIRE(at != std::string::npos);
  return text.replace(at, changed.size(), to);
}

}  // namespace

TEST_CASE("times that were added come back, and between them lie straight lines") {
  auto const table = example();
  CHECK(table.microseconds(form::two_factor, square, 16, 4) == 16);
  CHECK(table.microseconds(form::two_factor, square, 32, 8) == 72);
  CHECK(table.microseconds(form::two_factor, square, 24, 4) == 24);
  CHECK(table.microseconds(form::two_factor, square, 16, 6) == 28);
  CHECK(table.microseconds(form::two_factor, square, 24, 6) == 40);
  CHECK(table.microseconds(form::dense, square, 64, 6) == 48);
  CHECK(table.microseconds(form::dense, square, 17, 6) == 48);  // has no rank
}

TEST_CASE("beyond what was added: in proportion, but few rows read the same weights") {
  auto const table = example();
  CHECK(table.microseconds(form::two_factor, square, 64, 4) == 64);
  CHECK(table.microseconds(form::two_factor, square, 8, 4) == 8);
  CHECK(table.microseconds(form::two_factor, square, 16, 1) == 16);
  CHECK(table.microseconds(form::two_factor, square, 16, 16) == 80);
  CHECK(table.microseconds(form::dense, square, 64, 1) == 40);
}

TEST_CASE("what the table does not hold is refused by form and shape") {
  auto const table = example();
  CHECK(refusal<shape_error>([&] { table.microseconds(form::pivoted, square, 8, 4); }) ==
        "example: has no times of a pivoted 64 x 64 matrix");
  CHECK(has(refusal<shape_error>([&] {
              table.microseconds(form::dense, {64, 65}, 8, 4);
            }),
            "dense 64 x 65"));
  auto changed = example();
  auto const add = [&](index_t k, index_t rows, double time) {
    return refusal<shape_error>([&] { changed.add(form::pivoted, square, k, rows, time); });
  };
  CHECK(has(add(0, 1, 1), "sizes start at 1"));
  CHECK(has(add(1, 0, 1), "sizes start at 1"));
  CHECK(has(add(1, 1, 0), "a time is positive"));
  CHECK(has(add(1, 1, std::nan("")), "a time is positive"));
  changed.add(form::pivoted, square, 1, 1, 1);
  CHECK(has(add(1, 1, 2), "is there before"));
}

TEST_CASE("the cost of a layer: the source once, each written token by itself") {
  auto const cost = time_cost(example(), 8, 5, 4);
  CHECK(cost("model.encoder.layers.0.fc2", form::two_factor, square, 16) == 40'000);
  CHECK(cost("model.decoder.layers.0.encoder_attn.k_proj", form::dense, square, 64) == 56'000);
  CHECK(cost("model.decoder.layers.0.fc2", form::two_factor, square, 16) == 5U * 16'000);
}

TEST_CASE("a file is read, or refused with the entry and the key") {
  CHECK(table_from(entry("2.5", "2.5")).microseconds(form::pivoted, {2, 3}, 1, 4) == 2.5);
  auto const refused = [](std::string const& changed, std::string const& to) {
    return refusal<format_error>([&] { table_from(entry(changed, to)); });
  };
  CHECK(
      has(refused("table\": 1", "table\": 2"), "t.json: key \"eckart_latency_table\": version 2"));
  CHECK(has(refused("[2, 3]", "[2]"), "t.json: entries[0]: key \"shape\": 1 numbers, not 2"));
  CHECK(has(refused("pivoted", "sparse"), "entries[0]: key \"form\": \"sparse\" is none of dense"));
  CHECK(has(refused("\"rank\": 1", "\"rank\": 0"), "entries[0]: t.json: pivoted 2 x 3 of rank 0"));
  CHECK(has(refused("\"rows\": 4", "\"rows\": 1.5"), "rows"));
  CHECK(has(refused("2.5", "\"fast\""), "microseconds"));
  CHECK(has(refused("\"entries\"", "\"entry\""), "entries"));
  support::temporary_directory const dir;
  support::put(dir / "t", entry("2.5", "3"));
  CHECK(read_latency_table(dir / "t").microseconds(form::pivoted, {2, 3}, 1, 4) == 3);
  CHECK_THROWS_AS(read_latency_table(dir / "no"), io_error);
}
