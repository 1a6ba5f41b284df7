#include "eckart/models/beam_search.hpp"

#include "eckart/core/error.hpp"
#include "unit/models/fake_decoder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace {

using eckart::generated;
using eckart::generation_options;
using eckart::stop_early;
using ids = std::vector<std::int32_t>;

/// A model whose probabilities are written by the test.
struct scripted {
  eckart::index_t vocabulary;
  std::function<std::vector<float>(std::span<std::int32_t const>)> probabilities;

  auto logits(std::size_t, std::span<std::int32_t const> row) const -> std::vector<float> {
    auto p = probabilities(row);
    std::transform(p.begin(), p.end(), p.begin(), [](float x) { return std::log(x); });
    return p;
  }
};

/// A table model seen as a single sentence's.
struct one_sentence {
  fake::table_model table;
  std::size_t sentence;
  eckart::index_t vocabulary = table.vocabulary;

  auto logits(std::size_t, std::span<std::int32_t const> row) const -> std::vector<float> {
    return table.logits(sentence, row);
  }
};

auto options_for(eckart::index_t beams, eckart::index_t max_length) -> generation_options {
  generation_options options;
  options.num_beams = beams;
  options.num_return_sequences = beams;
  options.max_length = max_length;
  options.decoder_start_token_id = 0;
  options.eos_token_id = {2};
  return options;
}

template <class Model>
auto search_one(Model const& model, generation_options const& options) -> std::vector<generated> {
  auto decoder = fake::decoder(model, 1, static_cast<std::size_t>(options.num_beams));
  return eckart::beam_search(decoder, std::vector<ids>{{0}}, options)[0];
}

// ---- The reference's dense algorithm, written down without any thought of speed ----

auto naive_scores(fake::table_model const& model, std::size_t sentence, ids const& row,
                  generation_options const& o) -> std::vector<float> {
  auto s = model.logits(sentence, row);
  double sum = 0;
  for (auto const x : s) {
    sum += std::exp(static_cast<double>(x));
  }
  for (auto& x : s) {
    x = static_cast<float>(static_cast<double>(x) - std::log(sum));
  }
  auto const inf = std::numeric_limits<float>::infinity();
  auto const force = [&](ids const& tokens) {
    for (std::size_t j = 0; j < s.size(); ++j) {
      bool const forced = std::count(tokens.begin(), tokens.end(), static_cast<int>(j)) > 0;
      s[j] = forced ? 0.0F : -inf;
    }
  };
  auto const n = static_cast<std::size_t>(o.no_repeat_ngram_size);
  for (std::size_t j = 0; n > 0 && j < s.size(); ++j) {
    ids longer = row;
    longer.push_back(static_cast<std::int32_t>(j));
    for (std::size_t i = 0; i + n < longer.size() && n <= row.size(); ++i) {
      auto const at = longer.begin() + static_cast<std::ptrdiff_t>(i);
      if (std::equal(longer.end() - static_cast<std::ptrdiff_t>(n), longer.end(), at)) {
        s[j] = -inf;
      }
    }
  }
  if (static_cast<eckart::index_t>(row.size()) < o.min_length) {
    for (auto const e : o.eos_token_id) {
      s[static_cast<std::size_t>(e)] = -inf;
    }
  }
  if (o.forced_bos_token_id && row.size() == 1) {
    force({*o.forced_bos_token_id});
  }
  if (!o.forced_eos_token_id.empty() &&
      static_cast<eckart::index_t>(row.size()) == *o.max_length - 1) {
    force(o.forced_eos_token_id);
  }
  return s;
}

struct naive_row {
  ids tokens;
  float score;
  bool finished;
};

/// Positions of the k largest, the lower first among equals.
auto top(std::vector<float> const& values, std::size_t k) -> std::vector<std::size_t> {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return values[a] > values[b]; });
  order.resize(k);
  return order;
}

