#pragma once

#include "eckart/gpu/kernels/both_factors.cuh"
#include "eckart/nn/activation.hpp"

#include "gpu/kernel_fixture.cuh"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

/// What tests of both factors in one kernel share.
namespace fixture {

/// A matrix of which every byte is set, which no result is.
template <class T>
auto unwritten(shape2 shape, cudaStream_t stream) -> device_matrix<T> {
  device_matrix<T> result(shape);
  check_cuda(cudaMemsetAsync(result.view().data, 0xff,
                             static_cast<std::size_t>(shape.rows * shape.cols) * sizeof(T), stream),
             "cudaMemsetAsync");
  return result;
}

struct factor_sizes {
  index_t outputs;  // of a part
  index_t inputs;
  index_t rank;
  index_t parts;
};

/// Factors on both sides, and what y must be: x R^T rounded to T, as two products have it.
template <class T>
struct factor_case {
  factor_sizes s;
  index_t rows;
  std::vector<double> x, right, left, bias;
  device_matrix<T> x_there, right_there, left_there, bias_there;

  factor_case(factor_sizes of, index_t row_count, cudaStream_t stream)
      : s(of),
        rows(row_count),
        x(random_numbers<T>(rows * s.inputs, 1)),
        right(random_numbers<T>(s.parts * s.rank * s.inputs, 2)),
        left(random_numbers<T>(s.parts * s.outputs * s.rank, 3)),
        bias(random_numbers<T>(s.parts * s.outputs, 4)),
        x_there(on_device<T>(x, rows, s.inputs, stream)),
        right_there(on_device<T>(right, s.parts * s.rank, s.inputs, stream)),
        left_there(on_device<T>(left, s.parts * s.outputs, s.rank, stream)),
        bias_there(on_device<T>(bias, 1, s.parts * s.outputs, stream)) {}

  auto factors() const -> gpu::factor_stack<T> {
    return {right_there.view(), left_there.view(), s.parts};
  }

  struct expected {
    double value;
    double bound;  // of the error before it is rounded to the type of y
  };
  /// Sums of n terms in float are off by n units of their magnitude; x R^T may round to a neighbour
  /// of what the exact sum rounds to.
  auto row(index_t i) const -> std::vector<expected> {
    std::vector<expected> result;
    for (index_t part = 0; part < s.parts; ++part) {
      std::vector<double> inner;
      std::vector<double> inner_bound;
      for (index_t q = 0; q < s.rank; ++q) {
        double sum = 0;
        double magnitude = 0;
        for (index_t c = 0; c < s.inputs; ++c) {
          auto const term = x[at(i, c, s.inputs)] * right[at(part * s.rank + q, c, s.inputs)];
          sum += term;
          magnitude += std::abs(term);
        }
        auto const in_float = static_cast<double>(s.inputs) * unit<float> * magnitude;
        inner.push_back(rounded<T>(sum));
        inner_bound.push_back(2 * unit<T> * (std::abs(sum) + in_float) + in_float);
      }
      for (index_t j = 0; j < s.outputs; ++j) {
        expected e{bias[at(part, j, s.outputs)], 0};
        double magnitude = std::abs(e.value);
        for (index_t q = 0; q < s.rank; ++q) {
          auto const weight = left[at(part * s.outputs + j, q, s.rank)];
          e.value += inner[static_cast<std::size_t>(q)] * weight;
          magnitude += std::abs(inner[static_cast<std::size_t>(q)] * weight);
          e.bound += inner_bound[static_cast<std::size_t>(q)] * std::abs(weight);
        }
        e.bound += static_cast<double>(s.rank + 2) * unit<float> * (magnitude + e.bound);
        result.push_back(e);
      }
    }
    return result;
  }

  /// y = GELU(x W^T + b). The bound of the error before GELU grows by its steepest slope, 1.13, and
  /// 5e-7 |x| is the bound of the kernel's GELU.
  void check_activated(device_view<T const> y, cudaStream_t stream) const {
    check_rows(y, stream, [](expected e, double) {
      return expected{gelu(e.value), 1.13 * e.bound + 5e-7 * (std::abs(e.value) + e.bound)};
    });
  }
  /// y = x W^T + b.
  template <class Out>
  void check_product(device_view<Out const> y, cudaStream_t stream) const {
    check_rows(y, stream, [](expected e, double) { return e; });
  }
  /// y = x W^T.
  template <class Out>
  void check_without_bias(device_view<Out const> y, cudaStream_t stream) const {
    check_rows(y, stream, [](expected e, double b) { return expected{e.value - b, e.bound}; });
  }

  static auto at(index_t i, index_t j, index_t width) -> std::size_t {
    return static_cast<std::size_t>(i * width + j);
  }

 private:
  /// Every entry of y against what `want` makes of x W^T + b and b.
  template <class Out, class Want>
  void check_rows(device_view<Out const> y, cudaStream_t stream, Want want) const {
    auto const got = entries(y, stream);
    for (index_t i = 0; i < rows; ++i) {
      auto const products = row(i);
      for (std::size_t j = 0; j < products.size(); ++j) {
        auto const e = want(products[j], bias[j]);
        CAPTURE(i);
        CAPTURE(j);
        REQUIRE(std::abs(got[static_cast<std::size_t>(i) * products.size() + j] - e.value) <=
                e.bound + unit<Out> * (std::abs(e.value) + e.bound) + 0x1p-25);
      }
    }
  }
};

/// Whether the device and this program have what the kernels that multiply by warpgroups need.
inline auto has_warpgroups() -> bool {
  if (gpu::compute_capability() != 9 || !gpu::detail::has_tiles_kernel<half>()) {
    MESSAGE("skipped: compute capability 9.0 and a program compiled for 9.0a are needed");
    return false;
  }
  return true;
}

/// multiply(bias or null, activation or none, y) against the loops: with bias and GELU, and into
/// columns of a wider matrix, of which it touches no others.
template <class T, class Multiply>
void check_one_kernel(factor_case<T> const& c, Multiply multiply, cudaStream_t stream) {
  CAPTURE(c.s.outputs);
  CAPTURE(c.s.inputs);
  CAPTURE(c.s.rank);
  CAPTURE(c.s.parts);
  CAPTURE(c.rows);
  auto const m = c.s.parts * c.s.outputs;
  auto with_all = unwritten<T>({c.rows, m}, stream);
  multiply(c.bias_there.view().data, std::optional(activation::gelu), with_all.view());
  c.check_activated(with_all.view(), stream);
  auto wide = unwritten<T>({c.rows, m + 16}, stream);
  T const* const no_bias = nullptr;
  multiply(no_bias, std::optional<activation>(), wide.view().col_range(8, m));
  c.template check_without_bias<T>(wide.view().col_range(8, m), stream);
  for (index_t const first : {index_t{0}, m + 8}) {
    for (double const value : entries(wide.view().col_range(first, 8), stream)) {
      REQUIRE(std::isnan(value));
    }
  }
}

}  // namespace fixture
