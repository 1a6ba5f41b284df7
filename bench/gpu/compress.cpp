// The decompositions that compress a BART, layer by layer, by the engine of the host and by that of
// a GPU: plain SVD of the weights in float, and fits to moments in double. Writes a line of JSON
// for each kind of layer; compress.py puts them beside torch.linalg.svd.
#include <eckart/compress/whiten.hpp>
#include <eckart/gpu/device_engine.hpp>
#include <eckart/io/json.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <random>
#include <string>
#include <vector>

namespace {

using eckart::index_t;
using eckart::matrix;
using eckart::shape2;

/// Linear layers that are fitted alike.
struct layer_kind {
  std::string name;
  shape2 shape;
  index_t metric_block;  ///< order of the blocks of the output's metric; 0: none
  int layers;            ///< in encoder and decoder together
};

/// All linear layers of a BART of this width and so many hidden units.
auto kinds_of(index_t width, index_t hidden, int encoder_layers, int decoder_layers)
    -> std::vector<layer_kind> {
  constexpr index_t head = 64;
  auto const attentions = encoder_layers + 2 * decoder_layers;
  auto const layers = encoder_layers + decoder_layers;
  return {{"q_proj, k_proj", {width, width}, head, 2 * attentions},
          {"v_proj", {width, width}, width, attentions},
          {"out_proj", {width, width}, 0, attentions},
          {"fc1", {hidden, width}, hidden, layers},
          {"fc2", {width, hidden}, 0, layers}};
}

template <class T>
auto random_matrix(shape2 shape, unsigned seed) -> matrix<T> {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, 0.02);
  auto result = eckart::make_matrix<T>(shape);
  std::ranges::generate(result, [&] { return static_cast<T>(normal(generator)); });
  return result;
}

/// x^T x / rows of inputs whose directions count less and less.
auto covariance(index_t n) -> matrix<double> {
  auto const rows = 2 * n;
  auto x = random_matrix<double>({rows, n}, 2);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < n; ++j) {
      x(i, j) /= std::sqrt(1.0 + static_cast<double>(j));
    }
  }
  return eckart::matmul(eckart::op::transpose, x, eckart::op::none, x);
}

auto metric(layer_kind const& kind) -> eckart::output_metric {
  eckart::output_metric result;
  if (kind.metric_block > 0) {
    auto const block = covariance(kind.metric_block);
    for (index_t first = 0; first < kind.shape.rows; first += kind.metric_block) {
      result.blocks.push_back(block);
    }
  }
  return result;
}

/// Seconds of a call, the mean of so many after one that is not counted where `warm`.
template <class F>
auto seconds(int times, bool warm, F f) -> double {
  if (warm) {
    f();
  }
  auto const start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) {
    f();
  }
  std::chrono::duration<double> const all = std::chrono::steady_clock::now() - start;
  return all.count() / times;
}

/// Seconds a layer of both kinds of decomposition.
template <class Engine>
auto measure(layer_kind const& kind, Engine const& engine, int times, bool warm)
    -> nlohmann::ordered_json {
  auto const w = random_matrix<float>(kind.shape, 1);
  auto const wide = random_matrix<double>(kind.shape, 1);
  auto const c = covariance(kind.shape.cols);
  auto const m = metric(kind);
  return {{"svd", seconds(times, warm, [&] { engine.decompose(w); })},
          {"fit", seconds(times, warm, [&] { engine.factors(wide, c, m); })}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Decompositions of a BART's linear layers on the host and on a GPU");
  std::string shape = "bart-large";
  int host_layers = 0;
  int device = 0;
  app.add_option("--shape", shape, "bart-large (1024 wide) or summarizer (384 wide)")
      ->check(CLI::IsMember({"bart-large", "summarizer"}));
  app.add_option(
      "--host-layers", host_layers,
      "of each kind to measure on the host, all of which take alike; 0: all, -1: none. The GPU "
      "has all");
  app.add_option("--device", device, "number of the GPU");
  CLI11_PARSE(app, argc, argv);
  try {
    eckart::cublas const backend({.device = device});
    eckart::device_engine const gpu(backend);
    for (auto const& kind :
         shape == "bart-large" ? kinds_of(1024, 4096, 12, 12) : kinds_of(384, 1536, 6, 4)) {
      nlohmann::ordered_json line{{"kind", kind.name},
                                  {"rows", kind.shape.rows},
                                  {"cols", kind.shape.cols},
                                  {"layers", kind.layers}};
      line["device"] = measure(kind, gpu, kind.layers, true);
      if (host_layers >= 0) {
        auto const times = host_layers == 0 ? kind.layers : std::min(host_layers, kind.layers);
        line["host"] = measure(kind, eckart::host_engine(), times, false);
      }
      std::cout << line.dump() << std::endl;
    }
  } catch (std::exception const& e) {
    std::cerr << "compress: " << e.what() << '\n';
    return 1;
  }
}
