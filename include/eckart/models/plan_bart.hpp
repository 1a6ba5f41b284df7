#pragma once

#include "eckart/compress/allocate.hpp"
#include "eckart/models/compression_plan.hpp"
#include "eckart/models/fit_bart.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// What storing a layer in a form and rank costs, in whatever the budget counts.
using layer_cost =
    std::function<std::uint64_t(std::string const& name, form stored_as, shape2 shape, index_t k)>;

/// Numbers stored; the places of pivoted rows, integers that no product reads, are not counted.
/// shared_output_table (of the model: shares_output_table): the word embeddings keep the table of
/// the output, so that a dense output layer costs nothing and its factors come on top.
inline auto parameter_cost(bool shared_output_table = false) -> layer_cost {
  return [=](std::string const& name, form f, shape2 shape, index_t k) -> std::uint64_t {
    bool const is_free = shared_output_table && f == form::dense && name == lm_head_name;
    return is_free ? 0 : cost::parameters(f, shape, k);
  };
}

/// FLOPs of a text of so many source tokens and written tokens (all beams together): keys and
/// values of cross-attention are computed once a source token.
inline auto flop_cost(index_t source_tokens, index_t written_tokens) -> layer_cost {
  return [=](std::string const& name, form f, shape2 shape, index_t k) {
    return cost::flops(f, shape, k, reads_source(name) ? source_tokens : written_tokens);
  };
}

/// What a plan may choose from.
struct plan_options {
  std::vector<form> forms{form::two_factor, form::pivoted};  ///< the cheapest at each rank
  index_t rank_step = 8;
  layer_cost cost = parameter_cost();
};

namespace detail {

/// The ways to store a layer, with the losses that its basis predicts.
template <real T>
auto choices_of(std::string const& name, fitted_basis<T> const& basis, plan_options const& options)
    -> std::vector<storage_choice> {
  return levels(
      basis.shape(), [&](index_t k) { return basis.predicted_loss(k); },
      [&](form f, index_t k) { return options.cost(name, f, basis.shape(), k); },
      {.forms = options.forms, .step = options.rank_step});
}

}  // namespace detail

/// What all fitted layers cost as they are, single layers all.
template <real T>
auto dense_cost(bart_bases<T> const& bases, layer_cost const& cost) -> std::uint64_t {
  std::uint64_t total = 0;
  for (auto const& [name, scale] : bases.scales) {
    auto const shape = bases.layers.at(name).shape();
    total += cost(name, form::dense, shape, std::min(shape.rows, shape.cols));
  }
  return total;
}

/// Every single layer at rank_of(its shape), all in one form. Throws shape_error for a rank that
/// does not fit a layer.
template <real T, class RankOf>
auto uniform_plan(bart_config const& c, bart_bases<T> const& bases, form stored_as, RankOf rank_of)
    -> compression_plan {
  compression_plan plan;
  plan.objective = "uniform-rank";
  for (auto const& site : bart_sites(c)) {
    for (auto const& name : site.members) {
      if (auto const found = bases.layers.find(name); found != bases.layers.end()) {
        auto const shape = found->second.shape();
        index_t const k = rank_of(shape);
        if (k < 1 || k > found->second.rank()) {
          throw shape_error(message(name, ": rank ", k, " for a ", shape, " matrix"));
        }
        plan.layers.push_back({name, shape, stored_as, k, found->second.predicted_loss(k)});
      }
    }
  }
  return plan;
}

