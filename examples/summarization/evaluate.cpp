#include "evaluate.hpp"

#include "interrupt.hpp"
#include "model_figures.hpp"
#include "terminal.hpp"

#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/bart/stack_projections.hpp>
#include <eckart/version.hpp>

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <iostream>
#include <sstream>
#include <system_error>
#include <utility>

namespace program {

namespace {

using eckart::message;
using json_object = nlohmann::ordered_json;

constexpr std::size_t compared_examples = 50;  // for the cosines
constexpr std::array<std::string_view, 4> rouge_titles{"ROUGE-1", "ROUGE-2", "ROUGE-L",
                                                       "ROUGE-Lsum"};

/// Place in rouge_names.
auto place_of(std::string_view measure) -> std::size_t {
  return static_cast<std::size_t>(std::ranges::find(rouge_names, measure) - rouge_names.begin());
}

/// One model, what it costs and what it did.
struct measured_model {
  model_figures size;  ///< its seconds are those of `result`
  evaluation result;
  quality_figures quality;
};

/// A compressed model beside the dense one.
struct measured_compression {
  std::string description;
  std::vector<eckart::replaced_layer> layers;
  measured_model model;
  std::array<eckart::difference_estimate, 4> difference;
  double identical = 0;
  eckart::model_likeness likeness;
};

/// Everything that is printed.
struct report_data {
  evaluation_options options;  ///< those that were used
  std::string device;          ///< name
  std::string model;
  dataset data;
  std::size_t cut_dialogues = 0;
  eckart::generation_options generation;
  measured_model dense;
  std::optional<measured_compression> compression;
};

/// How far a run is, with the time that is left: a line that changes on a terminal, else a plain
/// line every half minute.
class run_progress {
 public:
  run_progress(bool quiet, std::string name)
      : plain_(!quiet && isatty(STDERR_FILENO) == 0), name_(std::move(name)), line_(quiet) {}

  /// Before each batch; those of the losses come first and have no other sign of life.
  void begin_batch(std::size_t size, std::size_t total) {
    auto const begun = batches_++ * size;
    if (begun < total) {
      tell(fmt::format("{}: losses {}/{}", name_, begun, total));
    }
  }

  void show(std::size_t done, std::size_t total) {
    if (first_done_ == 0) {
      first_done_ = done;
      first_time_ = watch_.seconds();
    }
    auto text = fmt::format("{}: summaries {}/{}", name_, done, total);
    if (done > first_done_ && done < total) {
      auto const left = (watch_.seconds() - first_time_) * static_cast<double>(total - done) /
                        static_cast<double>(done - first_done_);
      text += fmt::format(", {} left", duration_text(left));
    }
    tell(text);
  }

 private:
  void tell(std::string const& text) {
    line_.show(text);
    if (plain_ && watch_.seconds() - last_line_ >= 30) {
      std::cerr << text << '\n';
      last_line_ = watch_.seconds();
    }
  }

