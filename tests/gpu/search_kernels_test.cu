#include "eckart/gpu/bart/device_rules.cuh"
#include "eckart/gpu/kernels/log_softmax.cuh"
#include "eckart/gpu/kernels/search_steps.cuh"
#include "eckart/models/beam_hypotheses.hpp"
#include "eckart/models/logits_processors.hpp"

#include "gpu/kernel_fixture.cuh"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

using namespace eckart;
using fixture::on_device;
using fixture::random_numbers;
using fixture::unit;

namespace {

// From -3 to 3 in multiples of a step: the larger it is, the more are equal.
auto scores_with_ties(index_t count, unsigned seed, double step = 0.25) -> std::vector<double> {
  auto scores = random_numbers<float>(count, seed, 3);
  for (auto& x : scores) {
    x = std::round(x / step) * step;
  }
  return scores;
}

}  // namespace

TEST_CASE("log_softmax equals the host's, in rows of any length") {
  cublas const backend;
  for (index_t const vocabulary : {1, 97, 8192, 50265}) {
    CAPTURE(vocabulary);
    constexpr index_t rows = 3;
    auto const scores = random_numbers<float>(rows * vocabulary, 41, 5);
    auto there = on_device<float>(scores, rows, vocabulary, backend.stream());
    gpu::log_softmax(there.view(), backend.stream());
    auto const got = fixture::entries(there.view(), backend.stream());
    for (index_t i = 0; i < rows; ++i) {
      auto const first = scores.begin() + i * vocabulary;
      std::vector<double> row(first, first + vocabulary);
      log_softmax(std::span(row));
      for (index_t j = 0; j < vocabulary; ++j) {
        auto const want = row[static_cast<std::size_t>(j)];
        // Exponentials of floats in float are off by 2 units each, the result by one.
        REQUIRE(std::abs(got[static_cast<std::size_t>(i * vocabulary + j)] - want) <=
                4 * unit<float> + 2 * unit<float> * std::abs(want));
      }
    }
  }
}

TEST_CASE("a row with NaN or +inf becomes NaN, -inf stays") {
  cublas const backend;
  auto scores = random_numbers<float>(3 * 100, 42);
  scores[50] = NAN;
  scores[150] = INFINITY;
  scores[250] = -INFINITY;
  auto there = on_device<float>(scores, 3, 100, backend.stream());
  gpu::log_softmax(there.view(), backend.stream());
  auto const got = fixture::entries(there.view(), backend.stream());
  CHECK(
      std::ranges::all_of(got.begin(), got.begin() + 200, [](double x) { return std::isnan(x); }));
  CHECK(got[250] == -INFINITY);
  CHECK(std::isfinite(got[251]));
}

TEST_CASE("log_norms are what log_softmax subtracts, forced rows lose nothing") {
  cublas const backend;
  auto const stream = backend.stream();
  constexpr index_t rows = 4;
  constexpr index_t vocabulary = 9001;
  auto scores = random_numbers<float>(rows * vocabulary, 46, 5);
  scores[17] = -INFINITY;
  scores[2 * vocabulary + 7] = NAN;
  auto there = on_device<float>(scores, rows, vocabulary, stream);
  auto in_place = on_device<float>(scores, rows, vocabulary, stream);
  auto norms = fixture::values_on_device(std::vector<double>(rows), stream);
  gpu::log_norms(there.view(), norms.data(), stream);
  gpu::log_softmax(in_place.view(), stream);
  auto const sums = fixture::values_on_device(std::vector<float>{-1, -2, -3, -4}, stream);
  // The best of scores that lose their norms where they are read, and of those that have lost them.
  auto const best_of = [&](device_view<float const> of, double const* own) {
    constexpr index_t k = 8;
    device_buffer<gpu::scored_token> pieces(rows * gpu::score_pieces(vocabulary) * k);
    device_buffer<gpu::scored_token> best(rows / 2 * k);
    gpu::top_scores(of, {own, sums.data()}, rows / 2, k, pieces.data(), best.data(), stream);
    return fixture::to_values(best, stream);
  };
  auto const check_same = [&] {
    auto const got = best_of(there.view(), norms.data());
    auto const want = best_of(in_place.view(), nullptr);
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i].flat == want[i].flat);
      CHECK((got[i].score == want[i].score ||
             (std::isnan(got[i].score) && std::isnan(want[i].score))));
    }
  };
  check_same();
  constexpr int capacity = 4;
  auto tokens = fixture::values_on_device(std::vector<token_id>(rows * capacity, 2), stream);
  auto const ancestors =
      fixture::values_on_device(std::vector<int>(2 * rows * capacity, 0), stream);
  auto const position = fixture::values_on_device(std::vector<int>{0}, stream);
  auto const written =
      gpu::written_view{tokens.data(), {ancestors.data(), static_cast<int>(rows), capacity}};
  gpu::score_rules rules{.max_length = capacity, .forced_bos = 5};
  gpu::process_scores(there.view(), 2, rules, written, position.data(), stream, norms.data());
  gpu::process_scores(in_place.view(), 2, rules, written, position.data(), stream);
  for (double const norm : fixture::to_values(norms, stream)) {
    CHECK(norm == 0);
  }
  check_same();
  rules.repetition_penalty = 1.5F;
  CHECK_THROWS_AS(
      gpu::process_scores(there.view(), 2, rules, written, position.data(), stream, norms.data()),
      shape_error);
}

