#include "eckart/models/bart/load.hpp"

#include "eckart/core/random.hpp"
#include "eckart/linalg/norm.hpp"
#include "eckart/models/generate.hpp"
#define ECKART_DEFINE_ALLOCATION_COUNTER
#include "support/allocation_counter.hpp"
#include "support/matrix_check.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace eckart;
using bart_test::checkpoint;
using bart_test::has;
using bart_test::linear_names;
using bart_test::rounding;
using bart_test::run;
using bart_test::tiny_model;
using io_test::refusal;

namespace {

/// Names of the schema's matrices, without the tables.
auto matrices_of(bart_config const& c) -> std::vector<std::string> {
  std::vector<std::string> names;
  for (auto const& spec : bart_schema(c)) {
    auto const is_table = has(spec.name, "embed") || has(spec.name, "shared");
    if (spec.shape.size() == 2 && !is_table) {
      names.push_back(spec.name.substr(0, spec.name.rfind('.')));
    }
  }
  return names;
}

/// The largest distance of two matrices, in units of the largest entry.
auto distance(matrix_view<double const> a, matrix_view<double const> b) -> double {
  REQUIRE(a.shape() == b.shape());
  double largest = 0;
  double apart = 0;
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      largest = std::max(largest, std::abs(b(i, j)));
      apart = std::max(apart, std::abs(a(i, j) - b(i, j)));
    }
  }
  return apart / largest;
}

/// All keys and values of the memory, k | v of each decoder layer.
auto joint_memory(bart<double> const& model) -> linear<double> {
  auto weight = make_matrix<double>({6 * 32, 32});
  auto bias = make_vector<double>(6 * 32);
  index_t first = 0;
  for (auto const& layer : model.decoder().layers) {
    for (auto const* part : {&*layer.encoder_attn.k_proj, &*layer.encoder_attn.v_proj}) {
      auto const own = part->dense_weight();
      copy<double>(as_view(own), as_view(weight).row_range(first, 32));
      std::ranges::copy(*part->bias(), bias.begin() + first);
      first += 32;
    }
  }
  return linear<double>(std::move(weight), std::move(bias));
}

/// Factors of the rank of the table: all of it, up to rounding.
template <class T>
auto whole_head(bart<T> const& model, form stored_as) -> linear<T> {
  return linear<T>(
      weight_in_form(to_two_factor(factorize(model.output_table(), at_rank{32})), stored_as));
}

}  // namespace

TEST_CASE("the linear layers are visited in the order of the modules, by their published names") {
  auto const summarizer = bart<float>::load(golden::embedded_model());
  auto const names = linear_names(summarizer);
  CHECK(names.size() == 6 * 6 + 4 * 10);
  CHECK(names.front() == "model.encoder.layers.0.self_attn.k_proj");
  CHECK(names.at(5) == "model.encoder.layers.0.fc2");
  CHECK(names.at(6 * 6 + 4) == "model.decoder.layers.0.encoder_attn.k_proj");
  CHECK(names.back() == "model.decoder.layers.3.fc2");
  CHECK(names == matrices_of(summarizer.config()));
  CHECK(summarizer.parameters() == 23'655'168);
  CHECK(summarizer.bytes() == 4 * 23'655'168);
}

TEST_CASE("each visited layer holds the weight and the bias of its name") {
  auto const c = checkpoint::tiny();
  auto const model = c.load<float>();
  model.visit_linears([&](std::string const& name, linear<float> const& layer) {
    CAPTURE(name);
    CHECK(std::ranges::equal(layer.dense_weight(), c.tensors.at(name + ".weight").values()));
    CHECK(std::ranges::equal(*layer.bias(), c.tensors.at(name + ".bias").values()));
  });
}

TEST_CASE("a tied table is one copy for encoder, decoder and output") {
  auto const model = bart<float>::load(tiny_model());
  auto const* const table = model.encoder().embed.tokens()->data();
  CHECK(model.decoder().embed.tokens()->data() == table);
  CHECK(model.output_table().data == table);
  CHECK(model.output_table().shape() == shape2{97, 32});
}

TEST_CASE_TEMPLATE("parameters() counts what is stored, also after a layer was replaced", T, float,
                   double) {
  auto model = bart<T>::load(tiny_model());
  auto const before = model.parameters();
  CHECK(before == bart_parameters(model.config()));
  CHECK(model.bytes() == before * sizeof(T));
  model.visit_linears([](std::string const& name, linear<T>& layer) {
    if (name == "model.decoder.layers.1.fc1") {  // 48 x 32
      layer = layer.with_weight(
          low_rank<T, two_factor>{make_matrix<T>({48, 3}), make_matrix<T>({3, 32})});
    }
  });
  CHECK(model.parameters() == before - 48 * 32 + 3 * (48 + 32));
}