/// All sentences go on until all have ended.
auto naive_beam_search(fake::table_model const& model, std::size_t sentences,
                       generation_options const& o) -> std::vector<std::vector<generated>> {
  auto const beams = static_cast<std::size_t>(o.num_beams);
  auto const vocabulary = static_cast<std::size_t>(model.vocabulary);
  auto const keep = std::max<std::size_t>(2, 1 + o.eos_token_id.size()) * beams;
  float const far = -1.0e9F;
  std::vector<naive_row> first(beams, naive_row{{*o.decoder_start_token_id}, far, false});
  std::vector<std::vector<naive_row>> slots(sentences, first);
  first[0].score = 0;
  std::vector<std::vector<naive_row>> running(sentences, first);
  std::vector<bool> improvable(sentences, true);
  for (eckart::index_t cur_len = 1;; ++cur_len) {
    bool every_candidate_hit = true;
    bool all_finished = true;
    bool any_improvable = false;
    for (std::size_t s = 0; s < sentences; ++s) {
      std::vector<float> flat;
      for (auto const& row : running[s]) {
        for (auto const x : naive_scores(model, s, row.tokens, o)) {
          flat.push_back(x + row.score);
        }
      }
      bool const full =
          o.early_stopping == stop_early::yes &&
          std::all_of(slots[s].begin(), slots[s].end(), [](auto const& r) { return r.finished; });
      std::vector<naive_row> candidates;
      std::vector<float> open_scores;
      auto merged = slots[s];
      for (auto const position : top(flat, keep)) {
        auto tokens = running[s][position / vocabulary].tokens;
        tokens.push_back(static_cast<std::int32_t>(position % vocabulary));
        auto const& eos = o.eos_token_id;
        bool const hit =
            std::count(eos.begin(), eos.end(), tokens.back()) > 0 || cur_len + 1 >= *o.max_length;
        every_candidate_hit = every_candidate_hit && hit;
        auto const score = flat[position];
        open_scores.push_back(score + static_cast<float>(hit) * far);
        bool const finished = hit && candidates.size() < beams;
        candidates.push_back({tokens, open_scores.back(), false});
        auto final_score =
            score / static_cast<float>(std::pow(static_cast<double>(cur_len), o.length_penalty));
        final_score += static_cast<float>(full) * far;
        final_score += static_cast<float>(!improvable[s]) * far;
        final_score += static_cast<float>(!finished) * far;
        merged.push_back({tokens, final_score, finished});
      }
      running[s].clear();
      for (auto const i : top(open_scores, beams)) {
        running[s].push_back(candidates[i]);
      }
      std::vector<float> merged_scores;
      for (auto const& r : merged) {
        merged_scores.push_back(r.score);
      }
      slots[s].clear();
      for (auto const i : top(merged_scores, beams)) {
        slots[s].push_back(merged[i]);
      }
      auto const hope = o.early_stopping == stop_early::never && o.length_penalty > 0
                            ? *o.max_length - 1
                            : cur_len;
      auto const best = running[s][0].score /
                        static_cast<float>(std::pow(static_cast<double>(hope), o.length_penalty));
      bool better = false;
      for (auto const& r : slots[s]) {
        better = better || best > (r.finished ? slots[s].back().score : far);
        all_finished = all_finished && r.finished;
      }
      improvable[s] = improvable[s] && better;
      any_improvable = any_improvable || improvable[s];
    }
    if (!any_improvable || (all_finished && o.early_stopping == stop_early::yes) ||
        every_candidate_hit) {
      break;
    }
  }
  std::vector<std::vector<generated>> results;
  for (auto const& sentence : slots) {
    results.emplace_back();
    for (eckart::index_t i = 0; i < o.num_return_sequences; ++i) {
      auto const& slot = sentence[static_cast<std::size_t>(i)];
      results.back().push_back({slot.tokens, slot.score});
    }
  }
  return results;
}

auto random_options(std::mt19937& random) -> generation_options {
  auto const draw = [&](auto const& choices) { return choices[random() % std::size(choices)]; };
  auto o = options_for(1 + static_cast<eckart::index_t>(random() % 6),
                       2 + static_cast<eckart::index_t>(random() % 11));
  o.num_return_sequences = 1 + static_cast<eckart::index_t>(random() % 6) % o.num_beams;
  o.no_repeat_ngram_size = static_cast<eckart::index_t>(random() % 4);
  o.length_penalty = draw(std::vector<double>{1, 1, 0, -1, 0.5, 2});
  o.early_stopping =
      draw(std::vector<stop_early>{stop_early::no, stop_early::yes, stop_early::never});
  o.min_length = random() % 2 == 0 ? 0 : static_cast<eckart::index_t>(random() % 8);
  if (random() % 2 == 0) {
    o.forced_bos_token_id = 0;
  }
  if (random() % 2 == 0) {
    o.forced_eos_token_id = draw(std::vector<ids>{{2}, {2, 3}});
  }
  o.eos_token_id = draw(std::vector<ids>{{2}, {2}, {2, 3}, {4, 2, 5}, {}});
  o.decoder_start_token_id = draw(ids{2, 0});
  return o;
}

}  // namespace

