#pragma once

#include "eckart/models/generate.hpp"

#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace golden {

using namespace eckart;

/// The options of a golden entry: the keyword arguments of generate() over the model's own ones.
inline auto options_with(generation_options base, nlohmann::json const& settings)
    -> generation_options {
  auto const given = read_generation_options(settings, "settings");
  auto const has = [&](char const* key) { return settings.contains(key); };
  auto const take = [&](char const* key, auto generation_options::*member) {
    if (has(key)) {
      base.*member = given.*member;
    }
  };
  take("max_length", &generation_options::max_length);
  take("max_new_tokens", &generation_options::max_new_tokens);
  take("min_length", &generation_options::min_length);
  take("min_new_tokens", &generation_options::min_new_tokens);
  take("num_beams", &generation_options::num_beams);
  take("num_return_sequences", &generation_options::num_return_sequences);
  take("early_stopping", &generation_options::early_stopping);
  take("length_penalty", &generation_options::length_penalty);
  take("no_repeat_ngram_size", &generation_options::no_repeat_ngram_size);
  take("encoder_no_repeat_ngram_size", &generation_options::encoder_no_repeat_ngram_size);
  take("repetition_penalty", &generation_options::repetition_penalty);
  take("encoder_repetition_penalty", &generation_options::encoder_repetition_penalty);
  take("bad_words_ids", &generation_options::bad_words_ids);
  take("sequence_bias", &generation_options::sequence_bias);
  take("suppress_tokens", &generation_options::suppress_tokens);
  take("begin_suppress_tokens", &generation_options::begin_suppress_tokens);
  take("exponential_decay_length_penalty", &generation_options::exponential_decay_length_penalty);
  take("remove_invalid_values", &generation_options::remove_invalid_values);
  take("renormalize_logits", &generation_options::renormalize_logits);
  take("eos_token_id", &generation_options::eos_token_id);
  take("forced_bos_token_id", &generation_options::forced_bos_token_id);
  take("forced_eos_token_id", &generation_options::forced_eos_token_id);
  return base;
}

// Scores are sums of log-probabilities over length^penalty; a penalty below 0 makes them hundreds,
// whose fp32 rounding is relative.
inline void check_score(float got, double expected) {
  CHECK(std::abs(static_cast<double>(got) - expected) <= 1e-4 * std::max(1.0, std::abs(expected)));
}

inline auto unpadded(ids row, token_id pad) -> ids {
  while (!row.empty() && row.back() == pad) {
    row.pop_back();
  }
  return row;
}

inline auto special_tokens_only() -> generation_options {
  generation_options options;
  options.bos_token_id = 0;
  options.pad_token_id = 1;
  options.decoder_start_token_id = 2;
  options.eos_token_id = {2};
  options.forced_eos_token_id = {2};
  return options;
}

}  // namespace golden
