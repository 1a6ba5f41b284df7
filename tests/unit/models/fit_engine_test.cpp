#include "eckart/models/compress_sequentially.hpp"

#include "support/counted_engine.hpp"
#include "unit/models/calibrated_model.hpp"

#include <doctest/doctest.h>

using namespace eckart;
using calibration_test::calibrated;
using support::counted_engine;

TEST_CASE("moments, fits, joint fits and the sequential pass of a model are the given engine's") {
  calibrated<float> const c;
  counted_engine::counts seen;
  counted_engine const engine(seen);
  auto const sites = static_cast<int>(bart_sites(c.model.config()).size());

  auto const moments = gather_moments(c.model, c.data.tokens, {}, engine);
  CHECK(seen.grams >= sites);
  for (auto const& [site, one] : c.moments) {
    CHECK(moments.at(site).covariance() == one.covariance());
  }

  auto bases = fit_layers(c.model, c.moments, c.targets, {}, {}, engine);
  CHECK(seen.factors == static_cast<int>(bases.layers.size()));
  auto const own = c.bases();
  for (auto const& [name, basis] : own.layers) {
    CHECK(bases.layers.at(name).losses == basis.losses);
    CHECK(bases.layers.at(name).left == basis.left);
  }
  bart_fit_options plain;
  plain.whitened = false;
  fit_layers(c.model, c.moments, c.targets, plain, {}, engine);
  CHECK(seen.decompositions == static_cast<int>(bases.layers.size()));

  auto const before = seen;
  auto const layers = bases.layers.size();
  fit_joint_layers(c.model, c.moments, bases, {}, engine);
  CHECK(seen.factors - before.factors == static_cast<int>(bases.layers.size() - layers));
  CHECK(seen.factors > before.factors);

  auto const plan =
      uniform_plan(c.model.config(), own, form::two_factor, [](shape2) { return index_t{4}; });
  auto const fitted = compress_sequentially(c.model, c.data.tokens, own, plan, {}, {}, engine);
  CHECK(seen.solutions == static_cast<int>(plan.layers.size()));
  CHECK(seen.products > 0);
  auto const expected = compress_sequentially(c.model, c.data.tokens, own, plan);
  CHECK(c.distance(fitted) == c.distance(expected));
}
