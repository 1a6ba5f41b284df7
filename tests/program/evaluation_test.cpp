#include "evaluation.hpp"

#include "evaluate.hpp"

#include <eckart/backend/blas_info.hpp>
#include <eckart/eval/rouge.hpp>
#include <eckart/io/json.hpp>
#include <eckart/models/bart/load.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/matrix_check.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

using eckart::token_loss;
using program::evaluation;
using program::evaluation_options;
using program::example_result;
using support::refusal;

namespace {

/// The embedded model, short greedy summaries, and the first dialogues that come with it.
struct small_run {
  std::filesystem::path folder =
      std::filesystem::path(ECKART_SOURCE_DIR) / "examples/summarization";
  std::filesystem::path directory = folder / "model/dialogue-summarizer-24m";
  eckart::bart<float> model = eckart::bart<float>::load(directory);
  program::text_side text = make_text(directory, model);
  std::vector<program::example> examples = make_examples(folder);

  static auto get() -> small_run const& {
    static small_run const one;
    return one;
  }

  auto evaluate(evaluation_options const& options) const -> evaluation {
    return program::evaluate(model, text, examples, options).value();
  }

  /// With summaries of two tokens, for the tests that do not look at them.
  auto evaluate_quickly(evaluation_options const& options,
                        std::function<void(std::size_t, std::size_t)> const& progress = {},
                        std::function<bool()> const& stop = {}) const -> std::optional<evaluation> {
    auto hurried = text;
    hurried.options.max_new_tokens = 2;
    return program::evaluate(model, hurried, examples, options, progress, stop);
  }

  auto source(std::size_t i) const -> std::vector<program::token_ids> {
    return {text.tokenizer.encode(examples[i].dialogue)};
  }

 private:
  static auto make_text(std::filesystem::path const& directory, eckart::bart<float> const& model)
      -> program::text_side {
    program::generation_choice choice;
    choice.num_beams = 1;
    choice.max_new_tokens = 24;
    return {directory, choice, model.config()};
  }

  static auto make_examples(std::filesystem::path const& folder) -> std::vector<program::example> {
    program::dataset_options options;
    options.file = folder / "dialogues.jsonl";
    options.limit = 5;
    auto examples = program::read_dataset(options).examples;
    examples[1].references.push_back("Tom is at home. He repairs the washing machine!");
    return examples;
  }
};

auto batches_of(eckart::index_t batch, int jobs) -> evaluation_options {
  evaluation_options options;
  options.batch = batch;
  options.jobs = jobs;
  return options;
}

/// Five examples in three batches.
auto in_batches_of_2(int jobs) -> evaluation_options {
  return batches_of(2, jobs);
}

/// Computed once: most tests only look at it.
auto usual_result() -> evaluation const& {
  static evaluation const result = small_run::get().evaluate(in_batches_of_2(1));
  return result;
}

auto row(std::string id, program::token_ids ids, std::array<double, 4> rouge, token_loss loss)
    -> example_result {
  return {std::move(id), "", std::move(ids), rouge, loss};
}

auto made_up_rows() -> evaluation {
  return {{row("a", {2, 0, 2}, {10, 20, 30, 40}, {6, 3}),
           row("b", {2, 0, 7, 8, 2}, {20, 10, 50, 41}, {1, 4}),
           row("c", {2, 0, 7, 2}, {60, 0, 10, 42}, {0, 1})},
          3};
}

/// Threads of products and of OpenMP.
auto threads() -> std::pair<int, int> {
#ifdef _OPENMP
  return {eckart::blas_info().threads, omp_get_max_threads()};
#else
  return {eckart::blas_info().threads, 1};
#endif
}

}  // namespace

TEST_CASE("any number of jobs gives the same rows to the last bit") {
  auto const& one = usual_result();
  for (auto const jobs : {2, 3}) {
    auto const other = small_run::get().evaluate(in_batches_of_2(jobs));
    REQUIRE(other.rows.size() == one.rows.size());
    for (std::size_t i = 0; i < one.rows.size(); ++i) {
      CAPTURE(i);
      CHECK(other.rows[i].id == one.rows[i].id);
      CHECK(other.rows[i].prediction == one.rows[i].prediction);
      CHECK(other.rows[i].ids == one.rows[i].ids);
      CHECK(other.rows[i].rouge == one.rows[i].rouge);
      CHECK(other.rows[i].loss == one.rows[i].loss);
    }
  }
}

