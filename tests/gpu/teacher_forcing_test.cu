#include "eckart/gpu/bart/teacher_forcing.cuh"

#include "eckart/models/bart/load.hpp"

#include "gpu/kernel_fixture.cuh"
#include "support/golden.hpp"
#include "support/matrix_check.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

using namespace eckart;

namespace {

/// The summarizer's 12 dialogues and what it writes of them, without the decoder's start.
struct forced_examples {
  std::vector<golden::ids> sources;
  std::vector<golden::ids> labels;

  forced_examples() {
    auto const json = read_json(golden::directory() / "summarizer.json");
    for (auto const& one : json["cases"]) {
      sources.push_back(one["input_ids"].get<golden::ids>());
      auto const written = one["beam4_ids"].get<golden::ids>();
      labels.emplace_back(written.begin() + 1, written.end());
    }
    labels[3][2] = ignored_label;
    labels[5].back() = ignored_label;
  }
};

auto norm(std::span<float const> x) -> double {
  double sum = 0;
  for (auto const value : x) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(sum);
}

/// How far the loss of an example may be from that in float on the host. A loss is log sum exp x -
/// x_label: it moves by no more than twice what a logit does, and a logit as golden_states_test.cu
/// says.
template <class T>
auto loss_bound(bart<float> const& model, golden::ids const& source, golden::ids const& labels)
    -> double {
  if constexpr (std::same_as<T, float>) {
    constexpr double from_exact = 2e-4;  // the host's logits and the device's
    return 2 * 2 * from_exact * static_cast<double>(labels.size());
  } else {
    auto const& c = model.config();
    double longest = 0;
    for (index_t i = 0; i < model.output_table().rows; ++i) {
      longest = std::max(longest, norm(model.output_table().row(i)));
    }
    auto const roundings =
        static_cast<double>(4 * (2 * c.encoder_layers + 3 * c.decoder_layers + 2));
    auto const states = decoder_states(model, source, labels);
    double bound = 0;
    for (index_t i = 0; i < as_view(states.decoder).rows; ++i) {
      bound += 2 * roundings * fixture::unit<T> * norm(as_view(states.decoder).row(i)) * longest;
    }
    return bound;
  }
}

}  // namespace

TEST_CASE("the loss of a label is log sum exp less its score, and ignored labels have none") {
  cublas const backend;
  auto const stream = backend.stream();
  constexpr index_t steps = 3;
  constexpr index_t rows = 4;
  for (index_t const vocabulary : {1, 31, 512, 1500}) {
    CAPTURE(vocabulary);
    auto numbers = fixture::random_numbers<float>(rows * vocabulary, 7, 4);
    numbers[0] = 60;  // far above all others of its row
    auto const scores = fixture::on_device<float>(numbers, rows, vocabulary, stream);
    std::vector<token_id> labels(static_cast<std::size_t>(steps * rows), ignored_label);
    labels[rows + 0] = 0;
    labels[rows + 1] = static_cast<token_id>(vocabulary - 1);
    labels[rows + 3] = static_cast<token_id>(vocabulary / 2);
    auto const wanted = fixture::values_on_device(labels, stream);
    auto position = fixture::values_on_device(std::vector<int>{1}, stream);
    auto nats = fixture::values_on_device(std::vector<double>(labels.size(), -7), stream);
    gpu::label_loss(scores.view(), {nullptr, wanted.data(), nats.data(), position.data()}, stream);
    auto const got = fixture::to_values(nats, stream);
    CHECK(got[0] == -7);  // of another step
    CHECK(got[rows + 2] == 0);
    for (index_t const row : {0, 1, 3}) {
      auto const first = numbers.begin() + row * vocabulary;
      auto const most = *std::max_element(first, first + vocabulary);
      auto const least = *std::min_element(first, first + vocabulary);
      double sum = 0;
      std::for_each(first, first + vocabulary, [&](double x) { sum += std::exp(x - most); });
      auto const at = static_cast<std::size_t>(rows + row);
      auto const want = most + std::log(sum) - first[labels[at]];
      // expf is right to 2 ulp of float, its argument to half an ulp; a thread scales its sum anew
      // at most as often as it reads, and once more for the block.
      auto const times = static_cast<double>(vocabulary / 512 + 2);
      CHECK(std::abs(got[at] - want) <= times * (0x1p-22 + 0x1p-24 * (most - least)) + 1e-12);
    }
  }
}

TEST_CASE("scores without a softmax have a loss that is no number") {
  cublas const backend;
  auto const stream = backend.stream();
  auto const inf = std::numeric_limits<double>::infinity();
  auto const scores =
      fixture::on_device<float>({1, std::nan(""), 1, inf, -inf, -inf, 1, -inf}, 4, 2, stream);
  auto const labels = fixture::values_on_device(std::vector<token_id>{0, 0, 0, 1}, stream);
  auto position = fixture::values_on_device(std::vector<int>{0}, stream);
  auto nats = fixture::values_on_device(std::vector<double>(4), stream);
  gpu::label_loss(scores.view(), {nullptr, labels.data(), nats.data(), position.data()}, stream);
  auto const got = fixture::to_values(nats, stream);
  CHECK(std::isnan(got[0]));
  CHECK(std::isnan(got[1]));
  CHECK(std::isnan(got[2]));
  CHECK(got[3] == inf);  // impossible, as on the host, but no fault
}

