#include "eckart/models/generation_config.hpp"

#include "eckart/core/error.hpp"
#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace {

auto read(std::string const& text) -> eckart::generation_options {
  return eckart::read_generation_options(eckart::parse_json(text, "gen.json"), "gen.json");
}

/// The message of the format_error that the text meets, "" if it is read.
auto complaint(std::string const& text) -> std::string {
  try {
    read(text);
  } catch (eckart::format_error const& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("an empty configuration gives Hugging Face's defaults") {
  auto const o = read("{}");
  CHECK(!o.max_length);
  CHECK(!o.max_new_tokens);
  CHECK(o.min_length == 0);
  CHECK(!o.min_new_tokens);
  CHECK(o.num_beams == 1);
  CHECK(o.num_return_sequences == 1);
  CHECK(o.early_stopping == eckart::stop_early::no);
  CHECK(o.length_penalty == 1.0);
  CHECK(o.no_repeat_ngram_size == 0);
  CHECK(o.encoder_no_repeat_ngram_size == 0);
  CHECK(o.repetition_penalty == 1.0);
  CHECK(o.encoder_repetition_penalty == 1.0);
  CHECK(o.bad_words_ids.empty());
  CHECK(o.sequence_bias.empty());
  CHECK(!o.forced_bos_token_id);
  CHECK(o.forced_eos_token_id.empty());
  CHECK(o.suppress_tokens.empty());
  CHECK(o.begin_suppress_tokens.empty());
  CHECK(!o.exponential_decay_length_penalty);
  CHECK(!o.remove_invalid_values);
  CHECK(!o.renormalize_logits);
  CHECK(!o.bos_token_id);
  CHECK(!o.pad_token_id);
  CHECK(!o.decoder_start_token_id);
  CHECK(o.eos_token_id.empty());
}

TEST_CASE("every option is read under Hugging Face's name") {
  auto const o = read(R"({"max_length": 142, "max_new_tokens": 100, "min_length": 56,
      "min_new_tokens": 7, "num_beams": 4, "num_return_sequences": 2, "early_stopping": true,
      "length_penalty": 2, "no_repeat_ngram_size": 3, "encoder_no_repeat_ngram_size": 5,
      "repetition_penalty": 1.5, "encoder_repetition_penalty": 1.25,
      "bad_words_ids": [[4, 5], [6]], "sequence_bias": [[[7, 8], -2.5], [[9], 1]],
      "forced_bos_token_id": 0, "forced_eos_token_id": 2, "suppress_tokens": [11],
      "begin_suppress_tokens": [12, 13], "exponential_decay_length_penalty": [15, 1.5],
      "remove_invalid_values": true, "renormalize_logits": true, "bos_token_id": 0,
      "pad_token_id": 1, "decoder_start_token_id": 2, "eos_token_id": [2, 3]})");
  using ids = std::vector<std::int32_t>;
  CHECK(o.max_length == 142);
  CHECK(o.max_new_tokens == 100);
  CHECK(o.min_length == 56);
  CHECK(o.min_new_tokens == 7);
  CHECK(o.num_beams == 4);
  CHECK(o.num_return_sequences == 2);
  CHECK(o.early_stopping == eckart::stop_early::yes);
  CHECK(o.length_penalty == 2.0);
  CHECK(o.no_repeat_ngram_size == 3);
  CHECK(o.encoder_no_repeat_ngram_size == 5);
  CHECK(o.repetition_penalty == 1.5);
  CHECK(o.encoder_repetition_penalty == 1.25);
  CHECK(o.bad_words_ids == std::vector<ids>{{4, 5}, {6}});
  REQUIRE(o.sequence_bias.size() == 2);
  CHECK(o.sequence_bias[0].ids == ids{7, 8});
  CHECK(o.sequence_bias[0].bias == -2.5F);
  CHECK(o.sequence_bias[1].bias == 1.0F);
  CHECK(o.forced_bos_token_id == 0);
  CHECK(o.forced_eos_token_id == ids{2});
  CHECK(o.suppress_tokens == ids{11});
  CHECK(o.begin_suppress_tokens == ids{12, 13});
  REQUIRE(o.exponential_decay_length_penalty);
  CHECK(o.exponential_decay_length_penalty->start == 15);
  CHECK(o.exponential_decay_length_penalty->factor == 1.5);
  CHECK(o.remove_invalid_values);
  CHECK(o.renormalize_logits);
  CHECK(o.bos_token_id == 0);
  CHECK(o.pad_token_id == 1);
  CHECK(o.decoder_start_token_id == 2);
  CHECK(o.eos_token_id == ids{2, 3});
}

TEST_CASE("early_stopping is a boolean or \"never\"") {
  CHECK(read(R"({"early_stopping": false})").early_stopping == eckart::stop_early::no);
  CHECK(read(R"({"early_stopping": null})").early_stopping == eckart::stop_early::no);
  CHECK(read(R"({"early_stopping": "never"})").early_stopping == eckart::stop_early::never);
  CHECK(complaint(R"({"early_stopping": "always"})") != "");
  CHECK(complaint(R"({"early_stopping": 1})") != "");
}

TEST_CASE("null, unknown keys and unsupported options that are off change nothing") {
  auto const o = read(R"({"num_beams": null, "eos_token_id": null, "bad_words_ids": null,
      "exponential_decay_length_penalty": null, "d_model": 768, "temperature": 0.5,
      "do_sample": false, "guidance_scale": null, "num_beam_groups": 1, "diversity_penalty": 0.0,
      "constraints": null, "penalty_alpha": 0.0})");
  CHECK(o.num_beams == 1);
  CHECK(o.eos_token_id.empty());
}

