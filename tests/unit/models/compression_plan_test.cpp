#include "eckart/models/compression_plan_file.hpp"

#include "eckart/io/json.hpp"
#include "support/matrix_check.hpp"
#include "support/temporary_directory.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace eckart;
using support::refusal;

namespace {

auto example() -> compression_plan {
  return {"relative-output-error",
          {{"encoder.layers.0.self_attn.qkv_proj", {1152, 384}, form::pivoted, 96, 0.012},
           {"encoder.layers.0.fc1", {1536, 384}, form::dense, 384, 0},
           {"decoder.layers.0.fc2", {384, 1536}, form::two_factor, 100, 1.0 / 3},
           {"decoder.layers.0.k_proj", {384, 384}, form::full_core, 1, 1e-300},
           {"decoder.layers.0.v_proj", {384, 384}, form::diagonal_core, 384, 5e22}}};
}

/// Parameters of the layers of the example, in their order.
constexpr std::uint64_t example_parameters =
    138'240 + 1536 * 384 + 100 * 1920 + (384 + 1 + 384) + 384 * 769;

auto read(std::string const& text) -> compression_plan {
  return read_compression_plan(parse_json(text, "plan.json"), "plan.json");
}

/// A file with this layer, of which nothing optional is stated.
auto plan_with(std::string const& layer) -> std::string {
  std::string text = R"({"eckart_plan": 1, "objective": "x", "layers": [)";
  return text.append(layer).append("]}");
}

constexpr std::string_view good_layer =
    R"({"name": "a.b", "shape": [6, 4], "form": "pivoted", "rank": 2, "predicted_loss": 0.5})";

/// The text with one part replaced; the part has to be there.
auto edited(std::string text, std::string_view part, std::string_view by) -> std::string {
  auto const at = text.find(part);
  REQUIRE(at != std::string::npos);
  return text.replace(at, part.size(), by);
}

/// Why a plan with the good layer, edited, is refused.
auto complaint(std::string_view part, std::string_view by) -> std::string {
  auto const text = edited(plan_with(std::string(good_layer)), part, by);
  return refusal<format_error>([&] { read(text); });
}

}  // namespace

TEST_CASE("a plan is read as it was written, to the last bit") {
  support::temporary_directory const directory;
  auto const path = directory / "plan.json";
  write_compression_plan(path, example());
  CHECK(read_compression_plan(path) == example());
  CHECK(directory.count_files() == 1);
  write_compression_plan(path, {"other", {}});
  CHECK(read_compression_plan(path) == compression_plan{"other", {}});
}

TEST_CASE("names with quotes, control characters and other scripts survive the file") {
  compression_plan const plan{"\"\\\n", {{"Schicht \xC3\xBC\t\x01", {1, 1}, form::dense, 1, 0}}};
  CHECK(read(to_json(plan)) == plan);
}

TEST_CASE("the file has a line a layer, in the order of the plan, and states what is stored") {
  auto const text =
      to_json({"squared-error",
               {{"b", {1152, 384}, form::pivoted, 96, 0.012}, {"a", {6, 4}, form::dense, 4, 0}}});
  CHECK(text == R"({
  "eckart_plan": 1,
  "objective": "squared-error",
  "layers": [
    {"name": "b", "shape": [1152, 384], "form": "pivoted", "rank": 96, "parameters": 138240, "predicted_loss": 0.012},
    {"name": "a", "shape": [6, 4], "form": "dense", "rank": 4, "parameters": 24, "predicted_loss": 0}
  ],
  "parameters": 138264,
  "dense_parameters": 442392
}
)");
}

