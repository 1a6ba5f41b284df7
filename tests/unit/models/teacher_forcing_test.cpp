#include "eckart/models/teacher_forcing.hpp"

#include "support/matrix_check.hpp"
#include "unit/models/bart_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace eckart;
using bart_test::checkpoint;
using bart_test::has;
using bart_test::tiny_model;
using golden::ids;
using support::refusal;

namespace {

using sequences = std::vector<ids>;

// As in the other tests of BART: of equal computations in another order the tiny models amplify
// rounding by up to 1e3, and 1e5 units of 2^-53 of the largest logit leave room for that. A loss is
// log sum exp minus one logit, so twice the error of a logit bounds its error.
constexpr double rounding = 1e-11;

/// Sources and labels of unequal lengths for the tiny models.
auto examples() -> std::pair<sequences, sequences> {
  return {{{0, 17, 5, 41, 9, 2}, {0, 33, 8, 2}, {0, 96, 2}, {0, 4, 4, 88, 81, 45, 34, 65, 13, 2}},
          {{0, 17, 6, 2}, {0, 33, 90, 12, 55, 7, 2}, {2}, {0, 8, 2}}};
}

/// -log softmax(logits)[label], by the definition and in double.
auto plain_loss(std::span<double const> logits, token_id label) -> double {
  double sum = 0;
  for (auto const x : logits) {
    sum += std::exp(x);
  }
  return std::log(sum) - logits[static_cast<std::size_t>(label)];
}

template <class T>
auto largest_logit(bart<T> const& model, sequences const& sources, sequences const& labels)
    -> double {
  double largest = 0;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    largest = std::max(largest, max_abs(decoder_states(model, sources[i], labels[i]).logits));
  }
  return largest;
}

/// The sources of a golden batch without their padding.
auto golden_sources(nlohmann::json const& json) -> sequences {
  auto rows = json["input_ids"].get<sequences>();
  auto const lengths = golden::lengths(json["attention_mask"]);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].resize(static_cast<std::size_t>(lengths[i]));
  }
  return rows;
}

/// Labels for which the decoder reads what the reference's read: the input without its start, then
/// one more id.
auto golden_labels(nlohmann::json const& json, token_id last) -> sequences {
  auto rows = json["decoder_input_ids"].get<sequences>();
  for (auto& row : rows) {
    row.erase(row.begin());
    row.push_back(last);
  }
  return rows;
}

/// The cross-entropy of golden logits (sentences * positions, vocabulary) in double.
auto loss_of_golden_logits(std::vector<double> const& logits, sequences const& labels)
    -> std::vector<token_loss> {
  std::size_t positions = 0;
  for (auto const& row : labels) {
    positions += row.size();
  }
  auto const vocabulary = logits.size() / positions;
  std::vector<token_loss> losses;
  auto row = std::span(logits);
  for (auto const& sequence : labels) {
    token_loss loss;
    for (auto const label : sequence) {
      loss += {plain_loss(row.first(vocabulary), label), 1};
      row = row.subspan(vocabulary);
    }
    losses.push_back(loss);
  }
  return losses;
}

}  // namespace

TEST_CASE("a loss has a mean and a perplexity, sums of losses weigh each token alike") {
  token_loss loss{6.0, 4};
  CHECK(loss.mean() == 1.5);
  CHECK(loss.perplexity() == doctest::Approx(std::exp(1.5)).epsilon(1e-15));
  loss += {1.0, 1};
  CHECK(loss == token_loss{7.0, 5});
  CHECK(loss.mean() == 1.4);  // not the mean of 1.5 and 1
  CHECK(std::isnan(token_loss{}.mean()));
  CHECK(std::isnan(token_loss{}.perplexity()));
}

TEST_CASE("the decoder reads the labels one place later, ignored ones as padding") {
  CHECK(shift_right(ids{0, 17, 6, 2}, 2, 1) == ids{2, 0, 17, 6});
  CHECK(shift_right(ids{0, -100, 6, -100}, 2, 1) == ids{2, 0, 1, 6});
  CHECK(shift_right(ids{-100}, 2, 1) == ids{2});
  CHECK(shift_right(ids{}, 2, 1) == ids{});
}

