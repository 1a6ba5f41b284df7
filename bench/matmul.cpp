// Dense products as a transformer makes them, y = x W^T, against the machine's own limits.
#include "support/machine.hpp"

#include <eckart/factor/apply.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  CLI::App app("y = x W^T for the shapes of BART: milliseconds, roofline, ratio");
  int threads = 0;
  int repeats = 20;
  app.add_option("--threads", threads, "threads (default: all)")->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats, "timed calls")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  auto const limits = bench::prepare(threads);
  fmt::print("{:>6} {:>14} {:>10} {:>10} {:>12} {:>8}\n", "rows", "W", "ms", "GFLOP/s",
             "roofline ms", "ratio");
  for (auto const w : {eckart::shape2{384, 384},
                       {1536, 384},
                       {768, 768},
                       {3072, 768},
                       {768, 3072},
                       {50265, 768}}) {
    auto const weight = bench::random_matrix(w.rows, w.cols, 1);
    for (eckart::index_t const rows : {1, 4, 16, 128, 512}) {
      auto const x = bench::random_matrix(rows, w.cols, 2);
      auto y = eckart::make_matrix<float>({rows, w.rows});
      auto const t = bench::time_calls(repeats, [&] {
        eckart::matmul(eckart::op::none, eckart::as_view(x), eckart::op::transpose,
                       eckart::as_view(weight), eckart::as_view(y));
      });
      auto const flops = static_cast<double>(eckart::cost::flops(eckart::form::dense, w, 0, rows));
      auto const bytes = 4.0 * static_cast<double>(w.rows * w.cols + rows * (w.rows + w.cols));
      auto const bound = limits.roofline_ms(flops, bytes);
      fmt::print("{:>6} {:>14} {:>10.3f} {:>10.1f} {:>12.3f} {:>8.2f}\n", rows,
                 fmt::format("{} x {}", w.rows, w.cols), t.median_ms, flops / t.median_ms / 1e6,
                 bound, t.median_ms / bound);
    }
  }
  fmt::print(
      "roofline: the larger of FLOPs at the sgemm rate and bytes at the stream rate; weights "
      "that stay in the cache can be faster than it\n");
}
