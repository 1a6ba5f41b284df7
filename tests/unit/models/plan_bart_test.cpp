#include "eckart/models/plan_bart.hpp"

#include "eckart/models/bart/load.hpp"
#include "eckart/models/gather_moments.hpp"
#include "eckart/models/sensitivity.hpp"
#include "support/matrix_check.hpp"
#include "unit/models/calibrated_model.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

// Fits and plans with the output layer; those of the other layers are in fit_bart_test.cpp.
using namespace eckart;
using calibration_test::calibrated;

namespace {

/// What the output layer reads, of all tokens (tokens, d_model), one text after the other.
template <class T>
auto decoder_states_of(calibrated<T> const& c) -> matrix<T> {
  auto all = make_matrix<T>({c.data.tokens.targets.tokens(), 32});
  workspace<T> scratch;
  index_t first = 0;
  for (std::size_t i = 0; i < c.data.sources.size(); ++i) {
    auto const tokens = static_cast<index_t>(c.data.sources[i].size());
    auto const steps = static_cast<index_t>(c.data.targets[i].size());
    auto memory = make_matrix<T>({tokens, 32});
    c.model.encoder()(c.data.sources[i], 1, {}, as_view(memory), scratch);
    auto state =
        c.model.decoder().start(as_view(memory), 1, {}, std::vector<index_t>{0}, steps, scratch);
    c.model.decoder()(c.data.targets[i], state, as_view(all).row_range(first, steps), scratch);
    first += steps;
  }
  return all;
}

}  // namespace

TEST_CASE("the output layer is fitted to the decoder's states, with a bias, and needs no metric") {
  calibrated<double> const c{.targets = all_targets()};
  auto const bases = c.bases(true);
  CHECK(bases.layers.size() == bart_test::linear_names(c.model).size() + 1);
  auto const& basis = bases.layers.at("lm_head");
  CHECK(basis.shape() == shape2{97, 32});
  CHECK_FALSE(bases.metrics.contains("lm_head"));
  auto const states = decoder_states_of(c);
  auto const x = as_view(states);
  auto const logits = [&](bart<double> const& m) {
    auto result = make_matrix<double>({x.rows, 97});
    workspace<double> scratch;
    m.logits(x, as_view(result), scratch);
    return result;
  };
  auto const exact = logits(c.model);
  input_moments spread(97);
  spread.add(exact);
  for (index_t const k : {1, 6, 20, 32}) {
    CAPTURE(k);
    compression_plan plan;
    plan.layers.push_back({"lm_head", {97, 32}, form::pivoted, k, 0});
    auto model = c.model;
    apply_plan(model, bases, plan);
    REQUIRE(model.lm_head());
    CHECK(model.lm_head()->rank() == k);
    CHECK(model.lm_head()->has_bias());
    auto const error = support::distance(logits(model), exact);
    auto const relative =
        error * error / static_cast<double>(x.rows) / detail::trace(spread.covariance());
    CHECK(basis.predicted_loss(k) == doctest::Approx(relative).epsilon(1e-9).scale(1e-3));
    // The fit keeps the mean of every logit, which plain SVD does not.
    input_moments means(97);
    means.add(logits(model));
    auto const of_fit = means.mean();
    auto const wanted = spread.mean();
    for (std::size_t v = 0; v < 97; ++v) {
      REQUIRE(std::abs(of_fit(v) - wanted(v)) <= 1e-10);
    }
  }
  bart_fit_options plain;
  plain.whitened = false;
  auto const by_svd = fit_layers<double>(c.model, {}, target_list{"lm_head"}, plain);
  CHECK(by_svd.layers.size() == 1);
  CHECK(by_svd.layers.at("lm_head").shape() == shape2{97, 32});
}

TEST_CASE("a plan with the output layer counts its table only where nothing else needs it") {
  calibrated<float> const c{.targets = all_targets()};
  auto const bases = c.bases();
  auto const share = [&](layer_cost const& cost) {
    auto const budget = dense_cost(bases, cost) / 2;
    auto plan = plan_layers(c.model.config(), bases, budget, {.rank_step = 4, .cost = cost});
    CHECK(planned_cost(c.model.config(), bases, plan, cost) <= budget);
    return plan;
  };
  auto const head_of = [](compression_plan const& plan) {
    return *std::ranges::find(plan.layers, "lm_head", &planned_layer::name);
  };
  REQUIRE(shares_output_table(c.model));
  CHECK(dense_cost(bases, parameter_cost()) - dense_cost(bases, parameter_cost(true)) == 97 * 32);
  auto const shared = share(parameter_cost(true));
  CHECK(head_of(shared).stored_as == form::dense);  // factors would only come on top
  CHECK(share(parameter_cost()).layers.size() == shared.layers.size());
  auto model = c.model;
  apply_plan(model, bases, shared);
  CHECK_FALSE(model.lm_head());
  // The output layer reads written tokens.
  CHECK(flop_cost(100, 7)("lm_head", form::dense, {97, 32}, 32) == 2U * 97 * 32 * 7);
  CHECK(flop_cost(100, 7)("lm_head", form::two_factor, {97, 32}, 3) == 2U * 3 * (97 + 32) * 7);
  auto const fast = share(flop_cost(1, 1000));
  CHECK(head_of(fast).stored_as != form::dense);
  apply_plan(model, bases, fast);
  REQUIRE(model.lm_head());
  CHECK(model.lm_head()->rank() == head_of(fast).rank);
}

TEST_CASE("sensitivity of the output layer is measured, and the model is whole for the others") {
  calibrated<float> c{.targets = all_targets()};
  c.targets = {"lm_head", "fc1", "encoder_attn.q_proj"};
  auto const all = measured_sensitivity<float>(c.model, c.bases(), c.data.sources, c.data.targets);
  CHECK(all.at("lm_head") > 0);
  c.targets.erase(c.targets.begin());
  auto const others =
      measured_sensitivity<float>(c.model, c.bases(), c.data.sources, c.data.targets);
  CHECK(others.size() + 1 == all.size());
  auto const factor = others.begin()->second / all.at(others.begin()->first);
  for (auto const& one : others) {
    CHECK(one.second == doctest::Approx(factor * all.at(one.first)));
  }
}