TEST_CASE("a table that is equal under two names is stored and counted once") {
  auto c = checkpoint::tiny();
  c.config["tie_word_embeddings"] = false;
  c.tensors["lm_head.weight"] = c.tensors.at("model.shared.weight");
  auto const model = c.load<float>();
  CHECK(model.output_table().data == model.encoder().embed.tokens()->data());
  CHECK(model.parameters() == bart_parameters(model.config()) - 97 * 32);
}

TEST_CASE("scaled embeddings are sqrt(d_model) times the token, positions as they are") {
  auto c = checkpoint::tiny();
  c.config["scale_embedding"] = true;
  auto const model = c.load<double>();
  auto const& embed = model.encoder().embed;
  auto y = make_matrix<double>({1, 32});
  embed(std::vector<token_id>{40}, 7, as_view(y));
  for (index_t j = 0; j < 32; ++j) {
    CHECK(y(0, j) == std::sqrt(32.0) * (*embed.tokens())(40, j) + embed.positions()(9, j));
  }
  CHECK(as_view(*embed.tokens())(40, 0) == model.output_table()(40, 0));  // the head is not scaled
}

TEST_CASE("rows of one sentence that write the same have the same states") {
  auto const model = bart<double>::load(tiny_model());
  workspace<double> scratch;
  std::vector<token_id> const source{0, 17, 5, 41, 9, 2};
  auto memory = make_matrix<double>({6, 32});
  model.encoder()(source, 1, {}, as_view(memory), scratch);
  std::vector<index_t> const source_of{0, 0, 0};
  auto state = model.decoder().start(as_view(memory), 1, {}, source_of, 4, scratch);
  CHECK(state.rows() == 3);
  CHECK(state.length() == 0);
  auto x = make_matrix<double>({3, 32});
  model.decoder()(std::vector<token_id>{2, 2, 2}, state, as_view(x), scratch);
  CHECK(state.length() == 1);
  auto const states = as_view(std::as_const(x));
  CHECK(distance(states.row_range(1, 1), states.row_range(0, 1)) <= rounding);
  CHECK(distance(states.row_range(2, 1), states.row_range(0, 1)) <= rounding);
  model.decoder()(std::vector<token_id>{2, 9, 2}, state, as_view(x), scratch);
  CHECK(distance(states.row_range(2, 1), states.row_range(0, 1)) <= rounding);
  CHECK(distance(states.row_range(1, 1), states.row_range(0, 1)) > 0.01);
}

TEST_CASE("after a reorder rows go on as if they had always been in their new places") {
  auto const model = bart<double>::load(tiny_model());
  workspace<double> scratch;
  std::vector<token_id> const sources{0, 17, 5, 41, 9, 2, 0, 33, 8, 2, 1, 1};
  std::vector<index_t> const lengths{6, 4};
  auto memory = make_matrix<double>({12, 32});
  model.encoder()(sources, 2, lengths, as_view(memory), scratch);
  auto const start = [&](std::vector<index_t> const& source_of) {
    return model.decoder().start(as_view(memory), 2, lengths, source_of, 1, scratch);
  };
  auto moved = start({0, 0, 1});
  auto straight = start({0, 1, 1, 0});
  auto x = make_matrix<double>({3, 32});
  auto y = make_matrix<double>({4, 32});
  model.decoder()(std::vector<token_id>{2, 3, 4}, moved, as_view(x), scratch);
  moved.reorder(std::vector<index_t>{1, 2, 2, 0});
  CHECK(moved.source_of == straight.source_of);
  model.decoder()(std::vector<token_id>{3, 4, 4, 2}, straight, as_view(y), scratch);
  auto after = make_matrix<double>({4, 32});
  std::vector<token_id> const next{10, 11, 12, 13};
  model.decoder()(next, moved, as_view(after), scratch);
  model.decoder()(next, straight, as_view(y), scratch);
  CHECK(distance(as_view(after), as_view(y)) <= rounding);
}

