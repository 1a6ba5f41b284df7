#include "eckart/nn/attention.hpp"

#include "eckart/backend/reference.hpp"

#define ECKART_DEFINE_ALLOCATION_COUNTER
#include "support/allocation_counter.hpp"
#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace eckart;
using nn_test::bounded;
using nn_test::exact;
using nn_test::has;
using nn_test::misfit;
using nn_test::plain_attention;
using nn_test::random_source;
using nn_test::same;
using support::epsilon;
using support::refusal;

namespace {

template <class T>
auto not_a_number(index_t rows, index_t cols) -> matrix<T> {
  auto m = make_matrix<T>({rows, cols});
  m.fill(std::numeric_limits<T>::quiet_NaN());
  return m;
}

/// Of a random layer; some widths are no multiple of a vector register.
struct sizes {
  index_t heads;
  index_t width;
};
auto random_sizes(random_source& random) -> sizes {
  auto const heads = random.integer(1, 4);
  return {heads, heads * random.integer(1, 9)};
}

/// The weights dense or in factors: attention must not see the difference.
auto random_form(random_source& random) -> form {
  return random.integer(0, 1) == 0 ? form::dense : form::two_factor;
}

/// The same with one layer for queries, keys and values, dense.
template <class T>
auto joined(multi_head_attention<T> const& layer) -> multi_head_attention<T> {
  auto const width = layer.width();
  auto weight = make_matrix<T>({3 * width, width});
  auto bias = make_vector<T>(3 * width);
  index_t first = 0;
  for (auto const* part : {&*layer.q_proj, &*layer.k_proj, &*layer.v_proj}) {
    auto const own = part->dense_weight();
    copy<T>(as_view(own), as_view(weight).row_range(first, width));
    std::ranges::copy(*part->bias(), bias.begin() + first);
    first += width;
  }
  return {layer.heads,
          {std::nullopt, std::nullopt, std::nullopt, linear<T>(std::move(weight), std::move(bias))},
          layer.out_proj};
}

}  // namespace

TEST_CASE_TEMPLATE("one query weighs two values 1/4 and 3/4 where its scores differ by log 3", T,
                   float, double) {
  T const q = 2;
  std::array<T, 2> const keys{0, static_cast<T>(std::log(3.0L))};
  std::array<T, 2> const values{4, 8};
  T out = 0;
  workspace<T> scratch;
  scaled_dot_product_attention<T>({&q, 1, 1}, {keys.data(), 2, 1}, {values.data(), 2, 1}, T{0.5},
                                  {}, matrix_view<T>(&out, 1, 1), scratch);
  CHECK(std::abs(static_cast<double>(out) - 7) <= 8 * 7 * epsilon<T>);
}

TEST_CASE_TEMPLATE("a query sees all keys, those before the padding, or those before itself", T,
                   float, double) {
  random_source random(1);
  workspace<T> scratch;
  for (int round = 0; round < 60; ++round) {
    auto const queries = random.integer(1, 7);
    auto const keys = queries + random.integer(0, 7);
    auto const d = random.integer(1, 12);
    auto const e = random.integer(1, 12);
    attention_mask mask{.causal = random.integer(0, 1) == 1};
    if (random.integer(0, 1) == 1) {
      // A length beyond the keys is no restriction.
      mask.key_length = random.integer(1, keys + 1);
    }
    CAPTURE(message(queries, " queries, ", keys, " keys, widths ", d, " and ", e, ", causal ",
                    mask.causal, ", length ", mask.key_length.value_or(-1)));
    auto const q = random.matrix<T>(queries, d);
    auto const k = random.matrix<T>(keys, d);
    auto const v = random.matrix<T>(keys, e);
    auto out = not_a_number<T>(queries, e);
    auto const scale = static_cast<T>(random.number());
    scaled_dot_product_attention<T>(as_view(q), as_view(k), as_view(v), scale, mask, as_view(out),
                                    scratch);
    auto const visible = [&](index_t query) {
      auto const before_padding = std::min(keys, mask.key_length.value_or(keys));
      return mask.causal ? std::min(before_padding, keys - queries + query + 1) : before_padding;
    };
    bounded expected{nn_test::zeros(queries, e), nn_test::zeros(queries, e)};
    nn_test::plain_head<T>(exact(as_view(q)), exact(as_view(k)), exact(as_view(v)),
                           {.queries = {0, d}, .values = {0, e}}, static_cast<double>(scale),
                           visible, expected);
    CHECK(misfit(as_view(out), expected) <= 1);
  }
}

