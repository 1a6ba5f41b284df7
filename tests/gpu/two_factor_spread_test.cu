#include "eckart/gpu/kernels/both_factors.cuh"

#include "gpu/factor_fixture.cuh"

#include <doctest/doctest.h>

#include <optional>

using namespace eckart;
using fixture::factor_case;
using fixture::factor_sizes;

namespace {

template <class T>
void check_spread(factor_sizes s, index_t rows, cudaStream_t stream) {
  factor_case<T> const c(s, rows, stream);
  for (gpu::two_factor_spread_plan const plan : {gpu::two_factor_spread_plan{2, 1, 1},
                                                 {3, 1, 1},
                                                 {4, 3, 2},
                                                 {6, 1, 3},
                                                 {8, 2, 1},
                                                 {8, 1, 4},
                                                 {12, 1, 4},
                                                 {16, 1, 1},
                                                 {16, 2, 8}}) {
    CAPTURE(plan.cluster);
    CAPTURE(plan.spans);
    CAPTURE(plan.depths);
    fixture::check_one_kernel(
        c,
        [&](T const* bias, std::optional<activation> f, device_view<T> y) {
          gpu::two_factor_spread_product<T>(c.x_there.view(), c.factors(), bias, f, y, plan,
                                            stream);
        },
        stream);
  }
}

/// What the rule takes for matrices that nobody fills.
auto plan_of(factor_sizes s, index_t rows, bool activates = false)
    -> std::optional<gpu::two_factor_spread_plan> {
  auto const shape = [](index_t m, index_t n) { return device_view<half const>(nullptr, m, n); };
  return gpu::plan_two_factor_spread(
      rows,
      gpu::factor_stack<half>{shape(s.parts * s.rank, s.inputs), shape(s.parts * s.outputs, s.rank),
                              s.parts},
      activates);
}

}  // namespace

TEST_CASE("plans that no cluster can have are refused") {
  cublas const backend;
  if (!fixture::has_warpgroups()) {
    return;
  }
  auto const stream = backend.stream();
  factor_case<half> const c({64, 256, 136, 1}, 64, stream);
  auto y = fixture::unwritten<half>({64, 64}, stream);
  // Too few or many blocks, depths that do not divide them, and more than 128 columns of x R^T.
  for (gpu::two_factor_spread_plan const plan : {gpu::two_factor_spread_plan{1, 1, 1},
                                                 {17, 1, 1},
                                                 {8, 0, 1},
                                                 {8, 1, 0},
                                                 {8, 1, 3},
                                                 {8, 1, 8}}) {
    CHECK_THROWS_AS((gpu::two_factor_spread_product<half>(c.x_there.view(), c.factors(), nullptr,
                                                          std::nullopt, y.view(), plan, stream)),
                    shape_error);
  }
}

TEST_CASE_TEMPLATE("two factors spread over a cluster are the two products, with all rests", T,
                   half, bfloat16) {
  cublas const backend;
  if (!fixture::has_warpgroups()) {
    return;
  }
  // Rests of rows, inputs, outputs and ranks; fewer slices of x R^T and columns of y than blocks;
  // parts side by side.
  for (auto const s : {factor_sizes{8, 8, 8, 1}, factor_sizes{200, 72, 24, 1},
                       factor_sizes{72, 136, 40, 3}, factor_sizes{328, 72, 176, 2}}) {
    for (index_t const rows : {1, 64, 150}) {
      check_spread<T>(s, rows, backend.stream());
    }
  }
}

TEST_CASE_TEMPLATE("two factors spread over a cluster may have more tiles than stages", T, half,
                   bfloat16) {
  cublas const backend;
  if (!fixture::has_warpgroups()) {
    return;
  }
  // Of y, of x, and of both with so much of x R^T that few stages have room.
  for (auto const s : {factor_sizes{2120, 640, 104, 1}, factor_sizes{136, 1160, 256, 1},
                       factor_sizes{1544, 3080, 208, 1}}) {
    check_spread<T>(s, 150, backend.stream());
  }
}

TEST_CASE("clusters are as large as all of them find room at once, none where two products pay") {
  using plan = gpu::two_factor_spread_plan;
  // Few columns of y.
  CHECK(plan_of({768, 768, 128, 1}, 256) == plan{6, 1, 1});
  CHECK(plan_of({768, 768, 128, 1}, 512) == plan{6, 1, 1});
  CHECK(plan_of({768, 768, 128, 3}, 512) == plan{4, 1, 1});
  CHECK(plan_of({768, 768, 128, 1}, 2048) == plan{3, 1, 1});
  CHECK(plan_of({768, 768, 128, 1}, 4096) == plan{2, 1, 1});
  CHECK(plan_of({1024, 1024, 256, 1}, 512) == plan{8, 1, 1});
  CHECK_FALSE(plan_of({768, 768, 128, 1}, 4097).has_value());
  CHECK_FALSE(plan_of({768, 768, 256, 1}, 1024).has_value());
  // Many: some clusters share them.
  CHECK(plan_of({3072, 768, 208, 1}, 256) == plan{8, 3, 1});
  CHECK(plan_of({2304, 768, 192, 1}, 256) == plan{6, 3, 1});
  CHECK(plan_of({3072, 768, 128, 1}, 512) == plan{6, 2, 1});
  CHECK(plan_of({3072, 768, 128, 1}, 1024) == plan{2, 4, 1});
  CHECK(plan_of({3072, 768, 128, 1}, 2048) == plan{2, 2, 1});
  CHECK(plan_of({3072, 768, 128, 1}, 4096) == plan{2, 1, 1});
  CHECK_FALSE(plan_of({3072, 768, 128, 1}, 3072).has_value());
  CHECK(plan_of({3072, 1024, 256, 1}, 256) == plan{8, 3, 1});
  CHECK_FALSE(plan_of({3072, 768, 208, 1}, 512).has_value());
  CHECK(plan_of({3072, 768, 208, 1}, 512, true) == plan{6, 2, 1});
  CHECK(plan_of({2304, 768, 192, 1}, 512) == plan{6, 2, 1});
  // Many columns of x: the blocks of a cluster share them.
  CHECK(plan_of({768, 3072, 208, 1}, 256) == plan{16, 1, 4});
  CHECK(plan_of({768, 3072, 128, 1}, 512) == plan{8, 1, 4});
  CHECK(plan_of({768, 3072, 128, 1}, 1024) == plan{6, 1, 3});
  CHECK(plan_of({768, 3072, 64, 1}, 2048) == plan{3, 1, 3});
  CHECK_FALSE(plan_of({768, 3072, 208, 1}, 512).has_value());
  CHECK_FALSE(plan_of({768, 3072, 128, 1}, 2048).has_value());
  CHECK_FALSE(plan_of({4096, 4096, 64, 1}, 256).has_value());
  // One group of 64 rows is few.
  CHECK_FALSE(plan_of({768, 768, 128, 1}, 64).has_value());
}

TEST_CASE("rows between few and many are spread over clusters, and give what two products give") {
  cublas const backend;
  if (!fixture::has_warpgroups()) {
    return;
  }
  auto const stream = backend.stream();
  constexpr index_t rows = 2048;
  factor_case<half> const c({64, 64, 16, 1}, rows, stream);
  auto y = fixture::unwritten<half>({rows, 64}, stream);
  REQUIRE(gpu::plan_two_factor_spread(rows, c.factors(), true).has_value());
  CHECK(gpu::multiply_by_both<half, half>(c.x_there.view(), c.factors(), c.bias_there.view().data,
                                          activation::gelu, y.view(), stream));
  c.check_activated(y.view(), stream);
}
