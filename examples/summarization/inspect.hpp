#pragma once

#include "model_choice.hpp"

#include <CLI/CLI.hpp>

#include <filesystem>

namespace program {

/// `eckart inspect`
struct inspect_command {
  model_choice model;
  std::filesystem::path config;  ///< a config.json alone, without weights
  bool json = false;

  void add_to(CLI::App& app);
  void run() const;
};

}  // namespace program
