#pragma once

#include "eckart/gpu/kernels/factor_stack.cuh"
#include "eckart/gpu/kernels/two_factor_tiles_kernel.cuh"

#include <algorithm>
#include <optional>

namespace eckart {
inline namespace v0 {
namespace gpu {

namespace detail {

inline constexpr int most_tiles_bytes = 226 << 10;  // of shared memory, without its alignment
inline constexpr index_t most_tile_blocks = 132;    // one on each processor of an H100

/// Calls f with the least of these numbers of columns, as a type, that is enough.
template <int... Columns, class F>
void with_columns(index_t needed, F f) {
  auto const fits = [&](auto columns) {
    if (needed <= columns) {
      f(columns);
    }
    return needed <= columns;
  };
  static_cast<void>((fits(std::integral_constant<int, Columns>{}) || ...));
}

/// Tiles of 64 columns.
inline auto tiles_of(index_t columns) -> int {
  return static_cast<int>((columns + tile_columns - 1) / tile_columns);
}

/// The factors of all parts, one below the other, as matrices of their own.
template <kernel_number T>
auto map_parts(device_view<T const> all, index_t parts, index_t tile_rows) -> tile_map<T> {
  auto const one = all.row_range(0, all.rows / parts);
  return tile_map<T>(one, parts, one.rows * one.ld, tile_rows);
}
/// y, whose parts stand side by side, as matrices of their own.
template <kernel_number T>
auto map_columns(device_view<T const> y, index_t parts) -> tile_map<T> {
  auto const width = y.cols / parts;
  return tile_map<T>(y.col_range(0, width), parts, width, warpgroup_rows);
}

/// Whether the kernel was compiled for compute capability 9.0a, whose instructions it has.
template <class T>
auto has_tiles_kernel() -> bool {
  static bool const has = [] {
    cudaFuncAttributes attributes{};
    check_cuda(cudaFuncGetAttributes(&attributes, two_factor_tiles_kernel<T, 64>),
               "cudaFuncGetAttributes");
    return attributes.maxThreadsPerBlock >= product_threads;
  }();
  return has;
}

}  // namespace detail

/// Whether two_factor_tiles_product can compute x (rows, n) through w into y: 16 bits, ranks up to
/// 256, rows of all operands and columns of a part in whole packets, on compute capability 9, in a
/// program compiled for 9.0a.
template <kernel_number T>
auto fits_two_factor_tiles(device_view<T const> x, factor_stack<T> const& w, device_view<T> y)
    -> bool {
  if constexpr (sizeof(T) == 2) {
    constexpr index_t most_rank = 256;
    constexpr index_t most_width = 1 << 13;  // whose bias has room beside two stages
    auto const in_rows = [](auto const& v) { return in_packets(v.ld, v.data); };
    return x.rows > 0 && x.rows < (index_t{1} << 30) && w.rank() > 0 && w.rank() <= most_rank &&
           std::max(w.inputs(), w.outputs()) <= most_width && w.outputs() > 0 &&
           w.outputs() % packet_size<T> == 0 && in_rows(x) && in_rows(w.right) && in_rows(w.left) &&
           in_rows(y) && compute_capability() == 9 && detail::has_tiles_kernel<T>();
  } else {
    return false;
  }
}

namespace detail {

/// Below this width the factors of 64 rows are small beside x and y.
inline constexpr index_t narrow = 1024;
inline constexpr index_t small_rank = 128;

/// Throws shape_error, under the name of a product, where operands do not fit.
template <kernel_number T>
void check_tiles(char const* name, device_view<T const> x, factor_stack<T> const& w,
                 device_view<T> y) {
  if (x.cols != w.inputs() || y.rows != x.rows || y.cols != w.parts * w.outputs() ||
      w.right.rows != w.parts * w.rank() || !fits_two_factor_tiles(x, w, y)) {
    throw shape_error(message(name, ": ", x.shape(), " through ", w.right.shape(), " and ",
                              w.left.shape(), " into ", y.shape()));
  }
}

}  // namespace detail

/// Whether that is faster than two products: a rule on sizes, measured on an H100. Every block
/// reads both factors for its 64 rows: it is faster where all processors have rows, half of them
/// for small factors, unless the rank and the inputs are large or rows and factors are very many.
template <kernel_number T>
auto prefers_two_factor_tiles(index_t rows, factor_stack<T> const& w) -> bool {
  constexpr index_t all = 124 * warpgroup_rows;  // of 132 processors
  if (w.rank() > detail::small_rank) {
    return rows >= all && w.inputs() <= std::min(detail::narrow, w.outputs());
  }
  if (rows >= 4 * all && std::min(w.inputs(), w.outputs()) > detail::narrow) {
    return false;  // blocks of more rows read the factors less often
  }
  return rows >= all ||
         (rows >= all / 2 && w.parts == 1 && std::max(w.inputs(), w.outputs()) <= detail::narrow);
}

/// y (rows, parts * outputs) = f(x W^T + bias), part beside part, in one kernel; x R^T is rounded
/// to T as between two products and never leaves the processor, sums are kept in float. bias (parts
/// * outputs) or null. Throws shape_error for what fits_two_factor_tiles refuses.
template <kernel_number T>
void two_factor_tiles_product(device_view<T const> x, factor_stack<T> const& w, T const* bias,
                              std::optional<activation> f, device_view<T> y, cudaStream_t stream) {
  detail::check_tiles("two_factor_tiles_product", x, w, y);
  constexpr auto rows_of_cluster = detail::product_cluster * warpgroup_rows;
  auto const row_groups = (x.rows + rows_of_cluster - 1) / rows_of_cluster;
  detail::with_columns<32, 64, 96, 128>(
      (w.rank() + 1) / 2, [&]<int Columns>(std::integral_constant<int, Columns>) {
        detail::two_factor_tiles_call<T> const call{
            tile_map<T>(x, 1, x.rows * x.ld, warpgroup_rows),
            detail::map_parts(w.right, w.parts, Columns),
            detail::map_parts(w.left, w.parts, warpgroup_rows / detail::product_cluster),
            detail::map_columns(device_view<T const>(y), w.parts),
            bias,
            f.has_value(),
            f.value_or(activation::relu),
            static_cast<int>(row_groups),
            detail::tiles_of(x.cols),
            detail::tiles_of(w.outputs()),
            static_cast<int>(w.parts),
            static_cast<int>(w.outputs()),
            {Columns, detail::tiles_of(w.outputs()), detail::most_tiles_bytes}};
        auto const kernel = detail::two_factor_tiles_kernel<T, Columns>;
        auto const bytes = call.at.bytes + 8 * row_bytes;  // the first tile begins at a multiple
        check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
                   "cudaFuncSetAttribute");
        auto const clusters =
            std::min(row_groups * w.parts, detail::most_tile_blocks / detail::product_cluster);
        launch("two_factor_tiles_product", kernel,
               {dim3(grid_size(clusters * detail::product_cluster)), detail::product_threads,
                static_cast<std::size_t>(bytes), static_cast<unsigned>(detail::product_cluster)},
               stream, call);
      });
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
