#pragma once

#include "eckart/gpu/upload.cuh"

#include "gpu/device_fixture.cuh"

#include <cmath>
#include <random>
#include <vector>

/// What tests of kernels share: numbers that a type holds exactly, and their places on the device.
namespace fixture {

/// Relative size of a rounding to T.
template <kernel_number T>
inline constexpr double unit = std::same_as<T, float>  ? 0x1p-24
                               : std::same_as<T, half> ? 0x1p-11
                                                       : 0x1p-8;

/// The number nearest to x that T holds.
template <kernel_number T>
auto rounded(double x) -> double {
  if constexpr (std::same_as<T, half>) {
    return static_cast<double>(__half2float(__float2half_rn(static_cast<float>(x))));
  } else if constexpr (std::same_as<T, bfloat16>) {
    return static_cast<double>(__bfloat162float(__float2bfloat16_rn(static_cast<float>(x))));
  } else {
    return static_cast<double>(static_cast<float>(x));
  }
}

/// Normally distributed numbers of T.
template <kernel_number T>
auto random_numbers(index_t count, unsigned seed, double deviation = 1) -> std::vector<double> {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, deviation);
  std::vector<double> result;
  for (index_t i = 0; i < count; ++i) {
    result.push_back(rounded<T>(normal(generator)));
  }
  return result;
}

/// A matrix of the device with these numbers.
template <kernel_number T>
auto on_device(std::vector<double> const& numbers, index_t rows, index_t cols, cudaStream_t stream)
    -> device_matrix<T> {
  std::vector<float> const floats(numbers.begin(), numbers.end());
  device_matrix<T> result(shape2{rows, cols});
  gpu::upload<T>(matrix_view<float const>(floats.data(), rows, cols), result.view(), stream);
  check_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return result;
}

template <class T>
auto values_on_device(std::vector<T> const& values, cudaStream_t stream) -> device_buffer<T> {
  device_buffer<T> result(static_cast<index_t>(values.size()));
  gpu::copy_values(std::span<T const>(values), result.data(), stream);
  return result;
}

template <class T>
auto to_values(device_buffer<T> const& buffer, cudaStream_t stream) -> std::vector<T> {
  std::vector<T> result(static_cast<std::size_t>(buffer.size()));
  copy_to_host(device_view<T const>(buffer.data(), 1, buffer.size()),
               matrix_view<T>(result.data(), 1, buffer.size()), stream);
  return result;
}

/// softmax(scale q k^T) v of one head, for the keys that `visible` answers true for. Also the
/// largest |v| among them, which bounds rounding errors.
struct attended {
  std::vector<double> out;
  double largest_value = 0;
  double largest_score = 0;
};
template <class Q, class K, class V>
auto attend(index_t keys, index_t width, double scale, Q q, K k, V v) -> attended {
  std::vector<double> p;
  attended result;
  double most = -INFINITY;
  for (index_t j = 0; j < keys; ++j) {
    double score = 0;
    for (index_t c = 0; c < width; ++c) {
      score += q(c) * k(j, c);
    }
    p.push_back(scale * score);
    most = std::max(most, p.back());
    result.largest_score = std::max(result.largest_score, std::abs(p.back()));
  }
  double sum = 0;
  for (auto& x : p) {
    x = std::exp(x - most);
    sum += x;
  }
  for (index_t c = 0; c < width; ++c) {
    double total = 0;
    for (index_t j = 0; j < keys; ++j) {
      total += p[static_cast<std::size_t>(j)] / sum * v(j, c);
      result.largest_value = std::max(result.largest_value, std::abs(v(j, c)));
    }
    result.out.push_back(total);
  }
  return result;
}

}  // namespace fixture
