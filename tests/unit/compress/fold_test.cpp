#include "eckart/compress/fold.hpp"

#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

using namespace eckart;
using nn_test::bounded;
using nn_test::exact;
using nn_test::has;
using nn_test::misfit;
using nn_test::plain_linear;
using nn_test::random_source;
using nn_test::same;
using support::epsilon;
using support::refusal;

namespace {

constexpr form all_forms[] = {form::dense, form::two_factor, form::diagonal_core, form::full_core,
                              form::pivoted};

/// The attention with its own scale, as plain loops; memory is of an attention of its own.
template <class T, class Visible>
auto plain(multi_head_attention<T> const& layer, bounded const& x, bounded const& memory,
           Visible visible) -> bounded {
  auto const q = plain_linear(x, *layer.q_proj);
  auto const k = plain_linear(memory, *layer.k_proj);
  auto const v = plain_linear(memory, *layer.v_proj);
  bounded context{nn_test::zeros(q.rows(), q.cols()), nn_test::zeros(q.rows(), q.cols())};
  for (index_t h = 0; h < layer.heads; ++h) {
    nn_test::columns const own{h * layer.head_width(), layer.head_width()};
    nn_test::plain_head<T>(q, k, v, {own, own}, static_cast<double>(layer.scale), visible, context);
  }
  return plain_linear(context, layer.out_proj);
}

/// What the original answers in double, and how far the folded one may be from it in T: the
/// rounding of its own computation. That of folding, one unit roundoff of each weight and bias, is
/// in it: plain_linear() allows each product of n terms n + 4 of twice that.
template <class T, class Visible>
auto expected_of(multi_head_attention<T> const& original, multi_head_attention<T> const& folded,
                 bounded const& x, bounded const& memory, Visible visible) -> bounded {
  auto result = plain(original, x, memory, visible);
  result.error = plain(folded, x, memory, visible).error;
  return result;
}

template <class T>
auto weights_equal(linear<T> const& a, linear<T> const& b) -> bool {
  auto const x = a.dense_weight();
  auto const y = b.dense_weight();
  return a.stored_as() == b.stored_as() && a.rank() == b.rank() && same(as_view(x), as_view(y)) &&
         a.has_bias() == b.has_bias() &&
         (!a.has_bias() || std::ranges::equal(*a.bias(), *b.bias()));
}

template <class T>
auto layers_equal(multi_head_attention<T> const& a, multi_head_attention<T> const& b) -> bool {
  auto const both = [](std::optional<linear<T>> const& x, std::optional<linear<T>> const& y) {
    return x.has_value() == y.has_value() && (!x || weights_equal(*x, *y));
  };
  return both(a.q_proj, b.q_proj) && both(a.k_proj, b.k_proj) && both(a.v_proj, b.v_proj) &&
         both(a.qkv_proj, b.qkv_proj) && weights_equal(a.out_proj, b.out_proj) &&
         a.scale == b.scale;
}

template <class T>
auto parameters(multi_head_attention<T> const& a) -> std::uint64_t {
  return a.q_proj->parameters() + a.k_proj->parameters() + a.v_proj->parameters() +
         a.out_proj.parameters();
}

/// With keys and values for x by x itself.
template <class T>
auto self(multi_head_attention<T> const& layer, matrix<T> const& x, bool causal) -> matrix<T> {
  auto y = make_matrix<T>(as_view(x).shape());
  workspace<T> scratch;
  layer.self(as_view(x), 1, {}, causal, as_view(y), scratch);
  return y;
}

template <class T>
auto joint_attention(random_source& random) -> multi_head_attention<T> {
  attention_inputs<T> inputs;
  inputs.qkv_proj = random.linear<T>(24, 8);
  return {2, std::move(inputs), random.linear<T>(8, 8)};
}

template <class T>
auto attention_without_memory(random_source& random) -> multi_head_attention<T> {
  attention_inputs<T> inputs;
  inputs.q_proj = random.linear<T>(8, 8);
  return {2, std::move(inputs), random.linear<T>(8, 8)};
}

}  // namespace