TEST_CASE_TEMPLATE("the cross-entropy of known probabilities is their negative logarithm", T, float,
                   double) {
  auto logits = make_matrix<T>({3, 4});
  for (index_t j = 0; j < 4; ++j) {
    logits(0, j) = 7;                                                          // all equal
    logits(1, j) = static_cast<T>(std::log(static_cast<double>(j + 1) / 10));  // 0.1 ... 0.4
    logits(2, j) = static_cast<T>(1000 * j);  // exp of them would overflow
  }
  auto const of = [&](ids const& labels) { return cross_entropy(logits, labels); };
  auto const equal = of({2, -100, -100});
  CHECK(equal.tokens == 1);
  CHECK(equal.sum == doctest::Approx(std::log(4)).epsilon(1e-15));
  CHECK(equal.perplexity() == doctest::Approx(4).epsilon(1e-14));
  CHECK(of({-100, 0, -100}).sum == doctest::Approx(std::log(10)).epsilon(support::epsilon<T>));
  CHECK(of({-100, 3, -100}).sum == doctest::Approx(std::log(2.5)).epsilon(support::epsilon<T>));
  CHECK(of({-100, -100, 3}).sum == 0);
  CHECK(of({-100, -100, 1}).sum == 2000);
  auto const all = of({1, 3, 3});
  CHECK(all.tokens == 3);
  CHECK(all.sum == doctest::Approx(std::log(10)).epsilon(support::epsilon<T>));
  CHECK(of({-100, -100, -100}) == token_loss{});
}

TEST_CASE("labels that do not fit the logits are refused, as are logits without a softmax") {
  auto logits = make_matrix<float>({2, 3});
  logits.fill(0.0F);
  auto const what = [&](ids const& labels) {
    return refusal<shape_error>([&] { cross_entropy(logits, labels); });
  };
  CHECK(what({0}) == "cross_entropy: 1 labels for 2 x 3 logits");
  CHECK(what({0, 3}) == "cross_entropy: label 3 at position 1 is outside the vocabulary of 3");
  CHECK(what({-1, 0}) == "cross_entropy: label -1 at position 0 is outside the vocabulary of 3");
  CHECK(what({-100, 0}) == "nothing thrown");
  for (auto const bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (index_t j = 0; j < 3; ++j) {
      logits.fill(0.0F);
      logits(1, j) = bad;
      CHECK(refusal<numerical_error>([&] {
              cross_entropy(logits, ids{0, 2});
            }) == "cross_entropy: the logits of position 1 are not finite");
      CHECK(cross_entropy(logits, ids{0, -100}).tokens == 1);
      // Of a later part of a sequence the positions are those of the sequence.
      CHECK(has(
          refusal<numerical_error>([&] {
            detail::cross_entropy_from(matrix_view<float const>(as_view(logits)), ids{0, 2}, 64);
          }),
          "position 65 are"));
    }
  }
}

TEST_CASE("the loss is what Hugging Face's logits give in double, also of a padded batch") {
  for (std::string const name : golden::tiny_models) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "golden.json");
    auto const exact = read_json(golden::directory() / name / "golden_double.json")
                           .at("logits")
                           .get<std::vector<double>>();
    auto const model = bart<double>::load(golden::directory() / name);
    auto const sources = golden_sources(json);
    REQUIRE(sources.front().size() != sources.back().size());
    auto const labels = golden_labels(json, model.config().eos_token_id);
    auto const expected = loss_of_golden_logits(exact, labels);
    auto const got = teacher_forced_loss(model, sources, labels);
    auto const largest = golden::compare(exact, exact).largest;
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      CHECK(got[i].tokens == 8);
      CHECK(std::abs(got[i].mean() - expected[i].mean()) <= 2 * rounding * largest);
    }
  }
}

TEST_CASE("in float the loss is Hugging Face's float loss within the rounding of its logits") {
  for (std::string const name : golden::tiny_models) {
    CAPTURE(name);
    auto const json = read_json(golden::directory() / name / "golden.json");
    auto const reference = json.at("logits").get<std::vector<double>>();
    auto const exact = read_json(golden::directory() / name / "golden_double.json")
                           .at("logits")
                           .get<std::vector<double>>();
    auto const model = bart<float>::load(golden::directory() / name);
    auto const sources = golden_sources(json);
    auto const labels = golden_labels(json, model.config().eos_token_id);
    auto const expected = loss_of_golden_logits(reference, labels);
    auto const got = teacher_forced_loss(model, sources, labels);
    // The bound of the comparison of logits in the golden tests, twice as above.
    auto const own = golden::compare(reference, exact);
    auto const bound = 2 * std::max(1e-5 * own.largest, 3 * own.error);
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      CHECK(std::abs(got[i].mean() - expected[i].mean()) <= bound);
    }
  }
}