TEST_CASE("a query that would see no key is refused, the output stays") {
  random_source random(2);
  auto const q = random.matrix<double>(3, 4);
  auto const k = random.matrix<double>(2, 4);
  auto out = random.matrix<double>(3, 4);
  auto const before = out;
  workspace<double> scratch;
  auto const told = [&](attention_mask mask) {
    auto const what = refusal<shape_error>([&] {
      scaled_dot_product_attention<double>(as_view(q), as_view(k), as_view(k), 1.0, mask,
                                           as_view(out), scratch);
    });
    CHECK(same(as_view(out), as_view(before)));
    return what;
  };
  CHECK(has(told({.key_length = 0}), "first of 3 queries sees none of 0 keys"));
  CHECK(has(told({.key_length = -5}), "sees none"));
  CHECK(has(told({.causal = true}), "first of 3 queries sees none of 2 keys"));
}

TEST_CASE("keys, values and outputs that do not fit are refused, the output stays") {
  random_source random(3);
  auto const q = random.matrix<float>(2, 4);
  auto const k = random.matrix<float>(3, 4);
  auto const wide = random.matrix<float>(3, 5);
  auto out = random.matrix<float>(2, 4);
  auto const before = out;
  workspace<float> scratch;
  auto const attend = [&](auto const& queries, auto const& keys, auto const& values, auto to) {
    scaled_dot_product_attention<float>(as_view(queries), as_view(keys), as_view(values), 1.0F, {},
                                        to, scratch);
  };
  CHECK(has(refusal<shape_error>([&] { attend(q, k, q, as_view(out)); }), "3 keys, 2 values"));
  CHECK_THROWS_AS(attend(q, wide, k, as_view(out)), shape_error);
  CHECK_THROWS_AS(attend(q, k, wide, as_view(out)), shape_error);
  CHECK_THROWS_AS(attend(q, k, k, as_view(out).row_range(0, 1)), shape_error);
  CHECK(same(as_view(out), as_view(before)));
}

TEST_CASE_TEMPLATE("self-attention of a padded batch equals plain loops over each sentence", T,
                   float, double) {
  random_source random(4);
  workspace<T> scratch;
  for (int round = 0; round < 25; ++round) {
    auto const of = random_sizes(random);
    auto const layer = random.attention<T>(of.heads, of.width, random_form(random));
    auto const batch = random.integer(1, 4);
    auto const tokens = random.integer(1, 9);
    bool const causal = random.integer(0, 1) == 1;
    std::vector<index_t> lengths;
    if (random.integer(0, 3) > 0) {
      for (index_t b = 0; b < batch; ++b) {
        lengths.push_back(random.integer(1, tokens));
      }
    }
    CAPTURE(message(of.heads, " heads, width ", of.width, ", ", batch, " x ", tokens, ", causal ",
                    causal));
    auto const x = random.matrix<T>(batch * tokens, of.width);
    auto y = not_a_number<T>(batch * tokens, of.width);
    layer.self(as_view(x), batch, lengths, causal, as_view(y), scratch);
    for (index_t b = 0; b < batch; ++b) {
      auto const sentence = exact(as_view(x).row_range(b * tokens, tokens));
      auto const length = lengths.empty() ? tokens : lengths[static_cast<std::size_t>(b)];
      auto const expected = plain_attention(layer, sentence, sentence, [&](index_t query) {
        return causal ? std::min(length, query + 1) : length;
      });
      CHECK(misfit(as_view(y).row_range(b * tokens, tokens), expected) <= 1);
    }
  }
}