TEST_CASE("parameters are summed over the layers, planned and dense") {
  CHECK(plan_parameters(example()) == example_parameters);
  CHECK(dense_parameters(example()) == 1152 * 384 + 2 * 1536 * 384 + 2 * 384 * 384);
  CHECK(plan_parameters(example().layers[0]) == 138'240);
  CHECK(plan_parameters(compression_plan{}) == 0);
}

TEST_CASE("numbers of parameters, and the rank of a dense matrix, may be left out") {
  auto const plan = read(plan_with(std::string(good_layer)));
  CHECK(plan == compression_plan{"x", {{"a.b", {6, 4}, form::pivoted, 2, 0.5}}});
  auto const dense =
      read(plan_with(R"({"name": "a", "shape": [6, 4], "form": "dense", "predicted_loss": 0})"));
  CHECK(dense.layers[0] == planned_layer{"a", {6, 4}, form::dense, 4, 0});
}

TEST_CASE("every form is read by its name") {
  for (auto const* name : {"full-core", "diagonal-core", "two-factor", "pivoted"}) {
    auto const plan = read(edited(plan_with(std::string(good_layer)), "pivoted", name));
    CHECK(name_of(plan.layers[0].stored_as) == name);
  }
  CHECK(complaint("pivoted", "monarch") ==
        "plan.json: layer \"a.b\": key \"form\": \"monarch\" is none of dense, full-core, "
        "diagonal-core, two-factor, pivoted");
  CHECK(complaint("\"pivoted\"", "3") ==
        "plan.json: layer \"a.b\": key \"form\": expected string, got integer 3");
}

TEST_CASE(
    "numbers of parameters that are stated must be right, and the message says the right one") {
  auto const text = to_json({"x", {{"a.b", {6, 4}, form::pivoted, 2, 0.5}}});
  auto const refused = [&](std::string_view part, std::string_view by) {
    return refusal<format_error>([&] { read(edited(text, part, by)); });
  };
  CHECK(refused("\"rank\": 2", "\"rank\": 3") ==
        "plan.json: layer \"a.b\": key \"parameters\" is 16, should be 21 or left out");
  CHECK(refused("\"parameters\": 16,\n", "\"parameters\": 17,\n") ==
        "plan.json: key \"parameters\" is 17, should be 16 or left out");
  CHECK(refused("\"dense_parameters\": 24", "\"dense_parameters\": 25") ==
        "plan.json: key \"dense_parameters\" is 25, should be 24 or left out");
  CHECK(refused("\"parameters\": 16,", "\"parameters\": -16,").find("key \"parameters\"") !=
        std::string::npos);
  CHECK(refused("\"parameters\": 16,", "\"parameters\": 16.5,").find("key \"parameters\"") !=
        std::string::npos);
}

TEST_CASE("a version other than 1 is refused before all else") {
  auto const refused = [](std::string const& text) {
    return refusal<format_error>([&] { read(text); });
  };
  CHECK(refused(R"({"eckart_plan": 2, "novelty": 1})") ==
        "plan.json: key \"eckart_plan\": version 2, not 1");
  CHECK(refused("{}") == "plan.json: key \"eckart_plan\" is missing");
  CHECK(complaint("\"eckart_plan\": 1", "\"eckart_plan\": \"1\"") ==
        "plan.json: key \"eckart_plan\": expected integer, got string \"1\"");
  CHECK_THROWS_AS(read("[]"), format_error);
}

TEST_CASE("ranks outside 1 to min(m, n) are refused with the layer") {
  CHECK(complaint("\"rank\": 2", "\"rank\": 5") ==
        "plan.json: layer \"a.b\": rank 5 of a 6 x 4 matrix is not in 1 to 4");
  CHECK(complaint("\"rank\": 2", "\"rank\": 0") ==
        "plan.json: layer \"a.b\": rank 0 of a 6 x 4 matrix is not in 1 to 4");
  CHECK(complaint("\"rank\": 2", "\"rank\": -1") ==
        "plan.json: layer \"a.b\": rank -1 of a 6 x 4 matrix is not in 1 to 4");
  CHECK(complaint("\"rank\": 2, ", "") == "plan.json: layer \"a.b\": key \"rank\" is missing");
  CHECK(complaint("pivoted", "dense") ==
        "plan.json: layer \"a.b\": rank 2 of a dense 6 x 4 matrix, it must be 4");
  CHECK(read(edited(plan_with(std::string(good_layer)), "\"rank\": 2", "\"rank\": 4"))
            .layers[0]
            .rank == 4);
}

TEST_CASE("shapes that no matrix has are refused with the layer") {
  CHECK(complaint("[6, 4]", "[0, 4]") ==
        "plan.json: layer \"a.b\": shape [0, 4] is not in 1 to 16777216");
  CHECK(complaint("[6, 4]", "[6, -4]") ==
        "plan.json: layer \"a.b\": shape [6, -4] is not in 1 to 16777216");
  CHECK(complaint("[6, 4]", "[6, 9223372036854775807]") ==
        "plan.json: layer \"a.b\": shape [6, 9223372036854775807] is not in 1 to 16777216");
  CHECK(complaint("[6, 4]", "[6, 4, 1]") ==
        "plan.json: layer \"a.b\": key \"shape\": 3 numbers, not 2");
  CHECK(complaint("[6, 4]", "[6, 4.0]").find("key \"shape[1]\": expected integer") !=
        std::string::npos);
  CHECK(complaint("\"shape\": [6, 4], ", "") ==
        "plan.json: layer \"a.b\": key \"shape\" is missing");
}

TEST_CASE("losses that are negative, missing or no number are refused with the layer") {
  CHECK(complaint("0.5", "-0.5") ==
        "plan.json: layer \"a.b\": predicted_loss -0.5 is not a finite number from 0 on");
  CHECK(complaint("0.5", "null").find("layer \"a.b\": key \"predicted_loss\"") !=
        std::string::npos);
  CHECK(complaint(", \"predicted_loss\": 0.5", "") ==
        "plan.json: layer \"a.b\": key \"predicted_loss\" is missing");
  CHECK(complaint("0.5", "1e999") != "nothing thrown");
}

TEST_CASE("misspelled keys are refused, not ignored") {
  CHECK(complaint("\"objective\": \"x\"", "\"objective\": \"x\", \"parameter\": 3") ==
        "plan.json: key \"parameter\" is unknown");
  CHECK(complaint("\"rank\": 2", "\"rank\": 2, \"paramters\": 3") ==
        "plan.json: layer \"a.b\": key \"paramters\" is unknown");
}

TEST_CASE("names must be there and be different") {
  CHECK(complaint("\"a.b\"", "\"\"") == "plan.json: layer \"\": the name is empty");
  CHECK(complaint("\"name\": \"a.b\", ", "") == "plan.json: layers[0]: key \"name\" is missing");
  std::string two(good_layer);
  two.append(", ").append(good_layer);
  CHECK(refusal<format_error>([&] { read(plan_with(two)); }) ==
        "plan.json: layer \"a.b\": the name appears twice");
  CHECK(complaint("\"x\"", "\"\"") == "plan.json: objective \"\" is empty or not valid UTF-8");
  CHECK(complaint("\"objective\": \"x\", ", "") == "plan.json: key \"objective\" is missing");
  CHECK(refusal<format_error>([] { read(plan_with("7")); }).starts_with("plan.json: layers[0]: "));
  CHECK(refusal<format_error>([] { read(R"({"eckart_plan": 1, "objective": "x"})"); }) ==
        "plan.json: key \"layers\" is missing");
}

TEST_CASE("a file that cannot be read or is no JSON is refused with its path") {
  support::temporary_directory const directory;
  CHECK_THROWS_AS(read_compression_plan(directory / "absent.json"), io_error);
  auto const path = directory.put("broken.json", "{\"eckart_plan\": 1,");
  CHECK(refusal<format_error>([&] { read_compression_plan(path); }).starts_with(path.string()));
  auto const bad = directory.put("bad.json", "{\"eckart_plan\": 9}");
  CHECK(refusal<format_error>([&] { read_compression_plan(bad); }).starts_with(bad.string()));
}

TEST_CASE("a plan that could not be read again is not written, and the old file stays") {
  support::temporary_directory const directory;
  auto const path = directory / "plan.json";
  write_compression_plan(path, example());
  auto const refused = [&](auto change) {
    auto plan = example();
    change(plan);
    return refusal<shape_error>([&] { write_compression_plan(path, plan); });
  };
  CHECK(refused([](auto& p) { p.layers[1].rank = 3; }) ==
        "to_json: plan: layer \"encoder.layers.0.fc1\": rank 3 of a dense 1536 x 384 matrix, it "
        "must be 384");
  CHECK(refused([](auto& p) { p.layers[2].predicted_loss = std::nan(""); }) ==
        "to_json: plan: layer \"decoder.layers.0.fc2\": predicted_loss nan is not a finite number "
        "from 0 on");
  CHECK(refused([](auto& p) { p.layers[2].predicted_loss = INFINITY; }) != "nothing thrown");
  CHECK(refused([](auto& p) { p.layers[2].name = p.layers[0].name; }).ends_with("twice"));
  CHECK(refused([](auto& p) { p.layers[0].name = "\xFF"; }).ends_with("not valid UTF-8"));
  CHECK(refused([](auto& p) { p.objective.clear(); }) ==
        "to_json: plan: objective \"\" is empty or not valid UTF-8");
  CHECK(read_compression_plan(path) == example());
  CHECK(directory.count_files() == 1);
}

TEST_CASE("a plan fits a model that has its layers in their shapes, planned or not") {
  std::vector<named_shape> model{{"lm_head", {50, 384}}};
  for (auto const& layer : example().layers) {
    model.push_back({layer.name, layer.shape});
  }
  check_plan(example(), model);
  check_plan({}, {});
  auto const refused = [&](compression_plan const& plan) {
    return refusal<format_error>([&] { check_plan(plan, model, "plan.json"); });
  };
  CHECK(refused(example()) == "nothing thrown");
  auto other = example();
  other.layers[1].shape = {384, 1536};
  CHECK(refused(other) ==
        "plan.json: layer \"encoder.layers.0.fc1\": planned as 384 x 1536, the model's is 1536 x "
        "384");
  other = example();
  other.layers[4].name = "decoder.layers.9.v_proj";
  CHECK(refused(other) ==
        "plan.json: layer \"decoder.layers.9.v_proj\": the model has none of this name");
}

TEST_CASE("a plan over its budget is refused with both figures") {
  check_plan_budget(example(), example_parameters);
  auto const small = compression_plan{"x", {{"a.b", {6, 4}, form::pivoted, 2, 0.5}}};
  CHECK(refusal<shape_error>([&] { check_plan_budget(small, 16, "plan.json"); }) ==
        "nothing thrown");
  CHECK(refusal<shape_error>([&] { check_plan_budget(small, 15, "plan.json"); }) ==
        "plan.json: 16 parameters are more than the budget of 15");
  // A sum above what is counted does not pass for a small one.
  constexpr auto extent = index_t{1} << 24;
  compression_plan huge{"x", {}};
  for (int i = 0; i < 30'000; ++i) {
    huge.layers.push_back({std::to_string(i), {extent, extent}, form::full_core, extent, 0});
  }
  CHECK(plan_parameters(huge) == std::numeric_limits<std::uint64_t>::max());
  CHECK_THROWS_AS(check_plan_budget(huge, std::uint64_t{1} << 63), shape_error);
}
