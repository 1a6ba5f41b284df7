#pragma once

#include "eckart/models/bart/bart.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// A layer of a model that factors can replace: a linear layer, or the output table, which is the
/// dense layer "lm_head" without bias as long as no layer stands in its place. Reads the model,
/// which must live and stay.
template <real T>
class bart_layer {
 public:
  bart_layer(std::string name, linear<T> const& layer) : name_(std::move(name)), layer_(&layer) {}
  /// is_shared: the table is that of the word embeddings too.
  bart_layer(std::string name, matrix_view<T const> table, bool is_shared)
      : name_(std::move(name)), table_(table), is_shared_(is_shared) {}

  auto name() const -> std::string const& { return name_; }
  /// (outputs, inputs)
  auto shape() const -> shape2 { return layer_ ? layer_->shape() : table_.shape(); }
  /// A copy.
  auto dense_weight() const -> matrix<T> {
    return layer_ ? layer_->dense_weight() : to_matrix(table_);
  }
  /// (outputs), or empty.
  auto bias() const -> std::span<T const> {
    return layer_ && layer_->has_bias() ? as_span(*layer_->bias()) : std::span<T const>();
  }
  /// Numbers that the model no longer stores when the layer is replaced, bias included: none of a
  /// table that the embeddings need.
  auto parameters() const -> std::uint64_t {
    return layer_       ? layer_->parameters()
           : is_shared_ ? 0
                        : static_cast<std::uint64_t>(table_.rows * table_.cols);
  }
  /// The layer with other weights of the same shape and the same bias. Throws shape_error.
  auto with_weight(typename linear<T>::weight w) const -> linear<T> {
    if (layer_) {
      return layer_->with_weight(std::move(w));
    }
    linear<T> result(std::move(w));
    if (result.shape() != shape()) {
      throw shape_error(message(name_, ": a ", result.shape(), " weight in place of ", shape()));
    }
    return result;
  }

 private:
  std::string name_;
  linear<T> const* layer_ = nullptr;  // none: the table
  matrix_view<T const> table_;
  bool is_shared_ = false;
};

/// Whether the output table is that of the word embeddings too, so that it stays when a layer takes
/// its place.
template <real T>
auto shares_output_table(bart<T> const& model) -> bool {
  auto const* const output = model.output_table().data;
  return output != nullptr && (output == model.encoder().embed.tokens()->data() ||
                               output == model.decoder().embed.tokens()->data());
}

/// All layers of a model that factors can replace, in the order of the modules, "lm_head" last.
template <real T>
auto bart_layers(bart<T> const& model) -> std::vector<bart_layer<T>> {
  std::vector<bart_layer<T>> layers;
  model.visit_linears(
      [&](std::string const& name, linear<T> const& layer) { layers.emplace_back(name, layer); });
  if (!model.lm_head()) {
    layers.emplace_back(std::string(lm_head_name), model.output_table(),
                        shares_output_table(model));
  }
  return layers;
}

}  // namespace v0
}  // namespace eckart