TEST_CASE_TEMPLATE("what stands in the padding changes no other row", T, float, double) {
  random_source random(5);
  auto const layer = random.attention<T>(2, 8);
  auto const x = random.matrix<T>(2 * 5, 8);
  auto spoiled = x;
  std::vector<index_t> const lengths{3, 5};
  for (index_t const row : {3, 4}) {
    std::ranges::fill(as_view(spoiled).row(row), std::numeric_limits<T>::quiet_NaN());
  }
  workspace<T> scratch;
  auto clean = make_matrix<T>({10, 8});
  auto got = make_matrix<T>({10, 8});
  layer.self(as_view(x), 2, lengths, false, as_view(clean), scratch);
  layer.self(as_view(spoiled), 2, lengths, false, as_view(got), scratch);
  CHECK(same(as_view(got).row_range(0, 3), as_view(clean).row_range(0, 3)));
  CHECK(same(as_view(got).row_range(5, 5), as_view(clean).row_range(5, 5)));
  CHECK(std::isnan(got(3, 0)));
}

TEST_CASE_TEMPLATE("tokens fed through a cache, in any pieces, equal all of them at once", T, float,
                   double) {
  random_source random(6);
  workspace<T> scratch;
  for (int round = 0; round < 25; ++round) {
    auto const of = random_sizes(random);
    auto const layer = random.attention<T>(of.heads, of.width, random_form(random));
    auto const rows = random.integer(1, 4);
    auto const tokens = random.integer(1, 10);
    CAPTURE(message(of.heads, " heads, width ", of.width, ", ", rows, " x ", tokens));
    auto const x = random.matrix<T>(rows * tokens, of.width);  // row after row
    std::vector<bounded> expected;
    for (index_t r = 0; r < rows; ++r) {
      auto const row = exact(as_view(x).row_range(r * tokens, tokens));
      expected.push_back(plain_attention(layer, row, row, [](index_t query) { return query + 1; }));
    }
    auto cache = layer.make_cache();
    cache.reset(rows, 1);
    for (index_t done = 0; done < tokens;) {
      auto const steps = random.integer(1, tokens - done);
      auto piece = make_matrix<T>({rows * steps, of.width});
      for (index_t r = 0; r < rows; ++r) {
        copy<T>(as_view(x).row_range(r * tokens + done, steps),
                as_view(piece).row_range(r * steps, steps));
      }
      auto y = not_a_number<T>(rows * steps, of.width);
      layer.self(as_view(piece), cache, as_view(y), scratch);
      for (index_t r = 0; r < rows; ++r) {
        CHECK(misfit(as_view(y).row_range(r * steps, steps),
                     nn_test::rows_of(expected[static_cast<std::size_t>(r)], done, steps)) <= 1);
      }
      done += steps;
    }
    CHECK(cache.length() == tokens);
  }
}

TEST_CASE_TEMPLATE("after a reorder a row continues its parent", T, float, double) {
  random_source random(7);
  constexpr index_t width = 6;
  auto const layer = random.attention<T>(3, width);
  auto const first = random.matrix<T>(3, width);
  auto const second = random.matrix<T>(2, width);
  auto cache = layer.make_cache();
  cache.reset(3, 2);
  workspace<T> scratch;
  auto ignored = make_matrix<T>({3, width});
  layer.self(as_view(first), cache, as_view(ignored), scratch);
  std::vector<index_t> const parents{2, 0};
  cache.reorder(parents);
  auto y = not_a_number<T>(2, width);
  layer.self(as_view(second), cache, as_view(y), scratch);
  for (index_t r = 0; r < 2; ++r) {
    auto history = make_matrix<T>({2, width});
    copy<T>(as_view(first).row_range(parents[static_cast<std::size_t>(r)], 1),
            as_view(history).row_range(0, 1));
    copy<T>(as_view(second).row_range(r, 1), as_view(history).row_range(1, 1));
    auto const expected =
        plain_attention(layer, exact(as_view(second).row_range(r, 1)), exact(as_view(history)),
                        [](index_t) { return index_t{2}; });
    CHECK(misfit(as_view(y).row_range(r, 1), expected) <= 1);
  }
}