TEST_CASE("outputs of another size than the tokens are refused, caches stay as they are") {
  auto const model = bart<double>::load(tiny_model());
  workspace<double> scratch;
  std::vector<token_id> const source{0, 17, 5, 2};
  auto memory = make_matrix<double>({8, 32});
  auto const encode = [&](index_t rows, index_t batch) {
    return refusal<shape_error>(
        [&] { model.encoder()(source, batch, {}, as_view(memory).row_range(0, rows), scratch); });
  };
  CHECK(encode(4, 2) == "nothing thrown");
  CHECK(has(encode(8, 2), "4 tokens into 8 x 32"));
  CHECK(has(encode(3, 2), "4 tokens into 3 x 32"));
  CHECK(has(encode(4, 3), "4 tokens in a batch of 3"));
  CHECK(has(encode(4, 0), "4 tokens in a batch of 0"));
  CHECK(encode(4, 1) == "nothing thrown");

  auto state = model.decoder().start(as_view(memory).row_range(0, 4), 1, {},
                                     std::vector<index_t>{0, 0}, 4, scratch);
  auto x = make_matrix<double>({4, 32});
  auto const decode = [&](std::vector<token_id> const& ids, index_t rows) {
    return refusal<shape_error>(
        [&] { model.decoder()(ids, state, as_view(x).row_range(0, rows), scratch); });
  };
  CHECK(has(decode({2, 2}, 4), "2 tokens into 4 x 32"));
  CHECK(has(decode({2, 2, 2}, 3), "3 tokens for 2 rows"));
  CHECK(has(decode({}, 0), "0 tokens for 2 rows"));
  CHECK(has(decode({2, 97}, 2), "token id 97 is outside the vocabulary of 97"));
  CHECK(state.length() == 0);

  auto logits = make_matrix<double>({4, 96});
  CHECK(has(refusal<shape_error>([&] { model.logits(as_view(x), as_view(logits), scratch); }),
            "4 x 32 states into 4 x 96"));
}

TEST_CASE("key lengths that do not fit the sentences are refused") {
  auto const model = bart<double>::load(tiny_model());
  workspace<double> scratch;
  std::vector<token_id> const sources{0, 17, 5, 2, 0, 2};
  auto memory = make_matrix<double>({6, 32});
  using lengths = std::vector<index_t>;
  CHECK(has(refusal<shape_error>(
                [&] { model.encoder()(sources, 2, lengths{3}, as_view(memory), scratch); }),
            "encoder: a batch of 2 with 1 key lengths"));
  CHECK_THROWS_AS(model.encoder()(sources, 2, lengths{3, 0}, as_view(memory), scratch),
                  shape_error);
  model.encoder()(sources, 2, lengths{3, 2}, as_view(memory), scratch);
  auto state = model.decoder().start(as_view(memory), 2, lengths{3}, lengths{0, 1}, 4, scratch);
  auto x = make_matrix<double>({2, 32});
  CHECK_THROWS_AS(model.decoder()(std::vector<token_id>{2, 2}, state, as_view(x), scratch),
                  shape_error);
}

TEST_CASE("a batch that an encoder cuts into parts has the states of each sentence alone") {
  auto const model = bart<double>::load(tiny_model());
  workspace<double> scratch;
  index_t const tokens = 37;
  index_t const batch = 60 * worker_count();  // 2220 rows a thread
  std::vector<token_id> sources;
  std::vector<index_t> lengths;
  for (index_t b = 0; b < batch; ++b) {
    for (index_t i = 0; i < tokens; ++i) {
      sources.push_back(static_cast<token_id>((7 * b + 3 * i + b * i) % 97));
    }
    lengths.push_back(1 + (5 * b) % tokens);
  }
  auto together = make_matrix<double>({batch * tokens, 32});
  model.encoder()(sources, batch, lengths, as_view(together), scratch);
  auto alone = make_matrix<double>({tokens, 32});
  for (index_t const b : {index_t{0}, index_t{13}, batch / 2, batch - 1}) {
    CAPTURE(b);
    auto const first = static_cast<std::size_t>(b * tokens);
    model.encoder()(std::span(sources).subspan(first, static_cast<std::size_t>(tokens)), 1,
                    std::span(lengths).subspan(static_cast<std::size_t>(b), 1), as_view(alone),
                    scratch);
    // Sums of 64 numbers at most, a dozen of products and norms one after the other.
    auto const bound = 12 * 64 * support::epsilon<double> * frobenius_norm<double>(as_view(alone));
    CHECK(support::distance(as_view(std::as_const(alone)),
                            as_view(std::as_const(together)).row_range(b * tokens, tokens)) <=
          bound);
  }
}

