// From which rank on factors are no faster than the matrix: y = x W^T dense, in two factors and
// pivoted, against what their bytes and FLOPs predict from the dense product's own time.
#include "support/machine.hpp"

#include <eckart/factor/apply.hpp>
#include <eckart/factor/break_even.hpp>
#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>
#include <eckart/nn/linear.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cstdio>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace {

using eckart::form;
using eckart::index_t;
using eckart::shape2;

constexpr std::array forms{form::two_factor, form::pivoted};

/// Cheap numbers around 0; how long a product takes does not depend on them.
auto numbers(index_t rows, index_t cols) -> eckart::matrix<float> {
  auto result = eckart::make_matrix<float>({rows, cols});
  std::uint32_t state = 12345;
  for (auto& x : result) {
    state = state * 1664525U + 1013904223U;
    x = static_cast<float>(state >> 8U) * 0x1p-26F - 0.125F;
  }
  return result;
}

auto layer_of(form f, shape2 w, index_t k) -> eckart::linear<float> {
  if (f == form::dense) {
    return eckart::linear<float>(numbers(w.rows, w.cols));
  }
  if (f == form::two_factor) {
    return eckart::linear<float>(
        eckart::low_rank<float, eckart::two_factor>(numbers(w.rows, k), numbers(k, w.cols)));
  }
  // Kept rows all over the matrix, as pivots are.
  std::vector<index_t> rows(static_cast<std::size_t>(w.rows));
  std::iota(rows.begin(), rows.end(), index_t{0});
  std::ranges::shuffle(rows, std::minstd_rand(7));
  return eckart::linear<float>(eckart::low_rank<float, eckart::pivoted>(
      numbers(k, w.cols), numbers(w.rows - k, k), std::move(rows)));
}

/// Numbers that no cache holds: half as many again as the last one, which on a server may have
/// hundreds of megabytes.
auto more_than_cached() -> index_t {
  auto const cache = static_cast<index_t>(sysconf(_SC_LEVEL3_CACHE_SIZE));
  return std::max<index_t>(24 << 20, cache * 3 / 2 / static_cast<index_t>(sizeof(float)));
}

/// Copies of a layer, used in turn: for few rows more than the caches hold, so that each product
/// reads its weights from memory, as in a model.
class rotation {
 public:
  rotation(form f, shape2 w, index_t k, index_t rows)
      : x_(numbers(rows, w.cols)), y_(eckart::make_matrix<float>({rows, w.rows})) {
    constexpr index_t cached = 1 << 20;  // numbers
    auto const size = static_cast<index_t>(eckart::cost::parameters(f, w, k));
    auto const copies = std::max<index_t>(1, (rows <= 16 ? more_than_cached() : cached) / size);
    rounds_ = std::max<index_t>(1, 2048 / (rows * copies));
    for (index_t i = 0; i < copies; ++i) {
      layers_.push_back(i == 0 ? layer_of(f, w, k) : layers_.front());
    }
    scratch_.reserve(layers_.front().worksize(rows));
  }

  /// Milliseconds of one product, the mean of a pass over the copies, long enough to be timed.
  auto pass() -> double {
    auto const start = std::chrono::steady_clock::now();
    for (index_t round = 0; round < rounds_; ++round) {
      for (auto const& layer : layers_) {
        layer(eckart::as_view(std::as_const(x_)), eckart::as_view(y_), scratch_);
      }
    }
    std::chrono::duration<double, std::milli> const elapsed =
        std::chrono::steady_clock::now() - start;
    return elapsed.count() / (static_cast<double>(rounds_) * static_cast<double>(layers_.size()));
  }

 private:
  std::vector<eckart::linear<float>> layers_;
  index_t rounds_ = 1;
  eckart::matrix<float> x_;
  eckart::matrix<float> y_;
  eckart::workspace<float> scratch_;
};

