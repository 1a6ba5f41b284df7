// Products on a GPU: y = x W^T dense, in two factors and pivoted; how long, against what FLOPs
// predict from the dense product's own time, and from which rank on factors are no faster.
// With --serve a program that products.py asks, in turns with PyTorch.
#include "gpu/product_pass.hpp"

#include <eckart/factor/break_even.hpp>
#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>

namespace {

using bench::product;
using eckart::form;
using eckart::index_t;
using eckart::shape2;

struct engine {
  eckart::cublas backend;
  bench::number_source<float> singles{backend};
  bench::number_source<eckart::half> halves{backend};

  auto pass(std::string const& number, product const& p) -> std::unique_ptr<bench::product_pass> {
    return number == "fp32" ? bench::make_pass(p, backend, singles)
                            : bench::make_pass(p, backend, halves);
  }
};

auto median(std::vector<double> values) -> double {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

auto description(engine const& gpu) -> std::string {
  cudaDeviceProp device{};
  int version = 0;
  eckart::check_cuda(cudaGetDeviceProperties(&device, gpu.backend.device()),
                     "cudaGetDeviceProperties");
  eckart::check_cublas(cublasGetVersion(gpu.backend.handle(), &version), "cublasGetVersion");
  return fmt::format("{}, cuBLAS {}", static_cast<char const*>(device.name), version);
}

auto form_of(std::string const& name) -> form {
  for (auto const f : {form::dense, form::two_factor, form::pivoted}) {
    if (name == eckart::name_of(f)) {
      return f;
    }
  }
  throw eckart::shape_error("no form " + name + " here");
}

/// One line of input, one line of output:
///   product NUMBER FORM OUTPUTS INPUTS RANK ROWS   ->  COPIES, and this is the product from now on
///   layer NUMBER FORM OUTPUTS INPUTS RANK ROWS     ->  the same with bias and GELU
///   time                                           ->  microseconds
void serve(engine& gpu) {
  std::unique_ptr<bench::product_pass> pass;
  fmt::print("{}\n", description(gpu));
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command != "time") {
      std::string number;
      std::string name;
      product p;
      words >> number >> name >> p.w.rows >> p.w.cols >> p.rank >> p.rows;
      p.stored_as = form_of(name);
      p.layer = command == "layer";
      pass.reset();
      pass = gpu.pass(number, p);
      fmt::print("{}\n", pass->copies());
    } else {
      fmt::print("{}\n", pass->microseconds());
    }
    std::fflush(stdout);
  }
}

struct measurement {
  index_t rank = 0;
  double ratio = 0;  ///< to the dense product
};

/// Where the ratio crosses 1, interpolated between ranks; nothing if it does not, or has done so
/// below the least rank.
auto crossing(std::vector<measurement> const& measured) -> std::optional<double> {
  for (std::size_t i = 1; i < measured.size(); ++i) {
    auto const& before = measured[i - 1];
    auto const& m = measured[i];
    if (before.ratio < 1 && m.ratio >= 1) {
      auto const step = static_cast<double>(m.rank - before.rank);
      return static_cast<double>(before.rank) +
             step * (1 - before.ratio) / (m.ratio - before.ratio);
    }
  }
  return std::nullopt;
}

/// The crossing in words.
auto described(std::vector<measurement> const& measured) -> std::string {
  if (measured.empty()) {
    return "none";
  }
  if (auto const at = crossing(measured)) {
    return fmt::format("{:.0f}", *at);
  }
  return measured.front().ratio < 1 ? fmt::format("> {}", measured.back().rank)
                                    : fmt::format("< {}", measured.front().rank);
}

struct grid {
  std::vector<std::string> numbers{"fp16", "fp32"};
  std::vector<index_t> row_counts{1, 8, 64, 512, 2048, 8192};
  std::vector<index_t> ranks{64,  128, 192, 256, 320, 384,  448,  512,
                             576, 640, 704, 768, 896, 1024, 1536, 2048};
  std::array<shape2, 4> shapes{shape2{768, 768}, shape2{1024, 1024}, shape2{3072, 768},
                               shape2{4096, 4096}};
  int repeats = 5;
};

