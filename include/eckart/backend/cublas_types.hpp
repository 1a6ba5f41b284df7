#pragma once

#include "eckart/backend/device_matrix.hpp"

#include <library_types.h>

#include <concepts>
#include <type_traits>

namespace eckart {
inline namespace v0 {

/// What products of T are added up in, and what they are scaled with.
template <device_number T>
struct accumulator {
  using type = std::conditional_t<std::same_as<T, double>, double, float>;
};
template <device_number T>
using accumulator_of = typename accumulator<T>::type;

struct cublas_options {
  int device = 0;
  bool tf32 = false;  ///< factors of float products rounded to 10 bits: faster, less exact
  std::size_t workspace = 32 << 20;  ///< bytes for products, what cuBLAS advises for Hopper
};

/// `count` matrices of one shape, whose addresses stand in the memory of the device.
template <class T>
struct device_batch {
  T* const* data = nullptr;  ///< (count)
  shape2 shape;
  index_t ld = 0;
  index_t count = 0;
};

namespace detail {

template <device_number T>
constexpr auto cuda_type() -> cudaDataType {
  if constexpr (std::same_as<T, float>) {
    return CUDA_R_32F;
  } else if constexpr (std::same_as<T, double>) {
    return CUDA_R_64F;
  } else {
    return std::same_as<T, half> ? CUDA_R_16F : CUDA_R_16BF;
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
