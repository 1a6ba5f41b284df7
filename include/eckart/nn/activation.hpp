#pragma once

#include "eckart/backend/row_kernels.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/core/view.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <iterator>
#include <span>
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

namespace detail {

/// erf(x) as c P(c²) / Q(c²), c = x cut to where erf rounds to 1, P and Q of degree 5 by least
/// squares reweighted towards the smallest largest error: off by 1.6e-8 in exact arithmetic, by
/// less than 5e-7 in float. Without a call or a branch, so that a loop of it becomes vector code.
/// NaN is cut as well: +-1.
inline auto rational_erf(float x) -> float {
  constexpr float one_from = 3.92F;
  constexpr std::int32_t magnitude = 0x7fffffff;
  // Positive numbers are in the order of their bits, and integers have a vector minimum.
  auto const bits = std::bit_cast<std::int32_t>(x);
  auto const cut = std::min(bits & magnitude, std::bit_cast<std::int32_t>(one_from));
  auto const c = std::bit_cast<float>(cut | (bits & ~magnitude));
  auto const t = c * c;
  auto const p =
      ((((2.0347461e-06F * t + 2.87479779e-04F) * t + 3.86831397e-03F) * t + 5.30604385e-02F) * t +
       1.92763656e-01F) *
          t +
      1.12837899F;
  auto const q =
      ((((3.80707788e-05F * t + 1.18811324e-03F) * t + 1.51722664e-02F) * t + 1.15084462e-01F) * t +
       5.04163980e-01F) *
          t +
      1.0F;
  return c * p / q;
}

}  // namespace detail

/// x Phi(x) with the error function: x/2 (1 + erf(x / sqrt 2)) (Hendrycks and Gimpel 2016). In
/// float within 3e-7 |x| of the exact value.
template <real T>
auto gelu(T x) -> T {
  constexpr T inverse_root_2 = static_cast<T>(0.70710678118654752440L);
  if constexpr (std::same_as<T, float>) {
    return 0.5F * x * (1.0F + detail::rational_erf(x * inverse_root_2));
  } else {
    return T{0.5} * x * (T{1} + std::erf(x * inverse_root_2));
  }
}

/// The tanh approximation x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))) (ibid., section 2).
template <real T>
auto gelu_tanh(T x) -> T {
  constexpr T root_2_over_pi = static_cast<T>(0.79788456080286535588L);
  constexpr T cubic = static_cast<T>(0.044715L);
  return T{0.5} * x * (T{1} + std::tanh(root_2_over_pi * (x + cubic * x * x * x)));
}

/// x_i <- x_i Phi(x_i).
template <real T>
void gelu(std::span<T> x) {
#ifdef ECKART_HAS_ROW_KERNELS
  if constexpr (std::same_as<T, float>) {
    detail::best_row_kernels().gelu(x.data(), std::ssize(x));
    return;
  }
#endif
  for (auto& value : x) {
    value = gelu(value);
  }
}

/// Applies the function to every entry, in place, on all threads.
template <real T>
void activate(activation f, matrix_view<T> x) {
  auto const each = [x](auto function) {
    parallel_rows(x.rows, x.cols, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i) {
        function(x.row(i));
      }
    });
  };
  auto const entrywise = [](auto function) {
    return [function](std::span<T> row) {
      for (auto& value : row) {
        value = function(value);
      }
    };
  };
  switch (f) {
    case activation::relu:
      return each(entrywise([](T v) { return relu(v); }));
    case activation::gelu:
      return each([](std::span<T> row) { gelu(row); });
    case activation::gelu_tanh:
      return each(entrywise([](T v) { return gelu_tanh(v); }));
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