TEST_CASE_TEMPLATE("cross-attention equals plain loops over the source of each row", T, float,
                   double) {
  random_source random(8);
  workspace<T> scratch;
  for (int round = 0; round < 25; ++round) {
    auto const of = random_sizes(random);
    auto const layer = random.attention<T>(of.heads, of.width, random_form(random));
    auto const sentences = random.integer(1, 4);
    auto const tokens = random.integer(1, 8);
    auto const rows = random.integer(1, 7);
    auto const steps = random.integer(1, 3);
    std::vector<index_t> lengths;
    if (random.integer(0, 3) > 0) {
      for (index_t s = 0; s < sentences; ++s) {
        lengths.push_back(random.integer(1, tokens));
      }
    }
    // Neighbours often share a source, sources come in any order and more than once.
    std::vector<index_t> source_of{random.integer(0, sentences - 1)};
    while (static_cast<index_t>(source_of.size()) < rows) {
      source_of.push_back(random.integer(0, 1) == 0 ? source_of.back()
                                                    : random.integer(0, sentences - 1));
    }
    CAPTURE(message(of.heads, " heads, width ", of.width, ", ", sentences, " x ", tokens, ", ",
                    rows, " x ", steps));
    auto const source = random.matrix<T>(sentences * tokens, of.width);
    auto memory = layer.make_cache();
    layer.remember(as_view(source), sentences, memory, scratch);
    auto const x = random.matrix<T>(rows * steps, of.width);
    auto y = not_a_number<T>(rows * steps, of.width);
    layer.cross(as_view(x), memory, source_of, lengths, as_view(y), scratch);
    for (index_t r = 0; r < rows; ++r) {
      auto const s = source_of[static_cast<std::size_t>(r)];
      auto const length = lengths.empty() ? tokens : lengths[static_cast<std::size_t>(s)];
      auto const expected = plain_attention(layer, exact(as_view(x).row_range(r * steps, steps)),
                                            exact(as_view(source).row_range(s * tokens, tokens)),
                                            [&](index_t) { return length; });
      CHECK(misfit(as_view(y).row_range(r * steps, steps), expected) <= 1);
    }
  }
}

TEST_CASE("projections and heads that do not fit together are refused with all shapes") {
  random_source random(9);
  auto const make = [&](index_t heads, index_t q, index_t k, index_t v, index_t out) {
    return refusal<shape_error>([&] {
      multi_head_attention<float>(heads, random.linear<float>(q, 6), random.linear<float>(k, 6),
                                  random.linear<float>(v, 6), random.linear<float>(6, out));
    });
  };
  CHECK(has(make(4, 6, 6, 6, 6), "4 heads, out 6 x 6"));
  CHECK(has(make(0, 6, 6, 6, 6), "0 heads"));
  CHECK(has(make(-2, 6, 6, 6, 6), "-2 heads"));
  CHECK(has(make(2, 4, 6, 6, 6), "2 heads, q 4 x 6, out 6 x 6"));
  CHECK(has(make(2, 6, 4, 6, 6), "k 4 x 6"));
  CHECK(has(make(2, 6, 6, 4, 6), "v 4 x 6"));
  CHECK(has(make(2, 6, 6, 6, 4), "out 6 x 4"));
  CHECK(make(2, 6, 6, 6, 6) == "nothing thrown");
}

