#pragma once

#include "eckart/factor/cost.hpp"

#include <string>
#include <vector>

namespace eckart {
inline namespace v0 {

/// How a checkpoint stores a linear layer.
struct stored_layer {
  std::string name;  ///< published, or that of a joint layer
  form stored_as = form::dense;
  index_t rank = 0;  ///< 1 to min(m, n); min(m, n) if dense
  bool bias = true;

  auto operator==(stored_layer const&) const -> bool = default;
};

/// What a compressed checkpoint holds in place of the published layers. Layers that are not listed
/// are dense and have a bias, unless a joint layer that is listed stands for them.
struct bart_compression {
  std::string method;  ///< how the layers were made, for the reader; may be empty
  /// The queries carry 1 / sqrt(head width): all scores are used as they are.
  bool score_scale_folded = false;
  std::vector<stored_layer> layers;

  auto operator==(bart_compression const&) const -> bool = default;
};

}  // namespace v0
}  // namespace eckart
