#include "sweep_files.hpp"

#include "sweep_summary.hpp"

#include <eckart/io/json_value.hpp>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace program {

namespace {

using eckart::json_value;
using nlohmann::json;
using nlohmann::ordered_json;

/// JSON has no numbers that are not finite.
auto number(double value) -> ordered_json {
  if (std::isfinite(value)) {
    return value;
  }
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

auto number_from(json const& object, std::string_view key, std::string_view name) -> double {
  if (auto const found = object.find(std::string(key)); found != object.end()) {
    constexpr auto infinity = std::numeric_limits<double>::infinity();
    if (*found == "nan") {
      return std::numeric_limits<double>::quiet_NaN();
    }
    if (*found == "inf" || *found == "-inf") {
      return *found == "inf" ? infinity : -infinity;
    }
  }
  return json_value<double>(object, key, name);
}

/// The member, which must be an object.
auto object_from(json const& object, std::string_view key, std::string_view name) -> json {
  auto value = json_value<json>(object, key, name);
  if (!value.is_object()) {
    throw eckart::format_error(
        eckart::message(name, ": key \"", key, "\": expected object, got ", value.type_name()), 0);
  }
  return value;
}

auto estimate_json(eckart::mean_estimate const& e) -> ordered_json {
  return {{"mean", number(e.mean)}, {"low", number(e.low)}, {"high", number(e.high)}};
}

auto estimate_from(json const& j, std::string_view name) -> eckart::mean_estimate {
  return {number_from(j, "mean", name), number_from(j, "low", name), number_from(j, "high", name)};
}

auto difference_json(eckart::difference_estimate const& d) -> ordered_json {
  auto j = estimate_json(d.difference);
  j["share_above"] = number(d.share_above);
  j["share_below"] = number(d.share_below);
  j["p_value"] = number(d.p_value);
  return j;
}

auto difference_from(json const& j, std::string_view name) -> eckart::difference_estimate {
  return {estimate_from(j, name), number_from(j, "share_above", name),
          number_from(j, "share_below", name), number_from(j, "p_value", name)};
}

auto states_json(eckart::state_likeness const& s) -> ordered_json {
  return {{"pooled", number(s.pooled)},
          {"mean_token", number(s.mean_token)},
          {"worst_token", number(s.worst_token)}};
}

auto states_from(json const& j, std::string_view name) -> eckart::state_likeness {
  return {number_from(j, "pooled", name), number_from(j, "mean_token", name),
          number_from(j, "worst_token", name)};
}

auto likeness_json(eckart::model_likeness const& l) -> ordered_json {
  return {{"examples", l.examples},
          {"encoder", states_json(l.encoder)},
          {"decoder", states_json(l.decoder)},
          {"logits", {{"mean", number(l.logits.mean)}, {"worst", number(l.logits.worst)}}}};
}

auto likeness_from(json const& j, std::string_view name) -> eckart::model_likeness {
  auto const logits = object_from(j, "logits", name);
  return {states_from(object_from(j, "encoder", name), name),
          states_from(object_from(j, "decoder", name), name),
          {number_from(logits, "mean", name), number_from(logits, "worst", name)},
          json_value<eckart::index_t>(j, "examples", name)};
}

auto form_from(json const& j, std::string_view name) -> eckart::form {
  auto const text = json_value<std::string>(j, "form", name);
  if (text == eckart::name_of(eckart::form::dense)) {
    return eckart::form::dense;
  }
  for (auto const f : eckart::all_factor_forms) {
    if (text == eckart::name_of(f)) {
      return f;
    }
  }
  throw eckart::format_error(eckart::message(name, ": key \"form\": no form is called ", text), 0);
}

}  // namespace

auto to_json(sweep_point const& p) -> ordered_json {
  ordered_json j{{"method", p.method},
                 {"targets", p.targets},
                 {"form", eckart::name_of(p.stored_as)},
                 {"rank", p.rank},
                 {"parameters", p.parameters},
                 {"bytes", p.bytes},
                 {"encoder_flops_per_source_token", p.encoder_flops},
                 {"decoder_flops_per_written_token", p.decoder_flops}};
  for (std::size_t i = 0; i < rouge_names.size(); ++i) {
    j["rouge"][std::string(rouge_names[i])] = estimate_json(p.quality.rouge[i]);
    j["rouge_difference"][std::string(rouge_names[i])] = difference_json(p.difference[i]);
  }
  j["generated_length"] = estimate_json(p.quality.length);
  j["generated_tokens"] = p.quality.generated_tokens;
  j["loss"] = number(p.quality.loss);
  j["perplexity"] = number(p.quality.perplexity);
  j["identical"] = number(p.identical);
  j["cosine"] = likeness_json(p.likeness);
  j["seconds"] = p.seconds ? number(*p.seconds) : nullptr;
  j["summaries"] = p.summaries;
  return j;
}

auto point_from_json(json const& j, std::string_view name) -> sweep_point {
  sweep_point p;
  p.method = json_value<std::string>(j, "method", name);
  p.targets = json_value<std::string>(j, "targets", name);
  p.stored_as = form_from(j, name);
  p.rank = json_value<eckart::index_t>(j, "rank", name);
  p.parameters = json_value<std::uint64_t>(j, "parameters", name);
  p.bytes = json_value<std::uint64_t>(j, "bytes", name);
  p.encoder_flops = json_value<std::uint64_t>(j, "encoder_flops_per_source_token", name);
  p.decoder_flops = json_value<std::uint64_t>(j, "decoder_flops_per_written_token", name);
  auto const rouge = object_from(j, "rouge", name);
  auto const difference = object_from(j, "rouge_difference", name);
  for (std::size_t i = 0; i < rouge_names.size(); ++i) {
    p.quality.rouge[i] = estimate_from(object_from(rouge, rouge_names[i], name), name);
    p.difference[i] = difference_from(object_from(difference, rouge_names[i], name), name);
  }
  p.quality.length = estimate_from(object_from(j, "generated_length", name), name);
  p.quality.generated_tokens = json_value<std::uint64_t>(j, "generated_tokens", name);
  p.quality.loss = number_from(j, "loss", name);
  p.quality.perplexity = number_from(j, "perplexity", name);
  p.identical = number_from(j, "identical", name);
  p.likeness = likeness_from(object_from(j, "cosine", name), name);
  if (!json_value<json>(j, "seconds", name).is_null()) {
    p.seconds = number_from(j, "seconds", name);
  }
  p.summaries = json_value<std::vector<std::string>>(j, "summaries", name);
  return p;
}

auto to_json(sweep_result const& r) -> ordered_json {
  ordered_json j{
      {"model", r.model},           {"data", r.data},          {"fingerprint", r.fingerprint},
      {"examples", r.examples},     {"device", r.device},      {"precision", r.precision},
      {"generation", r.generation}, {"level", number(r.level)}};
  j["shown"] = ordered_json::array();
  for (auto const& s : r.shown) {
    j["shown"].push_back({{"id", s.id}, {"dialogue", s.dialogue}, {"reference", s.reference}});
  }
  j["break_even"] = ordered_json::array();
  for (auto const& m : r.marks) {
    j["break_even"].push_back(
        {{"targets", m.targets}, {"form", eckart::name_of(m.stored_as)}, {"rank", m.rank}});
  }
  j["dense"] = to_json(r.dense);
  j["points"] = ordered_json::array();
  for (auto const& p : r.points) {
    j["points"].push_back(to_json(p));
  }
  return j;
}

namespace {

/// Fields of one row and the commas between them.
class csv_line {
 public:
  explicit csv_line(std::ostream& out) : out_(out) {}
  ~csv_line() { out_ << '\n'; }
  csv_line(csv_line const&) = delete;
  auto operator=(csv_line const&) -> csv_line& = delete;