TEST_CASE("rows stand in the order of the data and hold what the model writes of that example") {
  auto const& run = small_run::get();
  auto const& rows = usual_result().rows;
  REQUIRE(rows.size() == run.examples.size());
  std::vector<std::size_t> lengths;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    auto const sources = run.source(i);
    lengths.push_back(sources[0].size());
    CHECK(rows[i].id == run.examples[i].id);
    CHECK(rows[i].ids == eckart::generate(run.model, sources, run.text.options)[0][0].ids);
    CHECK(rows[i].ids.front() == run.model.config().decoder_start_token_id);
  }
  CHECK_FALSE(std::is_sorted(lengths.rbegin(), lengths.rend()));  // the batches had another order
}

TEST_CASE("predictions have neither special tokens nor white space around") {
  auto const& run = small_run::get();
  for (auto const& one : usual_result().rows) {
    auto const whole = run.text.tokenizer.decode_bytes(one.ids);
    CAPTURE(whole);
    CHECK(one.prediction.find("</s>") == std::string::npos);
    CHECK(whole.find(one.prediction) != std::string::npos);
    REQUIRE(!one.prediction.empty());
    CHECK(one.prediction.front() != ' ');
    CHECK(one.prediction.back() != ' ');
  }
}

TEST_CASE("scores are those of ROUGE with a sentence a line, of the best reference") {
  auto const& run = small_run::get();
  std::regex const sentence_end("([.!?])\\s+");
  auto const lines = [&](std::string const& text) {
    return std::regex_replace(text, sentence_end, "$1\n");
  };
  for (auto const stem : {false, true}) {
    auto options = in_batches_of_2(1);
    options.stem = stem;
    auto const result = stem ? run.evaluate(options) : usual_result();
    for (std::size_t i = 0; i < result.rows.size(); ++i) {
      for (std::size_t m = 0; m < program::rouge_names.size(); ++m) {
        double best = 0;
        for (auto const& reference : run.examples[i].references) {
          best = std::max(best, eckart::rouge(eckart::parse_rouge_metric(program::rouge_names[m]),
                                              lines(reference), lines(result.rows[i].prediction),
                                              {.stem = stem})
                                    .f);
        }
        CAPTURE(i);
        CAPTURE(m);
        CHECK(result.rows[i].rouge[m] == 100 * best);
      }
    }
  }
  auto const differs = [](example_result const& one) { return one.rouge[2] != one.rouge[3]; };
  CHECK(std::ranges::any_of(usual_result().rows, differs));  // Lsum has seen sentences
}

TEST_CASE("the loss is that of the first reference, each example for itself") {
  auto const& run = small_run::get();
  for (std::size_t i = 0; i < run.examples.size(); ++i) {
    std::vector<program::token_ids> const labels{
        run.text.tokenizer.encode(run.examples[i].references.front())};
    auto const alone = eckart::teacher_forced_loss(run.model, run.source(i), labels, 1).at(0);
    auto const& loss = usual_result().rows[i].loss;
    CHECK(loss.tokens == alone.tokens);
    CHECK(loss.tokens == static_cast<eckart::index_t>(labels[0].size()));
    // Padding changes the order of float sums; logits of up to 30 then differ by about 1e-5.
    CHECK(std::abs(loss.mean() - alone.mean()) < 1e-4);
  }
}

TEST_CASE("sources and references longer than the model's positions are cut to them") {
  auto const& run = small_run::get();
  auto one = run.examples[0];
  for (int i = 0; i < 300; ++i) {
    one.dialogue += "\nMaya: And then?";
    one.references[0] += " And then.";
  }
  auto text = run.text;
  text.options.max_new_tokens = 3;
  auto const result = program::evaluate(run.model, text, std::span(&one, 1), {}).value();
  CHECK(result.rows[0].loss.tokens == run.text.max_positions);
  CHECK(result.rows[0].ids.size() <= 4);
}

