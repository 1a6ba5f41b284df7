#include "eckart/models/bart/stack_projections.hpp"

#include "eckart/backend/reference.hpp"
#include "eckart/io/json.hpp"
#include "eckart/models/bart/int8.hpp"
#include "eckart/models/bart/load.hpp"
#include "eckart/models/compress_bart.hpp"
#include "support/matrix_check.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using namespace eckart;
using bart_test::tiny_model;
using support::identical;

namespace {

/// By loops that add up each output alone, whatever rows of W are beside its own.
auto states_of(bart<float> const& model) -> matrix<float> {
  std::vector<token_id> const source{0, 7, 9, 11, 5, 2};
  workspace<float> scratch;
  auto states = make_matrix<float>({6, model.config().d_model});
  model.encoder()(source, 1, {}, as_view(states), scratch, reference{});
  return states;
}

auto joint_layers(bart<float> const& model) -> int {
  int count = 0;
  model.visit_linears(
      [&](std::string const& name, linear<float> const&) { count += name.ends_with(".qkv_proj"); });
  return count;
}

void check_same_model(bart<float> const& model, form stored_as) {
  auto joint = model;
  stack_projections(joint);
  auto const& c = model.config();
  CHECK(joint_layers(joint) == c.encoder_layers + c.decoder_layers);
  CHECK(joint.parameters() == model.parameters());
  CHECK(joint.bytes() == model.bytes());
  joint.visit_linears([&](std::string const& name, linear<float> const& layer) {
    if (name.ends_with(".qkv_proj")) {
      CHECK(layer.stored_as() == stored_as);
    }
  });
  auto const expected = states_of(model);
  CHECK(identical(states_of(joint), expected));
  stack_projections(joint);  // nothing is left to do
  CHECK(identical(states_of(joint), expected));
}

}  // namespace

TEST_CASE("a model with joint projections is the same model") {
  check_same_model(bart<float>::load(tiny_model()), form::dense);
}

TEST_CASE("a model in 8 bits with joint projections is the same model") {
  auto small = bart<float>::load(tiny_model());
  use_int8(small);
  check_same_model(small, form::int8);
}

TEST_CASE("weights of joint layers are those of the layers, one below the other") {
  auto const model = bart<float>::load(tiny_model());
  auto joint = model;
  stack_projections(joint);
  std::vector<matrix<float>> parts;
  model.visit_attentions([&](std::string const& name, multi_head_attention<float> const& a) {
    if (name == "model.decoder.layers.0.self_attn") {
      for (auto const* layer : {&a.q_proj, &a.k_proj, &a.v_proj}) {
        parts.push_back((*layer)->dense_weight());
      }
    }
  });
  joint.visit_attentions([&](std::string const& name, multi_head_attention<float> const& a) {
    if (name == "model.decoder.layers.0.self_attn") {
      auto const all = a.qkv_proj->dense_weight();
      for (index_t part = 0; part < 3; ++part) {
        CHECK(to_matrix(as_view(all).row_range(part * a.width(), a.width())) ==
              parts[static_cast<std::size_t>(part)]);
      }
    }
  });
}

TEST_CASE("factors, and a dense layer beside one in 8 bits, stay as they are") {
  auto model = bart<float>::load(tiny_model());
  compress(model, attention_targets(), at_rank{8}, form::two_factor);
  stack_projections(model);
  CHECK(joint_layers(model) == 0);

  auto const layer = [](index_t outputs, index_t inputs) {
    auto weight = make_matrix<float>({outputs, inputs});
    weight.fill(1);
    auto bias = make_vector<float>(outputs);
    bias.fill(2);
    return linear<float>(std::move(weight), std::move(bias));
  };
  auto const dense = layer(3, 4);
  auto const small = in_int8(dense);
  auto const narrow = layer(3, 5);
  CHECK(!stacked<float>(std::array{&dense, &small}));
  CHECK(stacked<float>(std::array{&dense, &dense})->shape() == shape2{6, 4});
  CHECK(stacked<float>(std::array{&small, &small, &small})->shape() == shape2{9, 4});
  CHECK(support::refusal<shape_error>([&] {
          stacked<float>(std::array{&dense, &narrow});
        }) == "stacked: a 3 x 5 layer below one of 4 inputs");
}
