#include "sweep_files.hpp"
#include "sweep_run.hpp"

#include <eckart/core/error.hpp>
#include <eckart/io/file.hpp>
#include <eckart/models/bart/load.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/refusal.hpp"
#include "support/temporary_directory.hpp"

using namespace program;
using strings = std::vector<std::string>;

namespace {

/// The embedded model on two short dialogues, a few greedy tokens each: little work for a model.
struct small_subject {
  support::temporary_directory folder;
  std::filesystem::path directory =
      ECKART_SOURCE_DIR "/examples/summarization/model/dialogue-summarizer-24m";
  dataset_options source = two_dialogues(folder);
  eckart::bart<float> dense = eckart::bart<float>::load(directory);
  text_side text{directory, few_tokens(), dense.config()};
  dataset data = read_dataset(source);

  static auto few_tokens() -> generation_choice {
    generation_choice choice;
    choice.num_beams = 1;
    choice.max_new_tokens = 6;
    return choice;
  }
  static auto two_dialogues(support::temporary_directory const& folder) -> dataset_options {
    dataset_options options;
    options.file = folder.put(
        "two.jsonl",
        "{\"id\":\"lunch\",\"dialogue\":\"Ann: Lunch at noon?\\nBob: Yes, see you there.\","
        "\"summary\":\"Ann and Bob will have lunch at noon.\"}\n"
        "{\"id\":\"bus\",\"dialogue\":\"Cem: I missed the bus.\\nDee: Take a taxi!\","
        "\"summary\":\"Cem missed the bus. Dee tells him to take a taxi.\"}\n");
    return options;
  }
  auto view() const -> sweep_subject { return {directory, source.file, dense, text, data}; }
};

auto subject() -> sweep_subject {
  static small_subject const one;
  return one.view();
}

auto quick_options() -> sweep_options {
  sweep_options options;
  options.evaluation.jobs = 1;
  options.evaluation.intervals.resamples = 100;
  options.compare = 1;
  options.times = false;
  return options;
}

auto one_layer(strings ranks, strings forms = {"two-factor"}) -> sweep_choice {
  return {std::move(ranks), {"svd"}, {"encoder.layers.0.self_attn.q_proj"}, std::move(forms)};
}

auto never() -> bool {
  return false;
}

auto run(std::filesystem::path const& out, sweep_choice const& choice,
         sweep_options const& options = quick_options(), bool restart = false,
         std::function<bool()> const& stop = never) -> sweep_outcome {
  sweep_progress progress(true);
  sweep_state state(out, settings_of(subject(), options), restart);
  return run_sweep(subject(), plan_sweep(choice, subject().dense), options, state, progress, stop);
}

/// run(), stopped as soon as the state holds so many models.
auto run_until(std::size_t models, std::filesystem::path const& out, sweep_choice const& choice)
    -> sweep_outcome {
  auto const stop = [&] {
    std::size_t there = 0;
    for (auto const& entry : std::filesystem::directory_iterator(out / "state")) {
      there += entry.path().extension() == ".json" ? 1U : 0U;
    }
    return there > models;  // settings.json is no model
  };
  return run(out, choice, quick_options(), false, stop);
}

auto text_of(sweep_outcome const& outcome) -> std::string {
  return outcome.result ? to_json(*outcome.result).dump(1) : "nothing";
}

auto point_file(std::string_view rank) -> std::string {
  return eckart::message("svd_encoder.layers.0.self_attn.q_proj_two-factor_", rank, ".json");
}

}  // namespace

