#pragma once

#include "eckart/models/bart/bart.hpp"

#include <algorithm>
#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Last parts of the names of the layers to replace: "q_proj" matches
/// "model.encoder.layers.0.self_attn.q_proj".
using target_list = std::vector<std::string>;

/// The matrices that the thesis replaces: all of self- and cross-attention.
inline auto attention_targets() -> target_list {
  return {"q_proj", "k_proj", "v_proj", "out_proj"};
}

/// Every linear layer.
inline auto linear_targets() -> target_list {
  return {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"};
}

/// Whether the name is a target or ends in a dot and a target.
inline auto matches_target(std::string_view name, std::span<std::string const> targets) -> bool {
  return std::ranges::any_of(targets, [name](std::string const& target) {
    return !target.empty() && name.ends_with(target) &&
           (name.size() == target.size() || name[name.size() - target.size() - 1] == '.');
  });
}

/// What became of one layer.
struct replaced_layer {
  std::string name;
  shape2 shape;
  index_t rank = 0;
  double relative_error = 0;  ///< ||W - W_k|| / ||W||, Frobenius, from the singular values
  std::uint64_t parameters_before = 0;  ///< bias included
  std::uint64_t parameters_after = 0;   ///< bias included
};

struct nothing_to_report {
  void operator()(index_t, index_t, std::string const&) const {}
};

/// Replaces every linear layer whose name matches a target by the factors of its truncated SVD in
/// the asked form; biases stay (the thesis's listings 8 and 9). One SVD a matrix. The model is
/// untouched if any layer cannot be replaced. progress(done, total, name) is called before each
/// layer. Throws shape_error if a target matches nothing or a rank does not fit, numerical_error
/// for weights that are not finite.
template <real T, rank_policy P,
          std::invocable<index_t, index_t, std::string const&> Progress = nothing_to_report>
auto compress(bart<T>& model, std::span<std::string const> targets, P const& policy,
              form stored_as = form::two_factor, Progress progress = {})
    -> std::vector<replaced_layer> {
  for (auto const& target : targets) {
    bool found = false;
    model.visit_linears([&](std::string const& name, linear<T> const&) {
      found = found || matches_target(name, std::span(&target, 1));
    });
    if (!found) {
      throw shape_error(message("compress: no linear layer is named '", target, "'"));
    }
  }
  std::vector<std::pair<std::string, linear<T>*>> chosen;
  model.visit_linears([&](std::string const& name, linear<T>& layer) {
    if (matches_target(name, targets)) {
      chosen.emplace_back(name, &layer);
    }
  });
  std::vector<replaced_layer> report;
  std::vector<linear<T>> replacements;
  auto const total = static_cast<index_t>(chosen.size());
  for (auto const& [name, layer] : chosen) {
    progress(static_cast<index_t>(report.size()), total, name);
    try {
      auto const f = svd(layer->dense_weight());
      auto factors = truncate(f, policy);
      auto const rank = factors.rank();
      auto const norm = truncation_error(as_span(f.s), 0);
      auto const tail = truncation_error(as_span(f.s), rank);
      replacements.push_back(layer->with_weight(weight_in_form(std::move(factors), stored_as)));
      report.push_back({name, layer->shape(), rank, norm > 0 ? tail / norm : 0, layer->parameters(),
                        replacements.back().parameters()});
    } catch (numerical_error const& e) {
      throw numerical_error(message(name, ": ", e.what()), e.info);
    } catch (shape_error const& e) {
      throw shape_error(message(name, ": ", e.what()));
    }
  }
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    *chosen[i].second = std::move(replacements[i]);
  }
  return report;
}

}  // namespace v0
}  // namespace eckart
