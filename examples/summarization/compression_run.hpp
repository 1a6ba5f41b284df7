#pragma once

#include "calibration_set.hpp"
#include "compress.hpp"

#include <eckart/models/plan_bart.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace program {

/// A part of a compression and its time on the clock.
struct timed_step {
  std::string name;
  double seconds = 0;
  std::string device = "cpu";  ///< where; "cpu and gpu" if parts are on each
};

/// A compressed model and how it came about.
struct compression_outcome {
  eckart::bart<float> model;
  eckart::compression_plan plan;
  std::uint64_t cost = 0;              ///< of the plan, in what the budget counts
  std::uint64_t dense_cost = 0;        ///< of the target layers as they were
  std::uint64_t dense_parameters = 0;  ///< of the whole model as it was
  std::vector<timed_step> steps;
  std::size_t calibration_dialogues = 0;
  std::string calibration_fingerprint;
  std::string decoder_inputs;
  double end_bias = 0;  ///< added to the logit of the end token
};

/// Calibrates, plans and fits as the command says. Progress on stderr unless quiet. Throws
/// interruption after a SIGINT; the layers of the sequential method that are fitted by then are
/// kept beside the directory that is to be written.
auto run_compression(compress_command const& command, std::filesystem::path const& directory)
    -> compression_outcome;

/// Where the fitted layers of an unfinished run are.
auto layers_folder(compress_command const& command) -> std::filesystem::path;

}  // namespace program