TEST_CASE("a sweep that is stopped and continued gives what one without a break gives") {
  support::temporary_directory const folder;
  auto const choice = one_layer({"64,16"}, {"two-factor", "pivoted"});
  auto const whole = run(folder / "whole", choice);
  CHECK(whole.complete);
  CHECK(whole.computed == 5);
  REQUIRE(whole.result);
  CHECK(whole.result->points.size() == 4);

  auto const broken = folder / "broken";
  auto const none = run_until(0, broken, choice);
  CHECK(!none.complete);
  CHECK(!none.result);
  for (std::size_t models = 1; models < 5; ++models) {
    CAPTURE(models);
    auto const part = run_until(models, broken, choice);
    CHECK(!part.complete);
    CHECK(part.found == models - 1);
    CHECK(part.computed == 1);
    REQUIRE(part.result);
    CHECK(part.result->points.size() == models - 1);
  }
  auto const end = run(broken, choice);
  CHECK(end.complete);
  CHECK(end.found == 4);
  CHECK(text_of(end) == text_of(whole));
  auto const again = run(broken, choice);
  CHECK(again.computed == 0);
  CHECK(text_of(again) == text_of(whole));
}

TEST_CASE("full rank does what the dense model does, and factors cost what they should") {
  support::temporary_directory const folder;
  auto const outcome = run(folder.path(), one_layer({"384,1"}, {"full-core"}));
  REQUIRE(outcome.result);
  auto const& dense = outcome.result->dense;
  auto const& full = outcome.result->points[0];
  auto const& least = outcome.result->points[1];
  CHECK(full.rank == 384);
  CHECK(full.identical == 1);
  CHECK(full.summaries == dense.summaries);
  CHECK(full.difference[0].difference.mean == 0);
  CHECK(full.likeness.logits.worst == doctest::Approx(1).epsilon(1e-5));
  CHECK(full.bytes == dense.bytes + 4 * (3 * 384 * 384 - 384 * 384));
  CHECK(least.bytes == dense.bytes + 4 * (384 + 1 + 384) - 4 * 384 * 384);
  CHECK(least.likeness.encoder.mean_token < full.likeness.encoder.mean_token);
  CHECK(!dense.seconds);
  CHECK(outcome.result->marks.size() == 1);
  CHECK(outcome.result->marks[0].rank == 159);
  CHECK(outcome.result->shown.size() == 2);
}

TEST_CASE("a larger set of targets shares its decompositions with a smaller one") {
  support::temporary_directory const folder;
  std::string const inner = "encoder.layers.0.self_attn.q_proj";
  std::string const outer = inner + ",encoder.layers.0.self_attn.k_proj";
  auto both = one_layer({"32"});
  both.targets = {outer, inner};
  auto const shared = run(folder / "both", both);
  auto const alone = run(folder / "alone", one_layer({"32"}));
  REQUIRE(shared.result);
  REQUIRE(alone.result);
  REQUIRE(shared.result->points.size() == 2);
  CHECK(shared.result->points[0].bytes < shared.result->points[1].bytes);
  CHECK(to_json(shared.result->points[1]) == to_json(alone.result->points[0]));
}

TEST_CASE("models that are not asked for now stay, but are not reported") {
  support::temporary_directory const folder;
  run(folder.path(), one_layer({"64,16"}));
  auto const fewer = run(folder.path(), one_layer({"16"}));
  CHECK(fewer.found == 2);
  CHECK(fewer.computed == 0);
  REQUIRE(fewer.result);
  CHECK(fewer.result->points.size() == 1);
  CHECK(std::filesystem::exists(folder / "state" / point_file("64")));
  auto const more = run(folder.path(), one_layer({"64,32,16"}));
  CHECK(more.found == 3);
  CHECK(more.computed == 1);
}

