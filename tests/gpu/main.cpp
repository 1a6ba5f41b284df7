#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cuda_runtime_api.h>

#include <cstdio>

// The tests where there is a GPU, and where there is none a message and the exit code that CTest
// knows as skipped.
int main(int argc, char** argv) {
  int devices = 0;
  auto const status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess || devices == 0) {
    std::printf("skipped: no GPU (%s)\n", cudaGetErrorName(status));
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
