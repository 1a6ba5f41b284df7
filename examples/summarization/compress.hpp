#pragma once

#include "calibration_set.hpp"
#include "device_choice.hpp"
#include "model_choice.hpp"

#include <eckart/io/dtype.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace program {

/// `eckart compress`: from a model and dialogues to a smaller model in a directory.
struct compress_command {
  model_choice model;    ///< directory, threads and quiet of it
  device_choice device;  ///< where layers are fitted
  calibration_options calibration;
  std::string method = "sequential";  ///< svd, whitened, centred or sequential
  std::string targets = "linear";     ///< attention, linear, all, or a list of layer names

  std::optional<double> budget;  ///< of the cost of the dense target layers
  std::string budget_of = "bytes";
  std::filesystem::path latency_table;  ///< times of a budget of time; none: measured
  std::optional<double> rank_ratio;
  std::optional<eckart::index_t> rank;
  std::filesystem::path plan;  ///< a file to take the plan from
  std::string form = "auto";
  eckart::index_t rank_step = 8;

  double shrinkage = 0;
  double ridge = 1e-4;
  bool identity_metric = false;  ///< all outputs alike
  bool no_joint = false;         ///< no layers on a common basis
  bool keep_end_bias = false;    ///< leave the probability of the end token as it comes
  std::size_t plan_dialogues =
      128;                      ///< for the plan of the sequential method, and for the end token
  std::size_t sensitivity = 0;  ///< dialogues on which it is measured

  std::filesystem::path out;
  std::filesystem::path dense_out;  ///< for --export-dense
  std::string dtype = "auto";
  bool int8 = false;  ///< what is not in factors, and the output layer
  bool restart = false;
  bool json = false;

  void add_to(CLI::App& app);
  void run() const;
};

}  // namespace program
