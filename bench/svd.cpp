// The singular value decomposition of BART's weight shapes by both LAPACK drivers.
#include "support/machine.hpp"

#include <eckart/linalg/svd.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <utility>

int main(int argc, char** argv) {
  CLI::App app("Thin SVD: milliseconds, roofline of its FLOPs at the sgemm rate, ratio");
  int threads = 0;
  int repeats = 5;
  bool slow = false;
  app.add_option("--threads", threads, "threads (default: all)")->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats, "timed calls")->check(CLI::PositiveNumber);
  app.add_flag("--gesvd", slow, "measure gesvd too (about ten times slower)");
  CLI11_PARSE(app, argc, argv);
  auto const limits = bench::prepare(threads);
  fmt::print("{:>14} {:>8} {:>10} {:>12} {:>8}\n", "matrix", "driver", "ms", "roofline ms",
             "ratio");
  using eckart::svd_method;
  for (auto const s : {eckart::shape2{384, 384},
                       {1536, 384},
                       {384, 1536},
                       {768, 768},
                       {3072, 768},
                       {768, 3072},
                       {1024, 1024}}) {
    auto const a = bench::random_matrix(s.rows, s.cols, 1);
    auto const k = std::min(s.rows, s.cols);
    auto u = eckart::make_matrix<float>({s.rows, k});
    auto vt = eckart::make_matrix<float>({k, s.cols});
    auto values = eckart::make_vector<float>(k);
    eckart::workspace<float> scratch(eckart::svd_worksize<float>(s));
    for (auto const& [method, name] : {std::pair{svd_method::divide_and_conquer, "gesdd"},
                                       std::pair{svd_method::qr_iteration, "gesvd"}}) {
      if (method == svd_method::qr_iteration && !slow) {
        continue;
      }
      auto const t = bench::time_calls(repeats, [&] {
        eckart::svd_work(eckart::as_view(a), eckart::as_span(values), eckart::as_view(u),
                         eckart::as_view(vt), scratch, {.method = method});
      });
      auto const m = static_cast<double>(s.rows);
      auto const n = static_cast<double>(s.cols);
      auto const small = static_cast<double>(k);
      auto const flops = 4 * m * n * small + 22 * small * small * small;
      auto const bound = limits.roofline_ms(flops, 0);
      fmt::print("{:>14} {:>8} {:>10.1f} {:>12.1f} {:>8.1f}\n",
                 fmt::format("{} x {}", s.rows, s.cols), name, t.median_ms, bound,
                 t.median_ms / bound);
    }
  }
}
