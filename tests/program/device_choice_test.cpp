#include "device_choice.hpp"

#include "evaluation.hpp"
#include "support/matrix_check.hpp"
#include "support/temporary_directory.hpp"
#include "sweep_state.hpp"

#include <eckart/models/bart/load.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>

using program::device_choice;
using program::evaluation_options;
using support::refusal;

TEST_CASE("the number of a GPU stands behind the colon, and is 0 without one") {
  CHECK(device_choice{}.index() == 0);
  CHECK(device_choice{.device = "cuda"}.index() == 0);
  CHECK(device_choice{.device = "cuda:0"}.index() == 0);
  CHECK(device_choice{.device = "cuda:12"}.index() == 12);
  CHECK(device_choice{.device = "cuda:12"}.is_cuda());
  CHECK_FALSE(device_choice{}.is_cuda());
}

TEST_CASE("the processor is called cpu and has no other precision than fp32") {
  CHECK(device_choice{}.name() == "cpu");
  for (std::string const precision : {"fp16", "bf16"}) {
    auto const told = refusal<eckart::error>([&] { device_choice{.precision = precision}.name(); });
    CHECK(told == "--precision " + precision + " goes with --device cuda");
  }
}

TEST_CASE("a GPU that is not there is named in a refusal, by the name and by the runner") {
  device_choice const absent{.device = "cuda:99"};
  auto const folder = std::filesystem::path(ECKART_SOURCE_DIR) / "tests/golden/tiny_gelu";
  auto const told = refusal<eckart::backend_error>([&] { absent.name(); });
  CHECK(told.find("--device cuda:99: ") == 0);
  auto const model = eckart::bart<float>::load(folder);
  CHECK(refusal<eckart::backend_error>([&] { program::make_runner(model, absent); }) == told);
}

TEST_CASE("a batch has 8 examples, on a GPU 64, unless it is told") {
  evaluation_options options;
  CHECK(options.batch_size() == 8);
  options.device.device = "cuda";
  CHECK(options.batch_size() == 64);
  CHECK(options.jobs_at_a_time() == 1);
  options.batch = 3;
  CHECK(options.batch_size() == 3);
}

TEST_CASE("jobs on a GPU are refused before it is looked for") {
  evaluation_options options;
  options.device.device = "cuda:99";
  options.jobs = 2;
  CHECK(refusal<eckart::error>([&] { options.check(); }).find("--jobs goes with --device cpu") ==
        0);
  options.jobs = 0;
  CHECK(refusal<eckart::error>([&] { options.check(); }).find("--device cuda:99: ") == 0);
}

TEST_CASE("a sweep's state of another device or precision is another sweep's") {
  using program::sweep_state;
  nlohmann::ordered_json const host{{"data", "d"}, {"batch", 8}};  // says nothing of a device
  auto on_gpu = [](std::string const& name, std::string const& precision) {
    return nlohmann::ordered_json{
        {"data", "d"}, {"device", name}, {"precision", precision}, {"batch", 8}};
  };
  auto const refused = [](nlohmann::ordered_json const& before, nlohmann::ordered_json const& now) {
    support::temporary_directory const folder;
    program::dense_record dense;
    dense.point.method = "dense";
    sweep_state(folder.path(), before, false).save(dense);
    return refusal<eckart::error>([&] { sweep_state const again(folder.path(), now, false); });
  };
  auto const gpu = on_gpu("GPU 1", "fp16");
  CHECK(refused(host, host) == "nothing thrown");
  CHECK(refused(gpu, gpu) == "nothing thrown");
  CHECK(refused(host, gpu).find("device was nothing, now \"GPU 1\"") != std::string::npos);
  CHECK(refused(gpu, host).find("device was \"GPU 1\", now nothing") != std::string::npos);
  CHECK(refused(gpu, on_gpu("GPU 2", "fp16")).find("device was \"GPU 1\", now \"GPU 2\"") !=
        std::string::npos);
  CHECK(refused(gpu, on_gpu("GPU 1", "bf16")).find("precision was \"fp16\", now \"bf16\"") !=
        std::string::npos);
}

TEST_CASE("on a GPU the rows in fp32 hold the ids and losses of the processor's") {
  device_choice const gpu{.device = "cuda"};
  if (refusal<eckart::error>([&] { gpu.name(); }) != "nothing thrown") {
    MESSAGE("skipped: no GPU, or no CUDA in this build");
    return;
  }
  auto const folder = std::filesystem::path(ECKART_SOURCE_DIR) / "examples/summarization";
  auto const directory = folder / "model/dialogue-summarizer-24m";
  auto const model = eckart::bart<float>::load(directory);
  program::text_side const text(directory, {}, model.config());
  program::dataset_options data;
  data.file = folder / "dialogues.jsonl";
  auto const examples = program::read_dataset(data).examples;
  evaluation_options options;
  auto const host = program::evaluate(model, text, examples, options).value();
  options.device = gpu;
  for (auto const batch : {7, 64}) {
    options.batch = batch;
    auto const found = program::evaluate(model, text, examples, options).value();
    REQUIRE(found.rows.size() == host.rows.size());
    for (std::size_t i = 0; i < host.rows.size(); ++i) {
      CAPTURE(host.rows[i].id);
      CHECK(found.rows[i].ids == host.rows[i].ids);
      CHECK(found.rows[i].prediction == host.rows[i].prediction);
      CHECK(found.rows[i].rouge == host.rows[i].rouge);
      CHECK(found.rows[i].loss.tokens == host.rows[i].loss.tokens);
      // Logits of each are within 2e-4 of exact ones (golden_states_test.cu), a loss moves by twice
      // what a logit does.
      CHECK(std::abs(found.rows[i].loss.mean() - host.rows[i].loss.mean()) <= 2 * 2 * 2e-4);
    }
  }
}
