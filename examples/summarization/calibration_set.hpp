#pragma once

#include "dataset.hpp"
#include "text_side.hpp"

#include <eckart/models/bart/bart.hpp>
#include <eckart/models/calibration_tokens.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace program {

/// Which dialogues a model is calibrated on, and what its decoder reads.
struct calibration_options {
  dataset_options data;
  std::string decoder_inputs = "references";  ///< or "beams": the model's own summaries

  /// Adds --calibration (a file of dialogues), the other options of the data, --decoder-inputs.
  void add_to(CLI::App& command);
};

/// Dialogues as a model reads them.
struct calibration_set {
  std::vector<token_ids> sources;
  std::vector<token_ids> labels;  ///< what the decoder is to write, <s> and </s> included
  std::string fingerprint;        ///< of the examples and of the choice of decoder inputs

  /// Of the first `count` examples, all if there are fewer.
  auto tokens(eckart::bart_config const& c, std::size_t count) const -> eckart::calibration_tokens;
};

/// Reads the data, 512 random dialogues unless the options say otherwise, and writes the summaries
/// that the decoder is to read where they are to be the model's own. Throws as read_dataset.
auto read_calibration(calibration_options const& options, eckart::bart<float> const& model,
                      text_side const& text, bool quiet) -> calibration_set;

}  // namespace program
