#pragma once

#include "eckart/models/bart/bart.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

/// Matrices of the same width, one below the other.
template <real T>
auto stacked_weights(std::span<matrix<T> const* const> parts, shape2 shape) -> matrix<T> {
  auto result = make_matrix<T>(shape);
  index_t row = 0;
  for (auto const* part : parts) {
    auto const own = as_view(*part);
    copy(own, as_view(result).row_range(row, own.rows));
    row += own.rows;
  }
  return result;
}
template <real T>
auto stacked_weights(std::span<int8_rows<T> const* const> parts, shape2 shape) -> int8_rows<T> {
  std::vector<std::int8_t> numbers;
  numbers.reserve(static_cast<std::size_t>(shape.rows * shape.cols));
  auto scales = make_vector<T>(shape.rows);
  auto scale = scales.begin();
  for (auto const* part : parts) {
    for (index_t i = 0; i < part->shape().rows; ++i) {
      auto const row = part->numbers(i);
      numbers.insert(numbers.end(), row.begin(), row.end());
    }
    scale = std::ranges::copy(part->scales(), scale).out;
  }
  return int8_rows<T>(shape, numbers, std::move(scales));
}

/// The layers as one if the weights of all are of type Weight.
template <class Weight, real T>
auto stacked_as(std::span<linear<T> const* const> layers) -> std::optional<linear<T>> {
  shape2 shape{0, layers.front()->shape().cols};
  std::vector<Weight const*> parts;
  for (auto const* layer : layers) {
    auto const* const weight = std::get_if<Weight>(&layer->stored_weight());
    if (weight == nullptr || !layer->has_bias()) {
      return std::nullopt;
    }
    parts.push_back(weight);
    shape.rows += layer->shape().rows;
  }
  auto bias = make_vector<T>(shape.rows);
  auto to = bias.begin();
  for (auto const* layer : layers) {
    to = std::ranges::copy(*layer->bias(), to).out;
  }
  return linear<T>(stacked_weights<T>(std::span<Weight const* const>(parts), shape),
                   std::move(bias));
}

}  // namespace detail

/// Layers with the same inputs as one, their weights one below the other. Nothing where they are
/// not all dense or all in 8 bits, or one has no bias. Throws shape_error for different inputs.
template <real T>
auto stacked(std::span<linear<T> const* const> layers) -> std::optional<linear<T>> {
  for (auto const* layer : layers) {
    if (layer->shape().cols != layers.front()->shape().cols) {
      throw shape_error(message("stacked: a ", layer->shape(), " layer below one of ",
                                layers.front()->shape().cols, " inputs"));
    }
  }
  auto joint = detail::stacked_as<matrix<T>>(layers);
  return joint ? std::move(joint) : detail::stacked_as<int8_rows<T>>(layers);
}

/// Makes one layer of the queries, keys and values of each self-attention where all three are
/// dense or in 8 bits: the same numbers in one product, for which the threads are woken once and x
/// is brought into order once. For a model that only runs: the layer then has the name
/// `...self_attn.qkv_proj`, and moments and plans of the three no longer fit.
template <real T>
void stack_projections(bart<T>& model) {
  model.visit_attentions([](std::string const& name, multi_head_attention<T>& a) {
    if (!name.ends_with(".self_attn") || a.qkv_proj) {
      return;
    }
    std::array<linear<T> const*, 3> const layers{&*a.q_proj, &*a.k_proj, &*a.v_proj};
    if (auto joint = stacked<T>(layers)) {
      a.qkv_proj = std::move(joint);
      a.q_proj = a.k_proj = a.v_proj = std::nullopt;
    }
  });
}

}  // namespace v0
}  // namespace eckart