TEST_CASE("an option that the searches do not follow is refused by name") {
  for (std::string const option :
       {R"("do_sample": true)", R"("guidance_scale": 1.5)", R"("num_beam_groups": 2)",
        R"("diversity_penalty": 0.5)", R"("penalty_alpha": 0.6)", R"("constraints": [])",
        R"("force_words_ids": [[1]])", R"("stop_strings": ["x"])", R"("max_time": 1.0)",
        R"("watermarking_config": {})", R"("dola_layers": "low")", R"("token_healing": true)",
        R"("prompt_lookup_num_tokens": 3)", R"("low_memory": true)", R"("use_mtp": true)",
        R"("assistant_early_exit": 4)"}) {
    auto const key = option.substr(0, option.find(':'));
    auto const expected = "gen.json: generation option " + key + " is not supported";
    CHECK_THROWS_WITH_AS(read("{" + option + "}"), expected.c_str(), eckart::error);
  }
}

TEST_CASE("a wrong type is refused with file and key") {
  struct {
    std::string key, value;
  } const wrong[] = {
      {"max_length", "20.0"},
      {"max_new_tokens", "\"7\""},
      {"num_beams", "true"},
      {"no_repeat_ngram_size", "[3]"},
      {"length_penalty", "\"2\""},
      {"repetition_penalty", "false"},
      {"bos_token_id", "[0]"},
      {"decoder_start_token_id", "[2]"},
      {"eos_token_id", "\"</s>\""},
      {"eos_token_id", "[2, null]"},
      {"eos_token_id", "4294967298"},
      {"forced_eos_token_id", "2.0"},
      {"suppress_tokens", "3"},
      {"bad_words_ids", "[3]"},
      {"sequence_bias", "[[7, 8], -2.5]"},
      {"sequence_bias", "[[[7, 8]]]"},
      {"sequence_bias", "[[[7, 8], \"x\"]]"},
      {"sequence_bias", "{\"7\": 1.0}"},
      {"exponential_decay_length_penalty", "[5]"},
      {"exponential_decay_length_penalty", "1.5"},
      {"exponential_decay_length_penalty", "[1.5, 1]"},
      {"remove_invalid_values", "0"},
      {"renormalize_logits", "\"yes\""},
      {"do_sample", "1"},
  };
  for (auto const& [wrong_key, wrong_value] : wrong) {
    auto const key = wrong_key;  // clang 14 captures no structured binding
    auto const value = wrong_value;
    auto const what = complaint("{\"" + key + "\": " + value + "}");
    CAPTURE(key + ": " + value + " -> " + what);
    CHECK(what.starts_with("gen.json: "));
    CHECK(what.find(key) != std::string::npos);
  }
  CHECK(complaint("[]") != "");
}

TEST_CASE("force_bos_token_to_be_generated forces whatever BOS is") {
  auto const forced = read(R"({"bos_token_id": 5, "force_bos_token_to_be_generated": true})");
  CHECK(forced.forced_bos_token_id == 5);
  auto const free = read(R"({"bos_token_id": 5, "force_bos_token_to_be_generated": false})");
  CHECK(!free.forced_bos_token_id);
}
