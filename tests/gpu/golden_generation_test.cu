#include "eckart/gpu/bart/generate.cuh"
#include "eckart/models/bart/load.hpp"
#include "eckart/models/compress_bart.hpp"

#include "support/golden_options.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <iostream>
#include <string>

using namespace eckart;
using golden::check_score;
using golden::options_with;
using golden::special_tokens_only;
using golden::unpadded;

namespace {

auto names_of_refused_options() -> std::vector<std::string> {
  return {"encoder_repetition_penalty", "bad_words_ids",      "sequence_bias",
          "remove_invalid_values",      "renormalize_logits", "exponential_decay_length_penalty"};
}

auto is_refused(nlohmann::json const& settings) -> bool {
  return std::ranges::any_of(names_of_refused_options(),
                             [&](auto const& name) { return settings.contains(name); });
}

}  // namespace

TEST_CASE("in float every generation of the tiny models is Hugging Face's, scores included") {
  cublas const backend;
  int compared = 0;
  for (std::string const name : golden::tiny_models) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "golden.json");
    device_bart<float> const model(bart<float>::load(golden::directory() / name), backend);
    device_generator<float> write(model);
    auto const base = load_generation_options(golden::directory() / name);
    auto const lengths = golden::lengths(json["attention_mask"]);
    for (auto const& one : json["generate"]) {
      CAPTURE(one["settings"].dump());
      auto const sample = one["sample"].get<std::size_t>();
      auto source = json["input_ids"][sample].get<golden::ids>();
      source.resize(static_cast<std::size_t>(lengths[sample]));
      auto const sources = std::vector<golden::ids>{source};
      auto const best = write(sources, options_with(base, one["settings"])).at(0).at(0);
      CHECK(best.ids == unpadded(one["ids"].get<golden::ids>(), 1));
      if (!one["score"].is_null()) {
        check_score(best.score, one["score"].get<double>());
      }
      ++compared;
    }
  }
  CHECK(compared == 4 * 22);
}

TEST_CASE("in float a padded batch gives Hugging Face's rows") {
  cublas const backend;
  for (std::string const name : golden::tiny_models) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "golden.json");
    device_bart<float> const model(bart<float>::load(golden::directory() / name), backend);
    auto const lengths = golden::lengths(json["attention_mask"]);
    std::vector<golden::ids> sources;
    for (std::size_t s = 0; s < lengths.size(); ++s) {
      sources.push_back(json["input_ids"][s].get<golden::ids>());
      sources.back().resize(static_cast<std::size_t>(lengths[s]));
    }
    auto options = load_generation_options(golden::directory() / name);
    options.num_beams = 4;
    options.no_repeat_ngram_size = 3;
    options.max_length = 20;
    options.early_stopping = stop_early::yes;
    options.length_penalty = 1.0;
    std::vector<golden::ids> rows;
    for (auto const& found : generate(model, sources, options)) {
      rows.push_back(found.at(0).ids);
    }
    CHECK(pad_rows(rows, 1) == json["generate_batched_beam4"].get<std::vector<golden::ids>>());
  }
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
      REQUIRE(found.size() == one["ids"].size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK(found[i].ids == unpadded(one["ids"][i].get<golden::ids>(), 1));
        if (!one["scores"].is_null()) {
          check_score(found[i].score, one["scores"][i].get<double>());
        }
      }
    }
    CHECK(refused == 6 * 8);  // settings of each: greedy and beams, forced BOS or none, two samples
  }
}

TEST_CASE("in float the summarizer writes Hugging Face's ids, with and without forced BOS") {
  cublas const backend;
  auto const free = read_json(golden::directory() / "summarizer.json");
  auto const forced = read_json(golden::directory() / "summarizer_forced_bos.json");
  device_bart<float> const model(bart<float>::load(golden::embedded_model()), backend);
  device_generator<float> write(model);
  int compared = 0;
  for (std::size_t i = 0; i < free["cases"].size(); ++i) {
    auto const& one = free["cases"][i];
    auto const& other = forced["cases"].at(i);
    CAPTURE(one["id"].get<std::string>());
    auto const sources = std::vector<golden::ids>{one["input_ids"].get<golden::ids>()};
    for (std::string const setting : {"greedy", "beam4", "beam4_ngram2"}) {
      CAPTURE(setting);
      auto options = options_with(special_tokens_only(), free["generation"][setting]);
      CHECK(write(sources, options).at(0).at(0).ids == one[setting + "_ids"].get<golden::ids>());
      options.forced_bos_token_id = 0;
      auto const best = write(sources, options).at(0).at(0);
      CHECK(best.ids == other[setting + "_ids"].get<golden::ids>());
      if (!other[setting + "_score"].is_null()) {
        check_score(best.score, other[setting + "_score"].get<double>());
      }
      ++compared;
    }
  }
  CHECK(compared == 3 * 12);
}

TEST_CASE("in float a batch of all dialogues gives each dialogue the ids that it gets alone") {
  cublas const backend;
  auto const json = read_json(golden::directory() / "summarizer.json");
  device_bart<float> const model(bart<float>::load(golden::embedded_model()), backend);
  std::vector<golden::ids> sources;
  for (auto const& one : json["cases"]) {
    sources.push_back(one["input_ids"].get<golden::ids>());
  }
  for (std::string const setting : {"greedy", "beam4"}) {
    CAPTURE(setting);
    auto const options = options_with(special_tokens_only(), json["generation"][setting]);
    auto const found = generate(model, sources, options);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      CHECK(found[i].at(0).ids == json["cases"][i][setting + "_ids"].get<golden::ids>());
    }
  }
}

TEST_CASE("full-rank factors of every attention matrix leave all ids as they are") {
  cublas const backend;
  auto const json = read_json(golden::directory() / "summarizer.json");
  auto const options = options_with(special_tokens_only(), json["generation"]["beam4"]);
  for (auto const stored_as : {form::full_core, form::two_factor, form::pivoted}) {
    CAPTURE(name_of(stored_as));
    auto host = bart<float>::load(golden::embedded_model());
    compress(host, attention_targets(), at_rank{384}, stored_as);
    device_bart<float> const model(host, backend);
    device_generator<float> write(model);
    for (auto const& one : json["cases"]) {
      CAPTURE(one["id"].get<std::string>());
      auto const sources = std::vector<golden::ids>{one["input_ids"].get<golden::ids>()};
      CHECK(write(sources, options).at(0).at(0).ids == one["beam4_ids"].get<golden::ids>());
    }
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
