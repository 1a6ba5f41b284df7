#include "eckart/gpu/fused_products.cuh"

#include "gpu/kernel_fixture.cuh"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

using namespace eckart;
using fixture::entries;
using fixture::on_device;
using fixture::random_numbers;
using fixture::rounded;
using fixture::unit;

namespace {

struct sizes {
  index_t outputs;  // of a part
  index_t inputs;
  index_t rank;
  index_t parts;
};

/// Factors on both sides, and what y must be: x R^T rounded to T, as two products have it.
template <class T>
struct product_case {
  sizes s;
  index_t rows;
  std::vector<double> x, right, left, bias;
  device_matrix<T> x_there, right_there, left_there, bias_there;

  product_case(sizes of, index_t row_count, cudaStream_t stream)
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

  static auto at(index_t i, index_t j, index_t width) -> std::size_t {
    return static_cast<std::size_t>(i * width + j);
  }
};

/// Both f(x W^T + b) in T and x W^T + b in floats against the loops, for every plan.
template <class T>
void check_product(sizes s, index_t rows, std::vector<gpu::two_factor_plan> const& plans,
                   cudaStream_t stream) {
  product_case<T> const c(s, rows, stream);
  std::vector<std::vector<typename product_case<T>::expected>> want;
  for (index_t i = 0; i < rows; ++i) {
    want.push_back(c.row(i));
  }
  auto const m = s.parts * s.outputs;
  for (auto const plan : plans) {
    CAPTURE(s.outputs);
    CAPTURE(s.inputs);
    CAPTURE(s.rank);
    CAPTURE(rows);
    CAPTURE(plan.cluster);
    CAPTURE(plan.groups);
    CAPTURE(plan.tiles);
    device_matrix<T> y(shape2{rows, m});
    device_matrix<float> wide(shape2{rows, m + 3});  // rows that begin at no multiple of 16 bytes
    auto const plain = wide.view().col_range(1, m);
    check_cuda(cudaMemsetAsync(y.view().data, 0xff, static_cast<std::size_t>(rows * m) * sizeof(T),
                               stream),
               "cudaMemsetAsync");
    gpu::two_factor_product<T, T>(c.x_there.view(), c.factors(), c.bias_there.view().data,
                                  activation::gelu, y.view(), plan, stream);
    gpu::two_factor_product<T, float>(c.x_there.view(), c.factors(), c.bias_there.view().data,
                                      std::nullopt, plain, plan, stream);
    auto const got = entries(y.view(), stream);
    auto const got_plain = entries(plain, stream);
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < m; ++j) {
        auto const e = want[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
        auto const place = static_cast<std::size_t>(i * m + j);
        REQUIRE(std::abs(got_plain[place] - e.value) <= e.bound + unit<float> * std::abs(e.value));
        // GELU is nowhere steeper than 1.13, and 5e-7 |x| is the bound of the kernel's.
        auto const activated = gelu(e.value);
        auto const bound = 1.13 * e.bound + 5e-7 * (std::abs(e.value) + e.bound);
        REQUIRE(std::abs(got[place] - activated) <=
                bound + unit<T> * (std::abs(activated) + bound) + 0x1p-25);
      }
    }
  }
}

auto has_clusters() -> bool {
  if (gpu::compute_capability() < 9) {
    MESSAGE("skipped: no clusters of thread blocks below compute capability 9.0");
    return false;
  }
  return true;
}

}  // namespace

TEST_CASE_TEMPLATE("two factors in one kernel are the two products, for all plans and rests", T,
                   half, bfloat16) {
  cublas const backend;
  if (!has_clusters()) {
    return;
  }
  std::vector<gpu::two_factor_plan> plans;
  for (int const cluster : {2, 4, 8, 16}) {
    for (int const groups : {1, 3}) {
      for (int const tiles : {1, 2}) {
        plans.push_back({cluster, groups, tiles});
      }
    }
  }
  // Rests of outputs, inputs, ranks and rows; fewer columns than blocks; parts side by side.
  for (auto const s : {sizes{16, 32, 8, 1}, sizes{37, 72, 24, 1}, sizes{130, 328, 16, 3}}) {
    for (index_t const rows : {1, 8, 16, 17, 33, 50}) {
      check_product<T>(s, rows, plans, backend.stream());
    }
  }
}