TEST_CASE("beam search equals the dense algorithm of the reference on random models") {
  std::mt19937 random(20);
  for (int repeat = 0; repeat < 600; ++repeat) {
    auto const options = random_options(random);
    // Down to as few tokens as are possible, where beams that stand 1e9 behind come into play.
    auto const model = fake::table_model{random(), static_cast<eckart::index_t>(6 + random() % 12)};
    std::size_t const sentences = 1 + random() % 4;
    std::vector<ids> const sources(sentences, ids{0});
    auto decoder = fake::decoder(model, sentences, static_cast<std::size_t>(options.num_beams));
    auto const found = eckart::beam_search(decoder, sources, options);
    auto const expected = naive_beam_search(model, sentences, options);
    CAPTURE(repeat);
    REQUIRE(found.size() == sentences);
    for (std::size_t s = 0; s < sentences; ++s) {
      REQUIRE(found[s].size() == expected[s].size());
      for (std::size_t i = 0; i < found[s].size(); ++i) {
        CHECK(found[s][i].ids == expected[s][i].ids);
        CHECK(found[s][i].score == doctest::Approx(expected[s][i].score).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("what beam search finds for a sentence does not depend on the others of the batch") {
  auto const table = fake::table_model{99, 9};
  auto const options = options_for(4, 14);
  std::size_t const sentences = 12;
  std::vector<ids> const sources(sentences, ids{0});
  auto batch = fake::decoder(table, sentences, 4);
  auto const together = eckart::beam_search(batch, sources, options);
  std::size_t rows = 0;
  std::size_t longest = 0;
  for (std::size_t s = 0; s < sentences; ++s) {
    auto alone = fake::decoder(one_sentence{table, s}, 1, 4);
    auto const found = eckart::beam_search(alone, std::span(sources).first(1), options)[0];
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(together[s][i].ids == found[i].ids);
      CHECK(together[s][i].score == found[i].score);
    }
    rows += alone.rows_seen;
    longest = std::max(longest, alone.steps);
  }
  // A finished sentence costs nothing, and some here finish before others.
  CHECK(batch.rows_seen == rows);
  CHECK(rows < 4 * longest * sentences);
}

TEST_CASE("with room for every hypothesis beam search finds the best of all sequences") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    auto const model = fake::table_model{seed, 4};
    for (double const penalty : {0.0, 1.0, 2.0, -1.0}) {
      auto options = options_for(128, 6);  // never more than 108 candidates before the last step
      options.early_stopping = stop_early::never;
      options.length_penalty = penalty;
      generated best{{}, -std::numeric_limits<float>::infinity()};
      std::function<void(ids const&, double)> const visit = [&](ids const& row, double sum) {
        if (row.size() > 1 && (row.back() == 2 || row.size() == 6)) {
          auto const score = sum / std::pow(static_cast<double>(row.size() - 1), penalty);
          if (score > static_cast<double>(best.score)) {
            best = {row, static_cast<float>(score)};
          }
          return;
        }
        auto logits = model.logits(0, row);
        eckart::log_softmax(std::span(logits));
        for (std::size_t j = 0; j < logits.size(); ++j) {
          auto longer = row;
          longer.push_back(static_cast<std::int32_t>(j));
          visit(longer, sum + static_cast<double>(logits[j]));
        }
      };
      visit({0}, 0.0);
      auto const found = search_one(model, options);
      CHECK(found[0].ids == best.ids);
      CHECK(found[0].score == doctest::Approx(best.score).epsilon(1e-5));
    }
  }
}

TEST_CASE("beam search sees behind a token that looks worse at first") {
  // Greedy takes 1 (0.6) and then has nothing better than 0.3; 3 (0.4) is followed by EOS for sure.
  auto const model = scripted{4, [](auto row) -> std::vector<float> {
                                switch (row.back()) {
                                  case 0:
                                    return {0, 0.6F, 0, 0.4F};
                                  case 1:
                                    return {0.3F, 0.3F, 0.3F, 0.1F};
                                  default:
                                    return {0, 0, 1, 0};
                                }
                              }};
  auto const found = search_one(model, options_for(2, 3));
  CHECK(found[0].ids == ids{0, 3, 2});
  CHECK(found[0].score == doctest::Approx(std::log(0.4) / 2).epsilon(1e-6));
}

TEST_CASE("only a candidate among the B best may finish") {
  auto const first_step_eos = [](float eos) {
    return scripted{4, [eos](auto row) -> std::vector<float> {
                      if (row.size() == 1) {
                        return {0, 0.4F, eos, 0.6F - eos};
                      }
                      return {0.25F, 0.25F, 0.25F, 0.25F};
                    }};
  };
  auto options = options_for(2, 3);
  options.length_penalty = 0;
  // Likelier than any longer sequence (0.4 * 0.25 at most) both times, but third at its step once.
  CHECK(search_one(first_step_eos(0.35F), options)[0].ids == ids{0, 2});
  CHECK(search_one(first_step_eos(0.25F), options)[0].ids == ids{0, 1, 0});
}

TEST_CASE("a positive length penalty favours longer sequences") {
  // EOS at once: log 0.45. 1, then EOS: log(0.55 * 0.5), less in sum but more per token.
  auto const model = scripted{3, [](auto row) -> std::vector<float> {
                                if (row.size() == 1) {
                                  return {0, 0.55F, 0.45F};
                                }
                                return {0.5F, 0, 0.5F};
                              }};
  auto options = options_for(2, 3);
  options.early_stopping = stop_early::never;
  options.length_penalty = 0;
  auto const plain = search_one(model, options);
  CHECK(plain[0].ids == ids{0, 2});
  CHECK(plain[0].score == doctest::Approx(std::log(0.45)).epsilon(1e-6));
  options.length_penalty = 1;
  auto const longer = search_one(model, options);
  CHECK(longer[0].ids == ids{0, 1, 0});  // before (0, 1, 2), which is as likely
  CHECK(longer[0].score == doctest::Approx(std::log(0.55 * 0.5) / 2).epsilon(1e-6));
}

TEST_CASE("early stopping ends first, never ends last, and both happen") {
  int earlier = 0;
  int later = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    auto const steps = [seed](stop_early mode, double length_penalty) {
      auto options = options_for(3, 16);
      options.early_stopping = mode;
      options.length_penalty = length_penalty;
      auto decoder = fake::decoder(fake::table_model{seed, 8}, 1, 3);
      eckart::beam_search(decoder, std::vector<ids>{{0}}, options);
      return decoder.steps;
    };
    CHECK(steps(stop_early::yes, 1) <= steps(stop_early::no, 1));
    CHECK(steps(stop_early::no, 1) <= steps(stop_early::never, 1));
    earlier += steps(stop_early::yes, 1) < steps(stop_early::no, 1) ? 1 : 0;
    later += steps(stop_early::no, 1) < steps(stop_early::never, 1) ? 1 : 0;
    // Where length does not pay, the present length is the one to hope for.
    CHECK(steps(stop_early::no, -1) == steps(stop_early::never, -1));
  }
  CHECK(earlier > 0);
  CHECK(later > 0);
}

TEST_CASE("a search at max_length returns all its slots filled, best first") {
  auto options = options_for(5, 7);
  options.eos_token_id = {};
  auto const found = search_one(fake::table_model{5, 12}, options);
  REQUIRE(found.size() == 5);
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].ids.size() == 7);
    CHECK(found[i].score < 0);
    CHECK((i == 0 || found[i].score <= found[i - 1].score));
    for (std::size_t j = 0; j < i; ++j) {
      CHECK(found[i].ids != found[j].ids);
    }
  }
}

