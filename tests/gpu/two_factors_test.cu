#include "eckart/gpu/fused_products.cuh"

#include "gpu/factor_fixture.cuh"

#include <doctest/doctest.h>

#include <optional>
#include <vector>

using namespace eckart;
using fixture::factor_case;
using fixture::on_device;
using sizes = fixture::factor_sizes;

namespace {

/// Both f(x W^T + b) in T and x W^T + b in floats against the loops, for every plan.
template <class T>
void check_product(sizes s, index_t rows, std::vector<gpu::two_factor_plan> const& plans,
                   cudaStream_t stream) {
  factor_case<T> const c(s, rows, stream);
  auto const m = s.parts * s.outputs;
  for (auto const plan : plans) {
    CAPTURE(s.outputs);
    CAPTURE(s.inputs);
    CAPTURE(s.rank);
    CAPTURE(rows);
    CAPTURE(plan.cluster);
    CAPTURE(plan.groups);
    CAPTURE(plan.tiles);
    auto y = fixture::unwritten<T>({rows, m}, stream);
    device_matrix<float> wide(shape2{rows, m + 3});  // rows that begin at no multiple of 16 bytes
    auto const plain = wide.view().col_range(1, m);
    gpu::two_factor_product<T, T>(c.x_there.view(), c.factors(), c.bias_there.view().data,
                                  activation::gelu, y.view(), plan, stream);
    gpu::two_factor_product<T, float>(c.x_there.view(), c.factors(), c.bias_there.view().data,
                                      std::nullopt, plain, plan, stream);
    c.check_activated(y.view(), stream);
    c.template check_product<float>(plain, stream);
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
      factor_case<T> const c(s, rows, backend.stream());
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
  factor_case<half> const c({16, 32, 8, 1}, 4, stream);
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
      factor_case<T> const c({96, 64, rank, 1}, rows, stream);
      device_low_rank<T, two_factor> const w(on_device<T>(c.left, 96, rank, stream),
                                             on_device<T>(c.right, rank, 64, stream));
      auto const y = apply(c.x_there, w, fused);
      c.template check_without_bias<T>(y.view(), stream);
    }
  }
}