TEST_CASE("progress counts the examples once, after each batch") {
  auto const& run = small_run::get();
  std::vector<std::size_t> seen;
  auto const note = [&](std::size_t done, std::size_t total) {
    seen.push_back(done);
    CHECK(total == run.examples.size());
  };
  CHECK(run.evaluate_quickly(in_batches_of_2(2), note));
  REQUIRE(seen.size() == 3);
  CHECK(std::ranges::is_sorted(seen));
  CHECK(seen.back() == run.examples.size());
}

TEST_CASE("a stop between batches leaves no answer and begins no further batch") {
  auto const& run = small_run::get();
  for (auto const jobs : {1, 2}) {
    for (auto const allowed : {0, 1, 3, 4}) {  // three batches of losses, then three of summaries
      int asked = 0;
      std::size_t written = 0;
      auto const note = [&](std::size_t done, std::size_t) { written = done; };
      auto const stop = [&] { return asked++ == allowed; };
      CAPTURE(jobs);
      CAPTURE(allowed);
      CHECK_FALSE(run.evaluate_quickly(in_batches_of_2(jobs), note, stop));
      CHECK(asked == allowed + 1);
      CHECK(written == (allowed == 4 ? 2 : 0));
    }
  }
}

TEST_CASE("an error leaves the jobs as it was thrown") {
  auto const& run = small_run::get();
  auto const fail = [](std::size_t, std::size_t) { throw std::out_of_range("from progress"); };
  for (auto const jobs : {1, 2}) {
    CHECK_THROWS_WITH_AS(run.evaluate_quickly(in_batches_of_2(jobs), fail), "from progress",
                         std::out_of_range);
  }
}

TEST_CASE("a model whose numbers are not finite is refused with the names of the examples") {
  auto const& run = small_run::get();
  auto broken = run.model;
  broken.visit_linears([](std::string const& name, eckart::linear<float>& layer) {
    if (name.ends_with("decoder.layers.0.fc1")) {
      auto const s = layer.shape();
      auto weight = eckart::make_matrix<float>({s.rows, s.cols});
      std::ranges::fill(weight, std::numeric_limits<float>::quiet_NaN());
      layer = layer.with_weight(std::move(weight));
    }
  });
  auto const told = refusal<eckart::numerical_error>([&] {
    program::evaluate(broken, run.text, std::span(run.examples).first(2), in_batches_of_2(1));
  });
  CAPTURE(told);
  CHECK(told.find("'d01'") != std::string::npos);
  CHECK(told.find("'d02'") != std::string::npos);
}

TEST_CASE("the threads of BLAS and OpenMP are afterwards what they were") {
  auto const& run = small_run::get();
  auto const before = threads();
  for (auto const count : {1, 2}) {
    eckart::set_threads(count);
    auto const set = threads();
    run.evaluate_quickly(batches_of(5, 0));
    CHECK(threads() == set);
    CHECK_THROWS(run.evaluate_quickly(batches_of(5, 2), [](std::size_t, std::size_t) { throw 1; }));
    CHECK(threads() == set);
  }
  eckart::set_threads(before.first);
}

TEST_CASE("no examples, an empty batch and negative jobs are refused") {
  auto const& run = small_run::get();
  auto const refused = [&](std::size_t count, evaluation_options const& options) {
    return refusal<eckart::shape_error>([&] {
      program::evaluate(run.model, run.text, std::span(run.examples).first(count), options);
    });
  };
  CHECK(refused(0, {}) == "evaluate: 0 examples, 8 in a batch, 0 jobs");
  CHECK(refused(1, batches_of(0, 0)) == "evaluate: 1 examples, 0 in a batch, 0 jobs");
  CHECK(refused(1, batches_of(8, -1)) == "evaluate: 1 examples, 8 in a batch, -1 jobs");
}

