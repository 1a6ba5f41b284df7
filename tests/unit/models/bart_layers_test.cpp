#include "eckart/models/bart_layers.hpp"

#include "support/matrix_check.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace eckart;
using bart_test::checkpoint;
using bart_test::has;
using bart_test::linear_names;
using bart_test::tiny_model;
using support::refusal;

TEST_CASE("the layers of a model are its linear layers, and the output table without a bias") {
  auto const model = bart<float>::load(tiny_model());
  auto const layers = bart_layers(model);
  auto names = linear_names(model);
  names.emplace_back("lm_head");
  CHECK(std::ranges::equal(layers, names, {}, &bart_layer<float>::name));
  auto const& head = layers.back();
  CHECK(head.shape() == shape2{97, 32});
  CHECK(std::ranges::equal(head.dense_weight(), *model.encoder().embed.tokens()));
  CHECK(head.bias().empty());
  model.visit_linears([&, i = std::size_t{0}](auto const&, linear<float> const& layer) mutable {
    auto const& one = layers.at(i++);
    CHECK(one.shape() == layer.shape());
    CHECK(std::ranges::equal(one.dense_weight(), layer.dense_weight()));
    CHECK(one.bias().data() == layer.bias()->data());
    CHECK(one.parameters() == layer.parameters());
  });
}

TEST_CASE("the table is given up with its layer unless the embeddings need it") {
  auto const tied = bart<float>::load(tiny_model());
  CHECK(shares_output_table(tied));
  CHECK(bart_layers(tied).back().parameters() == 0);
  auto c = checkpoint::tiny();
  c.config["tie_word_embeddings"] = false;
  c.tensors["lm_head.weight"] = bart_test::stored({97, 32}, bart_test::random_values(97 * 32, 1));
  auto own = c.load<float>();
  CHECK_FALSE(shares_output_table(own));
  CHECK(bart_layers(own).back().parameters() == 97 * 32);
  // As the decoder's table.
  c.tensors["model.decoder.embed_tokens.weight"] = c.tensors.at("lm_head.weight");
  CHECK(shares_output_table(c.load<float>()));

  own.replace("lm_head", linear<float>(low_rank<float, two_factor>{make_matrix<float>({97, 2}),
                                                                   make_matrix<float>({2, 32})},
                                       make_vector<float>(97)));
  CHECK_FALSE(shares_output_table(own));
  auto const layers = bart_layers(own);
  CHECK(std::ranges::count(layers, "lm_head", &bart_layer<float>::name) == 1);
  CHECK(layers.back().parameters() == 2 * (97 + 32) + 97);
  CHECK(layers.back().bias().size() == 97);
}

TEST_CASE("other weights of the same shape make a layer, of another shape none") {
  auto const model = bart<float>::load(tiny_model());
  auto const layers = bart_layers(model);
  auto const& head = layers.back();
  auto const layer = head.with_weight(make_matrix<float>({97, 32}));
  CHECK(layer.shape() == head.shape());
  CHECK_FALSE(layer.has_bias());
  CHECK(refusal<shape_error>([&] {
          head.with_weight(make_matrix<float>({32, 97}));
        }) == "lm_head: a 32 x 97 weight in place of 97 x 32");
  auto const& first = layers.front();
  CHECK(first.with_weight(make_matrix<float>({32, 32})).has_bias());
  CHECK_THROWS_AS(first.with_weight(make_matrix<float>({32, 31})), shape_error);
}
