#pragma once

#include "evaluation.hpp"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace program {

/// What an interval of a difference says about a loss that was fixed beforehand.
enum class verdict {
  not_worse,  ///< the interval lies above -margin
  worse,      ///< it lies below -margin
  undecided   ///< it holds -margin
};

auto judge(eckart::mean_estimate const& difference, double margin) -> verdict;

/// "not worse", "worse", "undecided"
auto name_of(verdict v) -> std::string_view;

/// `eckart evaluate`
struct evaluate_command {
  model_choice model;
  dataset_options data;
  generation_choice generation;
  evaluation_options options;
  double margin = 0.5;             ///< percent points of `measure`
  std::string measure = "rouge1";  ///< one of rouge_names
  std::filesystem::path predictions;
  std::filesystem::path output;  ///< file to write; empty: standard output
  bool json = false;
  bool no_times = false;

  void add_to(CLI::App& app);
  void run() const;
};

}  // namespace program
