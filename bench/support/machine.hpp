#pragma once

#include <eckart/backend/blas_info.hpp>
#include <eckart/factor/cost.hpp>
#include <eckart/linalg/matmul.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>

/// Timing, the machine's own limits measured in the same run, and the line that says which BLAS is
/// really running.
namespace bench {

using eckart::index_t;

/// Milliseconds of one call: median and least of `repeats` timed calls after one that warms up.
struct timing {
  double median_ms;
  double least_ms;
};

template <class F>
auto time_calls(int repeats, F&& call) -> timing {
  call();
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    auto const start = std::chrono::steady_clock::now();
    call();
    std::chrono::duration<double, std::milli> const elapsed =
        std::chrono::steady_clock::now() - start;
    times.push_back(elapsed.count());
  }
  std::ranges::sort(times);
  return {times[times.size() / 2], times.front()};
}

/// (rows, cols) standard normal numbers.
inline auto random_matrix(index_t rows, index_t cols, std::uint64_t seed) -> eckart::matrix<float> {
  auto result = eckart::make_matrix<float>({rows, cols});
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  for (auto& x : result) {
    x = normal(generator);
  }
  return result;
}

/// What the machine can do, by the best of a few runs: the upper bounds that work is held against.
struct machine_limits {
  double gflops;     ///< 1024 x 1024 x 1024 sgemm
  double gigabytes;  ///< a second, summing 512 MB with all threads

  /// Least milliseconds for work with so many FLOPs and so many bytes read.
  auto roofline_ms(double flops, double bytes) const -> double {
    return std::max(flops / gflops, bytes / gigabytes) / 1e6;
  }
};

inline auto measure_stream(int threads) -> double {
  std::vector<float> const data(std::size_t{128} << 20, 1.0F);  // 512 MB
  auto const count = static_cast<index_t>(data.size());
  double sum = 0;
  auto const t = time_calls(3, [&] {
    double total = 0;
#ifdef _OPENMP
#pragma omp parallel for reduction(+ : total) num_threads(threads)
#endif
    for (index_t block = 0; block < count; block += 4096) {
      float lanes[16] = {};
      for (index_t i = block; i < block + 4096; i += 16) {
        for (int lane = 0; lane < 16; ++lane) {
          lanes[lane] += data[static_cast<std::size_t>(i + lane)];
        }
      }
      for (auto const lane : lanes) {
        total += static_cast<double>(lane);
      }
    }
    sum = total;
  });
  static_cast<void>(threads);
  if (sum != static_cast<double>(count)) {
    fmt::print(stderr, "bench: wrong sum {}\n", sum);
    std::exit(1);
  }
  return static_cast<double>(count) * sizeof(float) / t.least_ms / 1e6;
}

inline auto measure_limits() -> machine_limits {
  constexpr index_t n = 1024;
  auto const a = random_matrix(n, n, 1);
  auto const b = random_matrix(n, n, 2);
  auto c = eckart::make_matrix<float>({n, n});
  auto const t = time_calls(
      10, [&] { eckart::matmul(eckart::as_view(a), eckart::as_view(b), eckart::as_view(c)); });
  auto const flops = static_cast<double>(eckart::cost::product_flops(n, n, n));
  return {flops / t.least_ms / 1e6, measure_stream(eckart::blas_info().threads)};
}

/// Sets the threads (0: all), prints the BLAS and the measured limits. Exits with 2 on a BLAS that
/// runs slower kernels than the processor has: times would mean nothing.
inline auto prepare(int threads) -> machine_limits {
  if (threads > 0) {
    eckart::set_threads(threads);
  }
  auto const blas = eckart::blas_info();
  if (!blas.warning.empty()) {
    fmt::print(stderr, "bench: {}\n", blas.warning);
    std::exit(2);
  }
  auto const limits = measure_limits();
  fmt::print(
      "{} {} ({} detected), {}, {} threads; sgemm 1024^3 {:.0f} GFLOP/s, stream {:.1f} GB/s\n",
      blas.version, blas.core, blas.detected_core, blas.flavour, blas.threads, limits.gflops,
      limits.gigabytes);
  return limits;
}

}  // namespace bench