auto median(std::vector<double> values) -> double {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct measurement {
  index_t rank;
  double ms;         ///< dense ms times ratio
  double ratio;      ///< to the dense product: the median over pairs of passes
  double predicted;  ///< ratio
};

/// The ratio that FLOPs predict from the dense product. Bytes of weights predict the same: each
/// number is one multiply-add a row.
auto predicted_ratio(form f, shape2 w, index_t k, index_t rows) -> double {
  return static_cast<double>(eckart::cost::flops(f, w, k, rows)) /
         static_cast<double>(eckart::cost::flops(form::dense, w, 0, rows));
}

/// Where the measured ratio crosses 1, interpolated between ranks; nothing if it does not.
auto crossing(std::vector<measurement> const& measured) -> std::optional<double> {
  measurement before{0, 0, 0, 0};
  for (auto const& m : measured) {
    if (m.ratio >= 1) {
      auto const step = static_cast<double>(m.rank - before.rank);
      return static_cast<double>(before.rank) +
             step * (1 - before.ratio) / (m.ratio - before.ratio);
    }
    before = m;
  }
  return std::nullopt;
}

void write_json(std::string const& file, nlohmann::json const& content) {
  if (!file.empty()) {
    eckart::write_atomically(file, [&](std::ostream& out) { out << content.dump(1) << '\n'; });
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "y = x W^T dense and in factors: milliseconds, ratio to dense, ratio that bytes and FLOPs "
      "predict, measured over predicted, and the rank from which on factors are slower");
  int threads = 0;
  int repeats = 7;
  index_t step = 64;
  std::vector<index_t> row_counts{1, 4, 16, 128, 512};
  std::vector<index_t> only;
  std::string json;
  std::string latency_table;
  app.add_option("--threads", threads, "threads (default: all)")->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats, "timed passes of each rank, in turns with dense ones")
      ->check(CLI::PositiveNumber);
  app.add_option("--rank-step", step, "distance of the ranks")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--rows", row_counts, "rows of x")->check(CLI::PositiveNumber);
  app.add_option("--shape", only, "outputs and inputs of each W (default: five shapes)")
      ->type_size(2)
      ->allow_extra_args()
      ->check(CLI::PositiveNumber);
  app.add_option("--json", json, "write everything to this file");
  app.add_option("--latency-table", latency_table,
                 "write microseconds of each shape, form, rank and rows to this file");
  CLI11_PARSE(app, argc, argv);
  auto const limits = bench::prepare(threads);
  auto const blas = eckart::blas_info();
  std::vector<shape2> shapes{{384, 384}, {768, 768}, {1024, 1024}, {3072, 768}, {768, 3072}};
  if (!only.empty()) {
    shapes.clear();
    for (std::size_t i = 0; i + 1 < only.size(); i += 2) {
      shapes.push_back({only[i], only[i + 1]});
    }
  }
  nlohmann::json const machine{{"threads", blas.threads},
                               {"blas", blas.version + " " + blas.core},
                               {"gflops", limits.gflops},
                               {"gigabytes", limits.gigabytes}};
  nlohmann::json results{{"machine", machine},
                         {"measured", nlohmann::json::array()},
                         {"break_even", nlohmann::json::array()}};
  nlohmann::json table{
      {"eckart_latency_table", 1}, {"threads", blas.threads}, {"entries", nlohmann::json::array()}};
  fmt::print("{:>12} {:>5} {:>11} {:>5} {:>10} {:>7} {:>10} {:>9}\n", "W", "rows", "form", "rank",
             "ms", "ratio", "predicted", "m/p");
  for (auto const shape : shapes) {
    auto const name = fmt::format("{} x {}", shape.rows, shape.cols);
    auto const formula = eckart::break_even(shape);
    for (auto const rows : row_counts) {
      rotation dense(form::dense, shape, 0, rows);
      std::vector<double> all_dense_ms;
      auto const entry = [&](form f, index_t k, double ms) {
        table["entries"].push_back({{"shape", {shape.rows, shape.cols}},
                                    {"form", eckart::name_of(f)},
                                    {"rank", k},
                                    {"rows", rows},
                                    {"microseconds", 1e3 * ms}});
      };
      for (auto const f : forms) {
        std::vector<measurement> measured;
        auto const most = std::min({shape.rows, shape.cols, index_t{512}});
        for (index_t k = std::min(step, most); k <= most; k += step) {
          rotation factors(f, shape, k, rows);
          dense.pass();
          factors.pass();
          std::vector<double> dense_ms;
          std::vector<double> ratios;
          for (int i = 0; i < repeats; ++i) {
            dense_ms.push_back(dense.pass());
            ratios.push_back(factors.pass() / dense_ms.back());
          }
          auto const of_dense = median(dense_ms);
          auto const ratio = median(ratios);
          auto const predicted = predicted_ratio(f, shape, k, rows);
          all_dense_ms.push_back(of_dense);
          measured.push_back({k, ratio * of_dense, ratio, predicted});
          fmt::print("{:>12} {:>5} {:>11} {:>5} {:>10.4f} {:>7.2f} {:>10.2f} {:>9.2f}\n", name,
                     rows, eckart::name_of(f), k, ratio * of_dense, ratio, predicted,
                     ratio / predicted);
          results["measured"].push_back({{"outputs", shape.rows},
                                         {"inputs", shape.cols},
                                         {"rows", rows},
                                         {"form", eckart::name_of(f)},
                                         {"rank", k},
                                         {"ms", ratio * of_dense},
                                         {"dense_ms", of_dense},
                                         {"ratio", ratio},
                                         {"predicted", predicted}});
          entry(f, k, ratio * of_dense);
        }
        auto const at = crossing(measured);
        auto const by_formula = formula[f].matrix_matrix;
        fmt::print("{:>12} {:>5} {:>11} dense {:.4f} ms, break-even rank measured {}, formula {}\n",
                   name, rows, eckart::name_of(f), median(all_dense_ms),
                   at ? fmt::format("{:.0f}", *at) : fmt::format("> {}", measured.back().rank),
                   by_formula);
        results["break_even"].push_back(
            {{"outputs", shape.rows},
             {"inputs", shape.cols},
             {"rows", rows},
             {"form", eckart::name_of(f)},
             {"measured", at ? nlohmann::json(*at) : nlohmann::json(nullptr)},
             {"formula", by_formula}});
      }
      entry(form::dense, std::min(shape.rows, shape.cols), median(all_dense_ms));
      std::fflush(stdout);
    }
  }
  write_json(json, results);
  write_json(latency_table, table);
}
