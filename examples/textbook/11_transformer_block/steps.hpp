#pragma once

#include <eckart/models/bart/bart.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <string>

/// Blocks that return what they compute, and print it.
namespace textbook {

using namespace eckart;
using states = matrix<double>;  // (tokens, width)

/// Prints the shape of a step's result and the first numbers of its first token.
inline auto show(std::string const& step, states x) -> states {
  auto const shape = fmt::format("{} x {}", x.shape(0), x.shape(1));
  fmt::print("  {:<44}{:>8}  ", step, shape);
  for (std::size_t j = 0; j < 4; ++j) {
    fmt::print("{:8.3f}", x(0, j));
  }
  fmt::print("\n");
  return x;
}

/// y = x W^T + b
inline auto apply_linear(linear<double> const& layer, states const& x) -> states {
  auto y = make_matrix<double>({as_view(x).rows, layer.shape().rows});
  workspace<double> scratch;
  layer(as_view(x), as_view(y), scratch);
  return y;
}

/// LayerNorm(x) of each token.
inline auto normalized(layer_norm<double> const& norm, states x) -> states {
  norm(as_view(x));
  return x;
}

}  // namespace textbook
