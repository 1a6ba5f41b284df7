#include "gpu/product_pass.hpp"

#include <eckart/gpu/device_linear.cuh>
#include <eckart/gpu/fused_products.cuh>

#include <utility>

namespace bench {

namespace {

// Outlives the passes, which know it by its address.
template <class T>
auto fused_pass(product const& p, eckart::cublas const& backend, number_source<T>& numbers)
    -> std::unique_ptr<product_pass> {
  static eckart::fused_cublas const fused(backend);
  return make_two_factor_pass(p, backend, numbers, fused);
}

auto random_layer(product const& p) -> eckart::linear<float> {
  std::minstd_rand generator(5);
  std::uniform_real_distribution<float> uniform(-0.125F, 0.125F);
  auto const numbers = [&](index_t rows, index_t cols) {
    auto result = eckart::make_matrix<float>({rows, cols});
    std::ranges::generate(result, [&] { return uniform(generator); });
    return result;
  };
  auto bias = eckart::make_vector<float>(p.w.rows);
  std::ranges::generate(bias, [&] { return uniform(generator); });
  if (p.stored_as == form::dense) {
    return eckart::linear<float>(numbers(p.w.rows, p.w.cols), std::move(bias));
  }
  auto left = numbers(p.w.rows, p.rank);
  return eckart::linear<float>(
      eckart::low_rank<float, eckart::two_factor>(std::move(left), numbers(p.rank, p.w.cols)),
      std::move(bias));
}

template <class T>
auto layer_pass(product const& p, eckart::cublas const& backend, number_source<T>& numbers)
    -> std::unique_ptr<product_pass> {
  static eckart::cublaslt const products(backend);
  auto const layer = random_layer(p);
  auto const make = [&] { return eckart::device_linear<T>(layer, backend); };
  auto const inner = std::make_shared<eckart::device_matrix<T>>(shape2{p.rows, p.rank + 8});
  auto const multiply = [inner](eckart::device_linear<T> const& w, auto x, auto y) {
    w(x, y, inner->view().data, products, eckart::activation::gelu);
  };
  return std::make_unique<pass_of<T, eckart::device_linear<T>, decltype(multiply)>>(
      p, backend, numbers, make, multiply);
}

}  // namespace

auto make_layer_pass(product const& p, eckart::cublas const& backend, number_source<float>& numbers)
    -> std::unique_ptr<product_pass> {
  return layer_pass(p, backend, numbers);
}

auto make_layer_pass(product const& p, eckart::cublas const& backend,
                     number_source<eckart::half>& numbers) -> std::unique_ptr<product_pass> {
  return layer_pass(p, backend, numbers);
}

auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<float>& numbers) -> std::unique_ptr<product_pass> {
  return fused_pass(p, backend, numbers);
}

auto make_two_factor_pass(product const& p, eckart::cublas const& backend,
                          number_source<eckart::half>& numbers) -> std::unique_ptr<product_pass> {
  return fused_pass(p, backend, numbers);
}

}  // namespace bench
