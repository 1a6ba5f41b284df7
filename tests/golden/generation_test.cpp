#include "eckart/models/bart/load.hpp"
#include "eckart/models/compress_bart.hpp"
#include "eckart/models/generate.hpp"

#include "support/golden_options.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace eckart;
using golden::check_score;
using golden::options_with;
using golden::special_tokens_only;
using golden::unpadded;

TEST_CASE("every generation of the tiny models is Hugging Face's, beam scores included") {
  int compared = 0;
  for (std::string const name : golden::tiny_models) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "golden.json");
    auto const model = bart<float>::load(golden::directory() / name);
    auto const base = load_generation_options(golden::directory() / name);
    auto const lengths = golden::lengths(json["attention_mask"]);
    for (auto const& one : json["generate"]) {
      CAPTURE(one["settings"].dump());
      auto const sample = one["sample"].get<std::size_t>();
      auto source = json["input_ids"][sample].get<golden::ids>();
      source.resize(static_cast<std::size_t>(lengths[sample]));
      auto const sources = std::vector<golden::ids>{source};
      auto const best = generate(model, sources, options_with(base, one["settings"])).at(0).at(0);
      CHECK(best.ids == unpadded(one["ids"].get<golden::ids>(), 1));
      if (!one["score"].is_null()) {
        check_score(best.score, one["score"].get<double>());
      }
      ++compared;
    }
  }
  CHECK(compared == 4 * 22);
}

TEST_CASE("a padded batch gives Hugging Face's rows") {
  for (std::string const name : golden::tiny_models) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "golden.json");
    auto const model = bart<float>::load(golden::directory() / name);
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

TEST_CASE("every logits processor and stopping rule gives Hugging Face's sequences") {
  for (std::string const name : {"tiny_gelu", "tiny_gelu_new"}) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "processors.json");
    auto const model = bart<float>::load(golden::directory() / name);
    CHECK(json["generate"].size() == 136);
    int left_out = 0;
    for (auto const& one : json["generate"]) {
      auto const& settings = one["settings"];
      CAPTURE(settings.dump());
      if (settings.contains("encoder_repetition_penalty") && settings["num_beams"] > 1) {
        ++left_out;  // transformers 5.17 changes the first beam's scores alone (it does not repeat
        continue;    // the source ids for the others); here every beam is treated alike
      }
      auto const sources = std::vector<golden::ids>{one["input_ids"].get<golden::ids>()};
      auto const found =
          generate(model, sources, options_with(special_tokens_only(), settings)).at(0);
      REQUIRE(found.size() == one["ids"].size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK(found[i].ids == unpadded(one["ids"][i].get<golden::ids>(), 1));
        if (!one["scores"].is_null()) {
          check_score(found[i].score, one["scores"][i].get<double>());
        }
      }
    }
    CHECK(left_out == 4);
  }
}

TEST_CASE("the summarizer writes Hugging Face's ids, with and without forced BOS") {
  auto const free = read_json(golden::directory() / "summarizer.json");
  auto const forced = read_json(golden::directory() / "summarizer_forced_bos.json");
  auto const model = bart<float>::load(golden::embedded_model());
  int compared = 0;
  for (std::size_t i = 0; i < free["cases"].size(); ++i) {
    auto const& one = free["cases"][i];
    auto const& other = forced["cases"].at(i);
    CAPTURE(one["id"].get<std::string>());
    auto const sources = std::vector<golden::ids>{one["input_ids"].get<golden::ids>()};
    for (std::string const setting : {"greedy", "beam4", "beam4_ngram2"}) {
      CAPTURE(setting);
      auto options = options_with(special_tokens_only(), free["generation"][setting]);
      CHECK(generate(model, sources, options).at(0).at(0).ids ==
            one[setting + "_ids"].get<golden::ids>());
      options.forced_bos_token_id = 0;
      auto const best = generate(model, sources, options).at(0).at(0);
      CHECK(best.ids == other[setting + "_ids"].get<golden::ids>());
      if (!other[setting + "_score"].is_null()) {
        check_score(best.score, other[setting + "_score"].get<double>());
      }
      ++compared;
    }
  }
  CHECK(compared == 3 * 12);
}

TEST_CASE("a batch of all dialogues gives each dialogue the ids that it gets alone") {
  auto const json = read_json(golden::directory() / "summarizer.json");
  auto const model = bart<float>::load(golden::embedded_model());
  auto const options = options_with(special_tokens_only(), json["generation"]["beam4"]);
  std::vector<golden::ids> sources;
  for (auto const& one : json["cases"]) {
    sources.push_back(one["input_ids"].get<golden::ids>());
  }
  auto const found = generate(model, sources, options);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    CHECK(found[i].at(0).ids == json["cases"][i]["beam4_ids"].get<golden::ids>());
  }
}

TEST_CASE("full-rank factors of every attention matrix leave all ids as they are") {
  auto const json = read_json(golden::directory() / "summarizer.json");
  auto const options = options_with(special_tokens_only(), json["generation"]["beam4"]);
  for (auto const stored_as : {form::full_core, form::two_factor, form::pivoted}) {
    CAPTURE(name_of(stored_as));
    auto model = bart<float>::load(golden::embedded_model());
    auto const dense = model.parameters();
    auto const report = compress(model, attention_targets(), at_rank{384}, stored_as);
    CHECK(report.size() == 6 * 4 + 4 * 8);
    CHECK(model.parameters() >= dense);  // at full rank no form saves, pivoted costs nothing
    for (auto const& one : json["cases"]) {
      CAPTURE(one["id"].get<std::string>());
      auto const sources = std::vector<golden::ids>{one["input_ids"].get<golden::ids>()};
      CHECK(generate(model, sources, options).at(0).at(0).ids ==
            one["beam4_ids"].get<golden::ids>());
    }
  }
}
