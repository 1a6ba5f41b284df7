#pragma once

#include "eckart/core/error.hpp"
#include "eckart/core/view.hpp"
#include "eckart/factor/cost.hpp"
#include "eckart/io/json_string.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// In which form and rank every layer of a model is to be stored, as a value.
/// compression_plan_file.hpp has it as a file that a person can edit.
namespace eckart {
inline namespace v0 {

/// How one weight matrix (outputs, inputs), or a stack of several, is to be stored.
struct planned_layer {
  std::string name;
  shape2 shape;
  form stored_as = form::dense;
  index_t rank = 0;  ///< 1 to min(m, n); min(m, n) if dense
  double predicted_loss = 0;

  auto operator==(planned_layer const&) const -> bool = default;
};

struct compression_plan {
  std::string objective;  ///< what the losses are: "relative-output-error"
  std::vector<planned_layer> layers;

  auto operator==(compression_plan const&) const -> bool = default;
};

/// A weight matrix of a model.
struct named_shape {
  std::string name;
  shape2 shape;

  auto operator==(named_shape const&) const -> bool = default;
};

/// Numbers that a layer stores when it is compressed, without its bias.
inline auto plan_parameters(planned_layer const& layer) -> std::uint64_t {
  return cost::parameters(layer.stored_as, layer.shape, layer.rank);
}

namespace detail {

/// Above all matrices there are, and small enough that no number of parameters overflows.
inline constexpr index_t largest_planned_extent = index_t{1} << 24;

/// The sum of count(layer); the largest number if it is above.
template <class Count>
auto plan_total(compression_plan const& plan, Count count) -> std::uint64_t {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t total = 0;
  for (auto const& layer : plan.layers) {
    total += std::min<std::uint64_t>(count(layer), most - total);
  }
  return total;
}

/// What is wrong with a layer by itself; nothing if all is well.
inline auto fault_of(planned_layer const& layer) -> std::string {
  auto const rows = layer.shape.rows;
  auto const cols = layer.shape.cols;
  auto const full = std::min(rows, cols);
  if (layer.name.empty()) {
    return "the name is empty";
  }
  if (find_invalid_utf8(layer.name)) {
    return "the name is not valid UTF-8";
  }
  if (full < 1 || std::max(rows, cols) > largest_planned_extent) {
    return message("shape [", rows, ", ", cols, "] is not in 1 to ", largest_planned_extent);
  }
  if (layer.stored_as == form::dense && layer.rank != full) {
    return message("rank ", layer.rank, " of a dense ", layer.shape, " matrix, it must be ", full);
  }
  if (layer.rank < 1 || layer.rank > full) {
    return message("rank ", layer.rank, " of a ", layer.shape, " matrix is not in 1 to ", full);
  }
  if (!(layer.predicted_loss >= 0 && std::isfinite(layer.predicted_loss))) {
    return message("predicted_loss ", layer.predicted_loss, " is not a finite number from 0 on");
  }
  return {};
}

/// What is wrong with a plan, the layer named; nothing if all is well.
inline auto fault_of(compression_plan const& plan) -> std::string {
  if (plan.objective.empty() || find_invalid_utf8(plan.objective)) {
    return message("objective ", json_quoted(plan.objective), " is empty or not valid UTF-8");
  }
  std::set<std::string_view> seen;
  for (auto const& layer : plan.layers) {
    auto fault = fault_of(layer);
    if (fault.empty() && !seen.insert(layer.name).second) {
      fault = "the name appears twice";
    }
    if (!fault.empty()) {
      return message("layer ", json_quoted(layer.name), ": ", fault);
    }
  }
  return {};
}

}  // namespace detail

/// Numbers that all layers of the plan store.
inline auto plan_parameters(compression_plan const& plan) -> std::uint64_t {
  return detail::plan_total(plan, [](planned_layer const& l) { return plan_parameters(l); });
}

/// Numbers that the same layers store if all are dense.
inline auto dense_parameters(compression_plan const& plan) -> std::uint64_t {
  return detail::plan_total(
      plan, [](planned_layer const& l) { return cost::parameters(form::dense, l.shape, l.rank); });
}

/// Throws format_error that names the layer unless every layer of the plan is one of the model's
/// matrices and has its shape. Matrices that are not planned stay as they are. `name` is of the
/// plan's file. O((l + s) log s).
inline void check_plan(compression_plan const& plan, std::span<named_shape const> shapes,
                       std::string_view name = "plan") {
  std::map<std::string_view, shape2> known;
  for (auto const& [layer, shape] : shapes) {
    known.emplace(layer, shape);
  }
  for (auto const& layer : plan.layers) {
    auto const found = known.find(layer.name);
    auto const where = message(name, ": layer ", detail::json_quoted(layer.name), ": ");
    if (found == known.end()) {
      throw format_error(message(where, "the model has none of this name"), 0);
    }
    if (found->second != layer.shape) {
      throw format_error(
          message(where, "planned as ", layer.shape, ", the model's is ", found->second), 0);
    }
  }
}

/// Throws shape_error with both figures if the plan stores more than `most` parameters.
inline void check_plan_budget(compression_plan const& plan, std::uint64_t most,
                              std::string_view name = "plan") {
  if (auto const parameters = plan_parameters(plan); parameters > most) {
    throw shape_error(
        message(name, ": ", parameters, " parameters are more than the budget of ", most));
  }
}

}  // namespace v0
}  // namespace eckart