TEST_CASE("top_scores answers the host's candidates in the host's order, ties included") {
  cublas const backend;
  auto const stream = backend.stream();
  // With the larger step more than a block has threads share the best place.
  for (auto const& [vocabulary, ties] : {std::pair<index_t, double>{5, 0.25},
                                         {97, 0.25},
                                         {8192, 0.25},
                                         {8192, 2},
                                         {50265, 0.001},
                                         {50265, 0.25},
                                         {50265, 2}}) {
    for (auto const& [sentences, beams, k] :
         {std::array<index_t, 3>{3, 4, 8}, {1, 1, 1}, {2, 6, 24}, {5, 1, 3}}) {
      CAPTURE(vocabulary);
      CAPTURE(ties);
      CAPTURE(beams);
      auto const rows = sentences * beams;
      auto const scores = scores_with_ties(rows * vocabulary, 43, ties);
      auto const sums = scores_with_ties(rows, 44);
      auto const there = on_device<float>(scores, rows, vocabulary, stream);
      auto const sums_there = on_device<float>(sums, 1, rows, stream);
      device_buffer<gpu::scored_token> pieces(rows * gpu::score_pieces(vocabulary) * k);
      device_buffer<gpu::scored_token> best(sentences * k);
      gpu::top_scores(there.view(), {nullptr, sums_there.view().data}, sentences, k, pieces.data(),
                      best.data(), stream);
      auto const got = fixture::to_values(best, stream);
      auto candidates = eckart::detail::best_candidates(static_cast<std::size_t>(k));
      for (index_t s = 0; s < sentences; ++s) {
        candidates.clear();
        for (index_t b = 0; b < beams; ++b) {
          auto const r = s * beams + b;
          std::vector<float> const row(scores.begin() + r * vocabulary,
                                       scores.begin() + (r + 1) * vocabulary);
          candidates.offer(row, static_cast<float>(sums[static_cast<std::size_t>(r)]),
                           b * vocabulary);
        }
        auto const want = candidates.sorted();
        for (std::size_t i = 0; i < static_cast<std::size_t>(k); ++i) {
          auto const& one = got[static_cast<std::size_t>(s * k) + i];
          REQUIRE(one.flat == (i < want.size() ? want[i].flat : -1));
          REQUIRE((i >= want.size() || one.score == want[i].score));
        }
      }
    }
  }
}

TEST_CASE("a score that is not a number comes first") {
  cublas const backend;
  auto scores = random_numbers<float>(9000, 45);
  scores[7000] = NAN;
  auto const there = on_device<float>(scores, 1, 9000, backend.stream());
  device_buffer<gpu::scored_token> pieces(gpu::score_pieces(9000));
  device_buffer<gpu::scored_token> best(1);
  gpu::top_scores(there.view(), {}, 1, 1, pieces.data(), best.data(), backend.stream());
  auto const got = fixture::to_values(best, backend.stream()).front();
  CHECK(got.flat == 7000);
  CHECK(std::isnan(got.score));
}

