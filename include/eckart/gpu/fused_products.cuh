#pragma once

#include "eckart/gpu/kernels/both_factors.cuh"
#include "eckart/gpu/products.hpp"

#include <optional>

/// `apply`, `apply_work` and `apply_worksize` of two factors for programs that nvcc compiles: both
/// products in one kernel for the sizes at which that is faster (gpu::multiply_by_both).
namespace eckart {
inline namespace v0 {

/// cuBLAS and the kernel for both factors, as the last argument of apply. The cublas must outlive
/// it.
class fused_cublas {
 public:
  explicit fused_cublas(cublas const& backend) : backend_(&backend) {}
  auto backend() const -> cublas const& { return *backend_; }

 private:
  cublas const* backend_;
};

/// Elements of device_workspace that apply_work takes at most.
template <device_number T>
auto apply_worksize(device_low_rank<T, two_factor> const& w, index_t rows, fused_cublas const&)
    -> std::size_t {
  return apply_worksize(w, rows);
}

/// y = x (L R)^T for x (rows, n) and y (rows, m), in one kernel or as two products. Throws
/// shape_error. 2 k (m+n) FLOPs a row.
template <device_number T>
void apply_work(std::type_identity_t<device_view<T const>> x,
                device_low_rank<T, two_factor> const& w, device_view<T> y,
                device_workspace<T>& scratch, fused_cublas const& fused) {
  if constexpr (kernel_number<T>) {
    if (gpu::multiply_by_both(x, gpu::factor_stack<T>{w.right(), w.left()},
                              static_cast<T const*>(nullptr), std::nullopt, y,
                              fused.backend().stream())) {
      return;
    }
  }
  apply_work(x, w, y, scratch, fused.backend());
}

/// What `apply(x, w, fused)` does on a device: x W^T as a new (rows, m) matrix.
template <device_operand X>
auto apply_on_device(X const& x, device_low_rank<device_value_t<X>, two_factor> const& w,
                     fused_cublas const& fused) -> device_matrix<device_value_t<X>> {
  using T = device_value_t<X>;
  auto const input = as_view(x);
  device_matrix<T> y({input.rows, w.shape().rows});
  device_workspace<T> scratch(apply_worksize(w, input.rows, fused));
  apply_work(input, w, y.view(), scratch, fused);
  return y;
}

}  // namespace v0
}  // namespace eckart