TEST_CASE("queries, keys and values have a layer each or one for all") {
  random_source random(14);
  auto const make = [&](attention_inputs<float> inputs) {
    return refusal<shape_error>(
        [&] { multi_head_attention<float>(2, std::move(inputs), random.linear<float>(6, 6)); });
  };
  auto const one = [&](index_t outputs) { return random.linear<float>(outputs, 6); };
  auto const none = std::nullopt;
  CHECK(make({one(6), one(6), one(6), none}) == "nothing thrown");
  CHECK(make({none, none, none, one(18)}) == "nothing thrown");
  CHECK(make({one(6), none, none, none}) == "nothing thrown");  // its owner has the others
  auto const each_or_all = "queries, keys and values need a layer each or one for all";
  CHECK(has(make({none, none, none, none}), each_or_all));
  CHECK(has(make({none, one(6), one(6), none}), each_or_all));
  CHECK(has(make({one(6), one(6), none, none}), each_or_all));
  CHECK(has(make({one(6), none, one(6), none}), each_or_all));
  CHECK(has(make({one(6), none, none, one(18)}), each_or_all));
  CHECK(has(make({none, one(6), one(6), one(18)}), each_or_all));
  CHECK(has(make({none, none, none, one(12)}), "2 heads, q | k | v 12 x 6, out 6 x 6"));
}

TEST_CASE_TEMPLATE("one layer for queries, keys and values equals three to the last bit", T, float,
                   double) {
  random_source random(15);
  workspace<T> scratch;
  // Plain loops sum every output by itself; the order in OpenBLAS depends on how many there are.
  reference const loops;
  for (int round = 0; round < 25; ++round) {
    auto const of = random_sizes(random);
    auto const three = random.attention<T>(of.heads, of.width);
    auto const one = joined(three);
    auto const tokens = random.integer(1, 5);
    auto const rows = 3 * tokens;
    auto const x = random.matrix<T>(rows, of.width);
    auto const qkv_of = [&](auto const& layer) {
      auto qkv = not_a_number<T>(rows, 3 * of.width);
      layer.project(as_view(x), as_view(qkv), scratch, loops);
      return qkv;
    };
    auto qkv = qkv_of(one);
    CHECK(std::ranges::equal(qkv, qkv_of(three)));
    auto const parts = as_view(qkv);
    CHECK(same(one.queries(parts), parts.col_range(0, of.width)));
    CHECK(same(one.keys(parts), parts.col_range(of.width, of.width)));
    CHECK(same(one.values(parts), parts.col_range(2 * of.width, of.width)));
    auto const self_of = [&](auto const& layer, auto const& backend) {
      auto y = not_a_number<T>(rows, of.width);
      layer.self(as_view(x), 3, {}, true, as_view(y), scratch, backend);
      return y;
    };
    CHECK(std::ranges::equal(self_of(one, loops), self_of(three, loops)));
    auto const cached_of = [&](auto const& layer) {
      auto cache = layer.make_cache();
      cache.reset(3, 1);
      auto y = not_a_number<T>(rows, of.width);
      layer.self(as_view(x), cache, as_view(y), scratch, loops);
      return y;
    };
    CHECK(std::ranges::equal(cached_of(one), cached_of(three)));
    auto const fast = self_of(one, openblas{});
    for (index_t b = 0; b < 3; ++b) {
      auto const sentence = exact(as_view(x).row_range(b * tokens, tokens));
      auto const expected =
          plain_attention(three, sentence, sentence, [](index_t query) { return query + 1; });
      CHECK(misfit(as_view(fast).row_range(b * tokens, tokens), expected) <= 1);
    }
  }
}

TEST_CASE_TEMPLATE("attend is what self does between the projections", T, float, double) {
  random_source random(16);
  workspace<T> scratch;
  auto const layer = joined(random.attention<T>(2, 10));
  auto const x = random.matrix<T>(7, 10);
  auto qkv = make_matrix<T>({7, 30});
  auto context = not_a_number<T>(7, 10);
  auto y = make_matrix<T>({7, 10});
  auto expected = make_matrix<T>({7, 10});
  layer.project(as_view(x), as_view(qkv), scratch);
  auto const parts = as_view(qkv);
  layer.attend(layer.queries(parts), layer.keys(parts), layer.values(parts), {.causal = true},
               as_view(context), scratch);
  layer.out_proj(as_view(context), as_view(y), scratch);
  layer.self(as_view(x), 1, {}, true, as_view(expected), scratch);
  CHECK(same(as_view(y), as_view(expected)));
}