TEST_CASE("forced tokens add nothing to the score, but count in the length") {
  auto options = options_for(2, 4);
  options.num_return_sequences = 1;
  options.forced_bos_token_id = 0;
  options.forced_eos_token_id = {2};
  auto const model = scripted{5, [](auto) -> std::vector<float> {
                                return {0.1F, 0.4F, 0.1F, 0.3F, 0.1F};
                              }};
  auto const found = search_one(model, options);
  CHECK(found[0].ids == ids{0, 0, 1, 2});
  CHECK(found[0].score == doctest::Approx(std::log(0.4) / 3).epsilon(1e-6));
}

TEST_CASE("no sentence is no work for beams either") {
  auto decoder = fake::decoder(fake::table_model{1, 5}, 0, 3);
  CHECK(eckart::beam_search(decoder, std::vector<ids>{}, options_for(3, 5)).empty());
  CHECK(decoder.steps == 0);
}

TEST_CASE("a beam search that could not be right is refused before the first step") {
  auto decoder = fake::decoder(fake::table_model{1, 5}, 1, 2);
  auto const sources = std::vector<ids>{{0}};
  auto options = options_for(2, 1000);
  options.length_penalty = 50;  // 999^50 is no float
  CHECK_THROWS_AS(eckart::beam_search(decoder, sources, options), eckart::shape_error);
  options.length_penalty = 1;
  CHECK_THROWS_AS(eckart::beam_search(decoder, sources, options, 40), eckart::shape_error);
  options.eos_token_id = {5};
  CHECK_THROWS_AS(eckart::beam_search(decoder, sources, options), eckart::shape_error);
  CHECK(decoder.steps == 0);
}

TEST_CASE("a beam search among scores that are not numbers is refused") {
  auto const nan = std::numeric_limits<float>::quiet_NaN();
  auto const model = scripted{3, [nan](auto) { return std::vector<float>{1, nan, 1}; }};
  CHECK_THROWS_AS(search_one(model, options_for(2, 5)), eckart::numerical_error);
}
