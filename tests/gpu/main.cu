#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cuda_runtime_api.h>

#include <iostream>

// Programs that need a GPU end with this where there is none: CTest counts it as skipped.
constexpr int skipped = 77;

int main(int argc, char** argv) {
  int devices = 0;
  auto const status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess || devices == 0) {
    std::cout << "skipped: no GPU (" << cudaGetErrorName(status) << ")\n";
    return skipped;
  }
  doctest::Context context(argc, argv);
  return context.run();
}