  void text(std::string_view field) {
    separate();
    if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
      out_ << field;
      return;
    }
    out_ << '"';
    for (auto const c : field) {
      out_ << (c == '"' ? "\"\"" : std::string_view(&c, 1));
    }
    out_ << '"';
  }

  // fmt: the locale of the stream would put commas or dots between thousands.
  template <class T>
  void number(T value) {
    separate();
    fmt::print(out_, "{}", value);
  }

  void empty(std::size_t count) {
    while (count-- > 0) {
      separate();
    }
  }

  void estimate(eckart::mean_estimate const& e) {
    number(e.mean);
    number(e.low);
    number(e.high);
  }

  void states(eckart::state_likeness const& s) {
    number(s.pooled);
    number(s.mean_token);
    number(s.worst_token);
  }

 private:
  void separate() {
    out_ << (first_ ? "" : ",");
    first_ = false;
  }

  std::ostream& out_;
  bool first_ = true;
};

void write_header(std::ostream& out, sweep_result const& r) {
  csv_line line(out);
  auto const interval = [&line](std::string const& name) {
    for (auto const* part : {"", "_low", "_high"}) {
      line.text(name + part);
    }
  };
  for (auto const* name :
       {"method", "targets", "form", "rank", "device", "precision", "parameters", "bytes",
        "encoder_flops_per_source_token", "decoder_flops_per_written_token"}) {
    line.text(name);
  }
  for (auto const rouge : rouge_names) {
    interval(fmt::format("{}_percent", rouge));
  }
  for (auto const rouge : rouge_names) {
    interval(fmt::format("{}_difference_points", rouge));
    line.text(fmt::format("{}_difference_p", rouge));
  }
  interval("length_tokens");
  for (auto const* name :
       {"generated_tokens", "loss_nats_per_token", "perplexity", "identical_share",
        "encoder_cosine_pooled", "encoder_cosine_mean_token", "encoder_cosine_worst_token",
        "decoder_cosine_pooled", "decoder_cosine_mean_token", "decoder_cosine_worst_token",
        "logits_cosine_mean", "logits_cosine_worst", "seconds"}) {
    line.text(name);
  }
  for (auto const& s : r.shown) {
    line.text(fmt::format("summary_{}", s.id));
  }
}

void write_row(std::ostream& out, sweep_point const& p, sweep_result const& r) {
  bool const is_dense = &p == &r.dense;
  csv_line line(out);
  for (auto const& name : {p.method, p.targets, std::string(eckart::name_of(p.stored_as))}) {
    line.text(name);
  }
  line.number(p.rank);
  line.text(r.device);
  line.text(r.precision);
  for (auto const count : {p.parameters, p.bytes, p.encoder_flops, p.decoder_flops}) {
    line.number(count);
  }
  for (auto const& rouge : p.quality.rouge) {
    line.estimate(rouge);
  }
  for (auto const& d : p.difference) {
    if (is_dense) {
      line.empty(4);
      continue;
    }
    line.estimate(d.difference);
    line.number(d.p_value);
  }
  line.estimate(p.quality.length);
  line.number(p.quality.generated_tokens);
  line.number(p.quality.loss);
  line.number(p.quality.perplexity);
  line.number(p.identical);
  if (is_dense) {
    line.empty(8);
  } else {
    line.states(p.likeness.encoder);
    line.states(p.likeness.decoder);
    line.number(p.likeness.logits.mean);
    line.number(p.likeness.logits.worst);
  }
  p.seconds ? line.number(*p.seconds) : line.empty(1);
  for (std::size_t i = 0; i < r.shown.size(); ++i) {
    i < p.summaries.size() ? line.text(p.summaries[i]) : line.empty(1);
  }
}

void write_table_row(std::ostream& out, std::string const& name, sweep_point const& p,
                     sweep_point const& dense) {
  auto const& r = p.quality.rouge;
  auto const& d = p.difference[0].difference;
  auto const is_dense = &p == &dense;
  auto const difference = is_dense ? std::string()
                                   : fmt::format("{} ({} to {})", with_sign(d.mean, 2),
                                                 with_sign(d.low, 2), with_sign(d.high, 2));
  auto const ratio = static_cast<double>(p.bytes) / static_cast<double>(dense.bytes);
  fmt::print(out, "{:<12}{:>8}{:>8}{:>8}  {:<24}{:>7}{:>5} %{:>10}{:>6}{:>8}\n", name,
             fixed(r[0].mean, 2), fixed(r[1].mean, 2), fixed(r[2].mean, 2), difference,
             fixed(p.quality.loss, 3), fixed(100 * p.identical, 0), size_text(p.bytes),
             fixed(ratio, 2), p.seconds ? fixed(*p.seconds, 1) : "");
}

}  // namespace

