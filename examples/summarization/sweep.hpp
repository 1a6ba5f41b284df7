#pragma once

#include "dataset.hpp"
#include "model_choice.hpp"
#include "summarize.hpp"
#include "sweep_plan.hpp"
#include "sweep_settings.hpp"

#include <CLI/CLI.hpp>

#include <filesystem>

namespace program {

/// `eckart sweep`: quality, cost and time of a model at falling ranks, beside the dense one.
struct sweep_command {
  model_choice model;  ///< directory, threads and quiet of it
  dataset_options data;
  generation_choice generation;
  sweep_choice choice;
  sweep_options options;
  std::filesystem::path out;
  bool restart = false;
  bool json = false;

  void add_to(CLI::App& app);
  void run() const;
};

}  // namespace program
