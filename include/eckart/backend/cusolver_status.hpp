#pragma once

#include "eckart/core/error.hpp"

#include <cusolver_common.h>

#include <string_view>

namespace eckart {
inline namespace v0 {

/// The name of a cuSOLVER status, which the library itself does not tell.
inline auto name_of(cusolverStatus_t status) -> std::string_view {
  switch (status) {
    case CUSOLVER_STATUS_SUCCESS:
      return "CUSOLVER_STATUS_SUCCESS";
    case CUSOLVER_STATUS_NOT_INITIALIZED:
      return "CUSOLVER_STATUS_NOT_INITIALIZED";
    case CUSOLVER_STATUS_ALLOC_FAILED:
      return "CUSOLVER_STATUS_ALLOC_FAILED";
    case CUSOLVER_STATUS_INVALID_VALUE:
      return "CUSOLVER_STATUS_INVALID_VALUE";
    case CUSOLVER_STATUS_ARCH_MISMATCH:
      return "CUSOLVER_STATUS_ARCH_MISMATCH";
    case CUSOLVER_STATUS_EXECUTION_FAILED:
      return "CUSOLVER_STATUS_EXECUTION_FAILED";
    case CUSOLVER_STATUS_INTERNAL_ERROR:
      return "CUSOLVER_STATUS_INTERNAL_ERROR";
    case CUSOLVER_STATUS_NOT_SUPPORTED:
      return "CUSOLVER_STATUS_NOT_SUPPORTED";
    case CUSOLVER_STATUS_INVALID_WORKSPACE:
      return "CUSOLVER_STATUS_INVALID_WORKSPACE";
    default:
      return "a status of cuSOLVER";
  }
}

/// Throws backend_error with the name and the number of a cuSOLVER status that is not success.
inline void check_cusolver(cusolverStatus_t status, std::string_view what) {
  if (status != CUSOLVER_STATUS_SUCCESS) {
    auto const number = static_cast<int>(status);
    throw backend_error(message(what, ": ", name_of(status), " (", number, ")"), number);
  }
}

}  // namespace v0
}  // namespace eckart
