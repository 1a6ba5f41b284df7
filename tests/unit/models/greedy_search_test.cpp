#include "eckart/models/greedy_search.hpp"

#include "eckart/core/error.hpp"
#include "unit/models/fake_decoder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

/// A model whose logits are written by the test.
struct scripted {
  eckart::index_t vocabulary;
  std::function<std::vector<float>(std::size_t, std::span<std::int32_t const>)> logits;
};

auto options_to(eckart::index_t max_length) -> eckart::generation_options {
  eckart::generation_options options;
  options.decoder_start_token_id = 2;
  options.eos_token_id = {2};
  options.max_length = max_length;
  return options;
}

}  // namespace

TEST_CASE("greedy search takes the first of the largest logits") {
  auto const model = scripted{4, [](auto, auto) { return std::vector<float>{0, 3, -1, 3}; }};
  auto decoder = fake::decoder(model, 1, 1);
  auto const found = eckart::greedy_search(decoder, std::vector<ids>{{0}}, options_to(4));
  CHECK(found[0][0].ids == ids{2, 1, 1, 1});
  CHECK(std::isnan(found[0][0].score));
}

TEST_CASE("greedy search in a batch finds what it finds sentence by sentence") {
  std::vector<ids> const sources(7, ids{0, 3, 4, 2});
  auto const options = options_to(12);
  auto const table = fake::table_model{11, 6};
  auto batch = fake::decoder(table, sources.size(), 1);
  auto const together = eckart::greedy_search(batch, sources, options);
  std::size_t tokens = 0;
  for (std::size_t s = 0; s < sources.size(); ++s) {
    auto const alone = scripted{6, [&](auto, auto row) { return table.logits(s, row); }};
    auto decoder = fake::decoder(alone, 1, 1);
    auto const found = eckart::greedy_search(decoder, std::span(sources).first(1), options);
    CHECK(together[s][0].ids == found[0][0].ids);
    tokens += together[s][0].ids.size() - 1;
  }
  // A finished sentence costs nothing: one row was fed for each token that was found.
  CHECK(batch.rows_seen == tokens);
}

TEST_CASE("a greedy row ends with any EOS token or at max_length") {
  // Sentence s says token 3 until its row has s + 2 ids, then token s.
  auto const model = scripted{4, [](std::size_t s, auto row) {
                                std::vector<float> logits(4, 0.0F);
                                logits[row.size() < s + 2 ? 3 : s] = 1;
                                return logits;
                              }};
  auto options = options_to(6);
  options.eos_token_id = {1, 2};
  auto decoder = fake::decoder(model, 3, 1);
  auto const found = eckart::greedy_search(decoder, std::vector<ids>(3, ids{0}), options);
  CHECK(found[0][0].ids == ids{2, 3, 0, 0, 0, 0});
  CHECK(found[1][0].ids == ids{2, 3, 3, 1});
  CHECK(found[2][0].ids == ids{2, 3, 3, 3, 2});
}

TEST_CASE("forced tokens frame a greedy row") {
  auto options = options_to(5);
  options.forced_bos_token_id = 0;
  options.forced_eos_token_id = {2};
  auto const model = scripted{4, [](auto, auto) { return std::vector<float>{0, 1, 2, 3}; }};
  auto decoder = fake::decoder(model, 1, 1);
  CHECK(eckart::greedy_search(decoder, std::vector<ids>{{0}}, options)[0][0].ids ==
        ids{2, 0, 3, 3, 2});
}

TEST_CASE("without a decoder start a row begins with BOS") {
  auto options = options_to(2);
  options.decoder_start_token_id.reset();
  options.bos_token_id = 3;
  auto decoder = fake::decoder(fake::table_model{1, 5}, 1, 1);
  CHECK(eckart::greedy_search(decoder, std::vector<ids>{{0}}, options)[0][0].ids.front() == 3);
}

TEST_CASE("no sentence is no work") {
  auto decoder = fake::decoder(fake::table_model{1, 5}, 0, 1);
  CHECK(eckart::greedy_search(decoder, std::vector<ids>{}, options_to(5)).empty());
  CHECK(decoder.steps == 0);
}

TEST_CASE("a greedy search among scores that are not numbers is refused") {
  auto const nan = std::numeric_limits<float>::quiet_NaN();
  auto const model = scripted{3, [&](auto, auto) { return std::vector<float>{1, nan, 0}; }};
  auto decoder = fake::decoder(model, 1, 1);
  CHECK_THROWS_AS(eckart::greedy_search(decoder, std::vector<ids>{{0}}, options_to(5)),
                  eckart::numerical_error);
  auto options = options_to(3);
  options.remove_invalid_values = true;  // NaN counts as 0
  auto second = fake::decoder(model, 1, 1);
  CHECK(eckart::greedy_search(second, std::vector<ids>{{0}}, options)[0][0].ids == ids{2, 0, 0});
}

TEST_CASE("greedy search refuses beams, and lengths beyond the positions") {
  auto decoder = fake::decoder(fake::table_model{1, 5}, 1, 1);
  auto options = options_to(5);
  CHECK_THROWS_AS(eckart::greedy_search(decoder, std::vector<ids>{{0}}, options, 3),
                  eckart::shape_error);
  options.num_beams = 2;
  CHECK_THROWS_AS(eckart::greedy_search(decoder, std::vector<ids>{{0}}, options),
                  eckart::shape_error);
  CHECK(decoder.steps == 0);
}

TEST_CASE("of equal largest scores the first is taken, wherever they stand") {
  for (std::size_t n = 1; n <= 70; ++n) {
    CAPTURE(n);
    for (std::size_t place = 0; place < n; ++place) {
      std::vector<float> scores(n, -2.0F);
      scores[place] = 3.0F;
      scores[n - 1] = 3.0F;
      REQUIRE(eckart::detail::first_largest(scores) == static_cast<std::int32_t>(place));
      scores[place] = std::numeric_limits<float>::quiet_NaN();
      REQUIRE_THROWS_AS(eckart::detail::first_largest(scores), eckart::numerical_error);
    }
  }
  std::vector<float> const none(40, -std::numeric_limits<float>::infinity());
  CHECK(eckart::detail::first_largest(none) == 0);
}
