#pragma once

#include "eckart/core/concepts.hpp"

#include <exception>
#include <utility>

namespace eckart {
inline namespace v0 {

/// Calls f(0) to f(count - 1), on the threads of OpenMP where the program is built with it. Calls
/// must not depend on each other. Products inside run on one thread each. The first exception is
/// thrown again when all have ended.
template <class F>
void parallel_for(index_t count, F&& f) {
  std::exception_ptr failure;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic)
#endif
  for (index_t i = 0; i < count; ++i) {
    try {
      f(i);
    } catch (...) {
#ifdef _OPENMP
#pragma omp critical(eckart_parallel_for)
#endif
      failure = failure ? failure : std::current_exception();
    }
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

}  // namespace v0
}  // namespace eckart
