// What randomization buys: the truncated SVD by `rsvd` beside the full one by `svd`, in one run,
// and how much larger its error is than the least possible of the rank.
#include "support/machine.hpp"

#include <eckart/factor/rank_policy.hpp>
#include <eckart/linalg/rsvd.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cmath>

namespace {

/// ||a - u diag(s) vt||² for orthonormal factors with u^T a vt^T = diag(s): ||a||² - ||s||².
auto error_of(double norm, eckart::vector<float> const& s) -> double {
  auto const kept = eckart::euclidean_norm(s);
  return std::sqrt(std::max(0.0, norm * norm - kept * kept));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Randomized SVD beside the full one: milliseconds, speed-up, error over the least");
  int threads = 0;
  int repeats = 5;
  eckart::index_t rank = 128;
  app.add_option("--threads", threads, "threads (default: all)")->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats, "timed calls")->check(CLI::PositiveNumber);
  app.add_option("--rank", rank, "rank of the approximation")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  bench::prepare(threads);
  fmt::print("{:>14} {:>6} {:>6} {:>10} {:>10} {:>9} {:>12}\n", "matrix", "rank", "power", "svd ms",
             "rsvd ms", "speed-up", "error/least");
  for (auto const s : {eckart::shape2{768, 768}, {1024, 1024}, {3072, 768}, {768, 3072}}) {
    auto const a = bench::random_matrix(s.rows, s.cols, 1);
    auto const full = eckart::svd(a);
    auto const norm = eckart::frobenius_norm(a);
    auto const least = eckart::truncation_error(eckart::as_span(full.s), rank);
    for (int const power : {0, 1, 2}) {
      auto const options = eckart::rsvd_options{.power_iterations = power};
      auto const exact = bench::time_calls(repeats, [&] { eckart::svd(a); });
      auto const fast = bench::time_calls(repeats, [&] { eckart::rsvd(a, rank, options); });
      auto const error = error_of(norm, eckart::rsvd(a, rank, options).factors.s);
      fmt::print("{:>14} {:>6} {:>6} {:>10.1f} {:>10.1f} {:>9.1f} {:>12.4f}\n",
                 fmt::format("{} x {}", s.rows, s.cols), rank, power, exact.median_ms,
                 fast.median_ms, exact.median_ms / fast.median_ms, error / least);
    }
  }
}
