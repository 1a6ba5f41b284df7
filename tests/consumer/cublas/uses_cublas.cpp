#include <eckart/cublas.hpp>

#include <cstdio>

// The product of two matrices of ones, or the name of what is missing here.
int main() {
  try {
    eckart::cublas const gpu;
    eckart::matrix<float> const a = xt::ones<float>({3, 3});
    auto const on_device = eckart::to_device(a, gpu);
    auto const b = eckart::to_host(eckart::matmul(on_device, on_device, gpu), gpu);
    std::printf("%g\n", static_cast<double>(b(2, 2)));
    return b(2, 2) == 3 ? 0 : 1;
  } catch (eckart::backend_error const& e) {
    std::printf("no GPU: %s\n", e.what());
    return 0;
  }
}
