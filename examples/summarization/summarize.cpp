#include "summarize.hpp"

#include "comparison.hpp"
#include "terminal.hpp"
#include "text_side.hpp"

#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/bart/stack_projections.hpp>

#include <fmt/format.h>

#include <iostream>
#include <map>
#include <numeric>
#include <sstream>

namespace program {

namespace {

/// Places of the documents, longest first: a batch then holds inputs of like length.
auto by_length(std::vector<token_ids> const& sources) -> std::vector<std::size_t> {
  std::vector<std::size_t> order(sources.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return sources[a].size() > sources[b].size(); });
  return order;
}

auto summaries(generator const& generate, text_side const& text,
               std::vector<token_ids> const& sources, eckart::index_t batch, bool quiet)
    -> std::vector<std::string> {
  std::vector<std::string> result(sources.size());
  auto const order = by_length(sources);
  progress_line progress(quiet || sources.size() == 1);
  stopwatch const watch;
  for (std::size_t first = 0; first < order.size();) {
    auto const last = std::min(order.size(), first + static_cast<std::size_t>(batch));
    std::vector<token_ids> some;
    for (auto i = first; i < last; ++i) {
      some.push_back(sources[order[i]]);
    }
    auto const found = generate(some, text.options);
    for (auto i = first; i < last; ++i) {
      result[order[i]] = text.decode(found[i - first].front().ids);
    }
    first = last;
    progress.show(fmt::format("{}/{} documents, {:.1f} a second", last, order.size(),
                              static_cast<double>(last) / watch.seconds()));
  }
  return result;
}

void write_summaries(std::ostream& out, std::vector<document> const& documents,
                     std::vector<std::string> const& texts, bool as_rows) {
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (as_rows) {
      nlohmann::ordered_json row;
      if (!documents[i].id.is_null()) {
        row["id"] = documents[i].id;
      }
      row["summary"] = texts[i];
      out << row.dump() << '\n';
    } else if (documents.size() > 1) {
      out << documents[i].origin << ": " << texts[i] << '\n';
    } else {
      out << texts[i] << '\n';
    }
  }
}

}  // namespace

void generation_choice::add_to(CLI::App& command) {
  auto const group = "Generation (defaults: the model's generation_config.json)";
  std::map<std::string, eckart::stop_early> const modes{{"no", eckart::stop_early::no},
                                                        {"yes", eckart::stop_early::yes},
                                                        {"never", eckart::stop_early::never}};
  command.add_option("--num-beams,--beams", num_beams, "beams; 1 is greedy search")->group(group);
  command
      .add_option("--no-repeat-ngram-size", no_repeat_ngram_size, "no n-gram twice; 0 allows all")
      ->group(group);
  command.add_option("--max-length", max_length, "most ids, the decoder start counted")
      ->group(group);
  command.add_option("--max-new-tokens", max_new_tokens, "most generated ids")->group(group);
  command.add_option("--min-length", min_length, "least ids before the end")->group(group);
  command.add_option("--length-penalty", length_penalty, "above 0 favours longer summaries")
      ->group(group);
  command.add_option("--repetition-penalty", repetition_penalty, "above 1 avoids ids once written")
      ->group(group);
  command.add_option("--early-stopping", early_stopping, "when beam search ends: no, yes, never")
      ->option_text("MODE")
      ->transform(CLI::CheckedTransformer(modes))
      ->group(group);
}

auto generation_choice::over(eckart::generation_options options) const
    -> eckart::generation_options {
  options.num_beams = num_beams.value_or(options.num_beams);
  options.num_return_sequences = 1;
  options.no_repeat_ngram_size = no_repeat_ngram_size.value_or(options.no_repeat_ngram_size);
  if (max_length) {
    options.max_length = max_length;
    options.max_new_tokens.reset();
  }
  if (max_new_tokens) {
    options.max_new_tokens = max_new_tokens;
  }
  if (min_length) {
    options.min_length = *min_length;
    options.min_new_tokens.reset();
  }
  options.length_penalty = length_penalty.value_or(options.length_penalty);
  options.repetition_penalty = repetition_penalty.value_or(options.repetition_penalty);
  options.early_stopping = early_stopping.value_or(options.early_stopping);
  return options;
}

void summarize_command::add_to(CLI::App& app) {
  auto* command = app.add_subcommand("summarize", "Summarize texts with a BART, dense or low-rank");
  command->add_option("FILE", source.files, "text files, one document each; - or none: stdin");
  command->add_flag("--jsonl", source.jsonl, "files are JSON lines, and so is the output");
  command->add_option("--field", source.field, "key of the text in a JSON line")
      ->capture_default_str();
  command->add_option("--limit", source.limit, "only the first N documents")->option_text("N");
  command->add_option("-o,--output", output, "write to FILE, complete or not at all")
      ->option_text("FILE");
  command->add_option("--batch", batch, "documents generated together")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--compare", compare,
                    "dense and low-rank side by side (a third of full rank if none is given)");
  command->add_flag("--json", json, "with --compare: one JSON object instead of a table");
  command->add_flag("--strict", strict, "refuse inputs that are too long instead of cutting them");
  model.add_to(*command);
  device.add_to(*command,
                "On a GPU summaries are written there; reading the model, --rank and the like and "
                "the cosines of --compare stay on the processor");
  generation.add_to(*command);
  command->callback([this] { run(); });
}

void summarize_command::run() const {
  if (json && !compare) {
    throw eckart::error("--json goes with --compare; JSON lines are written with --jsonl");
  }
  device.name();
  auto documents = read_documents(source);
  model.prepare_blas();
  auto const directory = model.location();
  auto const config = eckart::read_bart_config(directory / "config.json");
  auto const text = text_side(directory, generation, config);
  std::ostringstream result;
  if (compare) {
    auto const figures =
        compare_models(model, device, directory, text, std::move(documents), strict);
    json ? write_json(result, figures) : write_text(result, figures);
  } else {
    auto const sources = text.encode(documents, strict, model.quiet);
    auto bart = eckart::bart<float>::load(directory);
    compress(bart, model, model.policy());
    eckart::stack_projections(bart);
    auto const runner = make_runner(bart, device);
    write_summaries(result, documents,
                    summaries(runner.generate, text, sources, batch, model.quiet), source.jsonl);
  }
  if (output.empty()) {
    std::cout << result.str() << std::flush;
  } else {
    eckart::write_atomically(output, [&](std::ostream& out) { out << result.str(); });
  }
}

}  // namespace program
