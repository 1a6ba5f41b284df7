#pragma once

#include "eckart/nn/activation.hpp"
#include "eckart/nn/linear.hpp"

#include <utility>

namespace eckart {
inline namespace v0 {

/// y = fc2(f(fc1(x))): two linear layers with an activation between them.
template <real T>
class feed_forward {
 public:
  feed_forward(linear<T> first, linear<T> second, activation between)
      : fc1(std::move(first)), fc2(std::move(second)), f(between) {
    if (fc1.shape().rows != fc2.shape().cols) {
      throw shape_error(message("feed_forward: ", fc1.shape(), " before ", fc2.shape()));
    }
  }

  /// Elements of workspace for this many rows.
  auto worksize(index_t rows) const -> std::size_t {
    return workspace<T>::footprint(rows, fc1.shape().rows) +
           std::max(fc1.worksize(rows), fc2.worksize(rows));
  }

  /// y (rows, outputs of fc2) from x (rows, inputs of fc1). Throws shape_error.
  template <blas_backend<T> B = openblas>
  void operator()(std::type_identity_t<matrix_view<T const>> x, matrix_view<T> y,
                  workspace<T>& scratch, B const& backend = {}) const {
    auto const frame = scratch.frame();
    auto const hidden = scratch.take_matrix(x.rows, fc1.shape().rows);
    fc1(x, hidden, scratch, backend);
    activate(f, hidden);
    fc2(hidden, y, scratch, backend);
  }

  linear<T> fc1;  ///< (hidden, inputs)
  linear<T> fc2;  ///< (outputs, hidden)
  activation f;
};

}  // namespace v0
}  // namespace eckart
