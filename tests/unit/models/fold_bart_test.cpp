#include "eckart/models/fold_bart.hpp"

#include "eckart/models/bart_sites.hpp"
#include "eckart/models/generate.hpp"
#include "support/matrix_check.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace eckart;
using bart_test::has;
using bart_test::tiny_model;
using support::refusal;

namespace {

template <class Model>
auto attention_names(Model& model) -> std::vector<std::string> {
  std::vector<std::string> names;
  model.visit_attentions([&](std::string const& name, auto const&) { names.push_back(name); });
  return names;
}

/// The self-attention of this name gets one layer for queries, keys and values.
void join(bart<double>& model, std::string const& name) {
  std::vector<linear<double> const*> members(3);
  model.visit_linears([&](std::string const& place, linear<double> const& layer) {
    for (std::size_t i = 0; i < 3; ++i) {
      if (place == name + '.' + "qkv"[i] + "_proj") {
        members[i] = &layer;
      }
    }
  });
  model.replace(name + ".qkv_proj", joint_layer(members));
}

/// Largest difference in units of the largest entry.
template <class T>
auto relative_difference(matrix<T> const& got, matrix<T> const& expected) -> double {
  return support::distance(got, expected) / frobenius_norm(support::in_double(expected));
}

template <class T>
auto bias_of(bart<T> const& model, std::string_view wanted) -> bool {
  bool found = false;
  bool has_bias = false;
  model.visit_linears([&](std::string const& name, linear<T> const& layer) {
    if (name == wanted) {
      found = true;
      has_bias = layer.has_bias();
    }
  });
  REQUIRE(found);
  return has_bias;
}

}  // namespace

TEST_CASE("visit_attentions names every attention once, encoder first") {
  auto model = bart<float>::load(tiny_model());
  auto const& constant = model;
  std::vector<std::string> expected;
  for (index_t i = 0; i < model.config().encoder_layers; ++i) {
    expected.push_back(layer_name("encoder", i) + ".self_attn");
  }
  for (index_t i = 0; i < model.config().decoder_layers; ++i) {
    expected.push_back(layer_name("decoder", i) + ".self_attn");
    expected.push_back(layer_name("decoder", i) + ".encoder_attn");
  }
  CHECK(expected.size() >= 3);
  CHECK(attention_names(model) == expected);
  CHECK(attention_names(constant) == expected);
}

TEST_CASE("a folded model computes what the model computes, to rounding") {
  // 1e-11 and 1e-4: what rounding becomes in the layers of the tiny models, which amplify it by up
  // to 1e3 (tests/golden), over more than 1e4 units.
  auto const check = [](auto model, double bound) {
    auto const before = bart_test::run(model);
    auto const parameters = model.parameters();
    auto const attentions = attention_names(model).size();
    fold(model);
    auto const after = bart_test::run(model);
    CHECK_FALSE(after == before);
    CHECK(relative_difference(after.memory, before.memory) <= bound);
    CHECK(relative_difference(after.hidden, before.hidden) <= bound);
    CHECK(relative_difference(after.logits, before.logits) <= bound);
    CHECK(parameters - model.parameters() ==
          2 * attentions * static_cast<std::size_t>(model.config().d_model));
    model.visit_attentions([](std::string const&, auto const& a) {
      CHECK(a.scale == 1);
      CHECK_FALSE(a.k_proj->has_bias());
      CHECK_FALSE(a.v_proj->has_bias());
      CHECK(a.q_proj->has_bias());
      CHECK(a.out_proj.has_bias());
    });
    fold(model);
    CHECK(bart_test::run(model) == after);
  };
  check(bart<double>::load(tiny_model()), 1e-11);
  check(bart<float>::load(tiny_model()), 1e-4);
}

