#include "eckart/models/calibration_walk.hpp"

#include "eckart/models/bart/load.hpp"
#include "eckart/models/bart_sites.hpp"
#include "eckart/models/gather_moments.hpp"
#include "eckart/models/teacher_forcing.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"
#include "unit/models/calibration_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace eckart;
using bart_test::tiny_model;
using calibration_test::answers;
using calibration_test::recorder;
using calibration_test::some_examples;
using support::refusal;

namespace {

/// The largest difference of two matrices, in parts of the largest entry of the first.
template <class T>
auto relative_difference(matrix_view<T const> a, matrix_view<T const> b) -> double {
  REQUIRE(a.shape() == b.shape());
  double largest = 0;
  double difference = 0;
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      largest = std::max(largest, std::abs(static_cast<double>(a(i, j))));
      difference = std::max(difference, std::abs(static_cast<double>(a(i, j) - b(i, j))));
    }
  }
  return difference / largest;
}

// Sums of some hundred products in another order, through ten layers that do not magnify much.
constexpr double rounding_of_walk = 1e-10;

}  // namespace

TEST_CASE("a walk sees what the encoder and the decoder compute, without padding") {
  auto const model = bart<double>::load(tiny_model());
  auto const data = some_examples(model.config(), 9);
  recorder<double> seen;
  walk(model, data.tokens, seen);
  auto const& memory = seen.own.at(std::string(cross_kv_name));
  auto const& hidden = seen.own.at("lm_head");
  CHECK(memory.view().rows == data.tokens.sources.tokens());
  CHECK(hidden.view().rows == data.tokens.targets.tokens());
  for (std::size_t i = 0; i < data.sources.size(); ++i) {
    // The labels of which the decoder reads these tokens: shifted left, the last does not matter.
    std::vector<token_id> labels(data.targets[i].begin() + 1, data.targets[i].end());
    labels.push_back(3);
    auto const inputs = shift_right(labels, data.targets[i].front(), 1);
    REQUIRE(inputs == data.targets[i]);
    workspace<double> scratch;
    auto const tokens = static_cast<index_t>(data.sources[i].size());
    auto x = make_matrix<double>({tokens, model.config().d_model});
    model.encoder()(data.sources[i], 1, {}, as_view(x), scratch);
    std::vector<index_t> const source_of{0};
    auto state = model.decoder().start(as_view(x), 1, {}, source_of,
                                       static_cast<index_t>(inputs.size()), scratch);
    auto y = make_matrix<double>({static_cast<index_t>(inputs.size()), model.config().d_model});
    model.decoder()(inputs, state, as_view(y), scratch);
    auto const at = static_cast<index_t>(i);
    CHECK(relative_difference<double>(
              as_view(x), memory.view().row_range(data.tokens.sources.start(at), tokens)) <
          rounding_of_walk);
    CHECK(relative_difference<double>(as_view(y),
                                      hidden.view().row_range(data.tokens.targets.start(at),
                                                              data.tokens.targets.length(at))) <
          rounding_of_walk);
  }
}

TEST_CASE("a walk tells every site once, in the order of the computation") {
  auto const model = bart<double>::load(tiny_model());
  auto const data = some_examples(model.config(), 5);
  recorder<double> seen;
  walk(model, data.tokens, seen);
  std::vector<std::string> names;
  for (auto const& site : bart_sites(model.config())) {
    names.push_back(site.name);
  }
  if (std::ranges::find(names, "lm_head") == names.end()) {
    names.emplace_back("lm_head");
  }
  CHECK(seen.finished == names);
  CHECK(seen.outputs.empty());
  CHECK(seen.own.size() == names.size());
  // What fc2 reads is what fc1 answers, activated.
  auto const name = std::string("model.decoder.layers.0.fc");
  auto h = answers(model.decoder().layers[0].ffn.fc1, seen.own.at(name + "1").view());
  activate(model.decoder().layers[0].ffn.f, as_view(h));
  CHECK(relative_difference<double>(as_view(h), seen.own.at(name + "2").view()) < rounding_of_walk);
}

TEST_CASE("beside an equal model the walk tells the same as alone, and sums that are no others") {
  auto const model = bart<double>::load(tiny_model());
  auto const copy = model;
  auto const data = some_examples(model.config(), 6);
  recorder<double> alone;
  recorder<double> beside;
  walk(model, data.tokens, alone);
  walk(model, copy, data.tokens, beside);
  CHECK(alone.finished == beside.finished);
  for (auto const& one : alone.own) {  // clang 14 captures no structured binding
    auto const& site = one.first;
    auto const rows = one.second.view();
    CAPTURE(site);
    CHECK(relative_difference<double>(rows, beside.read.at(site).view()) < rounding_of_walk);
    CHECK(beside.own.contains(site) != beside.outputs.contains(site));
    if (beside.own.contains(site)) {
      CHECK(relative_difference<double>(rows, beside.own.at(site).view()) < rounding_of_walk);
    }
  }
  std::size_t residuals = 0;
  model.visit_linears([&](std::string const& name, linear<double> const& layer) {
    if (beside.outputs.contains(name)) {
      ++residuals;
      CAPTURE(name);
      auto const y = answers<double>(layer, beside.read.at(name).view());
      CHECK(relative_difference<double>(as_view(y), beside.outputs.at(name).view()) <
            rounding_of_walk);
    }
  });
  CHECK(residuals == 2 * model.encoder().layers.size() + 3 * model.decoder().layers.size());
}

