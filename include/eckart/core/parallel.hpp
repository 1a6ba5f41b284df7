#pragma once

#include "eckart/core/concepts.hpp"

#include <algorithm>
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

/// Calls f(first, last) for pieces of `rows` rows of `cols` numbers each, on all threads where a
/// piece is worth waking one.
template <class F>
void parallel_rows(index_t rows, index_t cols, F&& f) {
  constexpr index_t numbers_at_once = 1 << 16;
  auto const at_once = std::max<index_t>(1, numbers_at_once / std::max<index_t>(1, cols));
  if (rows <= at_once) {
    f(index_t{0}, rows);
    return;
  }
  parallel_for((rows + at_once - 1) / at_once,
               [&](index_t piece) { f(piece * at_once, std::min(rows, (piece + 1) * at_once)); });
}

}  // namespace v0
}  // namespace eckart
