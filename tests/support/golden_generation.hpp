#pragma once

#include "eckart/models/bart/load.hpp"

#include "support/golden_options.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

/// What Hugging Face's generations ask of whatever writes with a model: make_writer(model) answers
/// something that is called as generate() without its model.
namespace golden {

inline auto tiny_model(std::string const& name) -> bart<float> {
  return bart<float>::load(directory() / name);
}

/// The sources of a golden file without their padding.
inline auto unpadded_sources(nlohmann::json const& json) -> std::vector<ids> {
  auto const length_of = lengths(json["attention_mask"]);
  std::vector<ids> sources;
  for (std::size_t s = 0; s < length_of.size(); ++s) {
    sources.push_back(json["input_ids"][s].get<ids>());
    sources.back().resize(static_cast<std::size_t>(length_of[s]));
  }
  return sources;
}

inline void check_score_if_given(float got, nlohmann::json const& expected) {
  if (!expected.is_null()) {
    check_score(got, expected.get<double>());
  }
}

/// All sequences of one entry of processors.json.
inline void check_sequences(std::vector<generated> const& found, nlohmann::json const& entry) {
  REQUIRE(found.size() == entry["ids"].size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].ids == unpadded(entry["ids"][i].get<ids>(), 1));
    check_score_if_given(found[i].score,
                         entry["scores"].is_null() ? nlohmann::json() : entry["scores"][i]);
  }
}

template <class MakeWriter>
void check_tiny_generations(MakeWriter&& make_writer) {
  int compared = 0;
  for (std::string const name : tiny_models) {
    CAPTURE(name);
    auto const json = read_json(directory() / name / "golden.json");
    auto const base = load_generation_options(directory() / name);
    auto const sources = unpadded_sources(json);
    auto write = make_writer(tiny_model(name));
    for (auto const& one : json["generate"]) {
      CAPTURE(one["settings"].dump());
      auto const source = std::vector<ids>{sources[one["sample"].get<std::size_t>()]};
      auto const best = write(source, options_with(base, one["settings"])).at(0).at(0);
      CHECK(best.ids == unpadded(one["ids"].get<ids>(), 1));
      check_score_if_given(best.score, one["score"]);
      ++compared;
    }
  }
  CHECK(compared == 4 * 22);
}

template <class MakeWriter>
void check_padded_batches(MakeWriter&& make_writer) {
  for (std::string const name : tiny_models) {
    CAPTURE(name);
    auto const json = read_json(directory() / name / "golden.json");
    auto options = load_generation_options(directory() / name);
    options.num_beams = 4;
    options.no_repeat_ngram_size = 3;
    options.max_length = 20;
    options.early_stopping = stop_early::yes;
    options.length_penalty = 1.0;
    std::vector<ids> rows;
    for (auto const& found : make_writer(tiny_model(name))(unpadded_sources(json), options)) {
      rows.push_back(found.at(0).ids);
    }
    CHECK(pad_rows(rows, 1) == json["generate_batched_beam4"].get<std::vector<ids>>());
  }
}

/// The summarizer on its 12 dialogues, one by one, with and without a forced first token.
template <class MakeWriter>
void check_summaries(MakeWriter&& make_writer) {
  auto const free = read_json(directory() / "summarizer.json");
  auto const forced = read_json(directory() / "summarizer_forced_bos.json");
  auto write = make_writer(bart<float>::load(embedded_model()));
  int compared = 0;
  for (std::size_t i = 0; i < free["cases"].size(); ++i) {
    auto const& one = free["cases"][i];
    auto const& other = forced["cases"].at(i);
    CAPTURE(one["id"].get<std::string>());
    auto const sources = std::vector<ids>{one["input_ids"].get<ids>()};
    for (std::string const setting : {"greedy", "beam4", "beam4_ngram2"}) {
      CAPTURE(setting);
      auto options = options_with(special_tokens_only(), free["generation"][setting]);
      CHECK(write(sources, options).at(0).at(0).ids == one[setting + "_ids"].get<ids>());
      options.forced_bos_token_id = 0;
      auto const best = write(sources, options).at(0).at(0);
      CHECK(best.ids == other[setting + "_ids"].get<ids>());
      check_score_if_given(best.score, other[setting + "_score"]);
      ++compared;
    }
  }
  CHECK(compared == 3 * 12);
}

/// All 12 at once.
template <class MakeWriter>
void check_dialogues_together(MakeWriter&& make_writer) {
  auto const json = read_json(directory() / "summarizer.json");
  auto write = make_writer(bart<float>::load(embedded_model()));
  std::vector<ids> sources;
  for (auto const& one : json["cases"]) {
    sources.push_back(one["input_ids"].get<ids>());
  }
  for (std::string const setting : {"greedy", "beam4"}) {
    CAPTURE(setting);
    auto const found =
        write(sources, options_with(special_tokens_only(), json["generation"][setting]));
    for (std::size_t i = 0; i < sources.size(); ++i) {
      CHECK(found[i].at(0).ids == json["cases"][i][setting + "_ids"].get<ids>());
    }
  }
}

/// Every dialogue by itself with 4 beams, for a model that is to write what the dense one does.
template <class Write>
void check_beam_summaries(Write&& write) {
  auto const json = read_json(directory() / "summarizer.json");
  auto const options = options_with(special_tokens_only(), json["generation"]["beam4"]);
  for (auto const& one : json["cases"]) {
    CAPTURE(one["id"].get<std::string>());
    auto const sources = std::vector<ids>{one["input_ids"].get<ids>()};
    CHECK(write(sources, options).at(0).at(0).ids == one["beam4_ids"].get<ids>());
  }
}

}  // namespace golden
