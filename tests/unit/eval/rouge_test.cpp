#include "eckart/eval/rouge.hpp"

#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/matrix_check.hpp"

using namespace eckart;
using support::refusal;

namespace {

constexpr auto police = "police killed the gunman";

auto reference_output() -> nlohmann::json const& {
  static auto const loaded = [] {
    auto const path = std::filesystem::path(ECKART_SOURCE_DIR) / "tests" / "golden" / "rouge.json";
    std::ifstream in(path);
    return nlohmann::json::parse(in);
  }();
  return loaded;
}

auto reference_metrics() -> std::vector<rouge_metric> {
  std::vector<rouge_metric> metrics;
  for (auto const& name : reference_output()["metrics"]) {
    metrics.push_back(parse_rouge_metric(name.get<std::string>()));
  }
  return metrics;
}

auto score_of(nlohmann::json const& numbers) -> rouge_score {
  return {numbers[0].get<double>(), numbers[1].get<double>(), numbers[2].get<double>()};
}

auto distance(rouge_score a, rouge_score b) -> double {
  return std::max(
      {std::abs(a.precision - b.precision), std::abs(a.recall - b.recall), std::abs(a.f - b.f)});
}

// The largest difference between the scores and what the file has for them.
auto largest_error(std::vector<rouge_score> const& scores, nlohmann::json const& expected)
    -> double {
  if (scores.size() != expected.size()) {
    return std::numeric_limits<double>::infinity();
  }
  double largest = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    largest = std::max(largest, distance(scores[i], score_of(expected[i])));
  }
  return largest;
}

auto expected_scores(nlohmann::json const& row, bool stem) -> nlohmann::json const& {
  return row[stem && row.contains("stem") ? "stem" : "plain"];
}

auto random_words(std::mt19937& random, int most, int vocabulary) -> std::string {
  std::string text;
  auto const count = static_cast<int>(random() % static_cast<unsigned>(most + 1));
  for (int i = 0; i < count; ++i) {
    text += static_cast<char>('a' + static_cast<int>(random() % static_cast<unsigned>(vocabulary)));
    text += random() % 6 == 0 ? '\n' : ' ';
  }
  return text;
}

using bag = std::map<std::vector<std::string>, index_t>;

// All skip bigrams, and with `single` all words, each with its number.
auto skip_units(std::string const& text, index_t gap, bool single) -> bag {
  auto const words = rouge_tokens(text);
  bag units;
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::size_t j = i + 1; j < words.size(); ++j) {
      if (static_cast<index_t>(j - i - 1) <= gap) {
        ++units[{words[i], words[j]}];
      }
    }
    if (single) {
      ++units[{words[i]}];
    }
  }
  return units;
}

auto score_of_bags(bag const& reference, bag const& candidate) -> rouge_score {
  double all_a = 0;
  double all_b = 0;
  double shared = 0;
  for (auto const& [unit, count] : reference) {
    all_a += static_cast<double>(count);
    auto const found = candidate.find(unit);
    shared += found == candidate.end() ? 0.0 : static_cast<double>(std::min(count, found->second));
  }
  for (auto const& [unit, count] : candidate) {
    all_b += static_cast<double>(count);
  }
  auto const p = all_b > 0 ? shared / all_b : 0;
  auto const r = all_a > 0 ? shared / all_a : 0;
  return {p, r, p + r > 0 ? 2 * p * r / (p + r) : 0};
}

auto all_metrics() -> std::vector<rouge_metric> {
  std::vector<rouge_metric> metrics;
  for (auto const name :
       {"rouge1", "rouge2", "rouge3", "rouge4", "rouge5", "rouge6", "rouge7", "rouge8", "rouge9",
        "rougeL", "rougeLsum", "rougeS", "rougeS0", "rougeS4", "rougeSU", "rougeSU4"}) {
    metrics.push_back(parse_rouge_metric(name));
  }
  return metrics;
}

}  // namespace

TEST_CASE("words and stems are those of rouge-score") {
  for (auto const& row : reference_output()["tokens"]) {
    auto const text = row[0].get<std::string>();
    CAPTURE(text);
    CHECK(rouge_tokens(text) == row[1].get<std::vector<std::string>>());
    CHECK(rouge_tokens(text, {.stem = true}) == row[2].get<std::vector<std::string>>());
  }
  CHECK(reference_output()["stems"].size() > 1000);
  for (auto const& row : reference_output()["stems"]) {
    auto const word = row[0].get<std::string>();
    CAPTURE(word);
    CHECK(porter_stem(word) == row[1].get<std::string>());
  }
}

TEST_CASE("scores are those of rouge-score, with and without stems") {
  CHECK(reference_output()["pairs"].size() >= 300);
  for (bool const stem : {false, true}) {
    rouge_scorer const scorer(reference_metrics(), {.stem = stem});
    for (auto const& row : reference_output()["pairs"]) {
      auto const reference = row["reference"].get<std::string>();
      auto const candidate = row["candidate"].get<std::string>();
      CAPTURE(reference);
      CAPTURE(candidate);
      CHECK(largest_error(scorer.score(reference, candidate), expected_scores(row, stem)) < 1e-12);
    }
  }
}

