// Products of few rows with weights that stream from memory, as a decoder does them for each token:
// eckart's kernels against BLAS's gemm, call by call in turns.
#include "support/machine.hpp"

#include <eckart/backend/openblas.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <vector>

int main(int argc, char** argv) {
  CLI::App app(
      "y = x W^T with few rows: microseconds of gemm and of eckart's kernels, their ratio");
  int threads = 0;
  int repeats = 15;
  app.add_option("--threads", threads, "threads (default: all)")->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats, "timed passes over the weights")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  bench::prepare(threads);
  fmt::print("{:>14} {:>6} {:>10} {:>10} {:>8} {:>8}\n", "W", "rows", "gemm us", "eckart us",
             "ratio", "GB/s");
  for (auto const shape : {eckart::shape2{384, 384},
                           {1536, 384},
                           {384, 1536},
                           {127, 384},
                           {384, 127},
                           {9216, 384},
                           {768, 768},
                           {3072, 768},
                           {768, 3072},
                           {50265, 768}}) {
    // More than the caches hold, so that each product reads its weights from memory.
    constexpr eckart::index_t numbers = 16 << 20;
    auto const copies = std::max<eckart::index_t>(1, numbers / (shape.rows * shape.cols));
    std::vector<eckart::matrix<float>> weights;
    for (eckart::index_t i = 0; i < copies; ++i) {
      weights.push_back(bench::random_matrix(shape.rows, shape.cols, static_cast<unsigned>(i)));
    }
    for (eckart::index_t const rows : {1, 2, 4, 8, 12, 16, 24, 32}) {
      auto const x = bench::random_matrix(rows, shape.cols, 99);
      auto y = eckart::make_matrix<float>({rows, shape.rows});
      std::vector<double> of_gemm;
      std::vector<double> of_kernels;
      for (int pass = 0; pass < repeats; ++pass) {
        auto const timed = [&](auto&& product) {
          return bench::time_calls(1,
                                   [&] {
                                     for (auto const& w : weights) {
                                       product(eckart::as_view(x), eckart::as_view(w),
                                               eckart::as_view(y));
                                     }
                                   })
                     .median_ms *
                 1e3 / static_cast<double>(copies);
        };
        using view = eckart::matrix_view<float const>;
        of_gemm.push_back(timed([](view a, view w, eckart::matrix_view<float> to) {
          eckart::openblas{}.plain_gemm(eckart::op::none, eckart::op::transpose, 1.0F, a, w, 0.0F,
                                        to);
        }));
        of_kernels.push_back(timed([](view a, view w, eckart::matrix_view<float> to) {
          eckart::openblas{}.gemm(eckart::op::none, eckart::op::transpose, 1.0F, a, w, 0.0F, to);
        }));
      }
      std::ranges::sort(of_gemm);
      std::ranges::sort(of_kernels);
      auto const gemm = of_gemm[of_gemm.size() / 2];
      auto const kernels = of_kernels[of_kernels.size() / 2];
      fmt::print("{:>14} {:>6} {:>10.1f} {:>10.1f} {:>8.2f} {:>8.1f}\n",
                 fmt::format("{} x {}", shape.rows, shape.cols), rows, gemm, kernels,
                 kernels / gemm, 4e-3 * static_cast<double>(shape.rows * shape.cols) / kernels);
    }
  }
}