TEST_CASE_TEMPLATE("folding leaves a padded, causal or cross attention as it is, in any form", T,
                   float, double) {
  random_source random(1);
  workspace<T> scratch;
  for (auto const stored_as : all_forms) {
    for (bool const causal : {false, true}) {
      CAPTURE(message(name_of(stored_as), ", causal ", causal));
      auto const original = random.attention<T>(3, 15, stored_as);
      auto folded = original;
      fold_attention(folded);
      constexpr index_t tokens = 7;
      auto const x = random.matrix<T>(2 * tokens, 15);
      auto y = make_matrix<T>({2 * tokens, 15});
      std::vector<index_t> const lengths{7, 4};
      folded.self(as_view(x), 2, lengths, causal, as_view(y), scratch);
      for (index_t b = 0; b < 2; ++b) {
        auto const one = exact(as_view(x).row_range(b * tokens, tokens));
        auto const expected = expected_of(original, folded, one, one, [&](index_t query) {
          auto const length = lengths[static_cast<std::size_t>(b)];
          return causal ? std::min(length, query + 1) : length;
        });
        CHECK(misfit(as_view(y).row_range(b * tokens, tokens), expected) <= 1);
      }
      auto memory = folded.make_cache();
      folded.remember(as_view(x), 2, memory, scratch);
      auto const queries = random.matrix<T>(3, 15);
      auto z = make_matrix<T>({3, 15});
      folded.cross(as_view(queries), memory, std::vector<index_t>{1, 0, 1}, lengths, as_view(z),
                   scratch);
      for (index_t r = 0; r < 3; ++r) {
        index_t const source = r == 1 ? 0 : 1;
        auto const expected =
            expected_of(original, folded, exact(as_view(queries).row_range(r, 1)),
                        exact(as_view(x).row_range(source * tokens, tokens)),
                        [&](index_t) { return lengths[static_cast<std::size_t>(source)]; });
        CHECK(misfit(as_view(z).row_range(r, 1), expected) <= 1);
      }
    }
  }
}

TEST_CASE_TEMPLATE("a folded attention that is fed through a cache equals the original", T, float,
                   double) {
  random_source random(2);
  workspace<T> scratch;
  auto const original = random.attention<T>(2, 10);
  auto folded = original;
  fold_attention(folded);
  auto const x = random.matrix<T>(6, 10);
  auto const all = exact(as_view(x));
  auto const expected =
      expected_of(original, folded, all, all, [](index_t query) { return query + 1; });
  auto cache = folded.make_cache();
  cache.reset(1, 6);
  for (index_t i = 0; i < 6; ++i) {
    auto y = make_matrix<T>({1, 10});
    folded.self(as_view(x).row_range(i, 1), cache, as_view(y), scratch);
    CHECK(misfit(as_view(y), nn_test::rows_of(expected, i, 1)) <= 1);
  }
}

TEST_CASE_TEMPLATE("each step alone leaves the outputs as they are", T, float, double) {
  random_source random(3);
  auto const original = random.attention<T>(2, 12);
  auto const x = random.matrix<T>(5, 12);
  auto const check = [&](auto step) {
    auto folded = original;
    step(folded);
    CHECK_FALSE(layers_equal(folded, original));
    auto const one = exact(as_view(x));
    auto const y = self(folded, x, false);
    auto const expected =
        expected_of(original, folded, one, one, [](index_t) { return index_t{5}; });
    CHECK(misfit(as_view(y), expected) <= 1);
  };
  check([](auto& a) { drop_key_bias(a); });
  check([](auto& a) { fold_value_bias(a); });
  check([](auto& a) { fold_score_scale(a); });
}

TEST_CASE("the parameters fall by the biases of keys and values, and only the scale moves") {
  random_source random(4);
  for (auto const stored_as : all_forms) {
    CAPTURE(name_of(stored_as));
    auto const original = random.attention<float>(2, 14, stored_as);
    auto folded = original;
    fold_attention(folded);
    CHECK(parameters(folded) == parameters(original) - 2 * 14);
    CHECK_FALSE(folded.k_proj->has_bias());
    CHECK_FALSE(folded.v_proj->has_bias());
    CHECK(folded.q_proj->has_bias());
    CHECK(folded.scale == 1.0F);
    CHECK(weights_equal(*folded.k_proj, linear<float>(original.k_proj->stored_weight())));
    CHECK(weights_equal(*folded.v_proj, linear<float>(original.v_proj->stored_weight())));
    CHECK(folded.out_proj.stored_as() == stored_as);
    CHECK(folded.q_proj->stored_as() == stored_as);
  }
}

TEST_CASE_TEMPLATE("the output bias is the old one plus the image of the values', rounded once", T,
                   float, double) {
  random_source random(5);
  for (auto const stored_as : all_forms) {
    CAPTURE(name_of(stored_as));
    auto const original = random.attention<T>(2, 12, stored_as);
    auto folded = original;
    fold_value_bias(folded);
    auto const factors = nn_test::factors_of(original.out_proj);
    auto image = nn_test::zeros(12, 1);
    auto size = image;
    for (index_t i = 0; i < 12; ++i) {
      as_view(image)(i, 0) =
          static_cast<double>((*original.v_proj->bias())(static_cast<std::size_t>(i)));
      as_view(size)(i, 0) = std::abs(as_view(image)(i, 0));
    }
    for (auto f = factors.rbegin(); f != factors.rend(); ++f) {
      image = support::product(*f, image);
      size = support::product(support::magnitudes(as_view(*f)), size);
    }
    for (index_t i = 0; i < 12; ++i) {
      auto const old =
          static_cast<double>((*original.out_proj.bias())(static_cast<std::size_t>(i)));
      auto const got = static_cast<double>((*folded.out_proj.bias())(static_cast<std::size_t>(i)));
      auto const sum = old + as_view(image)(i, 0);
      // A rounding to T, and two sums in double of at most 3 * 12 terms in each of two orders.
      auto const bound = epsilon<T> / 2 * std::abs(sum) +
                         40 * epsilon<double> * (std::abs(old) + as_view(size)(i, 0));
      CHECK(std::abs(got - sum) <= bound);
    }
  }
}