void write_csv(std::ostream& out, sweep_result const& r) {
  write_header(out, r);
  write_row(out, r.dense, r);
  for (auto const& p : r.points) {
    write_row(out, p, r);
  }
}

void write_table(std::ostream& out, sweep_result const& r) {
  fmt::print(out, "{} on {} examples of {}", r.model, r.examples, r.data);
  fmt::print(out, "{}\n\n",
             r.device == "cpu" ? "" : fmt::format(", {}, {}", r.device, r.precision));
  fmt::print(out, "{:<12}{:>8}{:>8}{:>8}  {:<24}{:>7}{:>7}{:>10}{:>6}{:>8}\n", "", "ROUGE-1",
             "ROUGE-2", "ROUGE-L", fmt::format("R-1 - dense ({})", percent_text(r.level)), "loss",
             "same", "bytes", "ratio", r.dense.seconds ? "seconds" : "");
  write_table_row(out, "dense", r.dense, r.dense);
  for (auto const& group : groups_of(r)) {
    fmt::print(out, "{} ({})\n", group.name, group.front().method);
    for (auto const* p : group.points) {
      write_table_row(out, fmt::format("  rank {}", p->rank), *p, r.dense);
    }
  }
  auto const found = finding_of(r);
  fmt::print(out, "\n{}\n", found.sentence);
  if (!found.caution.empty()) {
    fmt::print(out, "{}\n", found.caution);
  }
}

}  // namespace program
