#include "eckart/models/fit_bart.hpp"

#include "eckart/models/bart/load.hpp"
#include "eckart/models/compress_sequentially.hpp"
#include "eckart/models/gather_moments.hpp"
#include "eckart/models/layer_timing.hpp"
#include "eckart/models/plan_bart.hpp"
#include "eckart/models/sensitivity.hpp"
#include "support/matrix_check.hpp"
#include "unit/models/calibrated_model.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

using namespace eckart;
using bart_test::has;
using bart_test::tiny_model;
using calibration_test::answers;
using calibration_test::calibrated;
using support::refusal;

namespace {

auto names_of(compression_plan const& plan) -> std::set<std::string> {
  std::set<std::string> names;
  for (auto const& layer : plan.layers) {
    names.insert(layer.name);
  }
  return names;
}

}  // namespace

TEST_CASE("every layer is fitted, and its relative loss is the error of its outputs") {
  calibrated<double> const c;
  auto const bases = c.bases();
  auto const seen = c.states(c.model);
  CHECK(bases.layers.size() == bart_test::linear_names(c.model).size());
  auto const name = std::string("model.decoder.layers.1.fc2");
  auto const& basis = bases.layers.at(name);
  for (index_t const k : {1, 8, 20, 32}) {
    CAPTURE(k);
    auto const layer = basis.truncate(k);
    linear<double> const cut(layer.weight, layer.bias);
    auto const x = seen.own.at(name).view();
    auto const dense = answers<double>(c.model.decoder().layers[1].ffn.fc2, x);
    auto const y = as_view(dense);
    auto const z = answers<double>(cut, x);
    input_moments outputs(y.cols);
    outputs.add(y);
    double error = 0;
    for (index_t i = 0; i < y.rows; ++i) {
      for (index_t j = 0; j < y.cols; ++j) {
        error += (y(i, j) - as_view(z)(i, j)) * (y(i, j) - as_view(z)(i, j));
      }
    }
    auto const relative = error / static_cast<double>(y.rows) / detail::trace(outputs.covariance());
    CHECK(basis.predicted_loss(k) == doctest::Approx(relative).epsilon(1e-9).scale(1e-3));
  }
  CHECK(basis.predicted_loss(0) == doctest::Approx(1.0));
}

TEST_CASE("metrics of queries and keys are a block for each head, and all are symmetric") {
  calibrated<double> const c;
  auto const metrics = bart_metrics(c.model, c.moments);
  for (auto const& one : metrics) {  // clang 14 captures no structured binding
    CAPTURE(one.first);
    auto const& attention = one.first.starts_with("model.encoder.")
                                ? c.model.encoder().layers[0].self_attn
                                : c.model.decoder().layers[0].self_attn;
    auto const& blocks = one.second.blocks;
    bool const by_head = one.first.ends_with(".q_proj") || one.first.ends_with(".k_proj");
    REQUIRE(static_cast<index_t>(blocks.size()) == (by_head ? attention.heads : 1));
    CHECK(!one.second.diagonal);
    for (auto const& block : blocks) {
      auto const m = as_view(block);
      REQUIRE(m.rows == m.cols);
      CHECK((!by_head || m.rows == attention.head_width()));
      double worst = 0;
      double largest = 0;
      for (index_t i = 0; i < m.rows; ++i) {
        CHECK(m(i, i) >= 0);
        for (index_t j = 0; j < i; ++j) {
          worst = std::max(worst, std::abs(m(i, j) - m(j, i)));
          largest = std::max(largest, std::abs(m(i, j)));
        }
      }
      CHECK(worst <= 1e-12 * largest);
    }
  }
}

