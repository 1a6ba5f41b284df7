#pragma once

#include "eckart/core/concepts.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace eckart {
inline namespace v0 {

/// Threads that a loop started here is spread over; 1 inside of another loop.
inline auto worker_count() -> index_t {
#ifdef _OPENMP
  return omp_in_parallel() ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

/// Calls f(i, worker) for i from 0 to count - 1, on the threads of OpenMP where the program is
/// built with it: 0 <= worker < worker_count() names the thread, for memory of its own. Calls must
/// not depend on each other. Products inside run on one thread each. The first exception is thrown
/// again when all have ended.
template <class F>
void parallel_for_workers(index_t count, F&& f) {
  std::exception_ptr failure;
#ifdef _OPENMP
  bool const is_inner = omp_in_parallel() != 0;
#pragma omp parallel for schedule(dynamic) if (!is_inner && count > 1)
#endif
  for (index_t i = 0; i < count; ++i) {
    try {
#ifdef _OPENMP
      f(i, is_inner ? index_t{0} : static_cast<index_t>(omp_get_thread_num()));
#else
      f(i, index_t{0});
#endif
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

/// Calls f(0) to f(count - 1) as parallel_for_workers.
template <class F>
void parallel_for(index_t count, F&& f) {
  parallel_for_workers(count, [&f](index_t i, index_t) { f(i); });
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

/// Numbers that a second thread is woken for.
inline constexpr index_t worth_waking = 1 << 16;

/// Calls f(worker, workers) on every thread and, when all of them have ended, g(worker, workers).
/// The first exception is thrown again at the end.
template <class F, class G>
void parallel_in_turn(F&& f, G&& g) {
#ifdef _OPENMP
  std::exception_ptr failure;
  auto const guarded = [&failure](auto& call) {
    try {
      call(static_cast<index_t>(omp_get_thread_num()), static_cast<index_t>(omp_get_num_threads()));
    } catch (...) {
#pragma omp critical(eckart_parallel_in_turn)
      failure = failure ? failure : std::current_exception();
    }
  };
#pragma omp parallel if (!omp_in_parallel())
  {
    guarded(f);
#pragma omp barrier
    guarded(g);
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
#else
  f(index_t{0}, index_t{1});
  g(index_t{0}, index_t{1});
#endif
}

/// Calls f(first, last) for pieces of whole groups of `group` rows that cost `cost` numbers each:
/// as few as keep all threads busy to the end, one where it is not worth waking a second thread.
/// Long pieces read memory in the order of its addresses, and the first group of each waits for it:
/// they are 16 groups long where that leaves as many for each thread.
template <class F>
void parallel_pieces(index_t rows, index_t group, index_t cost, F&& f) {
  constexpr index_t pieces_of_worker = 4;
  constexpr index_t groups_of_piece = 16;
  auto const workers = rows * cost > worth_waking ? worker_count() : 1;
  if (workers == 1) {
    f(index_t{0}, rows);
    return;
  }
  auto const groups = (rows + group - 1) / group;
  auto const each = std::clamp(groups / (groups_of_piece * workers), index_t{1}, pieces_of_worker);
  auto const pieces = std::min(groups, workers * each);
  auto const at_once = (groups + pieces - 1) / pieces * group;
  parallel_for((rows + at_once - 1) / at_once,
               [&](index_t piece) { f(piece * at_once, std::min(rows, (piece + 1) * at_once)); });
}

}  // namespace v0
}  // namespace eckart
