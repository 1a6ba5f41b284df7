#pragma once

#include "eckart/models/bart_layers.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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

/// Every linear layer of encoder and decoder.
inline auto linear_targets() -> target_list {
  return {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"};
}

/// The same and the output layer.
inline auto all_targets() -> target_list {
  auto targets = linear_targets();
  targets.emplace_back(lm_head_name);
  return targets;
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
  std::uint64_t parameters_before = 0;  ///< bias included; 0 for a table that embeddings need too
  std::uint64_t parameters_after = 0;   ///< bias included

  auto operator==(replaced_layer const&) const -> bool = default;
};

struct nothing_to_report {
  void operator()(index_t, index_t, std::string const&) const {}
};

/// The SVDs of a model's layers, from which it can be compressed to any rank: the decompositions
/// are the expensive part, truncating them copies.
template <real T>
struct bart_decomposition {
  std::map<std::string, svd_result<T>> layers;  ///< name -> SVD of the dense weight

  /// Memory that the factors take: for n x n weights twice that of the weights.
  auto bytes() const -> std::uint64_t {
    std::uint64_t numbers = 0;
    for (auto const& [name, f] : layers) {
      numbers += f.u.size() + f.s.size() + f.vt.size();
    }
    return numbers * sizeof(T);
  }
};

namespace detail {

/// The layers that match a target, in the order of the modules. Throws shape_error if a target
/// matches nothing.
template <real T>
auto layers_to_replace(bart<T> const& model, std::span<std::string const> targets)
    -> std::vector<bart_layer<T>> {
  auto layers = bart_layers(model);
  for (auto const& target : targets) {
    if (std::ranges::none_of(layers, [&](auto const& layer) {
          return matches_target(layer.name(), std::span(&target, 1));
        })) {
      throw shape_error(message("compress: no linear layer is named '", target, "'"));
    }
  }
  std::erase_if(layers, [&](auto const& layer) { return !matches_target(layer.name(), targets); });
  return layers;
}

/// Calls work(layer) for all layers, progress(i, total, name) before each. Errors are thrown
/// again with the name of the layer.
template <real T, class Progress, class Work>
void for_each_layer(std::vector<bart_layer<T>> const& chosen, Progress& progress, Work work) {
  auto const total = static_cast<index_t>(chosen.size());
  for (index_t i = 0; i < total; ++i) {
    auto const& one = chosen[static_cast<std::size_t>(i)];
    progress(i, total, one.name());
    try {
      work(one);
    } catch (numerical_error const& e) {
      throw numerical_error(message(one.name(), ": ", e.what()), e.info);
    } catch (shape_error const& e) {
      throw shape_error(message(one.name(), ": ", e.what()));
    }
  }
}

/// Replaces the layers by truncations of svd_of(layer), all of them or none.
template <real T, rank_policy P, class Progress, class SvdOf>
auto replace_layers(bart<T>& model, std::vector<bart_layer<T>> const& chosen, P const& policy,
                    form stored_as, Progress& progress, SvdOf svd_of)
    -> std::vector<replaced_layer> {
  std::vector<replaced_layer> report;
  std::vector<linear<T>> replacements;
  for_each_layer(chosen, progress, [&](bart_layer<T> const& layer) {
    svd_result<T> const& f = svd_of(layer);
    auto factors = truncate(f, policy);
    auto const rank = factors.rank();
    auto const norm = truncation_error(as_span(f.s), 0);
    auto const tail = truncation_error(as_span(f.s), rank);
    replacements.push_back(layer.with_weight(weight_in_form(std::move(factors), stored_as)));
    report.push_back({layer.name(), layer.shape(), rank, norm > 0 ? tail / norm : 0,
                      layer.parameters(), replacements.back().parameters()});
  });
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    model.replace(chosen[i].name(), std::move(replacements[i]));
  }
  return report;
}

}  // namespace detail

/// The SVD of every layer whose name matches a target. progress(done, total, name) is called
/// before each layer. Throws shape_error if a target matches nothing, numerical_error for weights
/// that are not finite.
template <real T, std::invocable<index_t, index_t, std::string const&> Progress = nothing_to_report>
auto decompose(bart<T> const& model, std::span<std::string const> targets, Progress progress = {})
    -> bart_decomposition<T> {
  bart_decomposition<T> result;
  detail::for_each_layer(detail::layers_to_replace(model, targets), progress, [&](auto const& one) {
    result.layers.emplace(one.name(), svd(one.dense_weight()));
  });
  return result;
}

/// Replaces every layer whose name matches a target by the factors of its truncated SVD in
/// the asked form; biases stay (the thesis's listings 8 and 9). One SVD a matrix, of which only one
/// is held at a time. The model is untouched if any layer cannot be replaced. progress(done, total,
/// name) is called before each layer. Throws shape_error if a target matches nothing or a rank does
/// not fit, numerical_error for weights that are not finite.
template <real T, rank_policy P,
          std::invocable<index_t, index_t, std::string const&> Progress = nothing_to_report>
auto compress(bart<T>& model, std::span<std::string const> targets, P const& policy,
              form stored_as = form::two_factor, Progress progress = {})
    -> std::vector<replaced_layer> {
  return detail::replace_layers<T>(model, detail::layers_to_replace(model, targets), policy,
                                   stored_as, progress,
                                   [](auto const& one) { return svd(one.dense_weight()); });
}

/// The same from a decomposition: to the last bit what compress() makes of the model that was
/// decomposed, without another SVD. The layers' own numbers are not read: `model` is a copy of
/// that model, dense or compressed before, and one decomposition serves many ranks. Throws
/// shape_error if the model lacks a layer of the decomposition or has it in another shape, and as
/// above for ranks; the model is then untouched.
template <real T, rank_policy P,
          std::invocable<index_t, index_t, std::string const&> Progress = nothing_to_report>
auto compress(bart<T>& model, bart_decomposition<T> const& decomposition, P const& policy,
              form stored_as = form::two_factor, Progress progress = {})
    -> std::vector<replaced_layer> {
  auto chosen = bart_layers(model);
  std::erase_if(chosen,
                [&](auto const& one) { return !decomposition.layers.contains(one.name()); });
  for (auto const& [name, f] : decomposition.layers) {
    auto const found = std::ranges::find(chosen, name, &bart_layer<T>::name);
    if (found == chosen.end()) {
      throw shape_error(message("compress: the model has no linear layer '", name, "'"));
    }
    auto const shape = shape2{as_view(f.u).rows, as_view(f.vt).cols};
    if (found->shape() != shape) {
      throw shape_error(
          message(name, ": a decomposition of ", shape, " for a layer of ", found->shape()));
    }
  }
  return detail::replace_layers<T>(
      model, chosen, policy, stored_as, progress,
      [&](auto const& one) -> svd_result<T> const& { return decomposition.layers.at(one.name()); });
}

}  // namespace v0
}  // namespace eckart
