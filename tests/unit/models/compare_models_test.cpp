#include "eckart/models/compare_models.hpp"

#include "eckart/models/compress_bart.hpp"
#include "support/matrix_check.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

using namespace eckart;
using bart_test::checkpoint;
using bart_test::tiny_model;
using golden::ids;
using support::refusal;

namespace {

using sequences = std::vector<ids>;

auto sources() -> sequences {
  return {{0, 17, 5, 41, 9, 2}, {0, 33, 8, 2}, {0, 96, 2}};
}
auto labels() -> sequences {
  return {{0, 17, 6, 2}, {0, 33, 90, 12, 55, 7, 2}, {2}};
}

/// All numbers of a likeness, in the order of their declaration.
auto numbers(model_likeness const& l) -> std::vector<double> {
  return {l.encoder.pooled,     l.encoder.mean_token,  l.encoder.worst_token, l.decoder.pooled,
          l.decoder.mean_token, l.decoder.worst_token, l.logits.mean,         l.logits.worst};
}

template <class T>
auto compressed(bart<T> model, index_t rank) -> bart<T> {
  compress(model, linear_targets(), at_rank{rank});
  return model;
}

void negate(checkpoint& c, std::string const& name) {
  auto& tensor = c.tensors.at(name);
  auto values = tensor.values();
  for (auto& x : values) {
    x = -x;
  }
  tensor = bart_test::stored(tensor.shape, values);
}

}  // namespace

TEST_CASE_TEMPLATE("a model is exactly like itself", T, float, double) {
  auto const model = bart<T>::load(tiny_model());
  auto const other = bart<T>::load(tiny_model());
  auto const likeness = compare_models(model, other, sources(), labels());
  CHECK(likeness.examples == 3);
  for (auto const value : numbers(likeness)) {
    CHECK(value == 1);
  }
}

TEST_CASE("a model of other weights is less like it, the order of the two does not matter") {
  auto const model = bart<double>::load(tiny_model());
  auto const other = bart<double>::load(golden::directory() / "tiny_bf16");
  auto const likeness = compare_models(model, other, sources(), labels());
  for (auto const value : numbers(likeness)) {
    CHECK(value < 0.95);
    CHECK(value >= -1);
  }
  CHECK(likeness.encoder.worst_token < likeness.encoder.mean_token);
  CHECK(likeness.decoder.worst_token < likeness.decoder.mean_token);
  CHECK(likeness.logits.worst < likeness.logits.mean);
  CHECK(numbers(compare_models(other, model, sources(), labels())) == numbers(likeness));
}

TEST_CASE("more of the rank is more of the likeness") {
  auto const dense = bart<double>::load(tiny_model());
  auto const with_rank = [&](index_t rank) {
    return numbers(compare_models(dense, compressed(dense, rank), sources(), labels()));
  };
  auto const low = with_rank(4);
  auto const high = with_rank(30);
  auto const full = with_rank(32);
  for (std::size_t i = 0; i < low.size(); ++i) {
    CAPTURE(i);
    CHECK(low[i] < high[i]);
    CHECK(high[i] < full[i]);
    // The cosine loses half the square of an error of rounding: nothing is left of it.
    CHECK(full[i] == doctest::Approx(1).epsilon(1e-15));
  }
}

TEST_CASE("a decoder whose output is negated has cosine -1, the encoder remains itself") {
  auto c = checkpoint::tiny();
  auto const model = c.load<double>();
  negate(c, "model.decoder.layers.2.final_layer_norm.weight");
  negate(c, "model.decoder.layers.2.final_layer_norm.bias");
  negate(c, "final_logits_bias");
  auto const likeness = compare_models(model, c.load<double>(), sources(), labels());
  CHECK(likeness.encoder.pooled == 1);
  CHECK(likeness.encoder.mean_token == 1);
  CHECK(likeness.encoder.worst_token == 1);
  CHECK(likeness.decoder.pooled == -1);
  CHECK(likeness.decoder.mean_token == -1);
  CHECK(likeness.decoder.worst_token == -1);
  CHECK(likeness.logits.mean == -1);
  CHECK(likeness.logits.worst == -1);
}

TEST_CASE("each number is the mean over the examples of that example's cosines") {
  auto const dense = bart<double>::load(tiny_model());
  auto const other = compressed(dense, 12);
  std::vector<double> expected(8);
  for (std::size_t i = 0; i < sources().size(); ++i) {
    auto const a = decoder_states(dense, sources()[i], labels()[i]);
    auto const b = decoder_states(other, sources()[i], labels()[i]);
    double mean = 0;
    double worst = 2;
    for (index_t t = 0; t < as_view(a.logits).rows; ++t) {
      auto const one = cosine<double>(as_view(a.logits).row(t), as_view(b.logits).row(t));
      mean += one / static_cast<double>(as_view(a.logits).rows);
      worst = std::min(worst, one);
    }
    auto const encoder = compare_states(a.encoder, b.encoder);
    auto const decoder = compare_states(a.decoder, b.decoder);
    std::vector<double> const one{encoder.pooled,
                                  encoder.mean_token,
                                  encoder.worst_token,
                                  decoder.pooled,
                                  decoder.mean_token,
                                  decoder.worst_token,
                                  mean,
                                  worst};
    for (std::size_t j = 0; j < one.size(); ++j) {
      expected[j] += one[j] / 3;
    }
  }
  auto const got = numbers(compare_models(dense, other, sources(), labels()));
  for (std::size_t j = 0; j < expected.size(); ++j) {
    CAPTURE(j);
    CHECK(got[j] == doctest::Approx(expected[j]).epsilon(1e-14));
    CHECK(got[j] < 0.999);
  }
}

TEST_CASE("the same weights in float and in double compute nearly the same") {
  auto const single = bart<float>::load(tiny_model());
  auto const twice = bart<double>::load(tiny_model());
  for (auto const value : numbers(compare_models(single, twice, sources(), labels()))) {
    CHECK(value < 1);
    CHECK(value > 1 - 1e-8);  // 1 - c is half the square of an error of 1e-4 at most
  }
}

TEST_CASE("models that cannot be compared and examples that do not fit are refused") {
  auto c = checkpoint::tiny();
  auto const model = c.load<float>();
  auto const what = [&](bart<float> const& other, sequences const& read, sequences const& written) {
    return refusal<shape_error>([&] { compare_models(model, other, read, written); });
  };
  CHECK(what(model, {}, {}) == "compare_models: 0 sources, 0 sequences of labels");
  CHECK(what(model, sources(), {{0}}) == "compare_models: 3 sources, 1 sequences of labels");
  CHECK(what(model, {{0, 97}}, {{0}}) ==
        "decoder_states: source token id 97 is outside the vocabulary of 97");
  c.config["decoder_start_token_id"] = 0;
  CHECK(what(c.load<float>(), sources(), labels()) ==
        "compare_models: states of width 32 and 32, vocabularies of 97 and 97, decoder starts 2 "
        "and 0");
  auto const wide = bart<float>::load(golden::embedded_model());
  CHECK(what(wide, sources(), labels())
            .starts_with("compare_models: states of width 32 and 384, vocabularies of 97 and "));
}
