#include "calibration_set.hpp"

#include "evaluation.hpp"
#include "fingerprint.hpp"
#include "interrupt.hpp"
#include "terminal.hpp"

#include <eckart/models/teacher_forcing.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

namespace program {

namespace {

auto with_defaults(dataset_options options) -> dataset_options {
  constexpr std::size_t dialogues = 512;
  if (!options.limit) {
    options.limit = dialogues;
    options.sample_seed = 1;
  }
  return options;
}

/// The model's own summaries, as it generates them.
auto own_summaries(eckart::bart<float> const& model, text_side const& text, dataset const& data,
                   bool quiet) -> std::vector<token_ids> {
  progress_line line(quiet);
  auto const result = evaluate(
      model, text, data.examples, {},
      [&](std::size_t done, std::size_t total) {
        line.show(fmt::format("summarizing {}/{}", done, total));
      },
      interrupted);
  if (!result) {
    throw interruption("interrupted, nothing was written");
  }
  std::vector<token_ids> labels;
  for (auto const& row : result->rows) {
    // Generated ids begin with the decoder's start token, which labels do not have.
    labels.emplace_back(row.ids.begin() + 1, row.ids.end());
  }
  return labels;
}

}  // namespace

void calibration_options::add_to(CLI::App& command) {
  data.add_to(command, "--calibration");
  command
      .add_option("--decoder-inputs", decoder_inputs,
                  "what the decoder reads: the references, or the model's own summaries (beams)")
      ->check(CLI::IsMember({"references", "beams"}))
      ->capture_default_str()
      ->group("Data");
}

auto calibration_set::tokens(eckart::bart_config const& c, std::size_t count) const
    -> eckart::calibration_tokens {
  eckart::calibration_tokens result;
  for (std::size_t i = 0; i < std::min(count, sources.size()); ++i) {
    result.add(c, sources[i],
               eckart::shift_right(labels[i], c.decoder_start_token_id, c.pad_token_id));
  }
  return result;
}

auto read_calibration(calibration_options const& options, eckart::bart<float> const& model,
                      text_side const& text, bool quiet) -> calibration_set {
  auto const data = read_dataset(with_defaults(options.data));
  for (auto const& fault : data.faults) {
    if (!quiet) {
      std::cerr << "eckart: " << fault << "; left out\n";
    }
  }
  calibration_set result;
  for (auto const& one : data.examples) {
    auto const encode = [&](std::string const& t) {
      return text.tokenizer.encode_truncated(t, {.max_length = text.max_positions}).ids;
    };
    result.sources.push_back(encode(one.dialogue));
    result.labels.push_back(encode(one.references.front()));
  }
  if (options.decoder_inputs == "beams") {
    result.labels = own_summaries(model, text, data, quiet);
  }
  fingerprint hash;
  hash.add(data.fingerprint);
  hash.add(options.decoder_inputs);
  result.fingerprint = hash.text();
  return result;
}

}  // namespace program