TEST_CASE("errors of queries and keys cost what they change of the scores, over all pairs") {
  calibrated<double> const c;
  auto const metrics = bart_metrics(c.model, c.moments);
  auto const seen = c.states(c.model);
  auto const& attention = c.model.encoder().layers[0].self_attn;
  auto const x = seen.own.at("model.encoder.layers.0.self_attn.qkv_proj").view();
  auto const d = attention.width();
  auto projected = make_matrix<double>({x.rows, 3 * d});
  workspace<double> scratch;
  attention.project(x, as_view(projected), scratch);
  auto const qkv = as_view(projected);
  auto const width = attention.head_width();
  auto const error = [](index_t i) { return std::sin(static_cast<double>(i + 1)); };
  for (bool const of_query : {true, false}) {
    CAPTURE(of_query);
    auto const name = std::string("model.encoder.layers.0.self_attn.");
    auto const& blocks = metrics.at(name + (of_query ? "q_proj" : "k_proj")).blocks;
    double predicted = 0;
    double measured = 0;
    for (index_t h = 0; h < attention.heads; ++h) {
      auto const block = as_view(blocks.at(static_cast<std::size_t>(h)));
      for (index_t i = 0; i < width; ++i) {
        for (index_t j = 0; j < width; ++j) {
          predicted += error(h * width + i) * block(i, j) * error(h * width + j);
        }
      }
      double sum = 0;
      double squares = 0;
      for (index_t t = 0; t < qkv.rows; ++t) {
        double score = 0;
        for (index_t i = h * width; i < (h + 1) * width; ++i) {
          score += error(i) * qkv(t, of_query ? d + i : i);
        }
        score *= attention.scale;
        sum += score;
        squares += score * score;
      }
      // What all keys have in common moves no probability, what all queries have does.
      auto const n = static_cast<double>(qkv.rows);
      measured += squares / n - (of_query ? (sum / n) * (sum / n) : 0);
    }
    CHECK(predicted == doctest::Approx(measured).epsilon(1e-9));
  }
}

TEST_CASE("the metric of a joint layer is those of its members, each times its scale") {
  bart_bases<double> bases;
  auto const member = [&](std::string const& name, index_t outputs, double scale) {
    bases.layers[name].left = make_matrix<double>({outputs, 1});
    bases.layers[name].right = make_matrix<double>({1, 4});
    bases.scales[name] = scale;
  };
  member("blocks", 3, 2);
  member("weights", 2, 10);
  member("nothing", 1, 7);
  member("zero", 2, 0);
  auto& weights = bases.metrics["weights"].diagonal;
  weights = make_vector<double>(2);
  (*weights)(0) = 0.5;
  (*weights)(1) = 3;
  auto const plain =
      detail::joint_metric(std::vector<std::string>{"nothing", "weights", "zero"}, bases);
  REQUIRE(plain.diagonal);
  CHECK(plain.blocks.empty());
  CHECK(std::ranges::equal(*plain.diagonal, std::vector<double>{7, 5, 30, 0, 0}));

  bases.metrics["blocks"].blocks = {matrix<double>{{1, 2}, {2, 5}}, make_matrix<double>({1, 1})};
  bases.metrics["blocks"].blocks[1].fill(4);
  auto const joint =
      detail::joint_metric(std::vector<std::string>{"weights", "blocks", "zero", "nothing"}, bases);
  CHECK(!joint.diagonal);
  REQUIRE(joint.blocks.size() == 7);
  CHECK(support::identical(joint.blocks[2], matrix<double>{{2, 4}, {4, 10}}));
  auto const expected =
      std::map<std::size_t, double>{{0, 5}, {1, 30}, {3, 8}, {4, 0}, {5, 0}, {6, 7}};
  for (auto const& one : expected) {
    CAPTURE(one.first);
    REQUIRE(as_view(joint.blocks[one.first]).shape() == shape2{1, 1});
    CHECK(joint.blocks[one.first](0, 0) == one.second);
  }
}

