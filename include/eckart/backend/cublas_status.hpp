#pragma once

#include "eckart/core/error.hpp"

#include <cublas_v2.h>

#include <string_view>

namespace eckart {
inline namespace v0 {

/// Throws backend_error with the name and the text of a cuBLAS status that is not success. `what`
/// is the call that answered it.
inline void check_cublas(cublasStatus_t status, std::string_view what) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw backend_error(
        message(what, ": ", cublasGetStatusName(status), " (", cublasGetStatusString(status), ")"),
        static_cast<int>(status));
  }
}

}  // namespace v0
}  // namespace eckart
