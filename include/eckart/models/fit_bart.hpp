#pragma once

#include "eckart/compress/whiten.hpp"
#include "eckart/models/bart_metrics.hpp"
#include "eckart/models/compress_bart.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// The best layers of every rank for a model's layers, and for the joint layers that may replace
/// some of them. Losses are relative: 1 is the loss of a layer that answers its mean always, so
/// that those of all layers can be added; a joint layer has the sum of its members'.
template <real T>
struct bart_bases {
  std::map<std::string, fitted_basis<T>> layers;  ///< by the name of the layer or joint layer
  std::map<std::string, double> scales;           ///< of a single layer: its weight over its energy
  layer_metrics metrics;
};

/// Weights of the layers' losses, by name.
using layer_weights = std::map<std::string, double>;

/// How a model's layers are fitted.
struct bart_fit_options {
  bool whitened = true;  ///< by the moments of the inputs; otherwise plain SVD
  fit_options fit = {};
  layer_metrics metrics = {};  ///< of the layers' errors; the identity where none is given
};

namespace detail {

/// The layers that a joint layer of this site stands for.
template <real T>
auto members_of(linear_site const& site, bart<T> const& model) -> std::vector<linear<T> const*> {
  std::vector<linear<T> const*> members(site.members.size(), nullptr);
  model.visit_linears([&](std::string const& name, linear<T> const& layer) {
    if (auto const at = std::ranges::find(site.members, name); at != site.members.end()) {
      members[static_cast<std::size_t>(at - site.members.begin())] = &layer;
    }
  });
  return members;
}

template <real T>
auto layer_named(std::vector<bart_layer<T>> const& layers, std::string const& name)
    -> bart_layer<T> const& {
  auto const found = std::ranges::find(layers, name, &bart_layer<T>::name);
  if (found == layers.end()) {
    throw shape_error(message("fit_layers: the model has no layer '", name, "' of its own"));
  }
  return *found;
}

inline auto moments_at(bart_moments const& moments, std::string const& site)
    -> input_moments const& {
  auto const found = moments.find(site);
  if (found == moments.end()) {
    throw shape_error(message("fit_layers: no moments of the inputs of ", site));
  }
  return found->second;
}

/// Of a layer; the identity where none is given.
inline auto metric_of(layer_metrics const& metrics, std::string const& name)
    -> output_metric const& {
  static output_metric const identity;
  auto const found = metrics.find(name);
  return found == metrics.end() ? identity : found->second;
}

/// All losses of a basis times a factor.
template <real T>
void scale_losses(fitted_basis<T>& basis, double factor) {
  for (auto& loss : basis.losses) {
    loss *= factor;
  }
  basis.unexplained *= factor;
  basis.energy *= factor;
}

inline auto inverse_or_zero(double x) -> double {
  return x > 0 ? 1 / x : 0;
}

/// The metrics of a joint layer's members, each times the scale of its loss, as one: a diagonal, or
/// blocks as soon as one member has them, among which a diagonal is blocks of order 1.
template <real T>
auto joint_metric(std::vector<std::string> const& members, bart_bases<T> const& bases)
    -> output_metric {
  auto const has_blocks = [&](std::string const& name) {
    return bases.metrics.contains(name) && !bases.metrics.at(name).blocks.empty();
  };
  bool const in_blocks = std::ranges::any_of(members, has_blocks);
  output_metric result;
  std::vector<double> diagonal;
  for (auto const& name : members) {
    auto const scale = bases.scales.at(name);
    auto const& own = metric_of(bases.metrics, name);
    for (auto block : own.blocks) {
      for (auto& value : block) {
        value *= scale;
      }
      result.blocks.push_back(std::move(block));
    }
    auto const rows = own.blocks.empty() ? bases.layers.at(name).shape().rows : 0;
    for (index_t i = 0; i < rows; ++i) {
      diagonal.push_back(scale * (own.diagonal ? (*own.diagonal)(static_cast<std::size_t>(i)) : 1));
      if (in_blocks) {
        result.blocks.push_back(make_matrix<double>({1, 1}));
        result.blocks.back().fill(diagonal.back());
      }
    }
  }
  if (!in_blocks) {
    result.diagonal = make_vector<double>(static_cast<index_t>(diagonal.size()));
    std::ranges::copy(diagonal, result.diagonal->begin());
  }
  return result;
}

}  // namespace detail

/// Fits every layer that matches a target, each by itself; the engine decomposes. Throws
/// shape_error if a target matches nothing or moments are missing.
template <real T, fit_engine Engine = host_engine>
auto fit_layers(bart<T> const& model, bart_moments const& moments,
                std::span<std::string const> targets, bart_fit_options const& options = {},
                site_progress const& progress = {}, Engine const& engine = {}) -> bart_bases<T> {
  auto const layers = detail::layers_to_replace(model, targets);
  bart_bases<T> bases;
  bases.metrics = options.metrics;
  auto const sites = bart_sites(model.config());
  index_t done = 0;
  for (auto const& site : sites) {
    if (progress) {
      progress(done, static_cast<index_t>(sites.size()), site.name);
    }
    ++done;
    for (auto const& name : site.members) {
      if (matches_target(name, targets)) {
        auto const& layer = detail::layer_named(layers, name);
        auto basis = options.whitened ? fit(layer.dense_weight(), layer.bias(),
                                            detail::moments_at(moments, site.name), options.fit,
                                            detail::metric_of(bases.metrics, name), engine)
                                      : svd_basis(layer.dense_weight(), layer.bias(), engine);
        bases.scales[name] = detail::inverse_or_zero(basis.energy);
        detail::scale_losses(basis, bases.scales[name]);
        bases.layers.emplace(name, std::move(basis));
      }
    }
  }
  return bases;
}

/// Adds the joint layers whose members have all been fitted. Their members count by the scales of
/// their losses, so weigh() comes before. Not for plain SVD, which has no moments. Throws
/// shape_error if moments are missing.
template <real T, fit_engine Engine = host_engine>
void fit_joint_layers(bart<T> const& model, bart_moments const& moments, bart_bases<T>& bases,
                      fit_options const& options = {}, Engine const& engine = {}) {
  for (auto const& site : bart_sites(model.config())) {
    if (!site.can_be_joint() || !std::ranges::all_of(site.members, [&](auto const& name) {
          return bases.scales.contains(name);
        })) {
      continue;
    }
    auto const joint = joint_layer(detail::members_of(site, model));
    bases.layers.insert_or_assign(
        site.name,
        fit(joint.dense_weight(), as_span(*joint.bias()), detail::moments_at(moments, site.name),
            options, detail::joint_metric(site.members, bases), engine));
  }
}

/// Counts the losses of each layer so many times. Joint layers are dropped: their factors depend on
/// the weights of their members. Throws std::out_of_range for a layer without a weight.
template <real T>
void weigh(bart_bases<T>& bases, layer_weights const& weights) {
  std::erase_if(bases.layers, [&](auto const& one) { return !bases.scales.contains(one.first); });
  for (auto& [name, scale] : bases.scales) {
    auto const factor = weights.at(name);
    scale *= factor;
    detail::scale_losses(bases.layers.at(name), factor);
  }
}

}  // namespace v0
}  // namespace eckart
