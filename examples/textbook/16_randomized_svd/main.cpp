#include "spectra.hpp"
#include "support/plot.hpp"
#include "times.hpp"

#include <eckart/factor/rank_policy.hpp>
#include <eckart/linalg/rsvd.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <numbers>
#include <span>
#include <utility>

// The randomized SVD multiplies A by a few random vectors instead of decomposing all of it. How
// much is lost depends on the spectrum, the vectors beyond the rank, and the power iterations.
using namespace eckart;
using namespace textbook;

namespace {

// Random vectors beyond a rank of 20, and ranks with 10 vectors beyond them.
constexpr std::array<index_t, 3> oversamples{0, 5, 20};
constexpr std::array<index_t, 8> ranks{5, 10, 15, 20, 30, 40, 60, 80};

// ||A - U diag(s) V^T|| in the spectral norm over that of the best rank k, s_(k+1).
auto ratio(example const& from, index_t k, rsvd_options options) -> double {
  auto const f = rsvd(from.a, k, options).factors;
  auto us = f.u;
  openblas{}.scale_columns(as_span(f.s), as_view(us));
  auto rest = matmul(us, f.vt);
  std::ranges::transform(from.a, rest, rest.begin(), std::minus{});
  return svd(rest).s(0) / from.values[static_cast<std::size_t>(k)];
}

// Mean over three sets of random vectors.
auto mean_ratio(example const& from, index_t k, index_t oversample, int powers) -> double {
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    sum += ratio(from, k, {.oversample = oversample, .power_iterations = powers, .seed = seed});
  }
  return sum / 3;
}

// What the mean cannot exceed without power iterations (theorems 10.6 and 9.3), over s_(k+1).
auto bound(example const& from, index_t k, index_t oversample) -> double {
  auto const rank = static_cast<double>(k), p = static_cast<double>(oversample);
  auto const tail = truncation_error(spectrum(from.values), k);
  return 2 + std::sqrt(rank / (p - 1)) +
         std::numbers::e * std::sqrt(rank + p) / p * tail /
             from.values[static_cast<std::size_t>(k)];
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path const folder = argc > 1 ? argv[1] : ".";
  std::array const examples{make("0.8^i", [](double i) { return std::pow(0.8, i); }),
                            make("1/sqrt(i)", [](double i) { return 1 / std::sqrt(i); })};
  plot picture{.title = "Randomized SVD with 10 more vectors than the rank, q power iterations",
               .x_label = "rank",
               .y_label = "error / least possible error"};
  auto holds = true;
  fmt::print(
      "Error of the randomized SVD of a {} x {} matrix, as a multiple of the least possible\n"
      "one, s_(k+1). Spectral norm, mean of 3 runs; the bound is for no power iteration.\n",
      rows, cols);
  for (auto const& from : examples) {
    fmt::print(
        "\ns_i = {}\n                       power iterations\n"
        "  rank  more vectors      0      1      2     bound\n",
        from.name);
    auto const first = picture.lines.size();
    for (int q = 0; q < 3; ++q) {
      picture.lines.push_back({.label = fmt::format("{}, q = {}", from.name, q)});
    }
    auto const row = [&](index_t k, index_t more) {
      auto const limit = more < 2 ? HUGE_VAL : bound(from, k, more);
      auto least = limit;
      fmt::print("{:6}  {:12}", k, more);
      for (std::size_t q = 0; q < 3; ++q) {
        auto const mean = mean_ratio(from, k, more, static_cast<int>(q));
        fmt::print("  {:5.2f}", mean);
        holds = holds && mean <= std::exchange(least, mean) + 1e-6;
        if (more == 10) {
          picture.lines[first + q].x.push_back(static_cast<double>(k));
          picture.lines[first + q].y.push_back(mean);
        }
      }
      fmt::print("  {:>8}\n", more < 2 ? "none" : fmt::format("{:.1f}", limit));
      holds = holds && least < 1.25;
    };
    std::ranges::for_each(oversamples, [&](index_t more) { row(20, more); });
    std::ranges::for_each(ranks, [&](index_t k) { row(k, 10); });
  }
  write_svg(folder / "randomized_svd.svg", picture);
  fmt::print("\nThe rows with 10 more vectors are drawn in randomized_svd.svg.\n");
  show_times();
  if (!holds) {
    fmt::print("A claim of this example does not hold.\n");
    return EXIT_FAILURE;
  }
}
