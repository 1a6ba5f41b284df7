#pragma once

#include "eckart/models/plan_bart.hpp"
#include "eckart/models/teacher_forcing.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// How the sensitivity of layers is measured.
struct sensitivity_options {
  double rank_share = 0.25;  ///< of min(m, n), to which each layer is cut in turn
  double exponent = 0.5;     ///< of what is measured; 0: all layers alike, 1: as measured
};

/// How much of a model's cross-entropy hangs on each layer: one layer at a time is cut, alone, and
/// the rise of the loss on these examples is divided by the loss that its basis predicts. The
/// weight is a power of the ratio: measured far from where the plan will be and one at a time, it
/// tells which layers matter more, but overstates by how much (docs/results.md has the figures).
/// Mean 1. One pass of teacher forcing a layer.
template <real T>
auto measured_sensitivity(bart<T> const& model, bart_bases<T> const& bases,
                          std::span<std::vector<token_id> const> sources,
                          std::span<std::vector<token_id> const> labels,
                          sensitivity_options const& options = {},
                          site_progress const& progress = {}) -> layer_weights {
  auto const loss_of = [&](bart<T> const& m) {
    token_loss sum;
    for (auto const& one : teacher_forced_loss(m, sources, labels)) {
      sum += one;
    }
    return sum.mean();
  };
  auto const whole = loss_of(model);
  layer_weights weights;
  double total = 0;
  for (auto const& [name, scale] : bases.scales) {
    if (progress) {
      progress(static_cast<index_t>(weights.size()), static_cast<index_t>(bases.scales.size()),
               name);
    }
    auto const& basis = bases.layers.at(name);
    auto const k = std::max<index_t>(
        1, static_cast<index_t>(options.rank_share * static_cast<double>(basis.rank())));
    auto changed = model;
    changed.replace(name,
                    detail::planned_linear(basis, {name, basis.shape(), form::two_factor, k, 0.0}));
    // A cut that happens to help tells as little as one that does nothing.
    auto const rise = std::max(loss_of(changed) - whole, 1e-5);
    auto const predicted = basis.predicted_loss(k);
    weights[name] = predicted > 0 ? std::pow(rise / predicted, options.exponent) : 0;
    total += weights[name];
  }
  for (auto& [name, weight] : weights) {
    weight *= static_cast<double>(weights.size()) / total;
  }
  return weights;
}

}  // namespace v0
}  // namespace eckart
