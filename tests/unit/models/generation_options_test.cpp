#include "eckart/models/generation_options.hpp"

#include "eckart/core/error.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>

namespace {

using eckart::generation_options;

auto valid_options() -> generation_options {
  generation_options options;
  options.bos_token_id = 0;
  options.eos_token_id = {2};
  return options;
}

/// The message with which validate refuses valid options after a change, "" if it does not.
auto complaint(std::function<void(generation_options&)> const& change) -> std::string {
  auto options = valid_options();
  change(options);
  try {
    eckart::validate(options, 10);
  } catch (eckart::shape_error const& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("without any length a row has 21 ids at most, fewer if there are fewer positions") {
  CHECK(eckart::resolve_lengths({}, 1024).max_length == 21);
  CHECK(eckart::resolve_lengths({}, 15).max_length == 15);
  CHECK(eckart::resolve_lengths({}).max_length == 21);
  CHECK(eckart::resolve_lengths({}).min_length == 0);
}

TEST_CASE("max_length counts the decoder start, max_new_tokens does not and wins") {
  generation_options options;
  options.max_length = 20;
  CHECK(eckart::resolve_lengths(options, 1024).max_length == 20);
  options.max_new_tokens = 5;
  CHECK(eckart::resolve_lengths(options, 1024).max_length == 6);
}

TEST_CASE("min_new_tokens wins over min_length") {
  generation_options options;
  options.min_length = 9;
  CHECK(eckart::resolve_lengths(options).min_length == 9);
  options.min_new_tokens = 3;
  CHECK(eckart::resolve_lengths(options).min_length == 4);
}

TEST_CASE("a row may be one id longer than there are positions, because its last id is not read") {
  generation_options options;
  options.max_length = 1025;
  CHECK(eckart::resolve_lengths(options, 1024).max_length == 1025);
  options.max_length = 1026;
  CHECK_THROWS_AS(eckart::resolve_lengths(options, 1024), eckart::shape_error);
}

TEST_CASE("lengths that leave no room for a token are refused, whatever their size") {
  auto const largest = std::numeric_limits<eckart::index_t>::max();
  for (auto const length : {eckart::index_t{1}, eckart::index_t{-3}, largest, -largest}) {
    CAPTURE(length);
    generation_options options;
    options.max_length = length;
    CHECK_THROWS_AS(eckart::resolve_lengths(options, 1024), eckart::shape_error);
  }
  for (auto const count : {eckart::index_t{0}, eckart::index_t{-1}, largest, -largest}) {
    CAPTURE(count);
    generation_options options;
    options.max_new_tokens = count;
    CHECK_THROWS_AS(eckart::resolve_lengths(options, 1024), eckart::shape_error);
  }
}

TEST_CASE("default options with a start and an end are valid") {
  CHECK(complaint([](auto&) {}) == "");
  CHECK(complaint([](auto& o) {
          o.bos_token_id.reset();
          o.decoder_start_token_id = 9;
          o.eos_token_id = {};
        }) == "");
}

TEST_CASE("a refusal names the option and its value") {
  CHECK(complaint([](auto& o) { o.num_beams = 0; }) == "generation: num_beams is 0, below 1");
  CHECK(complaint([](auto& o) { o.num_return_sequences = 2; }) ==
        "generation: num_return_sequences 2 exceeds num_beams 1");
  CHECK(complaint([](auto& o) {
          o.eos_token_id = {2, 10};
        }) == "generation: eos_token_id holds 10, which is not in a vocabulary of 10");
  CHECK(complaint([](auto& o) { o.repetition_penalty = -1; }) ==
        "generation: repetition_penalty is -1, not a positive number");
}

TEST_CASE("every option that no search can follow is refused") {
  auto const nan = std::numeric_limits<double>::quiet_NaN();
  auto const inf = std::numeric_limits<double>::infinity();
  std::function<void(generation_options&)> const changes[] = {
      [](auto& o) { o.num_beams = eckart::index_t{1} << 40; },
      [](auto& o) { o.num_return_sequences = 0; },
      [](auto& o) { o.max_length = 1; },
      [](auto& o) { o.max_new_tokens = 0; },
      [](auto& o) { o.min_length = -1; },
      [](auto& o) { o.min_new_tokens = -1; },
      [](auto& o) { o.no_repeat_ngram_size = -1; },
      [](auto& o) { o.encoder_no_repeat_ngram_size = -1; },
      [](auto& o) { o.repetition_penalty = 0; },
      [&](auto& o) { o.encoder_repetition_penalty = nan; },
      [&](auto& o) { o.length_penalty = inf; },
      [](auto& o) { o.bos_token_id = -1; },
      [](auto& o) { o.pad_token_id = 10; },
      [](auto& o) { o.decoder_start_token_id = 10; },
      [](auto& o) { o.forced_bos_token_id = 10; },
      [](auto& o) {
        o.forced_eos_token_id = {3, -2};
      },
      [](auto& o) { o.suppress_tokens = {-1}; },
      [](auto& o) { o.begin_suppress_tokens = {-1}; },
      [](auto& o) { o.bad_words_ids = {{}}; },
      [](auto& o) {
        o.bad_words_ids = {{1, 10}};
      },
      [](auto& o) {
        o.sequence_bias = {{{}, 1.0F}};
      },
      [](auto& o) {
        o.sequence_bias = {{{10}, 1.0F}};
      },
      [&](auto& o) {
        o.sequence_bias = {{{1}, static_cast<float>(nan)}};
      },
      [](auto& o) {
        o.exponential_decay_length_penalty = {-1, 1.1};
      },
      [](auto& o) {
        o.exponential_decay_length_penalty = {1, 0.0};
      },
      [](auto& o) {
        o.exponential_decay_length_penalty = {1, 1.1};
        o.eos_token_id = {};
      },
      [](auto& o) { o.bos_token_id.reset(); },
      [](auto& o) { o.eos_token_id.assign(10, 2); },  // 11 candidates a beam, 10 tokens
  };
  for (auto const& change : changes) {
    CAPTURE(&change - changes);
    CHECK(complaint(change).starts_with("generation: "));
  }
}

TEST_CASE("tokens to suppress may lie beyond the vocabulary") {
  CHECK(complaint([](auto& o) { o.suppress_tokens = {50264}; }) == "");
  CHECK(complaint([](auto& o) { o.begin_suppress_tokens = {50264}; }) == "");
}
