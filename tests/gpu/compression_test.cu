#include "eckart/gpu/device_engine.hpp"
#include "eckart/models/bart/load.hpp"
#include "eckart/models/compress_sequentially.hpp"
#include "eckart/models/fold_bart.hpp"
#include "eckart/models/gather_moments.hpp"

#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

using namespace eckart;

namespace {

/// The summarizer and the 12 dialogues with what it writes of them.
struct calibrated {
  bart<float> model = bart<float>::load(golden::embedded_model());
  calibration_tokens data;

  calibrated() {
    fold(model);
    auto const json = read_json(golden::directory() / "summarizer.json");
    for (auto const& one : json["cases"]) {
      auto const written = one["beam4_ids"].get<golden::ids>();
      data.add(model.config(), one["input_ids"].get<golden::ids>(),
               std::span(written).first(written.size() - 1));
    }
  }
};

auto size_of(matrix<double> const& a) -> double {
  double sum = 0;
  for (auto const x : a) {
    sum += x * x;
  }
  return std::sqrt(sum);
}

/// How far a relative loss by one engine may be from that by another: what the products and the
/// decomposition of P W C W^T P^T round, n eps |P W|² |C|, over the energy, its trace.
auto loss_bound(matrix<float> const& weight, matrix<double> const& c, output_metric const& metric)
    -> double {
  auto wide = make_matrix<double>(as_view(weight).shape());
  std::copy(weight.begin(), weight.end(), wide.begin());
  auto const shape = as_view(wide).shape();
  auto const pw = detail::metric_root(metric, shape.rows).times(std::move(wide));
  auto const energy_matrix = matmul(pw, c);
  double energy = 0;
  for (std::size_t i = 0; i < pw.size(); ++i) {
    energy += pw.data()[i] * energy_matrix.data()[i];
  }
  auto const n = static_cast<double>(shape.rows + shape.cols);
  auto const size = size_of(pw);
  return 20 * n * std::numeric_limits<double>::epsilon() * size * size * size_of(c) / energy;
}

}  // namespace

TEST_CASE("moments whose products are a device's are the host's") {
  cublas const backend;
  calibrated const c;
  auto const host = gather_moments(c.model, c.data);
  auto const device = gather_moments(c.model, c.data, {}, device_engine(backend));
  REQUIRE(device.size() == host.size());
  for (auto const& [site, moments] : host) {
    CAPTURE(site);
    auto const& other = device.at(site);
    CHECK(other.count() == moments.count());
    CHECK(other.mean() == moments.mean());
    auto const a = moments.covariance();
    auto const b = other.covariance();
    // Up to 2048 products are added in float: by Cauchy and Schwarz those of i and j.
    auto const sum = 2 * 2049 * static_cast<double>(std::numeric_limits<float>::epsilon());
    double worst = 0;
    for (index_t i = 0; i < as_view(a).rows; ++i) {
      for (index_t j = 0; j < as_view(a).cols; ++j) {
        auto const bound = sum * std::sqrt(a(i, i) * a(j, j));
        worst = std::max(worst, std::abs(a(i, j) - b(i, j)) - bound);
      }
    }
    CHECK(worst <= 0);
  }
}