TEST_CASE_TEMPLATE("queries that carry the scale and scores that are not scaled are the same", T,
                   float, double) {
  random_source random(17);
  workspace<T> scratch;
  auto layer = random.attention<T>(2, 32);  // a scale of 1/4 rounds nothing
  auto const x = random.matrix<T>(6, 32);
  auto expected = make_matrix<T>({6, 32});
  layer.self(as_view(x), 1, {}, false, as_view(expected), scratch);
  auto weight = layer.q_proj->dense_weight();
  auto bias = *layer.q_proj->bias();
  std::ranges::for_each(weight, [](T& w) { w /= 4; });
  std::ranges::for_each(bias, [](T& b) { b /= 4; });
  layer.q_proj = linear<T>(weight, bias);
  layer.scale = 1;
  auto y = make_matrix<T>({6, 32});
  layer.self(as_view(x), 1, {}, false, as_view(y), scratch);
  CHECK(same(as_view(y), as_view(expected)));
}

TEST_CASE("an attention whose keys and values are its owner's refuses to make them") {
  random_source random(18);
  workspace<double> scratch;
  auto const whole = random.attention<double>(2, 4);
  multi_head_attention<double> const part(
      2, {whole.q_proj, std::nullopt, std::nullopt, std::nullopt}, whole.out_proj);
  auto const x = random.matrix<double>(6, 4);
  auto y = random.matrix<double>(6, 4);
  auto const before = y;
  auto const left = "attention: its keys and values are left to its owner";
  auto memory = whole.make_cache();
  auto qkv = make_matrix<double>({6, 12});
  CHECK(has(refusal<shape_error>([&] { part.project(as_view(x), as_view(qkv), scratch); }), left));
  CHECK(has(refusal<shape_error>([&] { part.self(as_view(x), 2, {}, false, as_view(y), scratch); }),
            left));
  CHECK(has(refusal<shape_error>([&] { part.remember(as_view(x), 2, memory, scratch); }), left));
  CHECK(same(as_view(y), as_view(before)));
  // What the owner put there is used.
  whole.remember(as_view(x), 2, memory, scratch);
  std::vector<index_t> const source_of{0, 1};
  auto expected = make_matrix<double>({6, 4});
  whole.cross(as_view(x), memory, source_of, {}, as_view(expected), scratch);
  part.cross(as_view(x), memory, source_of, {}, as_view(y), scratch);
  CHECK(same(as_view(y), as_view(expected)));
  // A joint layer reads one sequence: it remembers no other.
  auto const one = joined(whole);
  CHECK(has(refusal<shape_error>([&] { one.remember(as_view(x), 2, memory, scratch); }), left));
  CHECK(has(refusal<shape_error>(
                [&] { one.cross(as_view(x), memory, source_of, {}, as_view(y), scratch); }),
            "a joint projection of queries, keys and values has no memory"));
}

