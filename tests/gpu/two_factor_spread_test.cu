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
  for (int const cluster : {2, 3, 4, 6, 8, 16}) {
    CAPTURE(cluster);
    fixture::check_one_kernel(
        c,
        [&](T const* bias, std::optional<activation> f, device_view<T> y) {
          gpu::two_factor_spread_product<T>(c.x_there.view(), c.factors(), bias, f, y, cluster,
                                            stream);
        },
        stream);
  }
}

/// The blocks that the rule takes for matrices that nobody fills.
auto cluster_of(factor_sizes s, index_t rows) -> std::optional<int> {
  auto const shape = [](index_t m, index_t n) { return device_view<half const>(nullptr, m, n); };
  return gpu::spread_cluster(rows,
                             gpu::factor_stack<half>{shape(s.parts * s.rank, s.inputs),
                                                     shape(s.parts * s.outputs, s.rank), s.parts});
}

}  // namespace

TEST_CASE_TEMPLATE("two factors spread over a cluster are the two products, with all rests", T,
                   half, bfloat16) {
  cublas const backend;
  if (!fixture::has_warpgroups()) {
    return;
  }
  // Rests of rows, inputs, outputs and ranks; fewer and more tiles than stages; fewer and more
  // slices of x R^T and columns of y than blocks; parts side by side.
  for (auto const s : {factor_sizes{8, 8, 8, 1}, factor_sizes{200, 72, 24, 1},
                       factor_sizes{72, 136, 40, 3}, factor_sizes{2120, 640, 104, 1},
                       factor_sizes{328, 72, 176, 2}, factor_sizes{136, 1160, 256, 1}}) {
    for (index_t const rows : {1, 64, 150}) {
      check_spread<T>(s, rows, backend.stream());
    }
  }
}

TEST_CASE(
    "clusters are as large as all of them find room at once, and none for what is too large") {
  CHECK(cluster_of({3072, 768, 128, 1}, 512) == 8);
  CHECK(cluster_of({768, 768, 128, 1}, 512) == 6);
  CHECK(cluster_of({768, 768, 128, 3}, 512) == 4);
  CHECK(cluster_of({768, 768, 128, 1}, 2048) == 3);
  CHECK(cluster_of({768, 768, 128, 1}, 4096) == 2);
  CHECK(cluster_of({1024, 1024, 256, 1}, 512) == 8);
  CHECK_FALSE(cluster_of({768, 768, 128, 1}, 256).has_value());
  CHECK_FALSE(cluster_of({768, 768, 128, 1}, 4097).has_value());
  CHECK_FALSE(cluster_of({768, 768, 256, 1}, 1024).has_value());
  CHECK_FALSE(cluster_of({3072, 768, 256, 1}, 512).has_value());
  CHECK_FALSE(cluster_of({768, 3072, 128, 1}, 512).has_value());
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
  REQUIRE(gpu::spread_cluster(rows, c.factors()).has_value());
  CHECK(gpu::multiply_by_both<half, half>(c.x_there.view(), c.factors(), c.bias_there.view().data,
                                          activation::gelu, y.view(), stream));
  c.check_activated(y.view(), stream);
  CHECK_THROWS_AS((gpu::two_factor_spread_product<half>(c.x_there.view(), c.factors(), nullptr,
                                                        std::nullopt, y.view(), 1, stream)),
                  shape_error);
}