TEST_CASE("a position beyond the table is refused, the state stays") {
  auto const model = bart<float>::load(tiny_model());  // 40 positions
  workspace<float> scratch;
  std::vector<token_id> const source{0, 2};
  auto memory = make_matrix<float>({2, 32});
  model.encoder()(source, 1, {}, as_view(memory), scratch);
  auto state = model.decoder().start(as_view(memory), 1, {}, std::vector<index_t>{0}, 64, scratch);
  auto x = make_matrix<float>({40, 32});
  model.decoder()(std::vector<token_id>(39, 5), state, as_view(x).row_range(0, 39), scratch);
  auto const two = refusal<shape_error>([&] {
    model.decoder()(std::vector<token_id>{5, 5}, state, as_view(x).row_range(0, 2), scratch);
  });
  CHECK(has(two, "positions 39 to 40 exceed the table of 40"));
  CHECK(state.length() == 39);
  model.decoder()(std::vector<token_id>{5}, state, as_view(x).row_range(0, 1), scratch);
  CHECK(state.length() == 40);
}

TEST_CASE("one layer for all keys and values of the memory computes what the single ones do") {
  auto const single = bart<double>::load(tiny_model());
  auto model = single;
  model.replace(cross_kv_name, joint_memory(single));
  CHECK(model.parameters() == single.parameters());
  for (auto const& layer : model.decoder().layers) {
    CHECK_FALSE(layer.encoder_attn.k_proj);
    CHECK_FALSE(layer.encoder_attn.v_proj);
    CHECK(layer.encoder_attn.q_proj);
  }
  auto const names = linear_names(model);
  CHECK(names.size() == linear_names(single).size() - 2 * 3 + 1);
  CHECK(std::ranges::count(names, cross_kv_name) == 1);
  auto const got = run(model);
  auto const expected = run(single);
  CHECK(distance(as_view(got.hidden), as_view(expected.hidden)) <= rounding);
  CHECK(distance(as_view(got.logits), as_view(expected.logits)) <= rounding);
}

TEST_CASE("a joint layer of the memory gives each decoder layer its own keys and values") {
  auto const single = bart<double>::load(tiny_model());
  auto const expected = run(single);
  auto const joint = joint_memory(single);
  for (index_t block = 0; block < 6; ++block) {
    CAPTURE(block);
    // Zeros in one block are zeros in one layer.
    auto weight = joint.dense_weight();
    auto bias = *joint.bias();
    std::fill_n(weight.begin() + 32 * 32 * block, 32 * 32, 0.0);
    std::fill_n(bias.begin() + 32 * block, 32, 0.0);
    auto model = single;
    model.replace(cross_kv_name, linear<double>(weight, bias));
    auto changed = single;
    auto zeros = make_matrix<double>({32, 32});
    zeros.fill(0.0);
    changed.replace(message(layer_name("decoder", block / 2), ".encoder_attn.",
                            block % 2 == 0 ? "k_proj" : "v_proj"),
                    linear<double>(zeros));
    auto const got = run(model);
    auto const wanted = run(changed);
    CHECK(distance(as_view(got.logits), as_view(wanted.logits)) <= rounding);
    CHECK(distance(as_view(got.logits), as_view(expected.logits)) > 1e-6);
  }
}

TEST_CASE("a joint layer of another shape is refused, the model stays") {
  auto model = bart<float>::load(tiny_model());
  auto const before = run(model);
  auto const told = [&](std::string_view name, index_t outputs, index_t inputs) {
    return refusal<shape_error>([&] {
      model.replace(name, linear<float>(make_matrix<float>({outputs, inputs})));
    });
  };
  CHECK(has(told(cross_kv_name, 32, 32), "cross_kv_proj: a 32 x 32 layer in place of 192 x 32"));
  CHECK(has(told("model.encoder.layers.1.self_attn.qkv_proj", 32, 32), "in place of 96 x 32"));
  CHECK(has(told("model.decoder.layers.1.encoder_attn.qkv_proj", 96, 32),
            "no linear layer is named 'model.decoder.layers.1.encoder_attn.qkv_proj'"));
  CHECK(run(model) == before);
}