TEST_CASE("of several references the best is taken, as rouge-score does") {
  for (bool const stem : {false, true}) {
    rouge_scorer const scorer(reference_metrics(), {.stem = stem});
    for (auto const& row : reference_output()["best"]) {
      auto const references = row["references"].get<std::vector<std::string>>();
      auto const candidate = row["candidate"].get<std::string>();
      CAPTURE(candidate);
      CHECK(largest_error(scorer.score_best(references, candidate), expected_scores(row, stem)) <
            1e-12);
    }
  }
}

TEST_CASE("among references of equal F the first is taken") {
  rouge_scorer const scorer({{rouge_kind::n, 1}});
  std::string const candidate = "a b";
  // F of both is 2/3: precision 1/2 and recall 1, and the other way round.
  std::vector<std::string> const texts{"a", "a b c d"};
  auto const forward = scorer.score_best(texts, candidate).front();
  CHECK(forward.precision == 0.5);
  CHECK(forward.recall == 1);
  std::vector<std::string> const reversed{"a b c d", "a"};
  auto const backward = scorer.score_best(reversed, candidate).front();
  CHECK(backward.precision == 1);
  CHECK(backward.recall == 0.5);
}

TEST_CASE("skip bigrams of Lin's example are as he counts them") {
  // Lin 2004, section 5: each candidate shares 3, 1 and 2 of the 6 skip bigrams.
  CHECK(rouge_s(police, "police kill the gunman") == rouge_score{0.5, 0.5, 0.5});
  CHECK(rouge_s(police, "the gunman kill police").f == doctest::Approx(1.0 / 6));
  CHECK(rouge_s(police, "the gunman police killed").f == doctest::Approx(2.0 / 6));
  // ROUGE-L and ROUGE-2 cannot tell the last two apart from each other or from the first.
  CHECK(rouge_l(police, "police kill the gunman").f == 0.75);
  CHECK(rouge_l(police, "the gunman kill police").f == 0.5);
  CHECK(rouge_n(2, police, "police kill the gunman") ==
        rouge_n(2, police, "the gunman kill police"));
  // No skip bigram is shared, but all words are (section 5.2): 4 of 6 + 4 units.
  CHECK(rouge_s(police, "gunman the killed police").f == 0);
  CHECK(rouge_su(police, "gunman the killed police").f == doctest::Approx(0.4));
}

TEST_CASE("skip bigrams and their gaps count as a plain search over all pairs does") {
  std::mt19937 random(11);
  for (int i = 0; i < 400; ++i) {
    auto const vocabulary = 2 + i % 9;
    auto const a = random_words(random, 24, vocabulary);
    auto const b = random_words(random, 24, vocabulary);
    CAPTURE(a);
    CAPTURE(b);
    for (index_t const gap : {index_t{0}, index_t{1}, index_t{4}, index_t{23}, any_gap}) {
      CAPTURE(gap);
      CHECK(distance(rouge_s(a, b, gap),
                     score_of_bags(skip_units(a, gap, false), skip_units(b, gap, false))) < 1e-15);
      CHECK(distance(rouge_su(a, b, gap),
                     score_of_bags(skip_units(a, gap, true), skip_units(b, gap, true))) < 1e-15);
    }
    CHECK(rouge_s(a, b, 0) == rouge_n(2, a, b));
    // Lin's begin marker: it pairs with every word.
    CHECK(rouge_su(a, b) == rouge_s("begin " + a, "begin " + b));
  }
}

TEST_CASE("exchanging the texts exchanges precision and recall, and F stays") {
  std::mt19937 random(12);
  rouge_scorer const scorer(all_metrics());
  for (int i = 0; i < 200; ++i) {
    auto const a = random_words(random, 30, 5);
    auto const b = random_words(random, 30, 5);
    auto const forward = scorer.score(a, b);
    auto const backward = scorer.score(b, a);
    for (std::size_t k = 0; k < forward.size(); ++k) {
      if (scorer.metrics()[k].kind == rouge_kind::lsum) {
        continue;  // its union is over the lines of the reference
      }
      CAPTURE(k);
      CHECK(forward[k].precision == backward[k].recall);
      CHECK(forward[k].recall == backward[k].precision);
      CHECK(forward[k].f == doctest::Approx(backward[k].f).epsilon(1e-14));
    }
  }
}

