#include "gpu/product_pass.hpp"

#include <eckart/gpu/fused_products.cuh>

namespace bench {

namespace {

// Outlives the passes, which know it by its address.
template <class T>
auto fused_pass(product const& p, eckart::cublas const& backend, number_source<T>& numbers)
    -> std::unique_ptr<product_pass> {
  static eckart::fused_cublas const fused(backend);
  return make_two_factor_pass(p, backend, numbers, fused);
}

}  // namespace

auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<float>& numbers) -> std::unique_ptr<product_pass> {
  return fused_pass(p, backend, numbers);
}

auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<eckart::half>& numbers) -> std::unique_ptr<product_pass> {
  return fused_pass(p, backend, numbers);
}

}  // namespace bench