/// The plan that loses the least among those whose layers cost no more than the budget (biases are
/// not counted). Throws shape_error if none costs so little.
template <real T>
auto plan_layers(bart_config const& c, bart_bases<T> const& bases, std::uint64_t budget,
                 plan_options const& options = {}) -> compression_plan {
  std::vector<storage_group> groups;
  std::vector<std::vector<std::string>> apart;
  std::vector<std::string> together;
  for (auto const& site : bart_sites(c)) {
    storage_group group;
    std::vector<std::string> names;
    for (auto const& name : site.members) {
      if (auto const found = bases.layers.find(name); found != bases.layers.end()) {
        group.apart.push_back(detail::choices_of(name, found->second, options));
        names.push_back(name);
      }
    }
    if (auto const joint = bases.layers.find(site.name);
        joint != bases.layers.end() && site.can_be_joint()) {
      group.together = detail::choices_of(site.name, joint->second, options);
    }
    if (!names.empty()) {
      groups.push_back(std::move(group));
      apart.push_back(std::move(names));
      together.push_back(site.name);
    }
  }
  auto const result = allocate(groups, budget);
  compression_plan plan;
  plan.objective = "relative-output-error";
  for (std::size_t g = 0; g < groups.size(); ++g) {
    auto const choices = chosen_from(groups[g], result.groups[g]);
    for (std::size_t i = 0; i < choices.size(); ++i) {
      auto const& name = result.groups[g].together ? together[g] : apart[g][i];
      plan.layers.push_back({name, bases.layers.at(name).shape(), choices[i].stored_as,
                             choices[i].rank, choices[i].loss});
    }
  }
  return plan;
}

namespace detail {

/// The layer of a basis as a plan wants it.
template <real T>
auto planned_linear(fitted_basis<T> const& basis, planned_layer const& planned) -> linear<T> {
  auto fitted = basis.truncate(planned.rank);
  auto weight = weight_in_form(std::move(fitted.weight), planned.stored_as);
  return linear<T>(std::move(weight), std::move(fitted.bias));
}

}  // namespace detail

/// Throws shape_error for a plan with a joint layer and one of its members.
inline void refuse_overlap(bart_config const& c, compression_plan const& plan) {
  auto const has = [&](std::string const& name) {
    return std::ranges::find(plan.layers, name, &planned_layer::name) != plan.layers.end();
  };
  for (auto const& site : bart_sites(c)) {
    if (site.can_be_joint() && has(site.name)) {
      auto const member = std::ranges::find_if(site.members, has);
      if (member != site.members.end()) {
        throw shape_error(message("plan: ", site.name, " stands for ", *member, " too"));
      }
    }
  }
}

/// What the layers cost that were fitted: as planned, and dense where the plan does not name them.
template <real T>
auto planned_cost(bart_config const& c, bart_bases<T> const& bases, compression_plan const& plan,
                  layer_cost const& cost) -> std::uint64_t {
  auto total = dense_cost(bases, cost);
  auto const without = [&](std::string const& name) {
    if (bases.scales.contains(name)) {
      auto const shape = bases.layers.at(name).shape();
      total -= cost(name, form::dense, shape, std::min(shape.rows, shape.cols));
    }
  };
  auto const sites = bart_sites(c);
  for (auto const& layer : plan.layers) {
    total += cost(layer.name, layer.stored_as, layer.shape, layer.rank);
    auto const site = std::ranges::find(sites, layer.name, &linear_site::name);
    if (site != sites.end()) {
      std::ranges::for_each(site->members, without);
    } else {
      without(layer.name);
    }
  }
  return total;
}

/// Replaces the layers of a plan, all or none. Layers that the plan leaves dense stay as they are.
template <real T>
void apply_plan(bart<T>& model, bart_bases<T> const& bases, compression_plan const& plan) {
  refuse_overlap(model.config(), plan);
  auto changed = model;
  for (auto const& planned : plan.layers) {
    if (planned.stored_as != form::dense) {
      auto const found = bases.layers.find(planned.name);
      if (found == bases.layers.end()) {
        throw shape_error(message("apply_plan: ", planned.name, " was not fitted"));
      }
      changed.replace(planned.name, detail::planned_linear(found->second, planned));
    }
  }
  model = std::move(changed);
}

}  // namespace v0
}  // namespace eckart
