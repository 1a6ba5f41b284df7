#include "eckart/models/logits_processors.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;
using scores = std::vector<float>;

constexpr float inf = std::numeric_limits<float>::infinity();
float const not_a_number = std::numeric_limits<float>::quiet_NaN();

auto processed(eckart::generation_options const& options, scores s, ids const& row,
               ids const& source = {}) -> scores {
  auto const lengths = eckart::resolve_lengths(options);
  eckart::logits_processors(options, lengths).apply(s, row, source);
  return s;
}

auto with_eos(ids eos) -> eckart::generation_options {
  eckart::generation_options options;
  options.eos_token_id = std::move(eos);
  return options;
}

}  // namespace

TEST_CASE("default options change no score, whatever it is") {
  scores const s{-1, 0, 2, inf, -inf};
  CHECK(processed(with_eos({2}), s, {2, 0, 0, 0}, {1, 1}) == s);
}

TEST_CASE("the repetition penalty multiplies negative and divides other scores, once an id") {
  scores s{-2, 4, 0, 4, -2};
  eckart::apply_repetition_penalty(s, ids{0, 1, 1, 2, 0, 1}, 2.0);
  CHECK(s == scores{-4, 2, 0, 4, -2});
}

TEST_CASE("the encoder's repetition penalty makes the source likelier") {
  scores s{-2, 4, -2};
  eckart::apply_encoder_repetition_penalty(s, ids{0, 1, 0}, 2.0);
  CHECK(s == scores{-1, 8, -2});
}

TEST_CASE("ids of the source that the vocabulary lacks are passed over") {
  scores s{-2, 4};
  eckart::apply_encoder_repetition_penalty(s, ids{7, -1}, 2.0);
  eckart::apply_encoder_no_repeat_ngram(s, ids{0}, ids{0, 7}, 2);
  CHECK(s == scores{-2, 4});
}

TEST_CASE("no n-gram comes twice: 3-grams") {
  scores s(6, 1);
  eckart::apply_no_repeat_ngram(s, ids{2, 0, 3, 5, 0, 3, 4, 0, 3}, 3);
  CHECK(s == scores{1, 1, 1, 1, -inf, -inf});
}

TEST_CASE("the decoder start is part of the n-grams") {
  scores s(4, 1);
  eckart::apply_no_repeat_ngram(s, ids{2, 0, 2}, 2);
  CHECK(s == scores{-inf, 1, 1, 1});
}

TEST_CASE("n = 1 bans every id of the row") {
  scores s(4, 1);
  eckart::apply_no_repeat_ngram(s, ids{2, 0}, 1);
  CHECK(s == scores{-inf, 1, -inf, 1});
}

TEST_CASE("a row shorter than n bans nothing, overlapping n-grams do") {
  scores s(3, 1);
  eckart::apply_no_repeat_ngram(s, ids{2, 2}, 3);
  CHECK(s == scores(3, 1));
  eckart::apply_no_repeat_ngram(s, ids{2, 2, 2}, 3);
  CHECK(s == scores{1, 1, -inf});
}

TEST_CASE("no n-gram of the source is repeated, from the first that the row can complete") {
  ids const source{0, 5, 6, 5, 7};
  scores s(8, 1);
  eckart::apply_encoder_no_repeat_ngram(s, ids{2, 5}, source, 2);
  CHECK(s == scores{1, 1, 1, 1, 1, 1, -inf, -inf});
  s.assign(8, 1);
  eckart::apply_encoder_no_repeat_ngram(s, ids{5, 6}, source, 3);  // the row is one id shorter
  CHECK(s == scores{1, 1, 1, 1, 1, -inf, 1, 1});
  s.assign(8, 1);
  eckart::apply_encoder_no_repeat_ngram(s, ids{5}, source, 3);
  CHECK(s == scores(8, 1));
  eckart::apply_encoder_no_repeat_ngram(s, ids{2}, source, 1);
  CHECK(s == scores{-inf, 1, 1, 1, 1, -inf, -inf, -inf});
}

TEST_CASE("a bias goes to the last id where the ids before it end the row") {
  std::vector<eckart::token_bias> const biases{{{3}, 1}, {{0, 3}, 10}, {{1, 3}, 100}, {{0, 2}, 5}};
  scores s(4, 0);
  eckart::apply_sequence_bias(s, ids{2, 1, 0}, biases);
  CHECK(s == scores{0, 0, 5, 11});
}

TEST_CASE("a biased sequence longer than the row is passed over") {
  std::vector<eckart::token_bias> const biases{{{2, 3}, 1}, {{0, 2, 3}, 1}};
  scores s(4, 0);
  eckart::apply_sequence_bias(s, ids{2}, biases);
  CHECK(s == scores(4, 0));
  eckart::apply_sequence_bias(s, ids{0, 2}, biases);
  CHECK(s == scores{0, 0, 0, 1});
}

TEST_CASE("of equal biased sequences the last counts") {
  eckart::generation_options options;
  options.sequence_bias = {{{1}, 5.0F}, {{0}, 1.0F}, {{1}, 7.0F}};
  CHECK(processed(options, {0, 0}, {0}) == scores{1, 7});
}

