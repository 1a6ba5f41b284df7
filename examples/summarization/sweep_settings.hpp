#pragma once

#include "evaluation.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace program {

/// What is measured: a model on some examples.
struct sweep_subject {
  std::filesystem::path directory;  ///< of the model
  std::filesystem::path data_file;
  eckart::bart<float> const& dense;
  text_side const& text;
  dataset const& data;
};

/// How it is measured.
struct sweep_options {
  evaluation_options evaluation;
  std::size_t compare = 24;       ///< examples on which states are compared with the dense model's
  std::vector<std::string> show;  ///< ids of the dialogues whose summaries are shown; none: first 2
  bool times = true;              ///< tell seconds
};

/// All that decides a point's figures, as one object of plain values: model, data, generation and
/// what the options say. Throws io_error.
auto settings_of(sweep_subject const& subject, sweep_options const& options)
    -> nlohmann::ordered_json;

}  // namespace program