TEST_CASE("outputs that join a residual bring the changed model's sum back to the original's") {
  auto const model = bart<double>::load(tiny_model());
  auto changed = model;
  auto bias = make_vector<double>(model.config().d_model);
  bias.fill(0.25);
  auto const name = std::string("model.encoder.layers.0.self_attn.out_proj");
  auto const& old = model.encoder().layers[0].self_attn.out_proj;
  changed.replace(name, linear<double>(old.dense_weight(), bias));
  auto const data = some_examples(model.config(), 4);
  recorder<double> alone;
  recorder<double> beside;
  walk(model, data.tokens, alone);
  walk(model, changed, data.tokens, beside);
  // x + out(c) of the original = x' + told, with x = x' before the first difference.
  auto const update = answers<double>(old, alone.own.at(name).view());
  CHECK(relative_difference<double>(as_view(update), beside.outputs.at(name).view()) <
        rounding_of_walk);
  // fc2 of that layer: told + x' = fc2(h) + x with another x', normalized after the new bias.
  auto const fc2 = std::string("model.encoder.layers.0.fc2");
  auto const fc1 = std::string("model.encoder.layers.0.fc1");
  auto const told = beside.outputs.at(fc2).view();
  auto const own = answers<double>(model.encoder().layers[0].ffn.fc2, alone.own.at(fc2).view());
  auto const x = alone.own.at(fc1).view();
  auto const changed_x = beside.read.at(fc1).view();
  double worst = 0;
  double change = 0;
  for (index_t i = 0; i < told.rows; ++i) {
    for (index_t j = 0; j < told.cols; ++j) {
      worst =
          std::max(worst, std::abs(told(i, j) + changed_x(i, j) - as_view(own)(i, j) - x(i, j)));
      change = std::max(change, std::abs(changed_x(i, j) - x(i, j)));
    }
  }
  CHECK(worst < rounding_of_walk);
  CHECK(change > 1e-3);
  CHECK(relative_difference<double>(x, beside.own.at(fc1).view()) < rounding_of_walk);
}

TEST_CASE_TEMPLATE(
    "the joint layer of all keys and values answers in the walk as it does in the model", Form,
    two_factor, pivoted) {
  auto const model = bart<double>::load(tiny_model());
  auto const width = model.config().d_model;
  auto const outputs = 2 * width * static_cast<index_t>(model.decoder().layers.size());
  auto changed = model;
  low_rank<double, two_factor> const factors(support::random_matrix<double>(outputs, 5, 1),
                                             support::random_matrix<double>(5, width, 2));
  linear<double> joint(weight_in_form(factors, low_rank<double, Form>::stored_as));
  changed.replace(cross_kv_name, joint);
  auto const data = some_examples(model.config(), 3);
  recorder<double> seen;
  walk(changed, data.tokens, seen);
  auto const layers = model.decoder().layers.size();
  auto split = changed;
  split.replace(cross_kv_name, linear<double>(to_dense(factors)));
  recorder<double> expected;
  walk(split, data.tokens, expected);
  auto const last = layer_name("decoder", static_cast<index_t>(layers) - 1) + ".fc2";
  CHECK(relative_difference<double>(expected.own.at(last).view(), seen.own.at(last).view()) <
        rounding_of_walk);
  auto const all = answers<double>(joint, seen.own.at(std::string(cross_kv_name)).view());
  CHECK(as_view(all).cols == outputs);
}

TEST_CASE("moments of a site are those of the rows that the walk tells") {
  auto const model = bart<float>::load(tiny_model());
  auto const data = some_examples(model.config(), 30);
  recorder<float> seen;
  walk(model, data.tokens, seen);
  index_t calls = 0;
  auto const moments =
      gather_moments(model, data.tokens, [&](index_t done, index_t total, std::string const&) {
        CHECK(done == calls++);
        CHECK(done < total);
      });
  CHECK(moments.size() == seen.own.size());
  for (auto const& one : seen.own) {  // clang 14 captures no structured binding
    auto const& site = one.first;
    auto const& rows = one.second;
    CAPTURE(site);
    input_moments expected(rows.width);
    expected.add(rows.view());
    auto const& found = moments.at(site);
    CHECK(found.count() == expected.count());
    auto const a = expected.covariance();
    auto const b = found.covariance();
    // Blocks of rows are multiplied in float, and the pieces differ.
    auto const bound = 100 * support::epsilon<float> * frobenius_norm(a);
    CHECK(support::distance(a, b) <= bound);
  }
}

TEST_CASE("examples that the model cannot read are refused by their number") {
  auto const model = bart<float>::load(tiny_model());
  calibration_tokens tokens;
  std::vector<token_id> const some{0, 5, 2};
  std::vector<token_id> const none;
  std::vector<token_id> const many(
      static_cast<std::size_t>(model.config().max_position_embeddings) + 1, 5);
  tokens.add(model.config(), some, some);
  CHECK(bart_test::has(refusal<shape_error>([&] { tokens.add(model.config(), none, some); }),
                       "example 1 has 0 source tokens"));
  CHECK(bart_test::has(refusal<shape_error>([&] { tokens.add(model.config(), some, many); }),
                       "target tokens"));
  CHECK(tokens.sources.count() == 1);
}