TEST_CASE("the loss of what Hugging Face's beam search wrote is its score") {
  // sequences_scores is the sum of log p over length^penalty; forced tokens count 0 in it, and the
  // other processors of these generations only take choices away.
  int compared = 0;
  for (std::string const name : golden::tiny_models) {
    auto const json = read_json(golden::directory() / name / "golden.json");
    auto const model = bart<double>::load(golden::directory() / name);
    auto const sources = golden_sources(json);
    for (auto const& one : json["generate"]) {
      if (one["score"].is_null()) {
        continue;
      }
      CAPTURE(name);
      CAPTURE(one.dump());
      auto const& settings = one["settings"];
      auto labels = one["ids"].get<ids>();
      labels.erase(labels.begin());
      auto const& source = sources.at(one["sample"].get<std::size_t>());
      auto const states = decoder_states(model, source, labels);
      auto const length = static_cast<double>(labels.size());
      if (!settings["forced_bos_token_id"].is_null()) {
        labels.front() = ignored_label;
      }
      auto const at_end = std::cmp_equal(labels.size() + 1, settings["max_length"].get<int>());
      if (at_end && !settings["forced_eos_token_id"].is_null()) {
        labels.back() = ignored_label;
      }
      auto const score = one["score"].get<double>();
      auto const written = -score * std::pow(length, settings["length_penalty"].get<double>());
      // The reference sums in float: 1e-4 of a score, as in the tests of the searches.
      CHECK(std::abs(cross_entropy(states.logits, labels).sum - written) <=
            1e-4 * std::max(1.0, written));
      ++compared;
    }
  }
  CHECK(compared == 4 * 16);
}

TEST_CASE_TEMPLATE("all positions at once equal the decoder fed token by token", T, float, double) {
  auto const model = bart<T>::load(tiny_model());
  auto const& c = model.config();
  auto const [sources, labels] = examples();
  // Of float: 1e5 units of 2^-24 as of double would say nothing, the golden tests' bound is 1e-5.
  constexpr double bound = std::same_as<T, float> ? 1e-4 : rounding;
  auto const losses = teacher_forced_loss(model, sources, labels);
  for (std::size_t e = 0; e < sources.size(); ++e) {
    CAPTURE(e);
    auto const at_once = decoder_states(model, sources[e], labels[e]);
    workspace<T> scratch;
    auto const tokens = static_cast<index_t>(sources[e].size());
    auto memory = make_matrix<T>({tokens, c.d_model});
    model.encoder()(sources[e], 1, {}, as_view(memory), scratch);
    CHECK(support::identical(memory, at_once.encoder));
    auto state = model.decoder().start(as_view(memory), 1, {}, std::vector<index_t>{0}, 1, scratch);
    auto hidden = make_matrix<T>({1, c.d_model});
    auto logits = make_matrix<T>({1, c.vocab_size});
    token_loss stepped;
    auto previous = c.decoder_start_token_id;
    for (std::size_t t = 0; t < labels[e].size(); ++t) {
      model.decoder()(ids{previous}, state, as_view(hidden), scratch);
      model.logits(as_view(hidden), as_view(logits), scratch);
      previous = labels[e][t];
      stepped += cross_entropy(logits, ids{previous});
      auto const row = static_cast<index_t>(t);
      CHECK(support::distance(as_view(hidden), as_view(at_once.decoder).row_range(row, 1)) <=
            bound * frobenius_norm(hidden));
      CHECK(support::distance(as_view(logits), as_view(at_once.logits).row_range(row, 1)) <=
            bound * frobenius_norm(logits));
    }
    CHECK(losses[e].tokens == stepped.tokens);
    CHECK(std::abs(losses[e].mean() - stepped.mean()) <= 2 * bound * max_abs(at_once.logits));
  }
}