TEST_CASE("a joint layer is fitted by the blocks of its members as by one matrix") {
  calibrated<double> const c;
  auto bases = c.bases(true);
  fit_joint_layers(c.model, c.moments, bases);
  auto const site = std::string("model.decoder.layers.1.self_attn.qkv_proj");
  auto const base = std::string("model.decoder.layers.1.self_attn.");
  auto const& attention = c.model.decoder().layers[1].self_attn;
  auto const d = attention.width();
  output_metric dense;
  dense.blocks.push_back(make_matrix<double>({3 * d, 3 * d}));
  dense.blocks[0].fill(0);
  index_t first = 0;
  for (auto const* name : {"q_proj", "k_proj", "v_proj"}) {
    for (auto const& block : bases.metrics.at(base + name).blocks) {
      for (index_t i = 0; i < as_view(block).rows; ++i) {
        for (index_t j = 0; j < as_view(block).rows; ++j) {
          as_view(dense.blocks[0])(first + i, first + j) =
              bases.scales.at(base + name) * as_view(block)(i, j);
        }
      }
      first += as_view(block).rows;
    }
  }
  REQUIRE(first == 3 * d);
  auto const joint =
      joint_layer<double>({&*attention.q_proj, &*attention.k_proj, &*attention.v_proj});
  auto const expected =
      fit(joint.dense_weight(), as_span(*joint.bias()), c.moments.at(site), {}, dense);
  auto const& basis = bases.layers.at(site);
  CHECK(basis.rank() == expected.rank());
  for (index_t k = 0; k <= basis.rank(); ++k) {
    CAPTURE(k);
    // 4 d numbers enter every product; losses of three members of energy 1.
    auto const rounding = 20 * static_cast<double>(4 * d) * support::epsilon<double> * 3;
    CHECK(std::abs(basis.predicted_loss(k) - expected.predicted_loss(k)) <= rounding);
  }
}

TEST_CASE("a plan keeps its budget, and a larger one never predicts a larger loss") {
  calibrated<float> const c;
  auto bases = c.bases(true);
  fit_joint_layers(c.model, c.moments, bases);
  auto const dense = dense_cost(bases, parameter_cost());
  double last = 1e9;
  for (auto const share : {0.2, 0.4, 0.6, 0.8}) {
    auto const budget = static_cast<std::uint64_t>(share * static_cast<double>(dense));
    auto const plan = plan_layers(c.model.config(), bases, budget, {.rank_step = 4});
    CHECK(plan_parameters(plan) <= budget);
    double loss = 0;
    for (auto const& layer : plan.layers) {
      loss += layer.predicted_loss;
    }
    CHECK(loss <= last);
    last = loss;
    auto model = c.model;
    apply_plan(model, bases, plan);
    CHECK(model.parameters() == c.model.parameters() - dense + plan_parameters(plan));
  }
  auto const whole = plan_layers(c.model.config(), bases, dense, {.rank_step = 4});
  CHECK(std::ranges::all_of(whole.layers,
                            [](auto const& layer) { return layer.stored_as == form::dense; }));
  CHECK(has(refusal<shape_error>([&] { plan_layers(c.model.config(), bases, 10); }), "budget 10"));
}

TEST_CASE("costs: each layer counts by the tokens that run through it, and time is measured") {
  auto const cost = flop_cost(100, 7);
  shape2 const w{32, 64};
  CHECK(cost("model.encoder.layers.0.fc2", form::dense, w, 32) == 2U * 32 * 64 * 100);
  CHECK(cost("model.decoder.layers.0.encoder_attn.k_proj", form::dense, w, 32) ==
        2U * 32 * 64 * 100);
  CHECK(cost("model.decoder.layers.0.fc2", form::two_factor, w, 3) == 2U * 3 * 96 * 7);
  auto const time = time_cost<float>(64, 5, 4);
  auto const once = time("model.encoder.layers.0.fc2", form::pivoted, w, 8);
  CHECK(once > 0);
  CHECK(time("model.encoder.layers.1.fc2", form::pivoted, w, 8) == once);  // measured only once
  CHECK(time("model.decoder.layers.0.fc2", form::pivoted, w, 8) % 5 == 0);
}

