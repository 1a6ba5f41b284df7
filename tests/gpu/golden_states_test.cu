#include "eckart/models/bart/load.hpp"

#include "gpu/device_fixture.cuh"
#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <string>
#include <vector>

using namespace eckart;

namespace {

constexpr double layer_bound = 1e-5;  // as on the host, tests/golden/hidden_states_test.cpp

using states = std::vector<std::vector<double>>;

/// Encoder layers, decoder layers, logits: the order of the golden files.
auto run(std::string const& name, nlohmann::json const& json, cublas const& backend) -> states {
  device_bart<float> const model(bart<float>::load(golden::directory() / name), backend);
  auto const lengths = golden::lengths(json["attention_mask"]);
  auto const targets = golden::flat(json["decoder_input_ids"]);
  auto const rows = lengths.size();
  auto const steps = targets.size() / rows;
  fixture::fed_model<float> fed(model, golden::flat(json["input_ids"]), lengths,
                                static_cast<index_t>(steps + 1));
  states result;
  fed.encode([&](index_t, device_view<float> x) {
    result.push_back(fixture::entries(x, backend.stream()));
  });
  // Layers of the decoder step by step, which the files have row by row.
  auto const layers = static_cast<std::size_t>(model.config().decoder_layers) + 1;
  std::vector<states> of_step(layers + 1, states(steps));
  for (std::size_t t = 0; t < steps; ++t) {
    golden::ids now;
    for (std::size_t r = 0; r < rows; ++r) {
      now.push_back(targets[r * steps + t]);
    }
    of_step[layers][t] =
        fed.step(now, static_cast<int>(t), [&](index_t layer, device_view<float> x) {
          of_step[static_cast<std::size_t>(layer)][t] = fixture::entries(x, backend.stream());
        });
  }
  for (auto const& layer : of_step) {
    auto& all = result.emplace_back();
    auto const width = layer.front().size() / rows;
    for (std::size_t r = 0; r < rows; ++r) {
      for (auto const& step : layer) {
        auto const first = step.begin() + static_cast<std::ptrdiff_t>(r * width);
        all.insert(all.end(), first, first + static_cast<std::ptrdiff_t>(width));
      }
    }
  }
  return result;
}

auto in_order(nlohmann::json const& json) -> states {
  auto result = json["encoder_hidden_states"].get<states>();
  for (auto& layer : json["decoder_hidden_states"].get<states>()) {
    result.push_back(layer);
  }
  result.push_back(json["logits"].get<std::vector<double>>());
  return result;
}

auto norm(std::vector<double> const& x, std::size_t first, std::size_t count) -> double {
  double sum = 0;
  for (std::size_t i = first; i < first + count; ++i) {
    sum += x[i] * x[i];
  }
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("in float every layer and the logits are Hugging Face's, as exactly as on the host") {
  cublas const backend;
  for (std::string const name : golden::tiny_models) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "golden.json");
    auto const got = run(name, json, backend);
    auto const want = in_order(json);
    auto const exact = in_order(read_json(golden::directory() / name / "golden_double.json"));
    REQUIRE(got.size() == want.size());
    for (std::size_t layer = 0; layer < got.size(); ++layer) {
      CAPTURE(layer);
      auto const own = golden::compare(want[layer], exact[layer]);
      auto const d = golden::compare(got[layer], want[layer]);
      CHECK(d.error <= std::max(layer_bound * d.largest, 3 * own.error));
    }
  }
}

TEST_CASE_TEMPLATE("the summarizer's logits along greedy texts are Hugging Face's", T, float, half,
                   bfloat16) {
  // In 16 bits: weights, inputs, what is between two products and results are rounded, each by a
  // relative u, in every sub-layer on the way to a logit (2 a layer of the encoder, 3 of the
  // decoder, 2 embeddings), whose sum a LayerNorm brings back to the size of its input. So the last
  // state h is off by no more than 4 u a sub-layer of its norm if they all point the same way, and
  // a logit <h, e> by that times |h| |e|, by Cauchy and Schwarz.
  cublas const backend;
  auto const json = read_json(golden::directory() / "summarizer.json");
  auto const host = bart<float>::load(golden::embedded_model());
  device_bart<T> const model(host, backend);
  auto const& c = host.config();
  double const u = std::same_as<T, half> ? std::ldexp(1.0, -11) : std::ldexp(1.0, -8);
  auto const roundings = static_cast<double>(4 * (2 * c.encoder_layers + 3 * c.decoder_layers + 2));
  double largest_error = 0;
  double least_room = INFINITY;
  for (auto const& one : json["cases"]) {
    CAPTURE(one["id"].get<std::string>());
    auto const ids = one["input_ids"].get<golden::ids>();
    auto greedy = one["greedy_ids"].get<golden::ids>();
    greedy.pop_back();
    fixture::fed_model<T> fed(model, ids, {static_cast<index_t>(ids.size())},
                              static_cast<index_t>(greedy.size() + 1));
    fed.encode();
    for (std::size_t t = 0; t < greedy.size(); ++t) {
      std::vector<double> state;
      auto const logits = fed.step(std::span(greedy).subspan(t, 1), static_cast<int>(t),
                                   [&](index_t layer, device_view<T> x) {
                                     if (layer == c.decoder_layers) {
                                       state = fixture::entries(x, backend.stream());
                                     }
                                   });
      auto const best = one["greedy_top5_ids"][t].get<golden::ids>();
      auto const values = one["greedy_top5_logits"][t].get<std::vector<double>>();
      for (std::size_t i = 0; i < best.size(); ++i) {
        auto const row = host.output_table().row(best[i]);
        std::vector<double> const e(row.begin(), row.end());
        auto const bound = std::same_as<T, float> ? 2e-4  // the host's
                                                  : roundings * u * norm(state, 0, state.size()) *
                                                        norm(e, 0, e.size());
        auto const off = std::abs(logits[static_cast<std::size_t>(best[i])] - values[i]);
        largest_error = std::max(largest_error, off);
        least_room = std::min(least_room, bound / std::max(off, 1e-300));
        CHECK(off <= bound);
      }
    }
  }
  std::cout << "logits in " << sizeof(T) << " bytes: off by " << largest_error
            << " at most, the bound is " << least_room << " times that or more\n";
}