TEST_CASE("neither padding nor the size of a batch changes a loss") {
  auto const model = bart<double>::load(tiny_model());
  auto const [sources, labels] = examples();
  auto const bound = 2 * rounding * largest_logit(model, sources, labels);
  std::vector<token_loss> alone;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    auto const one =
        teacher_forced_loss(model, std::span(&sources[i], 1), std::span(&labels[i], 1));
    REQUIRE(one.size() == 1);
    alone.push_back(one.front());
    CHECK(std::abs(one.front().mean() -
                   cross_entropy(decoder_states(model, sources[i], labels[i]).logits, labels[i])
                       .mean()) <= bound);
  }
  for (index_t const batch : {1, 2, 3, 4, 100}) {
    CAPTURE(batch);
    auto const together = teacher_forced_loss(model, sources, labels, batch);
    REQUIRE(together.size() == alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i) {
      CAPTURE(i);
      CHECK(together[i].tokens == static_cast<index_t>(labels[i].size()));
      CHECK(std::abs(together[i].mean() - alone[i].mean()) <= bound);
    }
  }
}

TEST_CASE("ignored labels behind the end are as if they were not there") {
  auto const model = bart<double>::load(tiny_model());
  auto const [sources, labels] = examples();
  auto padded = labels;
  for (auto& row : padded) {
    row.resize(9, ignored_label);  // how a Hugging Face batch is padded
  }
  auto const expected = teacher_forced_loss(model, sources, labels);
  auto const got = teacher_forced_loss(model, sources, padded);
  auto const bound = 2 * rounding * largest_logit(model, sources, labels);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(got[i].tokens == expected[i].tokens);
    CHECK(std::abs(got[i].mean() - expected[i].mean()) <= bound);
  }
}

TEST_CASE("an ignored label in the middle is not counted and is read as padding") {
  auto const model = bart<double>::load(tiny_model());
  ids const source{0, 17, 5, 41, 9, 2};
  ids const labels{0, 17, ignored_label, 6, 2};
  ids const as_read{0, 17, model.config().pad_token_id, 6, 2};
  auto const logits = decoder_states(model, source, as_read).logits;
  auto const expected = cross_entropy(logits, labels);
  CHECK(expected.tokens == 4);
  auto const got = teacher_forced_loss(model, std::span(&source, 1), std::span(&labels, 1)).front();
  CHECK(got.tokens == 4);
  CHECK(std::abs(got.mean() - expected.mean()) <= 2 * rounding * max_abs(logits));
  auto const counted =
      teacher_forced_loss(model, std::span(&source, 1), std::span(&as_read, 1)).front();
  CHECK(counted.sum > got.sum + 0.01);
  ids const nothing(4, ignored_label);
  CHECK(teacher_forced_loss(model, std::span(&source, 1), std::span(&nothing, 1)).front() ==
        token_loss{});
}

TEST_CASE("a position sees the labels before it and no later one") {
  auto const model = bart<double>::load(tiny_model());
  ids const source{0, 17, 5, 41, 9, 2};
  auto const a = decoder_states(model, source, ids{0, 17, 6, 33, 2});
  auto const b = decoder_states(model, source, ids{0, 17, 90, 12, 7});
  CHECK(support::identical(a.encoder, b.encoder));
  auto const rows = [](matrix<double> const& m, index_t first, index_t count) {
    return as_view(m).row_range(first, count);
  };
  CHECK(support::distance(rows(a.logits, 0, 3), rows(b.logits, 0, 3)) <=
        rounding * frobenius_norm(a.logits));
  // Position 3 reads the third label, in which they differ.
  CHECK(support::distance(rows(a.logits, 3, 1), rows(b.logits, 3, 1)) >
        1e-3 * frobenius_norm(rows(a.logits, 3, 1)));
}