TEST_CASE("scores are in 0..1; a text of ten words and more scores 1 against itself") {
  std::mt19937 random(13);
  rouge_scorer const scorer(all_metrics());
  for (int i = 0; i < 200; ++i) {
    auto const a = random_words(random, 30, 4) + "q r s t u v w x y z";
    auto const b = random_words(random, 30, 4);
    for (auto const& score : scorer.score(a, b)) {
      CHECK((score.precision >= 0 && score.precision <= 1));
      CHECK((score.recall >= 0 && score.recall <= 1));
      CHECK((score.f >= 0 && score.f <= 1));
    }
    for (auto const& score : scorer.score(a, a)) {
      CHECK(score == rouge_score{1, 1, 1});
    }
  }
}

TEST_CASE("texts on one line have the same ROUGE-L and ROUGE-Lsum; breaks matter for the latter") {
  std::mt19937 random(14);
  for (int i = 0; i < 100; ++i) {
    auto a = random_words(random, 30, 5);
    auto b = random_words(random, 30, 5);
    std::replace(a.begin(), a.end(), '\n', ' ');
    std::replace(b.begin(), b.end(), '\n', ' ');
    CHECK(rouge_l(a, b) == rouge_lsum(a, b));
  }
  CHECK(rouge_l("a b\nc d", "c d\na b").f == 0.5);
  CHECK(rouge_lsum("a b\nc d", "c d\na b").f == 1);
  // Lin 2004, section 3.2: LCS union of w1 w2 w3 w4 w5 with two lines has 4 of the 5 words.
  auto const lin = rouge_lsum("w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5");
  CHECK(lin.recall == 0.8);
  CHECK(lin.precision == 0.4);
}

TEST_CASE("texts without words score 0") {
  rouge_scorer const scorer(all_metrics());
  for (auto const* const empty : {"", " ", "\n\n", "...", "日本"}) {
    CAPTURE(empty);
    for (auto const& [a, b] : {std::pair{empty, police}, {police, empty}, {empty, empty}}) {
      for (auto const& score : scorer.score(a, b)) {
        CHECK(score == rouge_score{});
      }
    }
  }
}

TEST_CASE("the scorer and the single functions give the same") {
  auto const text = "The gunman was killed by police.\nPolice are killing.";
  rouge_options const stems{.stem = true};
  rouge_scorer const scorer(all_metrics(), stems);
  auto const scores = scorer.score(police, text);
  for (std::size_t n = 1; n <= 9; ++n) {
    CHECK(scores[n - 1] == rouge_n(static_cast<index_t>(n), police, text, stems));
  }
  CHECK(scores[9] == rouge_l(police, text, stems));
  CHECK(scores[10] == rouge_lsum(police, text, stems));
  CHECK(scores[11] == rouge_s(police, text, any_gap, stems));
  CHECK(scores[12] == rouge_s(police, text, 0, stems));
  CHECK(scores[13] == rouge_s(police, text, 4, stems));
  CHECK(scores[14] == rouge_su(police, text, any_gap, stems));
  CHECK(scores[15] == rouge_su(police, text, 4, stems));
  CHECK(rouge_n(1, "killed", "killing", stems).f == 1);
  CHECK(rouge_n(1, "killed", "killing").f == 0);
}

TEST_CASE("metrics are found by their names") {
  CHECK(parse_rouge_metric("rouge9") == rouge_metric{rouge_kind::n, 9});
  CHECK(parse_rouge_metric("rougeL").kind == rouge_kind::l);
  CHECK(parse_rouge_metric("rougeLsum").kind == rouge_kind::lsum);
  CHECK(parse_rouge_metric("rougeS") == rouge_metric{rouge_kind::s, any_gap});
  CHECK(parse_rouge_metric("rougeS0") == rouge_metric{rouge_kind::s, 0});
  CHECK(parse_rouge_metric("rougeSU12") == rouge_metric{rouge_kind::su, 12});
  for (std::string const name :
       {"", "rouge", "rouge0", "rouge10", "rouge01", "rouge-1", "rougel", "rougeLsu", "rougeS-1",
        "rougeS4x", "rougeSU99999999999999999999", "rougeW", "Rouge1", "rouge1 ", " rouge1"}) {
    CAPTURE(name);
    CHECK(refusal<shape_error>([&] { parse_rouge_metric(name); }).find('"' + name + '"') !=
          std::string::npos);
  }
}

TEST_CASE("metrics that do not exist and a lack of references are refused") {
  for (index_t const n : {-1, 0, 10}) {
    CHECK(refusal<shape_error>([&] { rouge_n(n, "a", "a"); }) ==
          message("rouge: n-grams of ", n, " words, not of 1 to 9"));
  }
  CHECK(refusal<shape_error>([] { rouge_s("a b", "a b", -1); }) ==
        "rouge: skip bigrams with a gap of -1 words");
  CHECK(refusal<shape_error>([] { rouge_su("a b", "a b", -2); }) ==
        "rouge: skip bigrams with a gap of -2 words");
  CHECK(refusal<shape_error>([] {
          rouge_scorer({{rouge_kind::n, 1}}).score_best({}, "a");
        }) == "rouge: no reference");
}
