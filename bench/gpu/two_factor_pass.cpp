#include "gpu/product_pass.hpp"

namespace bench {

auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<float>& numbers) -> std::unique_ptr<product_pass> {
  return make_two_factor_pass(p, backend, numbers, backend);
}

auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<eckart::half>& numbers) -> std::unique_ptr<product_pass> {
  return make_two_factor_pass(p, backend, numbers, backend);
}

auto make_layer_pass(product const&, eckart::cublas const&, number_source<float>&)
    -> std::unique_ptr<product_pass> {
  throw eckart::shape_error("layers of a model on a GPU need a build with nvcc");
}

auto make_layer_pass(product const&, eckart::cublas const&, number_source<eckart::half>&)
    -> std::unique_ptr<product_pass> {
  throw eckart::shape_error("layers of a model on a GPU need a build with nvcc");
}

}  // namespace bench