  bool plain_;
  std::string name_;
  progress_line line_;
  stopwatch watch_;
  std::size_t batches_ = 0;
  std::size_t first_done_ = 0;  // after the first batch, whose end is the zero of the estimate
  double first_time_ = 0;
  double last_line_ = 0;
};

[[noreturn]] void end_early() {
  throw interruption("interrupted, nothing was written");
}

auto measure(std::string const& name, eckart::bart<float> const& model, text_side const& text,
             dataset const& data, evaluation_options const& options, bool quiet) -> measured_model {
  run_progress progress(quiet, name);
  auto const stop = [&] {
    progress.begin_batch(static_cast<std::size_t>(options.batch_size()), data.examples.size());
    return interrupted();
  };
  auto found = evaluate(
      model, text, data.examples, options,
      [&](std::size_t done, std::size_t total) { progress.show(done, total); }, stop);
  if (!found) {
    end_early();
  }
  auto size = figures_of(model);
  size.seconds = found->seconds;
  auto quality = figures_of(*found, options);
  return {size, std::move(*found), quality};
}

auto likeness_of(eckart::bart<float> const& dense, eckart::bart<float> const& other,
                 text_side const& text, dataset const& data) -> eckart::model_likeness {
  eckart::encode_options const fitting{.max_length = text.max_positions};
  std::vector<token_ids> sources;
  std::vector<token_ids> labels;
  for (std::size_t i = 0; i < std::min(compared_examples, data.examples.size()); ++i) {
    auto const& one = data.examples[i];
    sources.push_back(text.tokenizer.encode(one.dialogue, fitting));
    labels.push_back(text.tokenizer.encode(one.references.front(), fitting));
  }
  return eckart::compare_models(dense, other, sources, labels);
}

auto count_cut(text_side const& text, dataset const& data) -> std::size_t {
  eckart::encode_options const fitting{.max_length = text.max_positions};
  return static_cast<std::size_t>(std::ranges::count_if(data.examples, [&](example const& one) {
    return text.tokenizer.encode_truncated(one.dialogue, fitting).truncated;
  }));
}

auto percent(double level) -> std::string {
  return fmt::format("{:.6g} %", 100 * level);
}

// ---- JSON

auto as_json(eckart::mean_estimate const& e) -> json_object {
  return {{"mean", e.mean}, {"low", e.low}, {"high", e.high}};
}

auto as_json(eckart::difference_estimate const& e) -> json_object {
  auto json = as_json(e.difference);
  json["p_value"] = e.p_value;
  json["share_above"] = e.share_above;
  json["share_below"] = e.share_below;
  return json;
}

auto as_json(eckart::state_likeness const& s) -> json_object {
  return {{"pooled", s.pooled}, {"mean_token", s.mean_token}, {"worst_token", s.worst_token}};
}

template <class T>
auto or_null(std::optional<T> const& value) -> json_object {
  return value ? json_object(*value) : json_object();
}

auto as_json(eckart::generation_options const& o) -> json_object {
  json_object json{{"num_beams", o.num_beams},
                   {"max_length", or_null(o.max_length)},
                   {"max_new_tokens", or_null(o.max_new_tokens)},
                   {"min_length", o.min_length},
                   {"min_new_tokens", or_null(o.min_new_tokens)},
                   {"early_stopping", name_of(o.early_stopping)},
                   {"length_penalty", o.length_penalty},
                   {"no_repeat_ngram_size", o.no_repeat_ngram_size},
                   {"encoder_no_repeat_ngram_size", o.encoder_no_repeat_ngram_size},
                   {"repetition_penalty", o.repetition_penalty},
                   {"encoder_repetition_penalty", o.encoder_repetition_penalty},
                   {"forced_bos_token_id", or_null(o.forced_bos_token_id)},
                   {"forced_eos_token_id", o.forced_eos_token_id},
                   {"decoder_start_token_id", or_null(o.decoder_start_token_id)},
                   {"eos_token_id", o.eos_token_id},
                   {"bad_words_ids", o.bad_words_ids},
                   {"sequence_bias", json_object::array()},
                   {"suppress_tokens", o.suppress_tokens},
                   {"begin_suppress_tokens", o.begin_suppress_tokens},
                   {"exponential_decay_length_penalty", nullptr},
                   {"remove_invalid_values", o.remove_invalid_values},
                   {"renormalize_logits", o.renormalize_logits}};
  for (auto const& entry : o.sequence_bias) {
    json["sequence_bias"].push_back({{"ids", entry.ids}, {"bias", entry.bias}});
  }
  if (auto const& decay = o.exponential_decay_length_penalty) {
    json["exponential_decay_length_penalty"] = {{"start", decay->start}, {"factor", decay->factor}};
  }
  return json;
}

auto as_json(evaluate_command const& c, report_data const& report) -> json_object {
  auto const& d = c.data;
  return {{"file", d.file.string()},
          {"fingerprint", report.data.fingerprint},
          {"examples", report.data.examples.size()},
          {"left_out", report.data.faults},
          {"cut_dialogues", report.cut_dialogues},
          {"text_field", d.text_field},
          {"summary_field", d.summary_field},
          {"id_field", d.id_field},
          {"limit", or_null(d.limit)},
          {"sample_seed", or_null(d.sample_seed)}};
}

auto as_json(measured_model const& m, bool times) -> json_object {
  json_object json;
  for (std::size_t i = 0; i < rouge_names.size(); ++i) {
    json["rouge"][std::string(rouge_names[i])] = as_json(m.quality.rouge[i]);
  }
  json["loss"] = m.quality.loss;
  json["perplexity"] = m.quality.perplexity;
  json["length"] = as_json(m.quality.length);
  json["generated_tokens"] = m.quality.generated_tokens;
  json["parameters"] = m.size.parameters;
  json["bytes"] = m.size.bytes;
  json["encoder_flops_per_token"] = m.size.encoder_flops;
  json["decoder_flops_per_token"] = m.size.decoder_flops;
  if (times) {
    auto const seconds = m.size.seconds;
    json["seconds"] = seconds;
    json["examples_per_second"] = static_cast<double>(m.result.rows.size()) / seconds;
    json["tokens_per_second"] = static_cast<double>(m.quality.generated_tokens) / seconds;
  }
  return json;
}

auto as_json(evaluate_command const& c, measured_compression const& m) -> json_object {
  json_object json;
  for (std::size_t i = 0; i < rouge_names.size(); ++i) {
    json["difference"][std::string(rouge_names[i])] = as_json(m.difference[i]);
  }
  auto const measure = place_of(c.measure);
  json["verdict"] = {{"measure", c.measure},
                     {"margin", c.margin},
                     {"verdict", name_of(judge(m.difference.at(measure).difference, c.margin))}};
  json["identical"] = m.identical;
  json["cosine"] = {
      {"examples", m.likeness.examples},
      {"encoder", as_json(m.likeness.encoder)},
      {"decoder", as_json(m.likeness.decoder)},
      {"logits", {{"mean", m.likeness.logits.mean}, {"worst", m.likeness.logits.worst}}}};
  return json;
}

auto as_json(measured_compression const& m) -> json_object {
  json_object json{{"description", m.description}, {"layers", json_object::array()}};
  for (auto const& layer : m.layers) {
    json["layers"].push_back({{"name", layer.name},
                              {"rows", layer.shape.rows},
                              {"cols", layer.shape.cols},
                              {"rank", layer.rank},
                              {"relative_error", layer.relative_error},
                              {"parameters_before", layer.parameters_before},
                              {"parameters_after", layer.parameters_after}});
  }
  return json;
}

/// Paths may hold bytes that are no UTF-8; those are replaced.
auto dumped(json_object const& json, int indent) -> std::string {
  return json.dump(indent, ' ', false, json_object::error_handler_t::replace);
}

void write_json(std::ostream& out, evaluate_command const& c, report_data const& report) {
  auto const blas = eckart::blas_info();
  json_object json{{"program", message("eckart ", ECKART_VERSION_MAJOR, ".", ECKART_VERSION_MINOR,
                                       ".", ECKART_VERSION_PATCH)},
                   {"model", report.model},
                   {"data", as_json(c, report)},
                   {"compression", nullptr},
                   {"generation", as_json(report.generation)}};
  json["evaluation"] = {{"device", report.device},
                        {"precision", report.options.device.precision},
                        {"batch", report.options.batch_size()},
                        {"jobs", report.options.jobs},
                        {"stem", c.options.stem},
                        {"sentence_ends", "[.!?] and white space"},
                        {"level", c.options.intervals.level},
                        {"resamples", c.options.intervals.resamples},
                        {"seed", c.options.intervals.seed}};
  json["blas"] = {{"version", blas.version},
                  {"core", blas.core},
                  {"flavour", blas.flavour},
                  {"threads", blas.threads}};
  json["dense"] = as_json(report.dense, !c.no_times);
  if (auto const& m = report.compression) {
    json["compression"] = as_json(*m);
    json["compressed"] = as_json(m->model, !c.no_times);
    json["comparison"] = as_json(c, *m);
  }
  out << dumped(json, 2) << '\n';
}

void put_row(json_object& json, example_result const& row) {
  json["prediction"] = row.prediction;
  for (std::size_t i = 0; i < rouge_names.size(); ++i) {
    json["rouge"][std::string(rouge_names[i])] = row.rouge[i];
  }
  json["loss"] = row.loss.mean();
  json["tokens"] = row.ids.size() - 1;
}

/// A JSON object a line: of the compressed model with the dense one's inside, or of the one model.
void write_predictions(std::ostream& out, report_data const& report) {
  auto const& m = report.compression;
  for (std::size_t i = 0; i < report.data.examples.size(); ++i) {
    auto const& one = report.data.examples[i];
    json_object json{{"id", one.id}, {"references", one.references}};
    put_row(json, m ? m->model.result.rows[i] : report.dense.result.rows[i]);
    if (m) {
      put_row(json["dense"], report.dense.result.rows[i]);
    }
    out << dumped(json, -1) << '\n';
  }
}

// ---- Text, at most 98 columns

auto cell(eckart::mean_estimate const& e) -> std::string {
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", e.mean, e.low, e.high);
}

/// Rows of a name and cells: dense, compressed, what is between them, p.
class table {
 public:
  explicit table(std::ostream& out) : out_(out) {}

