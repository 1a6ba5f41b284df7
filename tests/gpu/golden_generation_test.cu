#include "eckart/gpu/bart/generate.cuh"
#include "eckart/models/compress_bart.hpp"

#include "support/golden_generation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

using namespace eckart;
using golden::options_with;
using golden::special_tokens_only;

namespace {

auto names_of_refused_options() -> std::vector<std::string> {
  return {"encoder_repetition_penalty", "bad_words_ids",      "sequence_bias",
          "remove_invalid_values",      "renormalize_logits", "exponential_decay_length_penalty"};
}

auto is_refused(nlohmann::json const& settings) -> bool {
  return std::ranges::any_of(names_of_refused_options(),
                             [&](auto const& name) { return settings.contains(name); });
}

/// Writers of models in float on one device.
auto on_the_device() {
  return [backend = std::make_shared<cublas>()](bart<float> const& from) {
    auto const model = std::make_shared<device_bart<float>>(from, *backend);
    return [backend, model, write = device_generator<float>(*model)](
               auto const& sources, generation_options const& options) mutable {
      return write(sources, options);
    };
  };
}

}  // namespace

TEST_CASE("in float every generation of the tiny models is Hugging Face's, scores included") {
  golden::check_tiny_generations(on_the_device());
}

TEST_CASE("in float a padded batch gives Hugging Face's rows") {
  golden::check_padded_batches(on_the_device());
}

TEST_CASE(
    "every processor that the device has gives Hugging Face's sequences, others are refused") {
  cublas const backend;
  for (std::string const name : {"tiny_gelu", "tiny_gelu_new"}) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "processors.json");
    device_bart<float> const model(bart<float>::load(golden::directory() / name), backend);
    device_generator<float> write(model);
    int refused = 0;
    for (auto const& one : json["generate"]) {
      auto const& settings = one["settings"];
      CAPTURE(settings.dump());
      auto const sources = std::vector<golden::ids>{one["input_ids"].get<golden::ids>()};
      auto const options = options_with(special_tokens_only(), settings);
      if (is_refused(settings)) {
        CHECK_THROWS_AS(write(sources, options), shape_error);
        ++refused;
        continue;
      }
      auto const found = write(sources, options).at(0);
      golden::check_sequences(found, one);
    }
    CHECK(refused == 6 * 8);  // settings of each: greedy and beams, forced BOS or none, two samples
  }
}

TEST_CASE("in float the summarizer writes Hugging Face's ids, with and without forced BOS") {
  golden::check_summaries(on_the_device());
}

TEST_CASE("in float a batch of all dialogues gives each dialogue the ids that it gets alone") {
  golden::check_dialogues_together(on_the_device());
}

TEST_CASE("full-rank factors of every attention matrix leave all ids as they are") {
  for (auto const stored_as : {form::full_core, form::two_factor, form::pivoted}) {
    CAPTURE(name_of(stored_as));
    auto model = bart<float>::load(golden::embedded_model());
    compress(model, attention_targets(), at_rank{384}, stored_as);
    golden::check_beam_summaries(on_the_device()(model));
  }
}

TEST_CASE("the memory of a search is that of weights and caches, and some more") {
  cublas const backend;
  device_bart<float> const model(bart<float>::load(golden::embedded_model()), backend);
  device_generator<float> write(model);
  auto const json = read_json(golden::directory() / "summarizer.json");
  auto const sources = std::vector<golden::ids>{json["cases"][0]["input_ids"].get<golden::ids>()};
  auto options = options_with(special_tokens_only(), json["generation"]["greedy"]);
  write(sources, options);
  auto const use = write.memory_use();
  CHECK(use.weights == model.bytes());
  CHECK(use.caches > 0);
  CHECK(use.peak > use.weights + use.caches);
}

TEST_CASE_TEMPLATE("in 16 bits most tokens of the summaries are Hugging Face's in 32", T, half,
                   bfloat16) {
  cublas const backend;
  auto const json = read_json(golden::directory() / "summarizer.json");
  device_bart<T> const model(bart<float>::load(golden::embedded_model()), backend);
  device_generator<T> write(model);
  for (std::string const setting : {"greedy", "beam4"}) {
    std::size_t same = 0;
    std::size_t all = 0;
    int equal_texts = 0;
    auto const options = options_with(special_tokens_only(), json["generation"][setting]);
    for (auto const& one : json["cases"]) {
      auto const sources = std::vector<golden::ids>{one["input_ids"].get<golden::ids>()};
      auto const got = write(sources, options).at(0).at(0).ids;
      auto const want = one[setting + "_ids"].get<golden::ids>();
      auto const shorter = std::min(got.size(), want.size());
      for (std::size_t i = 0; i < shorter; ++i) {
        same += got[i] == want[i] ? 1 : 0;
      }
      all += std::max(got.size(), want.size());
      equal_texts += got == want ? 1 : 0;
    }
    std::cout << (std::same_as<T, half> ? "half " : "bfloat16 ") << setting << ": " << same
              << " of " << all << " tokens, " << equal_texts << " of 12 summaries are equal\n";
    CHECK(2 * same > all);  // chance would be one in thousands
  }
}
