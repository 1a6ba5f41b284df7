#pragma once

#include "eckart/gpu/kernels/factor_stack.cuh"
#include "eckart/gpu/kernels/two_factor_spread_kernel.cuh"
#include "eckart/gpu/kernels/two_factor_tiles.cuh"

#include <algorithm>
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

/// For x of so many columns that the blocks of a cluster share them.
template <class T>
auto plan_deep_spread(index_t groups, factor_stack<T> const& w)
    -> std::optional<two_factor_spread_plan> {
  if (w.outputs() > narrow) {
    return std::nullopt;
  }
  if (w.rank() > small_rank) {
    return groups <= 4 ? std::optional(two_factor_spread_plan{16, 1, 4}) : std::nullopt;
  }
  if (groups <= 12) {
    return two_factor_spread_plan{8, 1, 4};
  }
  if (groups <= 16) {
    return two_factor_spread_plan{6, 1, 3};
  }
  constexpr index_t smaller_rank = 64;
  return w.rank() <= smaller_rank && groups <= 36 ? std::optional(two_factor_spread_plan{3, 1, 3})
                                                  : std::nullopt;
}

/// For few columns of y. Each block has 128 of them at least, and half of the processors are left
/// to the next kernel.
template <class T>
auto plan_narrow_spread(index_t groups, factor_stack<T> const& w)
    -> std::optional<two_factor_spread_plan> {
  if (groups > (w.rank() > small_rank ? 12 * w.parts : 64)) {
    return std::nullopt;
  }
  constexpr index_t half_of_processors = 66;
  for (auto const [blocks, at_once] : cluster_choices) {
    bool const fills = 2 * tile_columns * blocks <= w.outputs() &&
                       (groups * blocks <= half_of_processors || blocks <= 4);
    if (groups <= at_once && (fills || blocks <= 2)) {
      return two_factor_spread_plan{blocks, 1, 1};
    }
  }
  return std::nullopt;
}

/// For many columns of y: on as many processors as possible. Two products take another pass over
/// them to activate them.
template <class T>
auto plan_wide_spread(index_t groups, factor_stack<T> const& w, bool activates)
    -> std::optional<two_factor_spread_plan> {
  index_t const most_reading = activates ? 3 << 19 : 9 << 17;  // numbers of R, for each group
  if (w.rank() > small_rank && groups * w.rank() * w.inputs() > most_reading) {
    return std::nullopt;
  }
  std::optional<two_factor_spread_plan> best;
  index_t most = 0;
  for (auto const [blocks, at_once] : cluster_choices) {
    constexpr index_t most_spans = 4;
    auto const spans =
        std::min({at_once / groups, most_spans, w.outputs() / (2 * tile_columns * blocks)});
    if (spans * blocks > most) {
      most = spans * blocks;
      best = {blocks, static_cast<int>(spans), 1};
    }
  }
  // Less leaves too many processors without work, unless two blocks each fill them.
  return most >= 4 || groups >= 62 ? best : std::nullopt;
}

}  // namespace detail

/// The way of two_factor_spread_product for so many rows, or none where other ways are as fast: a
/// rule on sizes, measured on an H100 and an H200. As many blocks as leave no cluster waiting for a
/// place.
template <kernel_number T>
auto plan_two_factor_spread(index_t rows, factor_stack<T> const& w, bool activates)
    -> std::optional<two_factor_spread_plan> {
  if (rows <= warpgroup_rows) {
    return std::nullopt;
  }
  auto const groups = (rows + warpgroup_rows - 1) / warpgroup_rows * w.parts;
  if (w.inputs() > detail::narrow) {
    return detail::plan_deep_spread(groups, w);
  }
  return w.outputs() > detail::narrow ? detail::plan_wide_spread(groups, w, activates)
                                      : detail::plan_narrow_spread(groups, w);
}

/// y (rows, parts * outputs) = f(x W^T + bias), part beside part, in one kernel; x R^T is rounded
/// to T as between two products, sums are kept in float. A cluster of 2 to 16 blocks has 64
/// rows: each computes some columns of x R^T, or some terms of their sums where plan.depths says
/// so, sends them to the shared memory of all, and goes on with its columns of y. bias (parts *
/// outputs) or null. Throws shape_error for what fits_two_factor_tiles refuses, and for plans whose
/// blocks would have more than 128 columns of x R^T.
template <kernel_number T>
void two_factor_spread_product(device_view<T const> x, factor_stack<T> const& w, T const* bias,
                               std::optional<activation> f, device_view<T> y,
                               two_factor_spread_plan plan, cudaStream_t stream) {
  detail::check_tiles("two_factor_spread_product", x, w, y);
  auto const in_steps = (w.rank() + step_columns - 1) / step_columns * step_columns;
  auto const slices = plan.depths > 0 ? plan.cluster / plan.depths : 0;
  constexpr index_t most_columns = 128;  // of x R^T in a block
  if (plan.cluster < 2 || plan.cluster > 16 || plan.spans < 1 || plan.depths < 1 ||
      slices * plan.depths != plan.cluster || slices * most_columns < in_steps) {
    throw shape_error(message("two_factor_spread_product: rank ", w.rank(), " in ", plan.spans,
                              " clusters of ", plan.cluster, " blocks, ", plan.depths, " depths"));
  }
  auto const row_groups = (x.rows + warpgroup_rows - 1) / warpgroup_rows;
  detail::with_columns<8, 16, 32, 64, most_columns>(
      (in_steps + slices - 1) / slices, [&]<int Columns>(std::integral_constant<int, Columns>) {
        detail::two_factor_spread_call<T> const call{
            tile_map<T>(x, 1, x.rows * x.ld, warpgroup_rows),
            detail::map_parts(w.right, w.parts, Columns),
            detail::map_parts(w.left, w.parts, warpgroup_rows),
            detail::map_columns(device_view<T const>(y), w.parts),
            bias,
            f.value_or(activation::relu),
            plan,
            detail::tiles_of(x.cols),
            detail::tiles_of(w.outputs()),
            static_cast<int>(w.outputs()),
            {plan, Columns, static_cast<int>(w.rank()), detail::tiles_of(x.cols),
             detail::tiles_of(w.outputs())}};
        auto const kernel = f ? detail::two_factor_spread_kernel<T, Columns, true>
                              : detail::two_factor_spread_kernel<T, Columns, false>;
        auto const bytes = call.at.bytes + 8 * row_bytes;  // the first tile begins at a multiple
        check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
                   "cudaFuncSetAttribute");
        check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
                   "cudaFuncSetAttribute");
        launch("two_factor_spread_product", kernel,
               {dim3(grid_size(row_groups * plan.cluster * plan.spans),
                     grid_size(w.parts, grid_limit)),
                detail::spread_threads, static_cast<std::size_t>(bytes),
                static_cast<unsigned>(plan.cluster)},
               stream, call);
      });
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
