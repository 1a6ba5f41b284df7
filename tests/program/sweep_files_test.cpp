#include "sweep_files.hpp"

#include "csv_rows.hpp"
#include "program/sample_sweep.hpp"
#include "support/matrix_check.hpp"

#include <eckart/io/json.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <charconv>
#include <cstdint>
#include <limits>
#include <locale>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using program::sweep_point;
using support::sample_sweep;

/// All doubles of a point, in any fixed order.
auto doubles_of(sweep_point const& p) -> std::vector<double> {
  std::vector<double> all;
  auto const add = [&all](eckart::mean_estimate const& e) {
    all.insert(all.end(), {e.mean, e.low, e.high});
  };
  for (auto const& rouge : p.quality.rouge) {
    add(rouge);
  }
  for (auto const& d : p.difference) {
    add(d.difference);
    all.insert(all.end(), {d.share_above, d.share_below, d.p_value});
  }
  add(p.quality.length);
  for (auto const* s : {&p.likeness.encoder, &p.likeness.decoder}) {
    all.insert(all.end(), {s->pooled, s->mean_token, s->worst_token});
  }
  all.insert(all.end(), {p.quality.loss, p.quality.perplexity, p.identical, p.likeness.logits.mean,
                         p.likeness.logits.worst, p.seconds.value_or(-1)});
  return all;
}

/// A different number in every place, of which no short text says all digits.
auto point_of_odd_numbers() -> sweep_point {
  auto p = support::sample_point(eckart::form::pivoted, 7, 1, 12);
  double next = 1.0 / 3;
  auto const put = [&next](double& x) { x = next *= 1.1; };
  auto const put_estimate = [&put](eckart::mean_estimate& e) {
    put(e.mean), put(e.low), put(e.high);
  };
  for (std::size_t i = 0; i < 4; ++i) {
    put_estimate(p.quality.rouge[i]);
    put_estimate(p.difference[i].difference);
    put(p.difference[i].share_above);
    put(p.difference[i].share_below);
    put(p.difference[i].p_value);
  }
  put_estimate(p.quality.length);
  for (auto* s : {&p.likeness.encoder, &p.likeness.decoder}) {
    put(s->pooled), put(s->mean_token), put(s->worst_token);
  }
  put(p.quality.loss), put(p.quality.perplexity), put(p.identical), put(p.likeness.logits.mean);
  put(p.likeness.logits.worst);
  p.seconds = next *= 1.1;
  p.targets = "q_proj,fc1";
  p.parameters = (std::uint64_t{1} << 63U) + 1;
  p.encoder_flops = 3, p.decoder_flops = 5;
  p.likeness.examples = 41;
  p.summaries = {"", "a \"quoted\"\nline \xC3\xA9"};
  return p;
}

auto read_back(sweep_point const& p) -> sweep_point {
  return program::point_from_json(eckart::parse_json(program::to_json(p).dump(), "p"), "p");
}

void check_same(sweep_point const& a, sweep_point const& b) {
  CHECK(a.method == b.method);
  CHECK(a.targets == b.targets);
  CHECK(a.stored_as == b.stored_as);
  CHECK(a.rank == b.rank);
  CHECK(a.parameters == b.parameters);
  CHECK(a.bytes == b.bytes);
  CHECK(a.encoder_flops == b.encoder_flops);
  CHECK(a.decoder_flops == b.decoder_flops);
  CHECK(a.quality.generated_tokens == b.quality.generated_tokens);
  CHECK(a.likeness.examples == b.likeness.examples);
  CHECK(a.seconds.has_value() == b.seconds.has_value());
  CHECK(a.summaries == b.summaries);
  auto const x = doubles_of(a);
  auto const y = doubles_of(b);
  REQUIRE(x.size() == y.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    CAPTURE(i);
    CHECK(std::bit_cast<std::uint64_t>(x[i]) == std::bit_cast<std::uint64_t>(y[i]));
  }
}

/// The rows of the CSV text by column name.
auto csv_of(program::sweep_result const& r, std::locale const& locale = std::locale::classic())
    -> std::vector<std::map<std::string, std::string>> {
  std::ostringstream out;
  out.imbue(locale);
  program::write_csv(out, r);
  auto const text = out.str();
  program::csv_reader reader(text, 0, ',', "sweep.csv");
  auto const header = reader.next();
  REQUIRE(header);
  std::vector<std::map<std::string, std::string>> rows;
  while (auto const row = reader.next()) {
    REQUIRE(row->fields.size() == header->fields.size());
    rows.emplace_back();
    for (std::size_t i = 0; i < header->fields.size(); ++i) {
      rows.back()[header->fields[i]] = row->fields[i];
    }
    CHECK(rows.back().size() == header->fields.size());  // no name twice
  }
  return rows;
}

auto number_in(std::string const& field) -> double {
  double value = -12345;
  auto const [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  CHECK(error == std::errc());
  CHECK(end == field.data() + field.size());
  return value;
}

}  // namespace

TEST_CASE("a point comes back from JSON bit by bit") {
  auto const p = point_of_odd_numbers();
  check_same(p, read_back(p));
}

TEST_CASE("a point without seconds comes back without seconds") {
  auto p = point_of_odd_numbers();
  p.seconds.reset();
  CHECK_FALSE(read_back(p).seconds);
}

TEST_CASE("numbers that are not finite come back from JSON") {
  auto p = point_of_odd_numbers();
  p.quality.perplexity = std::numeric_limits<double>::infinity();
  p.quality.loss = std::numeric_limits<double>::quiet_NaN();
  p.likeness.logits.worst = -std::numeric_limits<double>::infinity();
  p.identical = -0.0;
  check_same(p, read_back(p));
}