TEST_CASE("every rule does to scores what the host's processors do") {
  cublas const backend;
  auto const stream = backend.stream();
  constexpr index_t vocabulary = 60;
  constexpr int beams = 2;
  constexpr int rows = 4;
  constexpr int capacity = 12;
  std::vector<std::vector<token_id>> const sources{{5, 6, 7, 5, 6, 8}, {1, 2, 3, 59, 70, 2}};
  generation_options plain;
  plain.decoder_start_token_id = 2;
  plain.eos_token_id = {2, 9, 2};
  std::vector<generation_options> all(9, plain);
  all[1].repetition_penalty = 1.4;
  all[2].no_repeat_ngram_size = 2;
  all[3].encoder_no_repeat_ngram_size = 2;
  all[4].min_new_tokens = 5;
  all[5].forced_bos_token_id = 4;
  all[6].forced_eos_token_id = {2, 9};
  all[7].suppress_tokens = {3, 3, 11, 1000};
  all[8].begin_suppress_tokens = {7, 8};
  auto joint = plain;
  joint.repetition_penalty = 0.8;
  joint.no_repeat_ngram_size = 1;
  joint.encoder_no_repeat_ngram_size = 3;
  joint.min_length = 4;
  joint.forced_bos_token_id = 4;
  joint.begin_suppress_tokens = {7, 8};
  joint.forced_eos_token_id = {9};
  all.push_back(joint);
  std::vector<token_id> flat_sources;
  for (auto const& source : sources) {
    flat_sources.insert(flat_sources.end(), source.begin(), source.end());
  }
  auto const sources_there = fixture::values_on_device(flat_sources, stream);
  auto const source_lengths = fixture::values_on_device(std::vector<int>{6, 6}, stream);
  auto const lengths = generation_lengths{capacity, 0};
  for (auto const& options : all) {
    auto const resolved =
        generation_lengths{lengths.max_length, options.min_new_tokens ? *options.min_new_tokens + 1
                                                                      : options.min_length};
    logits_processors const host(options, resolved);
    device_buffer<std::byte> memory(1 << 16);
    device_arena arena(memory.data());
    auto rules = make_device_rules(options, resolved, arena, stream);
    rules.sources = sources_there.data();
    rules.source_lengths = source_lengths.data();
    rules.source_tokens = 6;
    for (int now = 0; now < capacity - 1; ++now) {
      CAPTURE(now);
      // Row r wrote 2 (the start), then tokens that repeat; its ancestors are the other row's even
      // positions.
      std::vector<token_id> tokens(rows * capacity);
      std::vector<int> ancestors(2 * rows * capacity, 0);
      auto const token = [](int r, int p) { return p == 0 ? 2 : 5 + (r + p * p) % 4; };
      auto const ancestor = [&](int r, int p) { return p < now && p % 2 == 0 ? r ^ 1 : r; };
      for (int r = 0; r < rows; ++r) {
        for (int p = 0; p < capacity; ++p) {
          tokens[static_cast<std::size_t>(r * capacity + p)] = token(r, p);
          ancestors[static_cast<std::size_t>((now % 2 * rows + r) * capacity + p)] = ancestor(r, p);
        }
      }
      auto tokens_there = fixture::values_on_device(tokens, stream);
      auto const ancestors_there = fixture::values_on_device(ancestors, stream);
      auto const position = fixture::values_on_device(std::vector<int>{now}, stream);
      auto const scores = random_numbers<float>(rows * vocabulary, static_cast<unsigned>(now));
      auto there = on_device<float>(scores, rows, vocabulary, stream);
      gpu::process_scores(there.view(), beams, rules,
                          {tokens_there.data(), {ancestors_there.data(), rows, capacity}},
                          position.data(), stream);
      auto const got = fixture::entries(there.view(), stream);
      for (int r = 0; r < rows; ++r) {
        std::vector<float> row(scores.begin() + r * vocabulary,
                               scores.begin() + (r + 1) * vocabulary);
        std::vector<token_id> ids;
        for (int p = 0; p <= now; ++p) {
          ids.push_back(token(ancestor(r, p), p));
        }
        host.apply(row, ids, sources[static_cast<std::size_t>(r / beams)]);
        for (index_t j = 0; j < vocabulary; ++j) {
          REQUIRE(got[static_cast<std::size_t>(r * vocabulary + j)] ==
                  static_cast<double>(row[static_cast<std::size_t>(j)]));
        }
      }
    }
  }
}

TEST_CASE("greedy acceptance ends rows at EOS and at the longest, and counts what is open") {
  cublas const backend;
  auto const stream = backend.stream();
  constexpr int rows = 3;
  constexpr int capacity = 4;
  auto const eos = fixture::values_on_device(std::vector<token_id>{9}, stream);
  auto position = fixture::values_on_device(std::vector<int>{0}, stream);
  device_buffer<token_id> tokens(rows);
  auto written = fixture::values_on_device(std::vector<token_id>(rows * capacity, 2), stream);
  auto lengths = fixture::values_on_device(std::vector<int>(rows, 0), stream);
  auto open = fixture::values_on_device(std::vector<int>{rows}, stream);
  auto faults = fixture::values_on_device(std::vector<int>{0}, stream);
  auto const state = gpu::greedy_state{position.data(),
                                       tokens.data(),
                                       written.data(),
                                       lengths.data(),
                                       open.data(),
                                       faults.data(),
                                       rows,
                                       capacity,
                                       capacity,
                                       {eos.data(), 1},
                                       1};
  std::vector<std::vector<gpu::scored_token>> const best{
      {{0, 5}, {0, 9}, {0, 6}}, {{0, 9}, {0, 7}, {0, 6}}, {{0, 8}, {0, 8}, {NAN, 6}}};
  std::vector<int> const still_open{2, 1, 0};
  for (std::size_t step = 0; step < best.size(); ++step) {
    auto const there = fixture::values_on_device(best[step], stream);
    gpu::accept_greedy(there.data(), state, stream);
    CHECK(fixture::to_values(open, stream).front() == still_open[step]);
  }
  CHECK(fixture::to_values(written, stream) ==
        std::vector<token_id>{2, 5, 9, 1, 2, 9, 1, 1, 2, 6, 6, 6});
  CHECK(fixture::to_values(lengths, stream) == std::vector<int>{3, 2, 4});
  CHECK(fixture::to_values(faults, stream).front() == 1);
  CHECK(fixture::to_values(position, stream).front() == 3);
}
