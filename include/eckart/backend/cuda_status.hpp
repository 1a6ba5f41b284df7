#pragma once

#include "eckart/core/error.hpp"

#include <cuda_runtime_api.h>

#include <string_view>

namespace eckart {
inline namespace v0 {

/// Throws backend_error with the name and the text of a CUDA status that is not success. `what` is
/// the call that answered it. The error is taken back from the runtime: one that does not break the
/// device, such as memory that is not there, leaves the program usable.
inline void check_cuda(cudaError_t status, std::string_view what) {
  if (status != cudaSuccess) {
    cudaGetLastError();
    throw backend_error(
        message(what, ": ", cudaGetErrorName(status), " (", cudaGetErrorString(status), ")"),
        static_cast<int>(status));
  }
}

}  // namespace v0
}  // namespace eckart
