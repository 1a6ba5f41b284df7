#include "compression_report.hpp"

#include "calibrate.hpp"
#include "terminal.hpp"

#include <eckart/io/json.hpp>
#include <eckart/linalg/norm.hpp>
#include <eckart/models/bart/bart.hpp>
#include <eckart/models/bart/load.hpp>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <sstream>
#include <string>

namespace program {

namespace {

using json_object = nlohmann::ordered_json;

auto weight_bytes(std::filesystem::path const& directory) -> std::uint64_t {
  std::uint64_t total = 0;
  for (auto const& file : files_of_model(directory)) {
    total += file.extension() == ".safetensors" ? std::filesystem::file_size(file) : 0;
  }
  return total;
}

/// The largest ||W - W'|| / ||W|| of what was fitted (W) and what the file gives back (W').
auto rounding_error(eckart::bart<float> const& fitted, std::filesystem::path const& saved)
    -> double {
  std::map<std::string, eckart::matrix<float>> weights;
  fitted.visit_linears([&](std::string const& name, eckart::linear<float> const& layer) {
    weights.emplace(name, layer.dense_weight());
  });
  double worst = 0;
  auto const read = eckart::bart<float>::load(saved);
  read.visit_linears([&](std::string const& name, eckart::linear<float> const& layer) {
    auto& w = weights.at(name);
    auto const norm = eckart::frobenius_norm(w);
    w -= layer.dense_weight();
    worst = std::max(worst, norm > 0 ? eckart::frobenius_norm(w) / norm : 0.0);
  });
  return worst;
}

auto planned_parameters(eckart::compression_plan const& plan, bool dense) -> std::uint64_t {
  std::uint64_t total = 0;
  for (auto const& layer : plan.layers) {
    total += eckart::cost::parameters(dense ? eckart::form::dense : layer.stored_as, layer.shape,
                                      layer.rank);
  }
  return total;
}

auto name_of_model(std::filesystem::path const& directory) -> std::string {
  return std::filesystem::weakly_canonical(directory).filename().string();
}

auto layers_json(eckart::compression_plan const& plan) -> json_object {
  auto layers = json_object::array();
  for (auto const& layer : plan.layers) {
    layers.push_back({{"name", layer.name},
                      {"shape", {layer.shape.rows, layer.shape.cols}},
                      {"form", eckart::name_of(layer.stored_as)},
                      {"rank", layer.rank},
                      {"parameters", eckart::plan_parameters(layer)},
                      {"predicted_loss", layer.predicted_loss}});
  }
  return layers;
}

}  // namespace

auto report_on(compress_command const& command, std::filesystem::path const& before,
               std::filesystem::path const& after, compression_outcome const& result,
               eckart::dtype stored) -> json_object {
  double seconds = 0;
  for (auto const& step : result.steps) {
    seconds += step.seconds;
  }
  json_object report;
  report["model"] = name_of_model(before);
  report["method"] = command.method;
  report["targets"] = command.targets;
  report["objective"] = result.plan.objective;
  report["calibration"] = {{"dialogues", result.calibration_dialogues},
                           {"fingerprint", result.calibration_fingerprint},
                           {"decoder_inputs", result.decoder_inputs}};
  report["cost"] = {
      {"of", command.budget_of}, {"dense", result.dense_cost}, {"compressed", result.cost}};
  report["parameters"] = {{"targets_dense", planned_parameters(result.plan, true)},
                          {"targets_compressed", planned_parameters(result.plan, false)},
                          {"model_dense", result.dense_parameters},
                          {"model_compressed", result.model.parameters()}};
  report["file_bytes"] = {{"dense", weight_bytes(before)}, {"compressed", weight_bytes(after)}};
  std::ostringstream type;
  type << stored;
  report["dtype"] = type.str();
  report["rounding_error"] = rounding_error(result.model, after);
  report["predicted_loss"] =
      std::accumulate(result.plan.layers.begin(), result.plan.layers.end(), 0.0,
                      [](double sum, auto const& layer) { return sum + layer.predicted_loss; });
  report["end_bias"] = result.end_bias;
  report["device"] = command.device.name();
  report["seconds"] = seconds;
  for (auto const& step : result.steps) {
    report["steps"].push_back({{"name", step.name},
                               {"seconds", step.seconds},
                               {"share", seconds > 0 ? step.seconds / seconds : 0},
                               {"device", step.device}});
  }
  report["peak_memory_bytes"] = peak_memory();
  report["layers"] = layers_json(result.plan);
  return report;
}

void write_report(std::ostream& out, compress_command const& command,
                  compression_outcome const& result, json_object const& report) {
  fmt::print(out, "{:<44}{:>12}{:>12}{:>6}{:>12}{:>10}\n", "layer", "shape", "form", "rank",
             "parameters", "loss");
  for (auto const& layer : result.plan.layers) {
    fmt::print(out, "{:<44}{:>12}{:>12}{:>6}{:>12}{:>10.4f}\n", layer.name,
               fmt::format("{} x {}", layer.shape.rows, layer.shape.cols),
               eckart::name_of(layer.stored_as), layer.rank,
               grouped(eckart::plan_parameters(layer)), layer.predicted_loss);
  }
  auto const& parameters = report["parameters"];
  auto const line = [&](char const* what, std::uint64_t dense, std::uint64_t compressed) {
    fmt::print(out, "{:<20}{:>15} -> {:>13}   {:.3f}\n", what, grouped(dense), grouped(compressed),
               static_cast<double>(compressed) / static_cast<double>(dense));
  };
  fmt::print(out, "\n{} -> {}, {}, {} dialogues\n", report["model"].get<std::string>(),
             command.out.string(), command.method, result.calibration_dialogues);
  line("target weights", parameters["targets_dense"], parameters["targets_compressed"]);
  line("model, parameters", parameters["model_dense"], parameters["model_compressed"]);
  line("file, bytes", report["file_bytes"]["dense"], report["file_bytes"]["compressed"]);
  fmt::print(out, "stored as {}, which changes no weight by more than {:.1e} of its norm\n",
             report["dtype"].get<std::string>(), report["rounding_error"].get<double>());
  if (result.end_bias != 0) {
    fmt::print(out, "{:+.2f} to the logit of the end token, or texts would be too short\n",
               result.end_bias);
  }
  if (command.device.is_cuda()) {
    fmt::print(out, "gpu: {}\n", report["device"].get<std::string>());
  }
  fmt::print(out, "{:.1f} s:", report["seconds"].get<double>());
  for (auto const& step : result.steps) {
    auto const place = command.device.is_cuda() ? fmt::format(" ({})", step.device) : std::string();
    fmt::print(out, " {} {:.0f} %{}{}", step.name,
               100 * step.seconds / report["seconds"].get<double>(), place,
               &step == &result.steps.back() ? "" : ",");
  }
  fmt::print(out, "\n{} MB of memory at most\n",
             report["peak_memory_bytes"].get<std::uint64_t>() / 1'000'000);
}

}  // namespace program