  void row(std::string_view name, std::string_view dense, std::string_view compressed = {},
           std::string_view between = {}, std::string_view p = {}) {
    auto text = fmt::format("{:<22}{:<23}{:<23}{:<24}{}", name, dense, compressed, between, p);
    text.erase(text.find_last_not_of(' ') + 1);
    out_ << text << '\n';
  }

  /// A row of two numbers and their ratio; `b` may be absent.
  template <class Format>
  void ratio(std::string_view name, double a, std::optional<double> b, Format const& format) {
    row(name, format(a), b ? format(*b) : std::string(),
        b ? fmt::format("{:.3f} x", *b / a) : std::string());
  }

 private:
  std::ostream& out_;
};

void write_quality(table& rows, report_data const& report) {
  auto const& a = report.dense.quality;
  auto const& m = report.compression;
  for (std::size_t i = 0; i < rouge_titles.size(); ++i) {
    if (m) {
      auto const& d = m->difference[i];
      rows.row(rouge_titles[i], cell(a.rouge[i]), cell(m->model.quality.rouge[i]),
               cell(d.difference), fmt::format("{:.4f}", d.p_value));
    } else {
      rows.row(rouge_titles[i], cell(a.rouge[i]));
    }
  }
  rows.row("written tokens", cell(a.length), m ? cell(m->model.quality.length) : std::string());
  auto const number = [&](std::string_view name, double quality_figures::*figure) {
    rows.ratio(name, a.*figure,
               m ? std::optional(m->model.quality.*figure) : std::optional<double>(),
               [](double x) { return fmt::format("{:.4f}", x); });
  };
  number("loss, nats a token", &quality_figures::loss);
  number("perplexity", &quality_figures::perplexity);
  if (m) {
    rows.row("identical outputs", "", fmt::format("{:.1f} %", 100 * m->identical));
  }
}

void write_cost(table& rows, report_data const& report, bool times) {
  auto const& a = report.dense;
  auto const* const b = report.compression ? &report.compression->model : nullptr;
  auto const count = [&](std::string_view name, std::uint64_t model_figures::*figure) {
    rows.ratio(name, static_cast<double>(a.size.*figure),
               b != nullptr ? std::optional(static_cast<double>(b->size.*figure))
                            : std::optional<double>(),
               [](double x) { return grouped(static_cast<std::uint64_t>(x)); });
  };
  count("parameters", &model_figures::parameters);
  count("bytes in memory", &model_figures::bytes);
  count("FLOPs a source token", &model_figures::encoder_flops);
  count("FLOPs a written token", &model_figures::decoder_flops);
  if (!times) {
    return;
  }
  auto const rate = [&](std::string_view name, auto const& value) {
    rows.ratio(name, value(a), b != nullptr ? std::optional(value(*b)) : std::optional<double>(),
               [](double x) { return fmt::format("{:.2f}", x); });
  };
  rate("seconds", [](measured_model const& m) { return m.size.seconds; });
  rate("examples a second", [](measured_model const& m) {
    return static_cast<double>(m.result.rows.size()) / m.size.seconds;
  });
  rate("tokens a second", [](measured_model const& m) {
    return static_cast<double>(m.quality.generated_tokens) / m.size.seconds;
  });
}

void write_likeness(std::ostream& out, eckart::model_likeness const& likeness) {
  auto const row = [&](std::string_view name, std::string const& pooled, double mean,
                       double worst) {
    fmt::print(out, "{:<22}{:<23}{:<23.5f}{:.5f}\n", name, pooled, mean, worst);
  };
  fmt::print(out, "\n{:<22}{:<23}{:<23}{}\n",
             fmt::format("cosine, {} {}", likeness.examples,
                         likeness.examples == 1 ? "example" : "examples"),
             "pooled", "mean of the tokens", "worst token");
  auto const states = [&](std::string_view name, eckart::state_likeness const& s) {
    row(name, fmt::format("{:.5f}", s.pooled), s.mean_token, s.worst_token);
  };
  states("encoder states", likeness.encoder);
  states("decoder states", likeness.decoder);
  row("logits", "", likeness.logits.mean, likeness.logits.worst);
}

void write_verdict(std::ostream& out, evaluate_command const& c, measured_compression const& m) {
  auto const measure = place_of(c.measure);
  auto const& d = m.difference.at(measure).difference;
  auto const least = 0 - c.margin;
  auto const [finding, relation] = [&]() -> std::pair<std::string_view, std::string_view> {
    switch (judge(d, c.margin)) {
      case verdict::not_worse:
        return {"not worse than dense by more than", "above"};
      case verdict::worse:
        return {"worse than dense by more than", "below"};
      case verdict::undecided:
        break;
    }
    return {"undecided: perhaps worse than dense by more than", "holds"};
  }();
  fmt::print(out, "\nverdict      {} {} points of {}\n", finding, c.margin,
             rouge_titles.at(measure));
  fmt::print(out, "             ({} interval of the difference [{:.3f}, {:.3f}] {} {})\n",
             percent(c.options.intervals.level), d.low, d.high, relation, least);
}

void write_text(std::ostream& out, evaluate_command const& c, report_data const& report,
                text_side const& text) {
  auto const& m = report.compression;
  auto const& data = report.data;
  auto const place = std::filesystem::weakly_canonical(report.model);
  fmt::print(out, "model        {}\n", place.filename().string());
  if (m) {
    fmt::print(out, "compressed   {}, {} layers\n", m->description, m->layers.size());
  }
  fmt::print(out, "data         {}: {} examples, fingerprint {}\n", c.data.file.filename().string(),
             data.examples.size(), data.fingerprint);
  if (!data.faults.empty() || report.cut_dialogues > 0) {
    fmt::print(out, "             {} faulty rows left out, {} dialogues cut to {} tokens\n",
               data.faults.size(), report.cut_dialogues, text.max_positions);
  }
  fmt::print(out, "generation   {}\n", text.generation_text());
  if (report.options.device.is_cuda()) {
    fmt::print(out, "device       {}, {}, {} examples at a time\n", report.device,
               report.options.device.precision, report.options.batch_size());
  }
  fmt::print(out, "intervals    {}, bootstrap of {} resamples{}\n\n",
             percent(c.options.intervals.level), c.options.intervals.resamples,
             c.options.stem ? "; ROUGE on stems" : "");
  table rows(out);
  if (m) {
    rows.row("", "dense", "compressed", "difference", "p");
  }
  write_quality(rows, report);
  out << '\n';
  write_cost(rows, report, !c.no_times);
  if (m) {
    write_likeness(out, m->likeness);
    write_verdict(out, c, *m);
  }
}

// ---- The command

/// Refuses, before the work, a file that could not be written after it.
void check_output(std::filesystem::path const& file, std::string_view option,
                  std::filesystem::path const& data) {
  if (file.empty()) {
    return;
  }
  std::error_code ignored;
  auto const folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    throw eckart::io_error(
        message(file.string(), ": cannot write: ", std::generic_category().message(errno)), errno);
  }
  if (std::filesystem::equivalent(file, data, ignored)) {
    throw eckart::error(message(option, " ", file.string(), " would overwrite the data"));
  }
}

void check(evaluate_command const& c) {
  check_output(c.output, "--output", c.data.file);
  check_output(c.predictions, "--predictions", c.data.file);
  if (!c.output.empty() && c.output == c.predictions) {
    throw eckart::error(message("--output and --predictions are both ", c.output.string()));
  }
  if (!std::isfinite(c.margin)) {
    throw eckart::error(message("--margin ", c.margin, " is no number"));
  }
  auto const one = 0.0;  // refuses bad options of the intervals
  eckart::mean_interval(std::span(&one, 1), c.options.intervals);
}

auto read_data(evaluate_command const& c) -> dataset {
  auto data = read_dataset(c.data);
  if (!data.faults.empty() && !c.model.quiet) {
    std::cerr << "eckart: " << data.faults.size()
              << " faulty rows left out, the first: " << data.faults.front() << '\n';
  }
  return data;
}

void measure_all(evaluate_command const& c, std::filesystem::path const& directory,
                 text_side const& text, report_data& report) {
  auto dense = eckart::bart<float>::load(directory);
  auto const run = [&](std::string const& name, eckart::bart<float> const& model) {
    return measure(name, model, text, report.data, report.options, c.model.quiet);
  };
  if (!c.model.changes_model()) {
    eckart::stack_projections(dense);
    report.dense = run("model", dense);
    return;
  }
  auto other = dense;
  auto const policy = c.model.policy();
  auto layers = compress(other, c.model, policy);
  auto const likeness = likeness_of(dense, other, text, report.data);
  if (interrupted()) {
    end_early();
  }
  eckart::stack_projections(dense);
  eckart::stack_projections(other);
  report.dense = run("dense", dense);
  auto compressed = run("compressed", other);
  auto const difference =
      rouge_differences(report.dense.result, compressed.result, c.options.intervals);
  auto const identical = identical_share(report.dense.result, compressed.result);
  report.compression = measured_compression{c.model.description(policy),
                                            std::move(layers),
                                            std::move(compressed),
                                            difference,
                                            identical,
                                            likeness};
}

}  // namespace

