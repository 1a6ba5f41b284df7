#pragma once

#include "eckart/gpu/kernels/two_factor_spread.cuh"
#include "eckart/gpu/kernels/two_factors.cuh"

#include <optional>

namespace eckart {
inline namespace v0 {
namespace gpu {

/// y (rows, parts * outputs) = f(x W^T + bias), part beside part, in one kernel where there is one
/// that is faster than two products; x R^T is rounded to T either way. bias (parts * outputs) or
/// null. Answers false and leaves y alone where there is none. Throws shape_error.
template <kernel_number T, kernel_number Out>
auto multiply_by_both(device_view<T const> x, factor_stack<T> const& w, T const* bias,
                      std::optional<activation> f, device_view<Out> y, cudaStream_t stream)
    -> bool {
  if constexpr (sizeof(T) == 2) {
    std::optional<two_factor_spread_plan> spread;
    if constexpr (std::same_as<T, Out>) {
      spread = plan_two_factor_spread(x.rows, w, f.has_value());
      if (spread && !fits_two_factor_tiles(x, w, y)) {
        spread.reset();
      }
    }
    if (in_packets(x.ld, x.data)) {
      // More reading takes longer than to spread the rows.
      index_t const little = (x.rows <= 256 ? 10 : 8) << 20;
      auto const plan = plan_two_factors(x.rows, w, spread ? little : most_factor_traffic);
      if (plan && (!spread || shares_processors(*plan, w))) {
        two_factor_product(x, w, bias, f, y, *plan, stream);
        return true;
      }
    }
    if constexpr (std::same_as<T, Out>) {
      if (spread) {
        two_factor_spread_product(x, w, bias, f, y, *spread, stream);
        return true;
      }
      if (prefers_two_factor_tiles(x.rows, w) && fits_two_factor_tiles(x, w, y)) {
        two_factor_tiles_product(x, w, bias, f, y, stream);
        return true;
      }
    }
  }
  return false;
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