TEST_CASE_TEMPLATE("an output layer of full rank answers what the table answers, in every form", T,
                   float, double) {
  auto c = checkpoint::tiny();
  c.tensors["final_logits_bias"] = bart_test::stored({1, 97}, bart_test::random_values(97, 1));
  auto const plain = c.load<T>();
  auto const expected = run(plain);
  for (auto const stored_as :
       {form::two_factor, form::diagonal_core, form::full_core, form::pivoted}) {
    CAPTURE(static_cast<int>(stored_as));
    auto model = plain;
    model.replace("lm_head", whole_head(plain, stored_as));
    auto const got = run(model);
    CHECK(std::ranges::equal(got.hidden, expected.hidden));
    // The SVD of 97 x 32 numbers and two products of 32 terms: 4 (97 + 32) units of the last place
    // of ||h|| ||E||, as in compress_bart_test.cpp, and 32 more for each product.
    auto const unit = static_cast<double>(std::numeric_limits<T>::epsilon());
    auto const bound = (4 * (97 + 32) + 2 * 32) * unit * frobenius_norm(plain.output_table());
    for (index_t i = 0; i < 8; ++i) {
      auto const row = as_view(std::as_const(got.hidden)).row_range(i, 1);
      for (index_t j = 0; j < 97; ++j) {
        REQUIRE(std::abs(static_cast<double>(got.logits(i, j) - expected.logits(i, j))) <=
                bound * frobenius_norm(row));
      }
    }
  }
}

TEST_CASE("an output layer in factors is their product, and its bias is added to the model's") {
  auto c = checkpoint::tiny();
  auto const constant = bart_test::random_values(97, 1);
  c.tensors["final_logits_bias"] = bart_test::stored({1, 97}, constant);
  auto model = c.load<double>();
  auto left = make_matrix<double>({97, 3});
  auto right = make_matrix<double>({3, 32});
  fill_normal(std::span<double>(left.data(), left.size()), 2);
  fill_normal(std::span<double>(right.data(), right.size()), 3);
  auto bias = make_vector<double>(97);
  fill_normal(std::span<double>(bias.data(), bias.size()), 4);
  model.replace("lm_head", linear<double>(low_rank<double, two_factor>{left, right}, bias));
  auto const got = run(model);
  for (index_t i = 0; i < 8; ++i) {
    for (index_t v = 0; v < 97; ++v) {
      auto const at = static_cast<std::size_t>(v);
      auto sum = bias(at) + static_cast<double>(constant[at]);
      double size = std::abs(bias(at)) + std::abs(static_cast<double>(constant[at]));
      for (index_t j = 0; j < 32; ++j) {
        for (index_t k = 0; k < 3; ++k) {
          sum += got.hidden(i, j) * right(k, j) * left(v, k);
          size += std::abs(got.hidden(i, j) * right(k, j) * left(v, k));
        }
      }
      REQUIRE(std::abs(got.logits(i, v) - sum) <= 2 * (32 + 3 + 2) * 0x1p-52 * size);
    }
  }
}

TEST_CASE_TEMPLATE("an output layer takes the place of the table, which embeddings may still need",
                   T, float, double) {
  for (bool const tied : {true, false}) {
    CAPTURE(tied);
    auto c = checkpoint::tiny();
    c.config["tie_word_embeddings"] = tied;
    if (!tied) {
      c.tensors["lm_head.weight"] =
          bart_test::stored({97, 32}, bart_test::random_values(97 * 32, 1));
    }
    auto const plain = c.load<T>();
    CHECK_FALSE(plain.lm_head());
    auto model = plain;
    model.replace("lm_head", linear<T>(low_rank<T, two_factor>{make_matrix<T>({97, 3}),
                                                               make_matrix<T>({3, 32})},
                                       make_vector<T>(97)));
    REQUIRE(model.lm_head());
    CHECK(model.lm_head()->rank() == 3);
    CHECK(model.output_table().data == nullptr);
    CHECK(model.output_table().size() == 0);
    CHECK(model.encoder().embed.tokens() == plain.encoder().embed.tokens());
    CHECK(model.parameters() == plain.parameters() - (tied ? 0 : 97 * 32) + 3 * (97 + 32) + 97);
    auto const names = linear_names(model);
    CHECK(names.size() == linear_names(plain).size() + 1);
    CHECK(names.back() == "lm_head");
    CHECK(plain.output_table().size() == 97 * 32);  // a copy's table is its own affair

    // Once there, it can be replaced again, as any layer.
    model.replace("lm_head", linear<T>(to_matrix(plain.output_table())));
    CHECK(model.lm_head()->stored_as() == form::dense);
    CHECK(model.parameters() == plain.parameters() + (tied ? 97 * 32 : 0));
    CHECK(std::ranges::equal(run(model).hidden, run(plain).hidden));
  }
}