TEST_CASE("figures are means over examples, the loss one over tokens") {
  auto const result = made_up_rows();
  auto const figures = program::figures_of(result, {});
  constexpr std::array means{30.0, 10.0, 30.0, 41.0};
  for (std::size_t i = 0; i < means.size(); ++i) {
    CAPTURE(i);
    CHECK(figures.rouge[i].mean == doctest::Approx(means[i]));
    CHECK(figures.rouge[i].low <= means[i]);
    CHECK(figures.rouge[i].high >= means[i]);
  }
  CHECK(figures.rouge[0].low == 10);  // three examples: the extremes are drawn in 1 of 27
  CHECK(figures.rouge[0].high == 60);
  CHECK(figures.generated_tokens == 9);  // the decoder's start is not written by the model
  CHECK(figures.length.mean == 3);
  CHECK(figures.loss == doctest::Approx(7.0 / 8));
  CHECK(figures.perplexity == doctest::Approx(std::exp(7.0 / 8)));
}

TEST_CASE("level, resamples and seed of the intervals are those of the options") {
  auto const result = made_up_rows();
  auto const column = std::vector<double>{10, 20, 60};
  eckart::bootstrap_options const asked{.level = 0.5, .resamples = 99, .seed = 7};
  evaluation_options options;
  options.intervals = asked;
  auto const figures = program::figures_of(result, options);
  auto const expected = eckart::mean_interval(column, asked);
  CHECK(figures.rouge[0].low == expected.low);
  CHECK(figures.rouge[0].high == expected.high);
}

TEST_CASE("identical is what has the same ids, whatever the scores") {
  auto const a = made_up_rows();
  auto b = a;
  CHECK(program::identical_share(a, b) == 1);
  b.rows[1].ids.push_back(5);
  b.rows[2].rouge[0] = 1;
  CHECK(program::identical_share(a, b) == doctest::Approx(2.0 / 3));
}

TEST_CASE("differences are other minus dense, example by example") {
  auto const dense = made_up_rows();
  auto other = dense;
  for (auto& one : other.rows) {
    one.rouge[0] -= 1;
    one.rouge[1] += 2;
  }
  auto const d = program::rouge_differences(dense, other, {});
  // Paired: the same difference everywhere leaves no doubt, though the examples vary by 50 points.
  CHECK(d[0].difference.mean == doctest::Approx(-1));
  CHECK(d[0].difference.low == doctest::Approx(-1));
  CHECK(d[0].difference.high == doctest::Approx(-1));
  CHECK(d[0].share_below == 1);
  CHECK(d[1].difference.mean == doctest::Approx(2));
  CHECK(d[1].p_value < 0.001);
  CHECK(d[2].difference.mean == 0);
  CHECK(d[2].p_value == 1);
}

TEST_CASE("evaluations of different examples are not compared") {
  auto const a = made_up_rows();
  auto fewer = a;
  fewer.rows.pop_back();
  auto renamed = a;
  renamed.rows[1].id = "x";
  for (auto const& b : {fewer, renamed}) {
    CHECK_THROWS_AS(program::identical_share(a, b), eckart::shape_error);
    CHECK_THROWS_AS(program::rouge_differences(a, b, {}), eckart::shape_error);
  }
}

TEST_CASE("the verdict looks at which side of the margin the whole interval lies") {
  using program::judge;
  using program::verdict;
  CHECK(judge({-0.1, -0.4, 0.2}, 0.5) == verdict::not_worse);
  CHECK(judge({-2, -3, -1}, 0.5) == verdict::worse);
  CHECK(judge({-0.4, -0.6, -0.2}, 0.5) == verdict::undecided);
  CHECK(judge({-0.4, -0.5, -0.2}, 0.5) == verdict::undecided);  // the ends belong to the interval
  CHECK(judge({-0.6, -0.8, -0.5}, 0.5) == verdict::undecided);
  CHECK(judge({0, 0, 0}, 0.5) == verdict::not_worse);
  CHECK(program::name_of(verdict::not_worse) == "not worse");
  CHECK(program::name_of(verdict::worse) == "worse");
  CHECK(program::name_of(verdict::undecided) == "undecided");
}