TEST_CASE("a point that a disk has spoilt is noticed and computed again") {
  support::temporary_directory const folder;
  auto const choice = one_layer({"64"});
  auto const before = text_of(run(folder.path(), choice));
  auto const file = folder / "state" / point_file("64");
  auto const good = eckart::read_text(file);
  auto const spoilt_digit = [&] {
    auto text = good;
    auto const at = text.find("\"rank\": 64");
    REQUIRE(at != std::string::npos);
    text[at + 8] = '7';
    return text;
  }();
  auto const all_spoilt = strings{"",           good.substr(0, good.size() / 2), "[]", "{}",
                                  spoilt_digit, std::string(good.size(), '\0')};
  for (auto const& text : all_spoilt) {
    CAPTURE(text);
    support::put(file, text);
    sweep_state state(folder.path(), settings_of(subject(), quick_options()), false);
    CHECK(!state.load(plan_sweep(choice, subject().dense).steps[0]));
    REQUIRE(state.notes().size() == 1);
    CHECK(state.notes()[0].find(point_file("64")) != std::string::npos);
    CHECK(state.notes()[0].find("computed again") != std::string::npos);
  }
  auto const after = run(folder.path(), choice);
  CHECK(after.computed == 1);
  CHECK(text_of(after) == before);
  CHECK(eckart::read_text(file) == good);

  // A file that stands under the name of another.
  std::filesystem::copy_file(file, folder / "state" / point_file("48"));
  CHECK(run(folder.path(), one_layer({"48"})).computed == 1);

  support::put(folder / "state/dense.json", "{");
  auto const dense = run(folder.path(), choice);
  CHECK(dense.computed == 1);
  CHECK(text_of(dense) == before);
}

TEST_CASE("other settings are refused by their name, unless the points are to go") {
  support::temporary_directory const folder;
  auto const choice = one_layer({"64"});
  run(folder.path(), choice);
  auto const with = [](auto change) {
    auto options = quick_options();
    change(options);
    return options;
  };
  std::array<std::pair<sweep_options, std::string>, 7> const changes{
      {{with([](sweep_options& o) { o.evaluation.batch = 3; }), "batch was 8, now 3"},
       {with([](sweep_options& o) { o.evaluation.stem = true; }), "stem was false, now true"},
       {with([](sweep_options& o) { o.evaluation.intervals.level = 0.9; }),
        "level was 0.95, now 0.9"},
       {with([](sweep_options& o) { o.evaluation.intervals.seed = 5; }), "seed was 0, now 5"},
       {with([](sweep_options& o) { o.compare = 2; }), "compare was 1, now 2"},
       {with([](sweep_options& o) { o.show = {"bus"}; }), R"(show was [], now ["bus"])"},
       {with([](sweep_options& o) { o.times = true; }), "times was false, now true"}}};
  for (auto const& [options, text] : changes) {
    auto const said =
        support::refusal<eckart::error>([&, &o = options] { run(folder.path(), choice, o); });
    CHECK(said.find("holds a sweep with other settings: " + text + ";") != std::string::npos);
    CHECK(said.find("--restart") != std::string::npos);
  }
  // The number of jobs changes the times alone.
  CHECK(
      run(folder.path(), choice, with([](sweep_options& o) { o.evaluation.jobs = 2; })).computed ==
      0);
  run(folder.path(), one_layer({"16"}));
  auto const anew = run(folder.path(), choice, changes[0].first, true);
  CHECK(anew.found == 0);
  CHECK(anew.computed == 2);
  CHECK(!std::filesystem::exists(folder / "state" / point_file("16")));
}

TEST_CASE("settings of no model bind nobody, models without settings are nobody's") {
  support::temporary_directory const folder;
  auto options = quick_options();
  options.show = {"d99"};
  auto const choice = one_layer({"64"});
  CHECK(support::refusal<eckart::error>([&] { run(folder.path(), choice, options); }) ==
        "sweep: no example has the id 'd99' to show");
  CHECK(run(folder.path(), choice).complete);

  std::filesystem::remove(folder / "state/settings.json");
  CHECK(support::refusal<eckart::error>([&] {
          run(folder.path(), choice);
        }).find("2 models without settings.json") != std::string::npos);
  support::put(folder / "state/settings.json", "{\"fingerprint\":");
  CHECK(support::refusal<eckart::error>([&] {
          run(folder.path(), choice);
        }).find("settings.json") != std::string::npos);
  CHECK(run(folder.path(), choice, quick_options(), true).computed == 2);
}

