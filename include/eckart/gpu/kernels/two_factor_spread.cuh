#pragma once

#include "eckart/gpu/kernels/factor_stack.cuh"
#include "eckart/gpu/kernels/two_factor_spread_kernel.cuh"
#include "eckart/gpu/kernels/two_factor_tiles.cuh"

#include <array>
#include <optional>

namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

/// The blocks of a cluster, and how many of their clusters are on an H100 at once.
struct cluster_choice {
  int blocks;
  index_t at_once;
};
inline constexpr std::array<cluster_choice, 5> cluster_choices{
    {{8, 12}, {6, 16}, {4, 24}, {3, 36}, {2, 64}}};

/// Whether so many groups of 64 rows, of all parts, take less time through
/// two_factor_spread_product than through two products.
template <class T>
auto spreads_well(index_t groups, factor_stack<T> const& w) -> bool {
  if (w.inputs() > narrow) {
    return false;  // every block reads all of x
  }
  if (w.rank() > small_rank) {
    return w.outputs() <= narrow && groups <= 12 * w.parts;
  }
  return w.outputs() <= narrow ? groups <= 64 : groups <= 24 || (groups >= 62 && groups <= 64);
}

}  // namespace detail

/// The blocks of a cluster for so many rows, or none where it is no faster: a rule on sizes,
/// measured on an H100. As many blocks as leave no cluster waiting for a place; for few columns of
/// y no more than have 128 of them each, and than leave half of the processors to the next kernel.
/// None up to 256 rows: there the product alone is faster, but not a model's step with it.
template <kernel_number T>
auto spread_cluster(index_t rows, factor_stack<T> const& w) -> std::optional<int> {
  constexpr index_t few = 256;
  auto const groups = (rows + warpgroup_rows - 1) / warpgroup_rows * w.parts;
  if (rows <= few || !detail::spreads_well(groups, w)) {
    return std::nullopt;
  }
  constexpr index_t half_of_processors = 66;
  for (auto const [blocks, at_once] : detail::cluster_choices) {
    bool const fills = w.outputs() > detail::narrow || blocks <= 2 ||
                       (2 * tile_columns * blocks <= w.outputs() &&
                        (groups * blocks <= half_of_processors || blocks <= 4));
    if (groups <= at_once && fills) {
      return blocks;
    }
  }
  return std::nullopt;
}

/// y (rows, parts * outputs) = f(x W^T + bias), part beside part, in one kernel; x R^T is rounded
/// to T as between two products, sums are kept in float. A cluster of 2 to 16 blocks has 64
/// rows: each computes some columns of x R^T, sends them to the shared memory of all, and goes on
/// with its columns of y. bias (parts * outputs) or null. Throws shape_error for what
/// fits_two_factor_tiles refuses.
template <kernel_number T>
void two_factor_spread_product(device_view<T const> x, factor_stack<T> const& w, T const* bias,
                               std::optional<activation> f, device_view<T> y, int cluster,
                               cudaStream_t stream) {
  detail::check_tiles("two_factor_spread_product", x, w, y);
  if (cluster < 2 || cluster > 16) {
    throw shape_error(message("two_factor_spread_product: clusters of ", cluster, " blocks"));
  }
  auto const row_groups = (x.rows + warpgroup_rows - 1) / warpgroup_rows;
  auto const in_steps = (w.rank() + step_columns - 1) / step_columns * step_columns;
  detail::with_columns<8, 16, 32, 64, 128>(
      (in_steps + cluster - 1) / cluster, [&]<int Columns>(std::integral_constant<int, Columns>) {
        detail::two_factor_spread_call<T> const call{
            tile_map<T>(x, 1, x.rows * x.ld, warpgroup_rows),
            detail::map_parts(w.right, w.parts, Columns),
            detail::map_parts(w.left, w.parts, warpgroup_rows),
            detail::map_columns(device_view<T const>(y), w.parts),
            bias,
            f.value_or(activation::relu),
            cluster,
            detail::tiles_of(x.cols),
            detail::tiles_of(w.outputs()),
            static_cast<int>(w.outputs()),
            {cluster, Columns, static_cast<int>(w.rank()), detail::tiles_of(x.cols),
             detail::tiles_of(w.outputs())}};
        auto const kernel = f ? detail::two_factor_spread_kernel<T, Columns, true>
                              : detail::two_factor_spread_kernel<T, Columns, false>;
        auto const bytes = call.at.bytes + 8 * row_bytes;  // the first tile begins at a multiple
        check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
                   "cudaFuncSetAttribute");
        check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
                   "cudaFuncSetAttribute");
        launch("two_factor_spread_product", kernel,
               {dim3(grid_size(row_groups * cluster), grid_size(w.parts, grid_limit)),
                detail::spread_threads, static_cast<std::size_t>(bytes),
                static_cast<unsigned>(cluster)},
               stream, call);
      });
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