/// All ranks of a form beside the dense product, pass by pass in turns.
void measure_form(engine& gpu, grid const& g, std::string const& number, form f, shape2 w,
                  index_t rows, bench::product_pass& dense, nlohmann::json& results) {
  std::vector<measurement> measured;
  for (auto const k : g.ranks) {
    if (k >= std::min(w.rows, w.cols)) {
      break;
    }
    auto const pass = gpu.pass(number, {f, w, k, rows});
    dense.microseconds();
    pass->microseconds();
    std::vector<double> times;
    std::vector<double> ratios;
    for (int i = 0; i < g.repeats; ++i) {
      auto const of_dense = dense.microseconds();
      times.push_back(pass->microseconds());
      ratios.push_back(times.back() / of_dense);
    }
    auto const predicted = static_cast<double>(eckart::cost::flops(f, w, k, rows)) /
                           static_cast<double>(eckart::cost::flops(form::dense, w, 0, rows));
    measured.push_back({k, median(ratios)});
    results["measured"].push_back({{"number", number},
                                   {"outputs", w.rows},
                                   {"inputs", w.cols},
                                   {"rows", rows},
                                   {"form", eckart::name_of(f)},
                                   {"rank", k},
                                   {"microseconds", median(times)},
                                   {"ratio", median(ratios)},
                                   {"predicted", predicted}});
  }
  auto const formula = eckart::break_even(w)[f].matrix_matrix;
  fmt::print("{} {:>12} {:>5} {:>11}  {:>8}  {:>7}\n", number,
             fmt::format("{} x {}", w.rows, w.cols), rows, eckart::name_of(f), described(measured),
             formula);
  results["break_even"].push_back({{"number", number},
                                   {"outputs", w.rows},
                                   {"inputs", w.cols},
                                   {"rows", rows},
                                   {"form", eckart::name_of(f)},
                                   {"measured", described(measured)},
                                   {"formula", formula}});
}

auto measure(engine& gpu, grid const& g) -> nlohmann::json {
  nlohmann::json results{{"device", description(gpu)},
                         {"dense", nlohmann::json::array()},
                         {"measured", nlohmann::json::array()},
                         {"break_even", nlohmann::json::array()}};
  fmt::print("break-even rank of     W  rows        form  measured  formula\n");
  for (auto const& number : g.numbers) {
    for (auto const w : g.shapes) {
      for (auto const rows : g.row_counts) {
        auto const dense = gpu.pass(number, {form::dense, w, 0, rows});
        for (auto const f : {form::two_factor, form::pivoted}) {
          measure_form(gpu, g, number, f, w, rows, *dense, results);
        }
        auto const us = dense->microseconds();
        auto const flops = static_cast<double>(eckart::cost::flops(form::dense, w, 0, rows));
        results["dense"].push_back({{"number", number},
                                    {"outputs", w.rows},
                                    {"inputs", w.cols},
                                    {"rows", rows},
                                    {"microseconds", us},
                                    {"teraflops", flops / us / 1e6}});
        std::fflush(stdout);
      }
    }
  }
  return results;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("y = x W^T on a GPU, dense and in factors: times, ratios, break-even ranks");
  bool serving = false;
  std::string json;
  grid g;
  app.add_flag("--serve", serving, "wait for requests on standard input");
  app.add_option("--json", json, "write everything to this file");
  app.add_option("--numbers", g.numbers, "fp16, fp32")->check(CLI::IsMember({"fp16", "fp32"}));
  app.add_option("--rows", g.row_counts, "rows of x")->check(CLI::PositiveNumber);
  app.add_option("--ranks", g.ranks, "ranks of the factors")->check(CLI::PositiveNumber);
  app.add_option("--repeats", g.repeats, "timed passes of each, in turns")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    engine gpu;
    if (serving) {
      serve(gpu);
      return 0;
    }
    auto const results = measure(gpu, g);
    if (!json.empty()) {
      eckart::write_atomically(json, [&](std::ostream& out) { out << results.dump(1) << '\n'; });
    }
  } catch (eckart::error const& e) {
    fmt::print(stderr, "bench_gpu_products: {}\n", e.what());
    return 2;
  }
}