TEST_CASE("batches, lengths and sources that do not fit are refused, outputs and caches stay") {
  random_source random(10);
  auto const layer = random.attention<double>(2, 4);
  auto const x = random.matrix<double>(6, 4);
  auto y = random.matrix<double>(6, 4);
  auto const before = y;
  workspace<double> scratch;
  using lengths = std::vector<index_t>;
  auto const self = [&](index_t batch, lengths const& key_lengths) {
    auto const what = refusal<shape_error>(
        [&] { layer.self(as_view(x), batch, key_lengths, false, as_view(y), scratch); });
    CHECK(same(as_view(y), as_view(before)));
    return what;
  };
  CHECK(has(self(4, {}), "6 rows for a batch of 4"));
  CHECK(has(self(0, {}), "6 rows for a batch of 0"));
  CHECK(has(self(2, {3}), "batch of 2 with 1 key lengths"));
  CHECK(has(self(2, {3, 0}), "sees none of 0 keys"));

  auto memory = layer.make_cache();
  layer.remember(as_view(x), 2, memory, scratch);
  auto const cross = [&](lengths const& source_of, lengths const& key_lengths) {
    auto const what = refusal<shape_error>(
        [&] { layer.cross(as_view(x), memory, source_of, key_lengths, as_view(y), scratch); });
    CHECK(same(as_view(y), as_view(before)));
    return what;
  };
  CHECK(has(cross({}, {}), "6 rows for a batch of 0"));
  CHECK(has(cross({0, 1, 0, 1}, {}), "6 rows for a batch of 4"));
  CHECK(has(cross({0, 2, 1}, {3, 3}), "row 1 looks at sentence 2 of 2"));
  CHECK(has(cross({-1, 0, 1}, {3, 3}), "row 0 looks at sentence -1 of 2"));
  CHECK(has(cross({0, 1, 1}, {3}), "1 key lengths for 2 sentences"));
  CHECK(has(cross({0, 1, 1}, {3, 3, 3}), "3 key lengths for 2 sentences"));

  auto cache = layer.make_cache();
  cache.reset(4, 2);
  CHECK_THROWS_AS(layer.self(as_view(x), cache, as_view(y), scratch), shape_error);
  cache.reset(3, 2);
  auto const narrow = as_view(y).col_range(0, 3);
  CHECK(has(refusal<shape_error>([&] { layer.self(as_view(x), cache, narrow, scratch); }),
            "input 6 x 4, output 6 x 3"));
  kv_cache<double> other(1, 4);  // of the same width
  other.reset(3, 2);
  auto const heads = "attention: 2 heads of 2, a cache of 1 of 4";
  CHECK(has(refusal<shape_error>([&] { layer.self(as_view(x), other, as_view(y), scratch); }),
            heads));
  CHECK(has(refusal<shape_error>([&] { layer.remember(as_view(x), 2, other, scratch); }), heads));
  CHECK(other.length() == 0);
  CHECK(cache.length() == 0);
  CHECK(same(as_view(y), as_view(before)));
}

TEST_CASE("no call takes more workspace than worksize() says") {
  random_source random(13);
  for (auto const stored_as : {form::dense, form::two_factor, form::full_core, form::pivoted}) {
    auto const layer = random.attention<double>(2, 12, stored_as);
    auto const x = random.matrix<double>(3 * 20, 12);
    auto y = make_matrix<double>({3 * 20, 12});
    auto const fits = [&](index_t queries, index_t keys, auto call) {
      workspace<double> scratch(layer.worksize(3 * 20, queries, keys));
      auto const reserved = scratch.capacity();
      call(scratch);
      return scratch.capacity() == reserved;
    };
    auto memory = layer.make_cache();
    CHECK(fits(20, 20,
               [&](auto& scratch) { layer.self(as_view(x), 3, {}, false, as_view(y), scratch); }));
    CHECK(fits(1, 20, [&](auto& scratch) { layer.remember(as_view(x), 3, memory, scratch); }));
    CHECK(fits(60, 20, [&](auto& scratch) {
      layer.cross(as_view(x), memory, std::vector<index_t>{1, 1, 1, 1}, {}, as_view(y), scratch);
    }));
    auto cache = layer.make_cache();
    cache.reset(3, 20);
    CHECK(fits(20, 20, [&](auto& scratch) { layer.self(as_view(x), cache, as_view(y), scratch); }));
  }
}