TEST_CASE("the next tokens are those of the next step, and the position moves on") {
  cublas const backend;
  auto const stream = backend.stream();
  constexpr index_t rows = 300;
  std::vector<token_id> inputs(3 * rows);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] = static_cast<token_id>(i);
  }
  auto const fed = fixture::values_on_device(inputs, stream);
  auto position = fixture::values_on_device(std::vector<int>{0}, stream);
  auto tokens = fixture::values_on_device(std::vector<token_id>(rows), stream);
  for (int step = 1; step < 3; ++step) {
    gpu::feed_next({fed.data(), nullptr, nullptr, position.data()}, tokens.data(), rows, stream);
    CHECK(fixture::to_values(position, stream).front() == step);
    auto const got = fixture::to_values(tokens, stream);
    CHECK(std::equal(got.begin(), got.end(), inputs.begin() + step * rows));
  }
}

TEST_CASE_TEMPLATE("the losses of the bundled dialogues are the host's", T, float, half, bfloat16) {
  cublas const backend;
  forced_examples const examples;
  auto const host = bart<float>::load(golden::embedded_model());
  auto const want = teacher_forced_loss(host, examples.sources, examples.labels);
  device_bart<T> const model(host, backend);
  double furthest = 0;
  for (index_t const batch : {1, 5, 64}) {
    CAPTURE(batch);
    auto const got = teacher_forced_loss(model, examples.sources, examples.labels, batch);
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      CHECK(got[i].tokens == want[i].tokens);
      auto const off = std::abs(got[i].sum - want[i].sum);
      CHECK(off <= loss_bound<T>(host, examples.sources[i], examples.labels[i]));
      furthest = std::max(furthest, off / static_cast<double>(got[i].tokens));
    }
  }
  std::cout << "losses in " << sizeof(T) << " bytes: off by " << furthest
            << " nats a token at most\n";
}

TEST_CASE("in float the losses of the tiny models are the host's, whatever they are padded with") {
  cublas const backend;
  for (std::string const name : golden::tiny_models) {
    CAPTURE(name);
    auto const host = bart<float>::load(golden::directory() / name);
    device_bart<float> const model(host, backend);
    std::vector<golden::ids> const sources{{0, 5, 9, 2}, {0, 7, 2}, {0, 40, 41, 42, 43, 44, 2}};
    std::vector<golden::ids> const labels{{0, 11, 12, 13, 14, 2}, {3}, {0, ignored_label, 2}};
    auto const want = teacher_forced_loss(host, sources, labels);
    for (index_t const batch : {1, 2, 3}) {
      auto const got = teacher_forced_loss(model, sources, labels, batch);
      for (std::size_t i = 0; i < want.size(); ++i) {
        CHECK(got[i].tokens == want[i].tokens);
        CHECK(std::abs(got[i].sum - want[i].sum) <= loss_bound<float>(host, sources[i], labels[i]));
      }
    }
  }
}

TEST_CASE("examples that the host refuses are refused in the same words") {
  cublas const backend;
  auto host = bart<float>::load(golden::directory() / "tiny_gelu");
  device_bart<float> const model(host, backend);
  auto const same = [&](std::vector<golden::ids> const& sources,
                        std::vector<golden::ids> const& labels, index_t batch) {
    auto const told =
        support::refusal<shape_error>([&] { teacher_forced_loss(model, sources, labels, batch); });
    CHECK(told != "nothing thrown");
    CHECK(told == support::refusal<shape_error>(
                      [&] { teacher_forced_loss(host, sources, labels, batch); }));
  };
  same({{0, 2}}, {}, 8);
  same({{0, 2}}, {{0, 2}}, 0);
  same({{0, 2}}, {{}}, 8);
  same({{0, 2}}, {{0, 1'000'000}}, 8);
  same({{0, -3}}, {{0, 2}}, 8);
  same({golden::ids(10'000, 5)}, {{0, 2}}, 8);
}

TEST_CASE("a model whose numbers are not finite is refused with the example's place") {
  cublas const backend;
  auto host = bart<float>::load(golden::directory() / "tiny_gelu");
  host.visit_linears([](std::string const& name, linear<float>& layer) {
    if (name.ends_with("decoder.layers.0.fc1")) {
      auto weight = make_matrix<float>(layer.shape());
      weight.fill(std::numeric_limits<float>::quiet_NaN());
      layer = layer.with_weight(std::move(weight));
    }
  });
  device_bart<float> const model(host, backend);
  std::vector<golden::ids> const some{{0, 5, 2}, {0, 6, 2}};
  auto const told =
      support::refusal<numerical_error>([&] { teacher_forced_loss(model, some, some); });
  CAPTURE(told);
  CHECK(told.find("example 0: cross_entropy: the logits of position 0 are not finite") !=
        std::string::npos);
}
