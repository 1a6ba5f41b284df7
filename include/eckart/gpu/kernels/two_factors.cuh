#pragma once

#include "eckart/gpu/kernels/factor_stack.cuh"
#include "eckart/gpu/kernels/two_factor_kernel.cuh"

#include <algorithm>
#include <array>
#include <optional>

namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

inline constexpr index_t most_factor_blocks = 132;  // one on each processor of an H100
inline constexpr int shared_of_two = 113 << 10;     // bytes of a block, so that a processor has two
inline constexpr int shared_of_one = 227 << 10;
inline constexpr int shared_of_more_rows = 140 << 10;  // beyond, two products are as fast

/// The first way whose blocks hold their factors, of so many and so little reading.
template <class T>
auto first_plan(index_t rows, factor_stack<T> const& w, index_t most_traffic, int tiles,
                int cluster, int larger_cluster) -> std::optional<two_factor_plan> {
  for (int const most : {shared_of_two, rows <= 16 ? shared_of_one : shared_of_more_rows}) {
    for (int const groups : {1, 2, 4}) {
      for (int const blocks_together : {cluster, larger_cluster}) {
        two_factor_plan const plan{blocks_together, groups, tiles};
        two_factor_share const share(plan, static_cast<int>(w.rank()), static_cast<int>(w.inputs()),
                                     static_cast<int>(w.outputs()));
        auto const blocks =
            (rows + 16 * tiles - 1) / (16 * tiles) * blocks_together * groups * w.parts;
        if (share.strips <= most_strips && share.bytes <= most && blocks <= most_factor_blocks &&
            blocks * (share.sums + 32 * tiles * w.inputs()) <= most_traffic) {
          return plan;
        }
      }
    }
  }
  return std::nullopt;
}

template <class T, class Out>
auto make_call(device_view<T const> x, factor_stack<T> const& w, T const* bias,
               std::optional<activation> f, device_view<Out> y, two_factor_plan plan)
    -> two_factor_call<T, Out> {
  bool const whole_quads = y.ld % 4 == 0 && w.outputs() % 4 == 0 &&
                           reinterpret_cast<std::uintptr_t>(y.data) % (4 * sizeof(Out)) == 0;
  return {x.data,
          x.ld,
          static_cast<int>(x.rows),
          static_cast<int>(x.cols),
          w.right.data,
          w.right.ld,
          w.left.data,
          w.left.ld,
          static_cast<int>(w.rank()),
          static_cast<int>(w.outputs()),
          whole_quads,
          bias,
          f.has_value(),
          f.value_or(activation::relu),
          y.data,
          y.ld,
          plan};
}

}  // namespace detail

/// Bytes that all blocks read together, beyond which they wait for each other.
inline constexpr index_t most_factor_traffic = 14 << 20;

/// The way of two_factor_product for so many rows, or none where two products are faster or it has
/// no way: a rule on sizes, measured on an H100. None but on compute capability 9, none for floats,
/// for ranks and inputs that are no multiples of 8, and for factors that the shared memory of 16
/// blocks does not hold, or that all blocks together read more of than most_traffic.
template <kernel_number T>
auto plan_two_factors(index_t rows, factor_stack<T> const& w,
                      index_t most_traffic = most_factor_traffic)
    -> std::optional<two_factor_plan> {
  auto const fits = [](device_view<T const> v) {
    return in_packets(v.cols, v.data) && in_packets(v.ld, v.data);
  };
  constexpr index_t most_width = 1 << 15;  // so that sizes are ints
  if (sizeof(T) != 2 || rows < 1 || w.rank() < 8 || !fits(w.right) || !fits(w.left) ||
      w.outputs() < 1 || std::max({w.inputs(), w.rank(), w.outputs()}) > most_width ||
      compute_capability() != 9) {
    return std::nullopt;
  }
  if (rows <= 16) {
    return detail::first_plan(rows, w, most_traffic, 1, 16, 8);
  }
  for (auto const [tiles, cluster, larger] :
       {std::array{1, 8, 16}, std::array{2, 8, 16}, std::array{1, 4, 4}, std::array{2, 4, 4}}) {
    if (auto const plan = detail::first_plan(rows, w, most_traffic, tiles, cluster, larger)) {
      return plan;
    }
  }
  return std::nullopt;
}

/// Whether a processor has room for two blocks of a way at once: while one waits, the other
/// computes.
template <kernel_number T>
auto shares_processors(two_factor_plan plan, factor_stack<T> const& w) -> bool {
  return detail::two_factor_share(plan, static_cast<int>(w.rank()), static_cast<int>(w.inputs()),
                                  static_cast<int>(w.outputs()))
             .bytes <= detail::shared_of_two;
}

/// y (rows, parts * outputs) = f(x W^T + bias), part beside part, in one kernel; x R^T is rounded
/// to T as between two products, sums are kept in float. A cluster of blocks has 16 or 32 rows:
/// each block computes some columns of x R^T, sends them to the shared memory of all, and goes on
/// with its columns of y. Both factors are on their way to the processors before the kernel in
/// front is done. bias (parts * outputs) or null. For operands that plan_two_factors has a way for,
/// by that way or another one. Throws shape_error.
template <kernel_number T, kernel_number Out>
void two_factor_product(device_view<T const> x, factor_stack<T> const& w, T const* bias,
                        std::optional<activation> f, device_view<Out> y, two_factor_plan plan,
                        cudaStream_t stream) {
  detail::two_factor_share const share(plan, static_cast<int>(w.rank()),
                                       static_cast<int>(w.inputs()), static_cast<int>(w.outputs()));
  if (x.cols != w.inputs() || y.rows != x.rows || y.cols != w.parts * w.outputs() ||
      w.right.rows != w.parts * w.rank() || w.rank() % 8 != 0 || !in_packets(x.cols, x.data) ||
      !in_packets(x.ld, x.data) || share.strips > detail::most_strips || plan.cluster < 2) {
    throw shape_error(message("two_factor_product: ", x.shape(), " through ", w.right.shape(),
                              " and ", w.left.shape(), " into ", y.shape()));
  }
  if (x.rows == 0) {
    return;
  }
  auto const call = detail::make_call(x, w, bias, f, y, plan);
  auto const grid = dim3(grid_size(plan.cluster * plan.groups),
                         grid_size((x.rows + 16 * plan.tiles - 1) / (16 * plan.tiles), grid_limit),
                         grid_size(w.parts, grid_limit));
  auto const start = [&]<int Tiles, int Strips>() {
    auto const kernel = detail::two_factor_kernel<T, Out, Tiles, Strips>;
    check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, share.bytes),
        "cudaFuncSetAttribute");
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
               "cudaFuncSetAttribute");
    launch("two_factor_product", kernel,
           {grid, detail::factor_threads, static_cast<std::size_t>(share.bytes),
            static_cast<unsigned>(plan.cluster)},
           stream, call);
  };
  auto const start_tiles = [&]<int Tiles>(std::integral_constant<int, Tiles>) {
    if (share.strips <= 2) {
      start.template operator()<Tiles, 2>();
    } else {
      start.template operator()<Tiles, detail::most_strips>();
    }
  };
  if (plan.tiles == 1) {
    start_tiles(std::integral_constant<int, 1>{});
  } else {
    start_tiles(std::integral_constant<int, 2>{});
  }
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
