// Ratios of times that a change must not lose, each within one process and call by call in turns,
// so that a slow or busy machine slows both sides. For CTest: exits with 1 where a ratio is above
// its bound, which leaves a third to the worst that was seen on a busy machine, and with 77, which
// CTest counts as skipped, on processors without AVX2, for which there are no kernels.
#include "support/machine.hpp"

#include <eckart/backend/openblas.hpp>
#include <eckart/factor/int8_rows.hpp>
#include <eckart/nn/activation.hpp>
#include <eckart/nn/attention.hpp>
#include <eckart/nn/softmax.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace {

using eckart::as_view;
using eckart::op;
using view = eckart::matrix_view<float const>;

/// Least of many: what the code takes when nothing disturbs it.
template <class A, class B>
auto ratio_of(int repeats, A&& ours, B&& theirs) -> double {
  auto least_ours = bench::time_calls(1, ours).least_ms;
  auto least_theirs = bench::time_calls(1, theirs).least_ms;
  for (int i = 0; i < repeats; ++i) {
    least_ours = std::min(least_ours, bench::time_calls(1, ours).least_ms);
    least_theirs = std::min(least_theirs, bench::time_calls(1, theirs).least_ms);
  }
  return least_ours / least_theirs;
}

class check {
 public:
  explicit check(int repeats) : repeats_(repeats) {}

  template <class A, class B>
  void operator()(std::string const& name, double bound, A&& ours, B&& theirs) {
    auto const ratio = ratio_of(repeats_, ours, theirs);
    auto const is_kept = ratio <= bound;
    failures_ += is_kept ? 0 : 1;
    fmt::print("{:<58} {:>7.3f} {:>7.2f}{}\n", name, ratio, bound, is_kept ? "" : "  too slow");
  }
  auto failures() const -> int { return failures_; }

 private:
  int repeats_;
  int failures_ = 0;
};

void check_products(check& holds) {
  auto const w = bench::random_matrix(3072, 768, 1);
  auto const small = eckart::int8_rows<float>(as_view(w));
  for (eckart::index_t const rows : {1, 4, 8, 32, 128}) {
    auto const x = bench::random_matrix(rows, 768, 2);
    auto y = eckart::make_matrix<float>({rows, 3072});
    eckart::workspace<float> scratch(eckart::apply_worksize(small, rows));
    auto const ours = [&] {
      eckart::openblas{}.gemm(op::none, op::transpose, 1.0F, view(as_view(x)), view(as_view(w)),
                              0.0F, as_view(y));
    };
    auto const plain = [&] {
      eckart::openblas{}.plain_gemm(op::none, op::transpose, 1.0F, view(as_view(x)),
                                    view(as_view(w)), 0.0F, as_view(y));
    };
    holds(fmt::format("3072 x 768, {} rows: kernel over gemm", rows), rows <= 32 ? 0.9 : 1.0, ours,
          plain);
    holds(
        fmt::format("3072 x 768, {} rows: 8 bits over floats", rows), 0.9,
        [&] { eckart::apply_work(as_view(x), small, as_view(y), scratch); }, ours);
  }
}

void check_rows(check& holds) {
  auto const start = bench::random_matrix(1, 4096, 3);
  auto x = start;
  auto const span = std::span<float>(x.data(), x.size());
  holds(
      "softmax of 4096 numbers over a loop of std::exp", 0.5,
      [&] {
        std::ranges::copy(start, x.begin());
        eckart::softmax(span);
      },
      [&] {
        std::ranges::copy(start, x.begin());
        for (auto& v : span) {
          v = std::exp(v - 4.0F);
        }
      });
  holds(
      "GELU of 4096 numbers over a loop of std::erf", 0.5,
      [&] {
        std::ranges::copy(start, x.begin());
        eckart::gelu(span);
      },
      [&] {
        std::ranges::copy(start, x.begin());
        for (auto& v : span) {
          v = 0.5F * v * (1.0F + std::erf(v * 0.70710678F));
        }
      });
}

/// 512 queries and keys of 12 heads, over the products alone.
void check_attention(check& holds) {
  constexpr eckart::index_t tokens = 512;
  constexpr eckart::index_t width = 768;
  auto const qkv = bench::random_matrix(tokens, 3 * width, 4);
  auto context = eckart::make_matrix<float>({tokens, width});
  auto scores = eckart::make_matrix<float>({tokens, tokens});
  auto const layer = [] { return eckart::linear<float>(bench::random_matrix(width, width, 5)); };
  eckart::multi_head_attention<float> const attention(12, layer(), layer(), layer(), layer());
  eckart::workspace<float> scratch;
  auto const part = [&](eckart::index_t from) { return as_view(qkv).col_range(from, 64); };
  holds(
      "attention, 512 tokens, 12 heads: all over its products", 1.8,
      [&] {
        attention.attend(as_view(qkv).col_range(0, width), as_view(qkv).col_range(width, width),
                         as_view(qkv).col_range(2 * width, width), {}, as_view(context), scratch);
      },
      [&] {
        for (eckart::index_t h = 0; h < 12; ++h) {
          eckart::openblas{}.plain_gemm(op::none, op::transpose, 1.0F, view(part(64 * h)),
                                        view(part(width + 64 * h)), 0.0F, as_view(scores));
          eckart::openblas{}.plain_gemm(op::none, op::none, 1.0F, view(as_view(scores)),
                                        view(part(2 * width + 64 * h)), 0.0F,
                                        as_view(context).col_range(64 * h, 64));
        }
      });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Ratios of times that must hold: exit code 1 where one is above its bound");
  int repeats = 20;
  app.add_option("--repeats", repeats, "timed calls, of which the least counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  bench::prepare(1);
  if (eckart::detail::processor_level() < eckart::simd_level::avx2) {
    return 77;
  }
  fmt::print("{:<58} {:>7} {:>7}\n", "", "ratio", "bound");
  check holds(repeats);
  check_products(holds);
  check_rows(holds);
  check_attention(holds);
  return holds.failures() == 0 ? 0 : 1;
}