TEST_CASE("an output layer without a bias gets the image of the values' bias") {
  random_source random(6);
  auto layer = random.attention<double>(1, 2);
  auto weight = make_matrix<double>({2, 2});
  weight(0, 0) = 1;
  weight(0, 1) = 2;
  weight(1, 0) = -3;
  weight(1, 1) = 0.5;
  layer.out_proj = linear<double>(weight);
  auto bias = make_vector<double>(2);
  bias(0) = 4;
  bias(1) = 8;
  layer.v_proj = linear<double>(layer.v_proj->stored_weight(), bias);
  fold_value_bias(layer);
  REQUIRE(layer.out_proj.has_bias());
  CHECK((*layer.out_proj.bias())(0) == 20);
  CHECK((*layer.out_proj.bias())(1) == -8);
}

TEST_CASE_TEMPLATE("a scale that is a power of two is folded to the last bit", T, float, double) {
  random_source random(7);
  for (auto const stored_as : all_forms) {
    for (index_t const head_width : {index_t{64}, index_t{16}, index_t{4}}) {
      CAPTURE(message(name_of(stored_as), ", heads of ", head_width));
      auto const width = 2 * head_width;
      auto const original = random.attention<T>(2, width, stored_as);
      auto folded = original;
      fold_score_scale(folded);
      CHECK(folded.scale == T{1});
      auto const x = random.matrix<T>(9, width);
      workspace<T> scratch;
      auto q = make_matrix<T>({9, width});
      auto q_folded = q;
      (*original.q_proj)(as_view(x), as_view(q), scratch);
      (*folded.q_proj)(as_view(x), as_view(q_folded), scratch);
      std::ranges::for_each(q, [&](T& value) { value *= original.scale; });
      CHECK(same(as_view(q_folded), as_view(q)));
      for (bool const causal : {false, true}) {
        auto const before = self(original, x, causal);
        auto const after = self(folded, x, causal);
        CHECK(same(as_view(after), as_view(before)));
      }
    }
  }
}

TEST_CASE("any other scale rounds each dense weight and bias once") {
  random_source random(8);
  auto const original = random.attention<float>(2, 6);
  auto folded = original;
  fold_score_scale(folded);
  auto const before = original.q_proj->dense_weight();
  auto const after = folded.q_proj->dense_weight();
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(after.data()[i] == before.data()[i] * original.scale);
  }
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK((*folded.q_proj->bias())(i) == (*original.q_proj->bias())(i)*original.scale);
  }
}

TEST_CASE_TEMPLATE("folding twice changes nothing", T, float, double) {
  random_source random(9);
  for (auto const stored_as : all_forms) {
    CAPTURE(name_of(stored_as));
    auto once = random.attention<T>(3, 9, stored_as);
    fold_attention(once);
    auto twice = once;
    fold_attention(twice);
    CHECK(layers_equal(twice, once));
  }
}

TEST_CASE("of an attention whose memory is the owner's only the scale is folded") {
  random_source random(10);
  auto const original = attention_without_memory<double>(random);
  auto folded = original;
  fold_attention(folded);
  CHECK(folded.scale == 1);
  CHECK_FALSE(folded.k_proj.has_value());
  CHECK_FALSE(folded.v_proj.has_value());
  CHECK(weights_equal(folded.out_proj, original.out_proj));
  auto scaled = original;
  fold_score_scale(scaled);
  CHECK(layers_equal(folded, scaled));
  CHECK_FALSE(layers_equal(folded, original));
}

TEST_CASE("a joint layer is refused by every step and stays as it is") {
  random_source random(11);
  auto layer = joint_attention<float>(random);
  auto const before = layer;
  auto const told = [&](auto step) {
    auto const what = refusal<shape_error>([&] { step(layer); });
    CHECK(layers_equal(layer, before));
    return what;
  };
  CHECK(told([](auto& a) { drop_key_bias(a); }) ==
        "drop_key_bias: queries, keys and values have a joint 24 x 8 layer; fold before joining");
  CHECK(has(told([](auto& a) { fold_value_bias(a); }), "fold_value_bias: "));
  CHECK(has(told([](auto& a) { fold_score_scale(a); }), "fold_score_scale: "));
  CHECK(has(told([](auto& a) { fold_attention(a); }), "fold_attention: "));
}

TEST_CASE("the bias of the queries is not one that softmax ignores") {
  random_source random(12);
  auto layer = random.attention<double>(1, 4);
  auto const x = random.matrix<double>(3, 4);
  auto const before = self(layer, x, false);
  layer.q_proj = linear<double>(layer.q_proj->stored_weight());
  CHECK(support::distance(self(layer, x, false), before) > 1e-3);
}