TEST_CASE("with its workspace at hand attention allocates nothing") {
  random_source random(11);
  constexpr index_t width = 16;
  auto const layer = random.attention<float>(4, width, form::two_factor);
  auto const x = random.matrix<float>(3 * 6, width);
  auto y = make_matrix<float>({3 * 6, width});
  std::vector<index_t> const lengths{6, 2, 4};
  std::vector<index_t> const source_of{0, 0, 1, 1, 2, 2};
  workspace<float> scratch;
  auto memory = layer.make_cache();
  auto const pass = [&] {
    layer.self(as_view(x), 3, lengths, false, as_view(y), scratch);
    layer.self(as_view(x), 3, {}, true, as_view(y), scratch);
    layer.remember(as_view(x), 3, memory, scratch);
    layer.cross(as_view(x), memory, source_of, lengths, as_view(y), scratch);
  };
  auto const first = support::allocations_in(pass);
  CHECK(first > 0);
  scratch.reserve(layer.worksize(3 * 6, 6, 6));
  CHECK(support::allocations_in(pass) == 0);
}

TEST_CASE("cached attention allocates nothing within the capacity") {
  random_source random(12);
  constexpr index_t width = 16;
  constexpr index_t rows = 4;
  auto const layer = random.attention<float>(4, width);
  auto const x = random.matrix<float>(rows, width);
  auto y = make_matrix<float>({rows, width});
  workspace<float> scratch;
  auto cache = layer.make_cache();
  cache.reset(rows, 12);
  std::vector<index_t> const parents{1, 1, 0, 3};
  scratch.reserve(layer.worksize(rows, 1, cache.capacity()));
  auto const decoding = support::allocations_in([&] {
    for (index_t token = 0; token < cache.capacity(); ++token) {
      layer.self(as_view(x), cache, as_view(y), scratch);
      cache.reorder(parents);
    }
  });
  CHECK(decoding == 0);
  CHECK(cache.length() == 12);
}

TEST_CASE_TEMPLATE("300 causal queries, in blocks, are 300 queries one by one", T, float, double) {
  random_source random(31);
  constexpr index_t tokens = 300;  // more than two blocks
  constexpr index_t d = 8;
  auto const q = random.matrix<T>(tokens, d);
  auto const k = random.matrix<T>(tokens, d);
  auto const v = random.matrix<T>(tokens, d);
  auto all = make_matrix<T>({tokens, d});
  auto one = make_matrix<T>({1, d});
  workspace<T> scratch;
  scaled_dot_product_attention(as_view(q), as_view(k), as_view(v), T{1}, {.causal = true},
                               as_view(all), scratch);
  for (index_t i = 0; i < tokens; ++i) {
    scaled_dot_product_attention(as_view(q).row_range(i, 1), as_view(k).row_range(0, i + 1),
                                 as_view(v).row_range(0, i + 1), T{1}, {}, as_view(one), scratch);
    // A score is off by d eps of at most d, and each weight by twice as much of itself;
    // exponentials, their sum and the weighted sum of values below 1 add i + 8 roundings. Both
    // sides are.
    auto const bound = 2 * (2.0 * d * d + 2.0 * static_cast<double>(i) + 8) * epsilon<T>;
    for (index_t j = 0; j < d; ++j) {
      REQUIRE(std::abs(static_cast<double>(as_view(all)(i, j) - as_view(one)(0, j))) <= bound);
    }
  }
}

TEST_CASE("heads on two threads give what they give on one, to the last bit") {
  random_source random(32);
  constexpr index_t tokens = 150;
  constexpr index_t width = 64;
  multi_head_attention<float> const attention(
      4, random.linear<float>(width, width), random.linear<float>(width, width),
      random.linear<float>(width, width), random.linear<float>(width, width));
  auto const q = random.matrix<float>(tokens, width);
  auto const k = random.matrix<float>(tokens, width);
  auto const v = random.matrix<float>(tokens, width);
  auto one = make_matrix<float>({tokens, width});
  auto two = make_matrix<float>({tokens, width});
  auto const before = blas_info().threads;
  workspace<float> scratch;
  set_threads(1);
  attention.attend(as_view(q), as_view(k), as_view(v), {.causal = true}, as_view(one), scratch);
  set_threads(2);
  attention.attend(as_view(q), as_view(k), as_view(v), {.causal = true}, as_view(two), scratch);
  set_threads(before);
  CHECK(one == two);
}
