#pragma once

#include "eckart/core/view.hpp"

#include <cmath>
#include <string_view>

namespace eckart {
inline namespace v0 {

/// Element-wise functions between two linear layers.
enum class activation { relu, gelu, gelu_tanh };

/// max(0, x).
template <real T>
auto relu(T x) -> T {
  return x > T{0} ? x : T{0};
}

/// x Phi(x) with the exact error function: x/2 (1 + erf(x / sqrt 2)) (Hendrycks and Gimpel 2016).
template <real T>
auto gelu(T x) -> T {
  constexpr T inverse_root_2 = static_cast<T>(0.70710678118654752440L);
  return T{0.5} * x * (T{1} + std::erf(x * inverse_root_2));
}

/// The tanh approximation x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))) (ibid., section 2).
template <real T>
auto gelu_tanh(T x) -> T {
  constexpr T root_2_over_pi = static_cast<T>(0.79788456080286535588L);
  constexpr T cubic = static_cast<T>(0.044715L);
  return T{0.5} * x * (T{1} + std::tanh(root_2_over_pi * (x + cubic * x * x * x)));
}

/// Applies the function to every entry, in place.
template <real T>
void activate(activation f, matrix_view<T> x) {
  auto const each = [x](auto function) {
    for (index_t i = 0; i < x.rows; ++i) {
      for (auto& value : x.row(i)) {
        value = function(value);
      }
    }
  };
  switch (f) {
    case activation::relu:
      return each([](T v) { return relu(v); });
    case activation::gelu:
      return each([](T v) { return gelu(v); });
    case activation::gelu_tanh:
      return each([](T v) { return gelu_tanh(v); });
  }
}

/// The function that a config.json names. Throws error for a name that is not known.
inline auto activation_named(std::string_view name) -> activation {
  if (name == "relu") {
    return activation::relu;
  }
  if (name == "gelu") {
    return activation::gelu;
  }
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") {
    return activation::gelu_tanh;
  }
  throw error(
      message("unknown activation '", name, "' (known: relu, gelu, gelu_new, gelu_pytorch_tanh)"));
}

}  // namespace v0
}  // namespace eckart
