#pragma once

#include "sweep_result.hpp"

#include <eckart/models/compress_bart.hpp>

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace program {

/// Layers that are replaced together.
struct target_set {
  std::string name;           ///< "attention", "linear", "all", or the list itself
  eckart::target_list names;  ///< as suffixes of layer names
};

/// One compressed model of a sweep.
struct sweep_step {
  std::string method;
  target_set targets;
  eckart::form stored_as;
  eckart::index_t rank;
};

/// "rank 159, attention, two-factor"
auto description(sweep_step const& step) -> std::string;

/// Which models a sweep is made of, as the command line says it. Every text may be a list.
struct sweep_choice {
  std::vector<std::string> ranks;  ///< see parse_ranks
  std::vector<std::string> methods{"svd"};
  /// Each "attention", "linear", "all", several between commas, or the names of layers between
  /// commas.
  std::vector<std::string> targets{"attention"};
  std::vector<std::string> forms{"two-factor"};

  /// Adds --ranks, --methods, --targets, --forms.
  void add_to(CLI::App& command);
};

/// What a sweep runs besides the dense model.
struct sweep_plan {
  std::vector<sweep_step> steps;  ///< by method, targets, form in the order given; ranks falling
  std::vector<break_even_mark> marks;  ///< for all targets and forms
};

/// Checks the choice against the model. Throws shape_error for a method, target or form that does
/// not exist, and for a rank above min(m, n) of all matrices that it is meant for.
auto plan_sweep(sweep_choice const& choice, eckart::bart<float> const& model) -> sweep_plan;

/// This rank, or the full one of a matrix that has less.
struct at_most_rank {
  eckart::index_t rank;
};
auto choose_rank(at_most_rank const& policy, eckart::spectrum singular_values, eckart::shape2 shape)
    -> eckart::index_t;

}  // namespace program
