#pragma once

#include "device_choice.hpp"
#include "documents.hpp"
#include "model_choice.hpp"

#include <eckart/models/generate.hpp>

#include <CLI/CLI.hpp>

#include <optional>
#include <string>

namespace program {

/// Generation options of the command line; what is not given comes from the model's files.
struct generation_choice {
  std::optional<eckart::index_t> num_beams;
  std::optional<eckart::index_t> no_repeat_ngram_size;
  std::optional<eckart::index_t> max_length;
  std::optional<eckart::index_t> max_new_tokens;
  std::optional<eckart::index_t> min_length;
  std::optional<double> length_penalty;
  std::optional<double> repetition_penalty;
  std::optional<eckart::stop_early> early_stopping;

  void add_to(CLI::App& command);
  auto over(eckart::generation_options options) const -> eckart::generation_options;
};

/// `eckart summarize`
struct summarize_command {
  model_choice model;
  device_choice device;
  document_source source;
  generation_choice generation;
  std::string output;  ///< file to write; empty: standard output
  eckart::index_t batch = 8;
  bool compare = false;
  bool json = false;
  bool strict = false;

  void add_to(CLI::App& app);
  void run() const;
};

}  // namespace program