TEST_CASE("bad words are banned, but never EOS alone") {
  auto options = with_eos({2, 4});
  options.bad_words_ids = {{3}, {2}, {4}, {0, 2}, {0, 1}};
  CHECK(processed(options, scores(5, 1), {2, 1}) == scores{1, 1, 1, -inf, 1});
  CHECK(processed(options, scores(5, 1), {2, 0}) == scores{1, -inf, -inf, -inf, 1});
}

TEST_CASE("EOS is banned while the row, decoder start included, is shorter than min_length") {
  auto options = with_eos({2, 3});
  options.min_length = 4;
  CHECK(processed(options, scores(4, 1), {2, 0, 0}) == scores{1, 1, -inf, -inf});
  CHECK(processed(options, scores(4, 1), {2, 0, 0, 0}) == scores(4, 1));
}

TEST_CASE("min_new_tokens does not count the decoder start and wins over min_length") {
  auto options = with_eos({2});
  options.min_new_tokens = 2;
  options.min_length = 9;
  CHECK(processed(options, scores(3, 1), {2, 0}) == scores{1, 1, -inf});
  CHECK(processed(options, scores(3, 1), {2, 0, 0}) == scores(3, 1));
  scores s(3, 1);
  eckart::apply_min_new_tokens(s, ids{2, 0}, 2, ids{2});
  CHECK(s == scores{1, 1, -inf});
}

TEST_CASE("a forced BOS has score 0 directly behind the decoder start and nowhere else") {
  auto options = with_eos({2});
  options.forced_bos_token_id = 1;
  CHECK(processed(options, {5, -5, 5}, {2}) == scores{-inf, 0, -inf});
  CHECK(processed(options, {5, -5, 5}, {2, 1}) == scores{5, -5, 5});
}

TEST_CASE("forced EOS tokens have score 0 at the last place, bans notwithstanding") {
  auto options = with_eos({2});
  options.max_length = 4;
  options.min_length = 9;
  options.no_repeat_ngram_size = 1;
  options.forced_eos_token_id = {2, 1};
  CHECK(processed(options, scores(4, 3), {2, 0, 3}) == scores{-inf, 0, 0, -inf});
  CHECK(processed(options, scores(4, 3), {2, 0}) == scores{-inf, 3, -inf, 3});
}

TEST_CASE("invalid scores become finite") {
  auto const largest = std::numeric_limits<float>::max();
  eckart::generation_options options;
  options.remove_invalid_values = true;
  CHECK(processed(options, {not_a_number, inf, -inf, 1}, {0}) == scores{0, largest, -largest, 1});
}

TEST_CASE("exponential decay starts behind its first token and grows with every further one") {
  auto options = with_eos({1, 1, 2});
  options.exponential_decay_length_penalty = {2, 2.0};
  scores const s{1, -3, 3};
  CHECK(processed(options, s, {0, 0, 0}) == s);                       // two generated
  CHECK(processed(options, s, {0, 0, 0, 0}) == scores{1, 0, 6});      // |3| * (2 - 1)
  CHECK(processed(options, s, {0, 0, 0, 0, 0}) == scores{1, 6, 12});  // |3| * (4 - 1)
}

TEST_CASE("exponential decay does not bring back a banned EOS") {
  auto options = with_eos({1});
  options.min_length = 9;
  options.exponential_decay_length_penalty = {0, 2.0};
  CHECK(processed(options, {1, 1}, {0, 0, 0}) == scores{1, -inf});
}

TEST_CASE(
    "suppressed tokens are banned everywhere, begin-suppressed ones at the first free place") {
  eckart::generation_options options;
  options.suppress_tokens = {0, 50264};
  options.begin_suppress_tokens = {1};
  CHECK(processed(options, {1, 1, 1}, {2}) == scores{-inf, -inf, 1});
  CHECK(processed(options, {1, 1, 1}, {2, 2}) == scores{-inf, 1, 1});
  options.forced_bos_token_id = 2;
  CHECK(processed(options, {1, 1, 1}, {2}) == scores{-inf, -inf, 0});
  CHECK(processed(options, {1, 1, 1}, {2, 2}) == scores{-inf, -inf, 1});
  CHECK(processed(options, {1, 1, 1}, {2, 2, 2}) == scores{-inf, 1, 1});
}

TEST_CASE("renormalizing comes last") {
  eckart::generation_options options;
  options.renormalize_logits = true;
  options.suppress_tokens = {0};
  auto const s = processed(options, {9, 1, 1}, {2});
  CHECK(s[0] == -inf);
  CHECK(s[1] == doctest::Approx(-std::log(2.0)).epsilon(1e-6));
}

TEST_CASE("the bias comes before the penalties, which see its sign") {
  eckart::generation_options options;
  options.sequence_bias = {{{0}, -3.0F}};
  options.encoder_repetition_penalty = 4.0;
  options.repetition_penalty = 2.0;
  // 1 - 3 = -2; the source makes it -2 / 4 = -0.5, the row -0.5 * 2 = -1.
  CHECK(processed(options, {1}, {0}, {0}) == scores{-1});
}