TEST_CASE("an output layer of another shape is refused, the table stays") {
  auto model = bart<float>::load(tiny_model());
  auto const before = run(model);
  auto const told = [&](index_t outputs, index_t inputs) {
    return refusal<shape_error>([&] {
      model.replace("lm_head", linear<float>(make_matrix<float>({outputs, inputs})));
    });
  };
  CHECK(has(told(96, 32), "lm_head: a 96 x 32 layer in place of 97 x 32"));
  CHECK(has(told(32, 97), "lm_head: a 32 x 97 layer in place of 97 x 32"));
  CHECK_FALSE(model.lm_head());
  CHECK(run(model) == before);
}

TEST_CASE("with an output layer in factors steps allocate nothing, however many rows") {
  auto const plain = bart<float>::load(tiny_model());
  for (auto const stored_as : {form::two_factor, form::full_core, form::pivoted}) {
    auto model = plain;
    model.replace("lm_head", whole_head(plain, stored_as));
    for (index_t const beams : {1, 6, 40}) {
      CAPTURE(beams);
      bart_step_decoder decoder(model, pad_batch(std::vector<std::vector<token_id>>{{2}}, 1), beams,
                                4);
      std::vector<token_id> const tokens(static_cast<std::size_t>(beams), 2);
      auto const all = support::allocations_in([&] {
        for (int step = 0; step < 4; ++step) {
          decoder.step(tokens);
        }
      });
      CHECK(all == 0);
    }
  }
}

TEST_CASE("layers see every state, first the embedded input and last the output") {
  auto const model = bart<float>::load(tiny_model());
  workspace<float> scratch;
  std::vector<token_id> const source{0, 17, 2};
  auto memory = make_matrix<float>({3, 32});
  std::vector<index_t> seen;
  bool last_is_output = false;
  model.encoder()(source, 1, {}, as_view(memory), scratch,
                  [&](index_t layer, matrix_view<float const> states) {
                    seen.push_back(layer);
                    last_is_output = states.data == memory.data();
                  });
  CHECK(seen == std::vector<index_t>{0, 1, 2});
  CHECK(last_is_output);
}

TEST_CASE("within the capacity every step is decoded without any allocation") {
  auto const model = bart<float>::load(tiny_model());
  // A short source: the decoder's rows need more scratch than the encoder has made.
  std::vector<std::vector<token_id>> const long_sources{{0, 17, 5, 41, 9, 2}, {0, 33, 2}};
  std::vector<std::vector<token_id>> const short_source{{2}};
  for (auto const& sources : {long_sources, short_source}) {
    CAPTURE(sources.size());
    auto const beams = 6 / static_cast<index_t>(sources.size());
    bart_step_decoder decoder(model, pad_batch(sources, 1), beams, 8);
    std::vector<token_id> const tokens{2, 2, 2, 2, 2, 2};
    std::vector<index_t> const parents{1, 0, 0, 5, 3, 4};
    auto const eight = support::allocations_in([&] {
      for (int step = 0; step < 8; ++step) {
        decoder.step(tokens);
        decoder.reorder(parents);
      }
    });
    CHECK(eight == 0);
    CHECK(support::allocations_in([&] { decoder.step(tokens); }) > 0);
  }
}

TEST_CASE("and so it is with one layer, and for all positions that the model has") {
  auto c = checkpoint::tiny();
  c.config["decoder_layers"] = 1;
  auto const model = c.load<float>();
  for (index_t const beams : {1, 2, 5, 6}) {
    CAPTURE(beams);
    bart_step_decoder decoder(model, pad_batch(std::vector<std::vector<token_id>>{{2}}, 1), beams,
                              40);
    std::vector<token_id> const tokens(static_cast<std::size_t>(beams), 2);
    auto const all = support::allocations_in([&] {
      for (int step = 0; step < 40; ++step) {
        decoder.step(tokens);
      }
    });
    CHECK(all == 0);
  }
}

TEST_CASE("a model of double and a model of float hold the same numbers") {
  auto const single = bart<float>::load(tiny_model());
  auto const twice = bart<double>::load(tiny_model());
  auto const a = single.output_table();
  auto const b = twice.output_table();
  REQUIRE(a.shape() == b.shape());
  for (index_t i = 0; i < a.rows; ++i) {
    CHECK(std::ranges::equal(a.row(i), b.row(i), {}, [](float x) { return double{x}; }));
  }
}