TEST_CASE_TEMPLATE("two factors of a model's sizes by their plan", T, half, bfloat16) {
  cublas const backend;
  if (!has_clusters()) {
    return;
  }
  for (auto const s : {sizes{768, 768, 128, 1}, sizes{256, 768, 128, 3}, sizes{96, 3072, 208, 1},
                       sizes{3072, 96, 208, 1}, sizes{128, 1024, 272, 1}}) {
    for (index_t const rows : {1, 20}) {
      product_case<T> const c(s, rows, backend.stream());
      auto const plan = gpu::plan_two_factors(rows, c.factors());
      REQUIRE(plan.has_value());
      check_product<T>(s, rows, {*plan}, backend.stream());
    }
  }
}

TEST_CASE("what one kernel has no way for is left to two products, and refused") {
  cublas const backend;
  auto const stream = backend.stream();
  auto const plan_of = [&]<class T>(std::type_identity<T>, index_t rows, sizes s) {
    device_matrix<T> const right(shape2{s.parts * s.rank, s.inputs});
    device_matrix<T> const left(shape2{s.parts * s.outputs, s.rank});
    return gpu::plan_two_factors(rows, gpu::factor_stack<T>{right.view(), left.view(), s.parts});
  };
  CHECK_FALSE(plan_of(std::type_identity<float>{}, 1, {64, 64, 8, 1}).has_value());
  CHECK_FALSE(plan_of(std::type_identity<half>{}, 1, {64, 64, 12, 1}).has_value());
  CHECK_FALSE(plan_of(std::type_identity<half>{}, 1, {64, 68, 8, 1}).has_value());
  CHECK_FALSE(plan_of(std::type_identity<half>{}, 1, {4096, 4096, 1024, 1}).has_value());
  CHECK_FALSE(plan_of(std::type_identity<half>{}, 100000, {768, 768, 128, 1}).has_value());
  product_case<half> const c({16, 32, 8, 1}, 4, stream);
  device_matrix<half> y(shape2{4, 15});
  CHECK_THROWS_AS((gpu::two_factor_product<half, half>(c.x_there.view(), c.factors(), nullptr,
                                                       std::nullopt, y.view(), {}, stream)),
                  shape_error);
  device_matrix<half> whole(shape2{4, 16});
  CHECK_THROWS_AS((gpu::two_factor_product<half, half>(c.x_there.view(), c.factors(), nullptr,
                                                       std::nullopt, whole.view(),
                                                       gpu::two_factor_plan{.cluster = 1}, stream)),
                  shape_error);
}

TEST_CASE_TEMPLATE(
    "apply by fused_cublas is the product through both factors, in one kernel or two", T, float,
    half, bfloat16) {
  cublas const backend;
  fused_cublas const fused(backend);
  auto const stream = backend.stream();
  for (index_t const rank : {16, 13}) {  // 13 has no way in one kernel
    for (index_t const rows : {1, 70}) {
      CAPTURE(rank);
      CAPTURE(rows);
      product_case<T> const c({96, 64, rank, 1}, rows, stream);
      device_low_rank<T, two_factor> const w(on_device<T>(c.left, 96, rank, stream),
                                             on_device<T>(c.right, rank, 64, stream));
      auto const y = apply(c.x_there, w, fused);
      auto const got = entries(y.view(), stream);
      for (index_t i = 0; i < rows; ++i) {
        auto const want = c.row(i);
        for (std::size_t j = 0; j < want.size(); ++j) {
          auto const value = want[j].value - c.bias[j];
          auto const bound = want[j].bound + unit<T> * (std::abs(value) + want[j].bound);
          REQUIRE(std::abs(got[static_cast<std::size_t>(i) * want.size() + j] - value) <= bound);
        }
      }
    }
  }
}
