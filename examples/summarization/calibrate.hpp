#pragma once

#include "calibration_set.hpp"
#include "model_choice.hpp"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>

namespace program {

/// `eckart calibrate`: the moments of what enters each linear layer, in a file.
struct calibrate_command {
  model_choice model;  ///< directory, threads and quiet of it
  calibration_options calibration;
  std::filesystem::path out;

  void add_to(CLI::App& app);
  void run() const;
};

/// Of a model's configuration and weights: tells whether moments belong to it.
auto model_fingerprint(std::filesystem::path const& directory) -> std::string;

/// The most memory that the process has held so far, in bytes.
auto peak_memory() -> std::uint64_t;

}  // namespace program