TEST_CASE("a device fits every layer as the host does, and the plan of a budget is the same") {
  cublas const backend;
  calibrated const c;
  auto const moments = gather_moments(c.model, c.data);
  bart_fit_options options;
  options.metrics = bart_metrics(c.model, moments);
  auto const fitted = [&](auto const& engine) {
    auto bases = fit_layers(c.model, moments, linear_targets(), options, {}, engine);
    fit_joint_layers(c.model, moments, bases, options.fit, engine);
    return bases;
  };
  auto const host = fitted(host_engine());
  auto const device = fitted(device_engine(backend));
  REQUIRE(device.layers.size() == host.layers.size());
  auto const layers = bart_layers(c.model);
  for (auto const& site : bart_sites(c.model.config())) {
    auto const covariance = moments.at(site.name).covariance();
    for (auto const& name : site.members) {
      auto const found = host.layers.find(name);
      if (found == host.layers.end()) {
        continue;
      }
      CAPTURE(name);
      auto const& losses = found->second.losses;
      auto const& others = device.layers.at(name).losses;
      auto const weight = detail::layer_named(layers, name).dense_weight();
      auto const bound = loss_bound(weight, covariance, detail::metric_of(options.metrics, name));
      REQUIRE(others.size() == losses.size());
      double furthest = 0;
      for (std::size_t i = 0; i < losses.size(); ++i) {
        furthest = std::max(furthest, std::abs(losses(i) - others(i)));
      }
      CHECK(furthest <= bound);
    }
  }
  auto const cost = parameter_cost(shares_output_table(c.model));
  auto const budget = dense_cost(host, cost) / 2;
  auto const plan = [&](bart_bases<float> const& bases) {
    return plan_layers(c.model.config(), bases, budget,
                       {{form::two_factor, form::pivoted}, 8, cost});
  };
  auto const a = plan(host);
  auto const b = plan(device);
  REQUIRE(a.layers.size() == b.layers.size());
  for (std::size_t i = 0; i < a.layers.size(); ++i) {
    CAPTURE(a.layers[i].name);
    CHECK(b.layers[i].name == a.layers[i].name);
    CHECK(b.layers[i].stored_as == a.layers[i].stored_as);
    CHECK(b.layers[i].rank == a.layers[i].rank);
  }
}

TEST_CASE("the first layers of a sequential pass on a device are the host's") {
  cublas const backend;
  calibrated const c;
  auto const moments = gather_moments(c.model, c.data);
  target_list const first{"encoder.layers.0.self_attn.q_proj"};
  auto const bases = fit_layers(c.model, moments, first);
  auto const plan =
      uniform_plan(c.model.config(), bases, form::two_factor, [](shape2) { return index_t{64}; });
  auto const fitted = [&](auto const& engine) {
    matrix<float> weight;
    sequential_options<float> options;
    options.keep = [&](std::string const&, linear<float> const& layer) {
      weight = layer.dense_weight();
    };
    compress_sequentially(c.model, c.data, bases, plan, options, {}, engine);
    return weight;
  };
  auto const a = fitted(host_engine());
  auto const b = fitted(device_engine(backend));
  // Each is the best layer of its rank for moments that are off by d sqrt(c_ii c_jj), d = 2049 eps:
  // what it loses there is a quadratic form of (W, W'), off by d tr(C) (|W| + |W'|)². So neither
  // loses more than the other by twice that.
  auto const& inputs = moments.at("model.encoder.layers.0.self_attn.qkv_proj");
  auto const covariance = inputs.covariance();
  auto const variance = detail::trace(covariance);
  auto const w = detail::layer_named(bart_layers(c.model), plan.layers.front().name).dense_weight();
  auto const lost = [&](matrix<float> const& other) {
    auto e = make_matrix<double>(as_view(w).shape());
    for (std::size_t i = 0; i < e.size(); ++i) {
      e.data()[i] = static_cast<double>(w.data()[i]) - static_cast<double>(other.data()[i]);
    }
    auto const ec = matmul(e, covariance);
    auto const ridge =
        sequential_options<float>().ridge * variance / static_cast<double>(as_view(w).cols);
    double sum = 0;
    for (std::size_t i = 0; i < e.size(); ++i) {
      auto const x = static_cast<double>(other.data()[i]);
      sum += e.data()[i] * ec.data()[i] + ridge * x * x;
    }
    return sum;
  };
  auto const sizes = frobenius_norm(w) + std::max(frobenius_norm(a), frobenius_norm(b));
  auto const d = 2049 * static_cast<double>(std::numeric_limits<float>::epsilon());
  CHECK(std::abs(lost(a) - lost(b)) <= 2 * d * variance * sizes * sizes);
  auto nothing = make_matrix<float>(as_view(w).shape());
  nothing.fill(0);
  CHECK(lost(b) < lost(nothing));
}
