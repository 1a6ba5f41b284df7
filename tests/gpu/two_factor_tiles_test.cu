#include "eckart/gpu/kernels/both_factors.cuh"

#include "gpu/factor_fixture.cuh"

#include <doctest/doctest.h>

#include <optional>

using namespace eckart;
using fixture::factor_case;
using fixture::factor_sizes;

namespace {

template <class T>
void check_tiles(factor_sizes s, index_t rows, cudaStream_t stream) {
  factor_case<T> const c(s, rows, stream);
  fixture::check_one_kernel(
      c,
      [&](T const* bias, std::optional<activation> f, device_view<T> y) {
        gpu::two_factor_tiles_product<T>(c.x_there.view(), c.factors(), bias, f, y, stream);
      },
      stream);
}

}  // namespace

TEST_CASE_TEMPLATE("two factors of many rows in one kernel are the two products, with all rests", T,
                   half, bfloat16) {
  cublas const backend;
  if (!fixture::has_warpgroups()) {
    return;
  }
  // Rests of rows, inputs, outputs and ranks; fewer and more tiles than stages; an even and an odd
  // number of columns for each warpgroup; parts side by side.
  for (auto const s : {factor_sizes{8, 8, 8, 1}, factor_sizes{64, 64, 64, 1},
                       factor_sizes{72, 136, 40, 3}, factor_sizes{200, 640, 104, 1},
                       factor_sizes{328, 72, 176, 2}, factor_sizes{136, 328, 256, 1}}) {
    for (index_t const rows : {1, 64, 129, 300}) {
      check_tiles<T>(s, rows, backend.stream());
    }
  }
}

TEST_CASE("blocks go on with the next rows and parts where there are more than processors") {
  cublas const backend;
  if (!fixture::has_warpgroups()) {
    return;
  }
  check_tiles<half>({72, 72, 24, 1}, 20000, backend.stream());
  check_tiles<half>({136, 72, 208, 2}, 9000, backend.stream());
}

TEST_CASE("many rows through two factors are refused by name where there is no kernel") {
  cublas const backend;
  auto const stream = backend.stream();
  auto const fits = [&]<class T>(std::type_identity<T>, factor_sizes s) {
    factor_case<T> const c(s, 4, stream);
    device_matrix<T> y(shape2{4, s.parts * s.outputs});
    return gpu::fits_two_factor_tiles<T>(c.x_there.view(), c.factors(), y.view());
  };
  CHECK_FALSE(fits(std::type_identity<float>{}, {64, 64, 8, 1}));
  CHECK_FALSE(fits(std::type_identity<half>{}, {64, 64, 12, 1}));
  CHECK_FALSE(fits(std::type_identity<half>{}, {64, 68, 8, 1}));
  CHECK_FALSE(fits(std::type_identity<half>{}, {60, 64, 8, 1}));
  CHECK_FALSE(fits(std::type_identity<half>{}, {512, 512, 264, 1}));
  factor_case<half> const c({64, 64, 8, 1}, 4, stream);
  device_matrix<half> y(shape2{4, 56});
  CHECK_THROWS_AS((gpu::two_factor_tiles_product<half>(c.x_there.view(), c.factors(), nullptr,
                                                       std::nullopt, y.view(), stream)),
                  shape_error);
}

TEST_CASE("many rows take one kernel where the rule says so, and give what two products give") {
  cublas const backend;
  if (!fixture::has_warpgroups()) {
    return;
  }
  auto const stream = backend.stream();
  constexpr index_t rows = 8192;
  factor_case<half> const c({64, 64, 16, 1}, rows, stream);
  auto y = fixture::unwritten<half>({rows, 64}, stream);
  REQUIRE(gpu::prefers_two_factor_tiles(rows, c.factors()));
  REQUIRE_FALSE(gpu::plan_two_factors(rows, c.factors()).has_value());
  CHECK(gpu::multiply_by_both<half, half>(c.x_there.view(), c.factors(), c.bias_there.view().data,
                                          activation::gelu, y.view(), stream));
  c.check_activated(y.view(), stream);
  device_matrix<float> plain(shape2{rows, 64});
  CHECK_FALSE(gpu::multiply_by_both<half, float>(c.x_there.view(), c.factors(), nullptr,
                                                 std::nullopt, plain.view(), stream));
}
