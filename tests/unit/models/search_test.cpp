#include "eckart/models/search.hpp"

#include "eckart/core/error.hpp"
#include "eckart/io/json.hpp"
#include "eckart/models/generation_config.hpp"
#include "unit/models/fake_decoder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

auto options_for_beams(eckart::index_t beams) -> eckart::generation_options {
  eckart::generation_options options;
  options.decoder_start_token_id = 2;
  options.eos_token_id = {2};
  options.num_beams = beams;
  return options;
}

}  // namespace

TEST_CASE("search answers what Hugging Face's generate answers") {
  auto const file = std::string(ECKART_SOURCE_DIR) + "/tests/golden/generation_search.json";
  auto const golden = eckart::read_json(file);
  int beam_cases = 0;
  for (auto const& c : golden.at("cases")) {
    auto const sources = c.at("sources").get<std::vector<ids>>();
    auto const options = eckart::read_generation_options(c.at("options"), file);
    auto const model = fake::table_model{c.at("seed"), c.at("vocabulary")};
    auto decoder =
        fake::decoder(model, sources.size(), static_cast<std::size_t>(options.num_beams));
    auto const found = eckart::search(decoder, sources, options, 40);

    CAPTURE(c.dump());
    std::vector<ids> rows;
    std::vector<float> scores;
    for (auto const& sentence : found) {
      for (auto const& sequence : sentence) {
        rows.push_back(sequence.ids);
        scores.push_back(sequence.score);
      }
    }
    CHECK(eckart::pad_rows(rows, options.pad_token_id.value()) ==
          c.at("rows").get<std::vector<ids>>());
    if (options.num_beams == 1) {
      CHECK(std::isnan(scores.at(0)));
      continue;
    }
    ++beam_cases;
    auto const expected = c.at("scores").get<std::vector<double>>();
    REQUIRE(scores.size() == expected.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
      // Sums of up to 14 floats, each rounded to 2^-24 of itself; the file has 6 decimals.
      CHECK(scores[i] == doctest::Approx(expected[i]).epsilon(1e-5));
    }
  }
  CHECK(beam_cases > 100);
}

TEST_CASE("search with one beam is greedy search, with more it is beam search") {
  auto const model = fake::table_model{7, 9};
  std::vector<ids> const sources{{0, 3, 2}};
  auto one = fake::decoder(model, 1, 1);
  CHECK(std::isnan(eckart::search(one, sources, options_for_beams(1))[0][0].score));
  auto three = fake::decoder(model, 1, 3);
  CHECK(eckart::search(three, sources, options_for_beams(3))[0][0].score < 0);
}