TEST_CASE("joint layers of full rank answer what their members answer") {
  calibrated<double> const c;
  auto bases = c.bases();
  fit_joint_layers(c.model, c.moments, bases);
  compression_plan plan;
  for (auto const& site : bart_sites(c.model.config())) {
    if (site.can_be_joint()) {
      auto const& basis = bases.layers.at(site.name);
      plan.layers.push_back({site.name, basis.shape(), form::two_factor, basis.rank(), 0});
    }
  }
  CHECK(plan.layers.size() == 6);  // 2 + 3 self-attentions and the memory
  auto model = c.model;
  apply_plan(model, bases, plan);
  auto const before = bart_test::run(c.model);
  auto const after = bart_test::run(model);
  CHECK(support::distance(before.logits, after.logits) <= 1e-8 * frobenius_norm(before.logits));
  CHECK(c.distance(model) < 1e-16);
  // A member is no layer of its own any more.
  plan.layers.push_back(
      {"model.encoder.layers.0.self_attn.q_proj", {32, 32}, form::two_factor, 2, 0});
  CHECK(has(refusal<shape_error>([&] {
              auto again = c.model;
              apply_plan(again, bases, plan);
            }),
            "self_attn.qkv_proj stands for model.encoder.layers.0.self_attn.q_proj too"));
}

TEST_CASE(
    "the sequential pass of full rank changes nothing, of low rank it is nearer than without") {
  calibrated<double> const c;
  auto const bases = c.bases();
  auto const rank = [](index_t k) {
    return [k](shape2 shape) { return std::min({k, shape.rows, shape.cols}); };
  };
  auto const full = uniform_plan(c.model.config(), bases, form::two_factor, rank(1000));
  sequential_options<double> exact;
  exact.ridge = 1e-12;
  CHECK(c.distance(compress_sequentially(c.model, c.data.tokens, bases, full, exact)) < 1e-10);
  for (index_t const k : {4, 8, 16}) {
    CAPTURE(k);
    auto const plan = uniform_plan(c.model.config(), bases, form::pivoted, rank(k));
    auto each = c.model;
    apply_plan(each, bases, plan);
    auto const together = compress_sequentially(c.model, c.data.tokens, bases, plan);
    CHECK(together.parameters() == each.parameters());
    CHECK(c.distance(together) < c.distance(each));
  }
}

TEST_CASE("a sequential pass goes on from the layers that are known, to the same model") {
  calibrated<float> const c;
  auto const bases = c.bases(true);
  auto const plan =
      uniform_plan(c.model.config(), bases, form::two_factor, [](shape2) { return index_t{6}; });
  std::map<std::string, linear<float>> kept;
  sequential_options<float> options;
  options.keep = [&](std::string const& name, linear<float> const& layer) {
    kept.emplace(name, layer);
  };
  auto const whole = compress_sequentially(c.model, c.data.tokens, bases, plan, options);
  CHECK(kept.size() == plan.layers.size());
  auto half = kept;
  std::erase_if(half, [](auto const& one) { return one.first.starts_with("model.decoder"); });
  std::set<std::string> fitted;
  options.known = [&](std::string const& name) {
    auto const found = half.find(name);
    return found == half.end() ? std::nullopt : std::optional(found->second);
  };
  options.keep = [&](std::string const& name, linear<float> const&) { fitted.insert(name); };
  auto const resumed = compress_sequentially(c.model, c.data.tokens, bases, plan, options);
  CHECK(fitted.size() == kept.size() - half.size());
  auto const a = bart_test::run(whole);
  auto const b = bart_test::run(resumed);
  CHECK(support::identical(a.logits, b.logits));
}

TEST_CASE("a plan for some layers leaves the others as they are, also in the sequential pass") {
  calibrated<float> c;
  c.targets = {"fc1", "self_attn.v_proj"};
  auto const bases = c.bases(true);
  auto const plan =
      uniform_plan(c.model.config(), bases, form::two_factor, [](shape2) { return index_t{5}; });
  auto const model = compress_sequentially(c.model, c.data.tokens, bases, plan);
  auto const planned = names_of(plan);
  CHECK(planned.size() == 10);
  model.visit_linears([&](std::string const& name, linear<float> const& layer) {
    CAPTURE(name);
    CHECK((layer.stored_as() == form::dense) == !planned.contains(name));
  });
  c.targets = {"nothing"};
  CHECK(has(refusal<shape_error>([&] { c.bases(); }), "no linear layer is named 'nothing'"));
}

