#pragma once

#include "eckart/gpu/kernels/numbers.cuh"

#include <array>
#include <cstddef>
#include <utility>

/// Launches that overlap, and clusters of thread blocks (compute capability 9.0 and later).
namespace eckart {
inline namespace v0 {
namespace gpu {

/// Waits until all kernels that were launched before are done; what comes before this call must
/// touch nothing that they write or read but constants, weights for example. Then lets the next
/// kernel of the stream come onto the device while this one computes. Every thread of a kernel
/// that launch() starts calls it once, or ends without having touched what others write.
__device__ inline void after_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

/// Brings 128 bytes into the second cache.
__device__ inline void prefetch(void const* from) {
  asm volatile("prefetch.global.L2 [%0];\n" ::"l"(from));
}

/// Compute capability of the thread's device, the number before the point.
inline auto compute_capability() -> int {
  int device = 0;
  int major = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
             "cudaDeviceGetAttribute");
  return major;
}

/// A grid, perhaps in clusters of blocks that write into each other's shared memory.
struct grid_shape {
  dim3 grid;
  unsigned threads = 0;
  std::size_t shared = 0;  ///< bytes of a block
  unsigned cluster = 0;    ///< blocks in the grid's first direction; 0 for no clusters
};

/// Starts a kernel that calls after_previous(): its blocks may come onto the device before the
/// kernel in front of it is done (programmatic dependent launch), which hides the start. Devices
/// below 9.0 start it afterwards. Throws backend_error under the kernel's name.
template <class... Parameters, class... Arguments>
void launch(char const* name, void (*kernel)(Parameters...), grid_shape shape, cudaStream_t stream,
            Arguments&&... arguments) {
  std::array<cudaLaunchAttribute, 2> attributes{};
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared;
  config.stream = stream;
  config.attrs = attributes.data();
  auto const attribute = [&](cudaLaunchAttributeID id) -> cudaLaunchAttributeValue& {
    auto& next = attributes.at(config.numAttrs++);
    next.id = id;
    return next.val;
  };
  if (compute_capability() >= 9) {
    attribute(cudaLaunchAttributeProgrammaticStreamSerialization)
        .programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster > 0) {
    auto& size = attribute(cudaLaunchAttributeClusterDimension).clusterDim;
    size.x = shape.cluster;
    size.y = 1;
    size.z = 1;
  }
  check_cuda(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), name);
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