auto judge(eckart::mean_estimate const& difference, double margin) -> verdict {
  return difference.low > -margin    ? verdict::not_worse
         : difference.high < -margin ? verdict::worse
                                     : verdict::undecided;
}

auto name_of(verdict v) -> std::string_view {
  return v == verdict::not_worse ? "not worse" : v == verdict::worse ? "worse" : "undecided";
}

void evaluate_command::add_to(CLI::App& app) {
  auto* command = app.add_subcommand(
      "evaluate",
      "Measure the summaries of a BART against references: ROUGE with intervals, loss, size, time; "
      "with --rank, --rank-ratio or --energy dense and compressed side by side");
  data.add_to(*command);
  model.add_to(*command);
  generation.add_to(*command);
  options.add_to(*command, "Measurement");
  auto const group = "Statistics";
  command->add_option("--level", options.intervals.level, "of the bootstrap intervals")
      ->capture_default_str()
      ->group(group);
  command->add_option("--resamples", options.intervals.resamples, "of the bootstrap")
      ->capture_default_str()
      ->group(group);
  command->add_option("--seed", options.intervals.seed, "of the bootstrap")
      ->capture_default_str()
      ->group(group);
  command
      ->add_option("--margin", margin,
                   "the loss of --measure, in percent points, that is put up with. Fix it before "
                   "you see figures. With compression the verdict is \"not worse than dense by "
                   "more than the margin\" if the interval of the difference lies above -margin, "
                   "\"worse\" if it lies below -margin, else \"undecided\"")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str()
      ->group(group);
  command->add_option("--measure", measure, "what the verdict is about")
      ->check(CLI::IsMember(std::vector<std::string>(rouge_names.begin(), rouge_names.end())))
      ->capture_default_str()
      ->group(group);
  command->add_flag("--json", json, "one JSON object instead of a table");
  command->add_flag("--no-times", no_times,
                    "without seconds and rates: the same run then writes the same bytes");
  command
      ->add_option("--predictions", predictions,
                   "write to FILE a JSON object for each example: id, references, prediction, "
                   "ROUGE, loss")
      ->option_text("FILE");
  command->add_option("-o,--output", output, "write to FILE, complete or not at all")
      ->option_text("FILE");
  command->callback([this] { run(); });
}

void evaluate_command::run() const {
  install_interrupt_handler();
  options.check();
  check(*this);
  report_data report;
  report.data = read_data(*this);
  model.prepare_blas();
  report.options = options;
  if (options.jobs == 0) {
    report.options.jobs = options.device.is_cuda() ? 1 : eckart::blas_info().threads;
  }
  report.device = options.device.name();
  auto const directory = model.location();
  auto const config = eckart::read_bart_config(directory / "config.json");
  auto const text = text_side(directory, generation, config);
  report.model = directory.string();
  report.generation = text.options;
  report.cut_dialogues = count_cut(text, report.data);
  measure_all(*this, directory, text, report);
  std::ostringstream result;
  if (json) {
    write_json(result, *this, report);
  } else {
    write_text(result, *this, report, text);
  }
  if (interrupted()) {
    end_early();
  }
  if (!predictions.empty()) {
    eckart::write_atomically(predictions,
                             [&](std::ostream& out) { write_predictions(out, report); });
  }
  if (output.empty()) {
    std::cout << result.str() << std::flush;
  } else {
    eckart::write_atomically(output, [&](std::ostream& out) { out << result.str(); });
  }
}

}  // namespace program