TEST_CASE("more positions than are made into logits at a time change nothing") {
  auto c = checkpoint::tiny();
  for (std::string const side : {"encoder", "decoder"}) {  // 40 positions made 100
    c.tensors.at("model." + side + ".embed_positions.weight") =
        bart_test::stored({102, 32}, bart_test::random_values(102 * 32, 7));
  }
  c.config["max_position_embeddings"] = 100;
  auto const model = c.load<double>();
  ids const source{0, 17, 5, 41, 9, 2};
  ids labels(100);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<token_id>(i * 31 % 97);
  }
  labels[70] = ignored_label;
  auto const logits = decoder_states(model, source, labels).logits;
  auto const expected = cross_entropy(logits, labels);
  auto const got = teacher_forced_loss(model, std::span(&source, 1), std::span(&labels, 1)).front();
  CHECK(got.tokens == 99);
  CHECK(std::abs(got.mean() - expected.mean()) <= 2 * rounding * max_abs(logits));
}

TEST_CASE("examples that the model cannot read are refused by number before anything is computed") {
  auto const model = bart<float>::load(tiny_model());  // 97 tokens, 40 positions
  auto const what = [&](sequences const& sources, sequences const& labels, index_t batch = 8) {
    return refusal<shape_error>([&] { teacher_forced_loss(model, sources, labels, batch); });
  };
  ids const good{0, 5, 2};
  CHECK(what({good}, {good}) == "nothing thrown");
  CHECK(what({good, good}, {good}) ==
        "teacher_forced_loss: 2 sources, 1 sequences of labels, 8 examples at a time");
  CHECK(has(what({good}, {good}, 0), "0 examples at a time"));
  auto const prefix = std::string("teacher_forced_loss: example 1: ");
  CHECK(what({good, {}}, {good, good}) == prefix + "0 source tokens, the model has 40 positions");
  CHECK(what({good, good}, {good, {}}) == prefix + "0 labels, the model has 40 positions");
  CHECK(what({good, ids(41, 5)}, {good, good}) ==
        prefix + "41 source tokens, the model has 40 positions");
  CHECK(what({good, good}, {good, ids(41, 5)}) == prefix + "41 labels, the model has 40 positions");
  CHECK(what({good, ids(40, 5)}, {good, ids(40, 5)}) == "nothing thrown");
  CHECK(what({good, {0, 97}}, {good, good}) ==
        prefix + "source token id 97 is outside the vocabulary of 97");
  CHECK(what({good, {-100}}, {good, good}) ==
        prefix + "source token id -100 is outside the vocabulary of 97");
  CHECK(what({good, good}, {good, {0, -1}}) == prefix + "label -1 is outside the vocabulary of 97");
  CHECK(has(refusal<shape_error>([&] { decoder_states(model, good, ids{97}); }),
            "decoder_states: label 97"));
  CHECK(teacher_forced_loss(model, sequences{}, sequences{}).empty());
}

TEST_CASE("a model that answers no numbers is refused with the example and the position") {
  auto c = checkpoint::tiny();
  auto table = c.tensors.at("model.shared.weight").values();
  table[50 * 32] = std::numeric_limits<float>::quiet_NaN();  // token 50
  c.tensors["model.decoder.embed_tokens.weight"] = bart_test::stored({97, 32}, table);
  c.tensors["lm_head.weight"] = c.tensors.at("model.shared.weight");
  c.config["tie_word_embeddings"] = false;
  auto const model = c.load<float>();
  ids const good{0, 5, 2};
  auto const what = refusal<numerical_error>([&] {
    teacher_forced_loss(model, sequences{good, good, good, good},
                        sequences{good, good, good, {0, 50, 7, 2}}, 3);
  });
  // Position 0 does not read token 50, but masked values are multiplied by zero, and NaN stays NaN.
  CHECK(what ==
        "teacher_forced_loss: example 3: cross_entropy: the logits of position 0 are not finite");
}

TEST_CASE("the summarizer finds its own summary likely, and the same words in disorder not") {
  auto const json = read_json(golden::directory() / "summarizer.json");
  auto const model = bart<float>::load(golden::embedded_model());
  auto const& one = json["cases"].at(0);
  auto const source = one["input_ids"].get<ids>();
  auto labels = one["greedy_ids"].get<ids>();
  labels.erase(labels.begin());
  auto reversed = labels;
  std::reverse(reversed.begin() + 1, reversed.end() - 1);
  auto const losses =
      teacher_forced_loss(model, sequences{source, source}, sequences{labels, reversed});
  CHECK(losses[0].perplexity() < 10);
  CHECK(losses[1].perplexity() > 100);
}