TEST_CASE("only the chosen steps are taken") {
  auto const original = bart<double>::load(tiny_model());
  auto const before = bart_test::run(original);
  auto const attention = std::string("model.decoder.layers.0.encoder_attn");
  auto none = original;
  fold(none, {.key_bias = false, .value_bias = false, .score_scale = false});
  CHECK(bart_test::run(none) == before);
  CHECK(none.parameters() == original.parameters());

  auto keys = original;
  fold(keys, {.value_bias = false, .score_scale = false});
  CHECK_FALSE(bias_of(keys, attention + ".k_proj"));
  CHECK(bias_of(keys, attention + ".v_proj"));
  auto values = original;
  fold(values, {.key_bias = false, .score_scale = false});
  CHECK(bias_of(values, attention + ".k_proj"));
  CHECK_FALSE(bias_of(values, attention + ".v_proj"));
  values.visit_attentions([](std::string const&, auto const& a) { CHECK(a.scale != 1); });
  auto scores = original;
  fold(scores, {.key_bias = false, .value_bias = false});
  CHECK(scores.parameters() == original.parameters());
  scores.visit_attentions([](std::string const&, auto const& a) { CHECK(a.scale == 1); });
}

TEST_CASE("a model with a joint layer is refused by the attention's name and stays as it is") {
  auto model = bart<double>::load(tiny_model());
  auto const name = layer_name("decoder", model.config().decoder_layers - 1) + ".self_attn";
  join(model, name);
  auto const parameters = model.parameters();
  auto const before = bart_test::run(model);
  auto const what = refusal<shape_error>([&] { fold(model); });
  CHECK(has(what, name + ": queries, keys and values have a joint"));
  CHECK(has(what, "fold before joining"));
  CHECK(model.parameters() == parameters);
  CHECK(bart_test::run(model) == before);
}

TEST_CASE("layers that are joined after folding compute the same") {
  auto model = bart<double>::load(tiny_model());
  auto const before = bart_test::run(model);
  fold(model);
  for (auto const& name : attention_names(model)) {
    if (name.ends_with(".self_attn")) {
      join(model, name);
    }
  }
  auto const after = bart_test::run(model);
  CHECK(relative_difference(after.logits, before.logits) <= 1e-11);
}

TEST_CASE("a joint layer of the decoder's keys and values keeps its biases") {
  auto model = bart<double>::load(tiny_model());
  auto const before = bart_test::run(model);
  std::vector<linear<double> const*> members;
  model.visit_linears([&](std::string const& name, linear<double> const& layer) {
    if (has(name, "encoder_attn.k_proj") || has(name, "encoder_attn.v_proj")) {
      members.push_back(&layer);
    }
  });
  model.replace(cross_kv_name, joint_layer(members));
  fold(model);
  CHECK(bias_of(model, cross_kv_name));
  auto const after = bart_test::run(model);
  CHECK(relative_difference(after.logits, before.logits) <= 1e-11);
}

TEST_CASE("the folded summarizer writes the same summaries with 4 beams") {
  auto const json = read_json(golden::directory() / "summarizer.json");
  auto model = bart<float>::load(golden::embedded_model());
  auto const dense = model.parameters();
  fold(model);
  CHECK(dense - model.parameters() == 2 * 384 * attention_names(model).size());
  auto const& given = json["generation"]["beam4"];
  generation_options options;
  options.bos_token_id = 0;
  options.pad_token_id = 1;
  options.decoder_start_token_id = 2;
  options.eos_token_id = {2};
  options.forced_eos_token_id = {2};
  options.num_beams = given["num_beams"].get<index_t>();
  options.max_new_tokens = given["max_new_tokens"].get<index_t>();
  options.no_repeat_ngram_size = given["no_repeat_ngram_size"].get<index_t>();
  options.early_stopping = stop_early::yes;
  std::vector<golden::ids> sources;
  for (std::size_t i = 0; i < 5; ++i) {
    sources.push_back(json["cases"].at(i)["input_ids"].get<golden::ids>());
  }
  auto const found = generate(model, sources, options);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    CAPTURE(json["cases"].at(i)["id"].get<std::string>());
    CHECK(found[i].at(0).ids == json["cases"].at(i)["beam4_ids"].get<golden::ids>());
  }
}