TEST_CASE("a restart removes nothing but the sweep's own files") {
  support::temporary_directory const folder;
  auto const choice = one_layer({"64"});
  run(folder.path(), choice);
  folder.put("notes.txt", "mine");
  folder.put("state/notes.txt", "mine");
  folder.put("state/dense.json.tmp-1-0", "left by a killed process");
  folder.put("sweep.csv.tmp-1-0", "left by a killed process");
  run(folder.path(), choice, quick_options(), true);
  CHECK(std::filesystem::exists(folder / "notes.txt"));
  CHECK(std::filesystem::exists(folder / "state/notes.txt"));
  CHECK(!std::filesystem::exists(folder / "state/dense.json.tmp-1-0"));
  CHECK(!std::filesystem::exists(folder / "sweep.csv.tmp-1-0"));
}

TEST_CASE("two sweeps cannot write to the same directory at a time") {
  support::temporary_directory const folder;
  auto const settings = settings_of(subject(), quick_options());
  {
    sweep_state const first(folder.path(), settings, false);
    auto const said = support::refusal<eckart::error>(
        [&] { sweep_state const second(folder.path(), settings, false); });
    CHECK(said.find("another sweep is writing here") != std::string::npos);
  }
  CHECK(support::refusal<eckart::error>(
            [&] { sweep_state const later(folder.path(), settings, false); }) == "nothing thrown");
}

TEST_CASE("a plan goes through methods, targets, forms and falling ranks") {
  sweep_choice choice{{"96:160:32", "8"}, {"svd"}, {"attention,linear", "fc1,fc2"}, {}};
  choice.forms = {"two-factor,full-core"};
  auto const plan = plan_sweep(choice, subject().dense);
  REQUIRE(plan.steps.size() == 3 * 2 * 4);
  CHECK(description(plan.steps[0]) == "rank 160, attention, two-factor");
  CHECK(description(plan.steps[3]) == "rank 8, attention, two-factor");
  CHECK(description(plan.steps[4]) == "rank 160, attention, full-core");
  CHECK(description(plan.steps[8]) == "rank 160, linear, two-factor");
  CHECK(description(plan.steps[23]) == "rank 8, fc1,fc2, full-core");
  REQUIRE(plan.marks.size() == 6);
  // By hand for 384 x 384: k < 384/2, and k < 384 (sqrt(8) - 2) / 2 = 159.05; for 1536 x 384 with
  // two factors k < 384 * 1536 / 1920 = 307.2.
  CHECK(plan.marks[0].rank == 191);
  CHECK(plan.marks[1].rank == 159);
  CHECK(plan.marks[2].rank == 191);
  CHECK(plan.marks[4].rank == 307);
}

TEST_CASE("a plan for what does not exist is refused with what does") {
  auto const plan = [](sweep_choice const& choice) {
    return support::refusal<eckart::error>([&] { plan_sweep(choice, subject().dense); });
  };
  sweep_choice const good{{"8"}, {"svd"}, {"attention"}, {"pivoted"}};
  CHECK(plan(good) == "nothing thrown");
  auto other = good;
  other.methods = {"svd,magic"};
  CHECK(plan(other) == "sweep: no method 'magic'; known: svd");
  other = good;
  other.forms = {"dense"};
  CHECK(plan(other) ==
        "sweep: no form 'dense'; known: full-core, diagonal-core, two-factor, pivoted");
  other = good;
  other.targets = {"attention,fc1"};
  CHECK(plan(other).find("give --targets once for each set") != std::string::npos);
  other = good;
  other.targets = {"nonsense"};
  CHECK(plan(other) == "sweep: no linear layer is named 'nonsense'");
  other = good;
  other.ranks = {"385"};
  CHECK(plan(other) ==
        "sweep: rank 385 exceeds 384, the largest min(m, n) of the targets 'attention'");
}

TEST_CASE("what is left of a duration is told in seconds, minutes or hours") {
  CHECK(duration_text(0.2) == "0 s");
  CHECK(duration_text(99.4) == "99 s");
  CHECK(duration_text(100) == "2 min");
  CHECK(duration_text(7500) == "2 h 05 min");
}