TEST_CASE("the sequential pass fits the output layer to the logits of the original") {
  calibrated<double> c;
  sequential_options<double> options;
  options.ridge = 1e-10;
  auto const compressed = [&](target_list targets, index_t k_of_head) {
    c.targets = std::move(targets);
    auto const bases = c.bases();
    auto const plan = uniform_plan(c.model.config(), bases, form::two_factor, [&](shape2 shape) {
      return shape.rows == c.model.config().vocab_size ? k_of_head : index_t{4};
    });
    return compress_sequentially(c.model, c.data.tokens, bases, plan, options);
  };
  auto const mean_logits = [&](bart<double> const& m) {
    auto const states = c.states(m).own.at("lm_head");
    auto logits = make_matrix<double>({states.view().rows, m.config().vocab_size});
    workspace<double> scratch;
    m.logits(states.view(), as_view(logits), scratch);
    return std::pair(detail::row_mean(matrix_view<double const>(as_view(logits))), logits);
  };
  auto const [mean, logits] = mean_logits(c.model);

  // Behind layers that are as they were, the full rank answers the same but for the ridge r: along
  // an eigenvector of variance v the error's is v (r / (v + r))² <= r / 4 times the weight's
  // square.
  auto const full = compressed({"lm_head"}, c.model.config().d_model);
  REQUIRE(full.lm_head());
  auto const& states = c.moments.at("lm_head");
  auto const ridge =
      options.ridge * detail::trace(states.covariance()) / static_cast<double>(states.width());
  CHECK(support::distance(mean_logits(full).second, logits) <=
        std::sqrt(static_cast<double>(states.count()) * ridge) *
            frobenius_norm(c.model.output_table()));

  // Behind layers that were cut, and cut itself, it keeps the mean of every logit.
  auto const cut = compressed({"lm_head", "fc1"}, 5);
  CHECK(cut.lm_head()->rank() == 5);
  auto const cut_mean = mean_logits(cut).first;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    CHECK(std::abs(cut_mean(i) - mean(i)) <= 1e-9);
  }
}

TEST_CASE("sensitivity: positive weights of mean 1, all alike for the exponent 0") {
  calibrated<float> const c;
  auto bases = c.bases(true);
  auto const labels = c.data.targets;
  auto const weights = measured_sensitivity<float>(c.model, bases, c.data.sources, labels);
  CHECK(weights.size() == bases.scales.size());
  double sum = 0;
  for (auto const& [name, weight] : weights) {
    CHECK(weight > 0);
    sum += weight;
  }
  CHECK(sum == doctest::Approx(static_cast<double>(weights.size())));
  auto const alike =
      measured_sensitivity<float>(c.model, bases, c.data.sources, labels, {.exponent = 0});
  for (auto const& [name, weight] : alike) {
    CHECK(weight == doctest::Approx(1.0));
  }
  auto const name = std::string("model.encoder.layers.0.fc1");
  auto const before = bases.layers.at(name).predicted_loss(4);
  weigh(bases, weights);
  CHECK(bases.layers.at(name).predicted_loss(4) == doctest::Approx(before * weights.at(name)));
}

TEST_CASE("plain SVD needs no moments, and its loss is the tail of the squared singular values") {
  auto const model = bart<double>::load(tiny_model());
  bart_fit_options options;
  options.whitened = false;
  auto const bases = fit_layers<double>(model, {}, attention_targets(), options);
  auto const& layer = *model.encoder().layers[1].self_attn.v_proj;
  auto const f = svd(layer.dense_weight());
  double tail = 0;
  double all = 0;
  for (std::size_t i = 0; i < f.s.size(); ++i) {
    all += f.s(i) * f.s(i);
    tail += i >= 5 ? f.s(i) * f.s(i) : 0;
  }
  auto const& basis = bases.layers.at("model.encoder.layers.1.self_attn.v_proj");
  CHECK(basis.predicted_loss(5) == doctest::Approx(tail / all));
  auto const cut = basis.truncate(5);
  CHECK(std::ranges::equal(cut.bias, *layer.bias()));
  CHECK(has(refusal<shape_error>([&] { fit_layers<double>(model, {}, attention_targets(), {}); }),
            "no moments of the inputs of model.encoder.layers.0.self_attn.qkv_proj"));
}
