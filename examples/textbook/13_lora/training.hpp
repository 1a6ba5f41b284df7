#pragma once

#include <eckart/nn/lora.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>

/// Data, errors and steps of the training, for a layer of any kind.
namespace textbook {

using namespace eckart;

struct examples {
  matrix<double> x, y;  // (count, inputs), (count, outputs)
};

template <class Layer>
auto answers(Layer const& layer, matrix<double> const& x) -> matrix<double> {
  auto y = make_matrix<double>({as_view(x).rows, layer.shape().rows});
  workspace<double> scratch(layer.worksize(as_view(x).rows));
  layer(as_view(x), as_view(y), scratch);
  return y;
}

template <class Layer>
auto errors(Layer const& layer, examples const& data) -> matrix<double> {
  auto e = answers(layer, data.x);
  std::ranges::transform(e, data.y, e.begin(), std::minus{});
  return e;
}

// Mean squared error of one output.
template <class Layer>
auto loss(Layer const& layer, examples const& data) -> double {
  auto const norm = frobenius_norm(errors(layer, data));
  return norm * norm / static_cast<double>(data.y.size());
}

// Gradient descent with momentum: v = 0.9 v + g, w = w - rate v.
struct descent {
  matrix<double> gradient, velocity;
  explicit descent(shape2 s)
      : gradient(make_matrix<double>(s)), velocity(xt::zeros_like(gradient)) {}
  void step(matrix_view<double> w, double rate) {
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      velocity.data()[i] = 0.9 * velocity.data()[i] + gradient.data()[i];
      w.data[i] -= rate * velocity.data()[i];
    }
  }
};

}  // namespace textbook
