#include "eckart/models/compress_bart.hpp"
#include "eckart/models/generate.hpp"

#include "support/golden_generation.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace eckart;
using golden::options_with;
using golden::special_tokens_only;

namespace {

auto on_the_host(bart<float> model) {
  return [model = std::move(model)](auto const& sources, generation_options const& options) {
    return generate(model, sources, options);
  };
}

}  // namespace

TEST_CASE("every generation of the tiny models is Hugging Face's, beam scores included") {
  golden::check_tiny_generations(on_the_host);
}

TEST_CASE("a padded batch gives Hugging Face's rows") {
  golden::check_padded_batches(on_the_host);
}

TEST_CASE("the summarizer writes Hugging Face's ids, with and without forced BOS") {
  golden::check_summaries(on_the_host);
}

TEST_CASE("a batch of all dialogues gives each dialogue the ids that it gets alone") {
  golden::check_dialogues_together(on_the_host);
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
      golden::check_sequences(found, one);
    }
    CHECK(left_out == 4);
  }
}

TEST_CASE("full-rank factors of every attention matrix leave all ids as they are") {
  for (auto const stored_as : {form::full_core, form::two_factor, form::pivoted}) {
    CAPTURE(name_of(stored_as));
    auto model = bart<float>::load(golden::embedded_model());
    auto const dense = model.parameters();
    auto const report = compress(model, attention_targets(), at_rank{384}, stored_as);
    CHECK(report.size() == 6 * 4 + 4 * 8);
    CHECK(model.parameters() >= dense);  // at full rank no form saves, pivoted costs nothing
    golden::check_beam_summaries(on_the_host(model));
  }
}