TEST_CASE("every form comes back from JSON") {
  for (auto const form : eckart::all_factor_forms) {
    CHECK(read_back(support::sample_point(form, 8, 40, 100)).stored_as == form);
  }
  CHECK(read_back(sample_sweep().dense).stored_as == eckart::form::dense);
}

TEST_CASE("JSON that is no point is refused with the key's name") {
  auto const good = eckart::parse_json(program::to_json(point_of_odd_numbers()).dump(), "p");
  auto const refusal = [](nlohmann::json const& json) {
    return support::refusal<eckart::format_error>(
        [&] { static_cast<void>(program::point_from_json(json, "old.json")); });
  };
  for (auto const& [key, value] : good.items()) {
    auto missing = good;
    missing.erase(key);
    CHECK(refusal(missing).find(key) != std::string::npos);
    auto wrong = good;
    wrong[key] = true;
    CHECK(refusal(wrong).find(key) != std::string::npos);
  }
  auto unknown = good;
  unknown["form"] = "three-factor";
  CHECK(refusal(unknown).find("three-factor") != std::string::npos);
  auto negative = good;
  negative["bytes"] = -1;
  CHECK(refusal(negative).find("bytes") != std::string::npos);
}

TEST_CASE("the JSON of a result holds its head, its marks and all its points") {
  auto const r = sample_sweep();
  auto const json = eckart::parse_json(program::to_json(r).dump(), "r");
  CHECK(json["model"] == r.model);
  CHECK(json["fingerprint"] == r.fingerprint);
  CHECK(json["examples"] == 100);
  CHECK(json["level"] == 0.95);
  CHECK(json["shown"][0]["dialogue"] == r.shown[0].dialogue);
  CHECK(json["break_even"][1]["form"] == "pivoted");
  CHECK(json["break_even"][1]["rank"] == 95);
  check_same(program::point_from_json(json["dense"], "r"), r.dense);
  REQUIRE(json["points"].size() == r.points.size());
  check_same(program::point_from_json(json["points"][5], "r"), r.points[5]);
}

TEST_CASE("CSV has the dense model first, then the points in their order") {
  auto const rows = csv_of(sample_sweep());
  REQUIRE(rows.size() == 7);
  CHECK(rows[0].at("method") == "dense");
  CHECK(rows[0].at("rouge1_difference_points") == "");
  CHECK(rows[0].at("encoder_cosine_pooled") == "");
  CHECK(rows[6].at("form") == "pivoted");
  CHECK(rows[6].at("rank") == "16");
  CHECK(rows[6].at("bytes") == "790000");
}

TEST_CASE("CSV keeps quotes, commas and newlines of summaries") {
  auto const r = sample_sweep();
  auto const rows = csv_of(r);
  CHECK(rows[2].at("summary_d<1>") == r.points[1].summaries[0]);
  CHECK(rows[1].at("summary_d2") == "They meet at 7.");
}

TEST_CASE("numbers in CSV have all their digits, in every locale") {
  auto r = sample_sweep();
  r.points = {point_of_odd_numbers()};
  r.points[0].bytes = 1'234'567;
  auto const& p = r.points[0];
  for (auto const& locale :
       {std::locale::classic(),
        std::locale(std::locale::classic(), new support::dots_between_thousands)}) {
    auto const row = csv_of(r, locale).at(1);
    CHECK(row.at("bytes") == "1234567");
    CHECK(number_in(row.at("rouge1_percent")) == p.quality.rouge[0].mean);
    CHECK(number_in(row.at("rouge2_percent_low")) == p.quality.rouge[1].low);
    CHECK(number_in(row.at("rougeLsum_percent_high")) == p.quality.rouge[3].high);
    CHECK(number_in(row.at("rougeL_difference_points")) == p.difference[2].difference.mean);
    CHECK(number_in(row.at("rougeL_difference_points_high")) == p.difference[2].difference.high);
    CHECK(number_in(row.at("rougeL_difference_p")) == p.difference[2].p_value);
    CHECK(number_in(row.at("length_tokens")) == p.quality.length.mean);
    CHECK(number_in(row.at("loss_nats_per_token")) == p.quality.loss);
    CHECK(number_in(row.at("perplexity")) == p.quality.perplexity);
    CHECK(number_in(row.at("identical_share")) == p.identical);
    CHECK(number_in(row.at("decoder_cosine_worst_token")) == p.likeness.decoder.worst_token);
    CHECK(number_in(row.at("logits_cosine_mean")) == p.likeness.logits.mean);
    CHECK(number_in(row.at("encoder_flops_per_source_token")) == 3);
    CHECK(number_in(row.at("decoder_flops_per_written_token")) == 5);
    CHECK(number_in(row.at("seconds")) == *p.seconds);
  }
}

TEST_CASE("seconds that are not told leave an empty field") {
  auto r = sample_sweep();
  r.points[0].seconds.reset();
  auto const rows = csv_of(r);
  CHECK(rows[1].at("seconds") == "");
  CHECK(rows[2].at("seconds") != "");
}

TEST_CASE("the table for the terminal has every rank, the dense model and the finding") {
  std::ostringstream out;
  program::write_table(out, sample_sweep());
  auto const text = out.str();
  for (auto const* expected :
       {"dense          40.00   20.00   35.00", "attention, two-factor (svd)\n",
        "attention, pivoted", "  rank 64      40.25",
        "  rank 16      30.00   15.00   25.00  -10.00 (-11.00 to -9.00)",
        "Down to rank 32 (attention layers, pivoted form)"}) {
    CAPTURE(expected);
    CHECK(text.find(expected) != std::string::npos);
  }
}
