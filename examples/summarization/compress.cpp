#include "compress.hpp"

#include "calibrate.hpp"
#include "compression_report.hpp"
#include "compression_run.hpp"
#include "interrupt.hpp"

#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>
#include <eckart/io/safetensors_archive.hpp>
#include <eckart/models/bart/int8.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/bart/save.hpp>
#include <eckart/models/compression_plan_file.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <iostream>
#include <map>
#include <system_error>

namespace program {

namespace {

/// The element type of most numbers of a model's files.
auto dtype_of_model(std::filesystem::path const& directory) -> eckart::dtype {
  auto const archive = eckart::safetensors_archive(directory);
  std::map<eckart::dtype, std::size_t> bytes;
  for (auto const& name : archive.names()) {
    bytes[archive.info(name).type] += archive.bytes(name).size();
  }
  return std::ranges::max_element(bytes, {}, [](auto const& one) { return one.second; })->first;
}

auto stored_type(compress_command const& command, std::filesystem::path const& directory)
    -> eckart::dtype {
  static std::map<std::string, eckart::dtype> const types{
      {"f32", eckart::dtype::f32}, {"f16", eckart::dtype::f16}, {"bf16", eckart::dtype::bf16}};
  auto const found = types.find(command.dtype);
  return found == types.end() ? dtype_of_model(directory) : found->second;
}

void check(compress_command const& c) {
  auto const choices = int(c.budget.has_value()) + int(c.rank_ratio.has_value()) +
                       int(c.rank.has_value()) + int(!c.plan.empty() && !c.budget);
  if (choices != 1) {
    throw eckart::error(
        "compress: give one of --budget, --rank-ratio, --rank and --plan (--plan also with "
        "--budget, which it must keep)");
  }
  if (c.budget && !(*c.budget > 0 && *c.budget <= 1)) {
    throw eckart::error(fmt::format("compress: --budget {} is not in (0, 1]", *c.budget));
  }
  if (!c.latency_table.empty() && c.budget_of != "time") {
    throw eckart::error("compress: --latency-table is for --budget-of time");
  }
  if (c.rank_ratio && !(*c.rank_ratio > 0 && *c.rank_ratio <= 1)) {
    throw eckart::error(fmt::format("compress: --rank-ratio {} is not in (0, 1]", *c.rank_ratio));
  }
  std::error_code ignored;
  for (auto const& directory : {c.out, c.dense_out}) {
    if (!directory.empty() && std::filesystem::exists(directory, ignored)) {
      throw eckart::io_error(
          eckart::message(directory.string(), ": exists; eckart compress writes a new directory"),
          EEXIST);
    }
  }
}

/// Tokenizer and generation options, as they are.
void copy_text_files(std::filesystem::path const& from, std::filesystem::path const& to) {
  for (auto const& file : files_of_model(from)) {
    auto const name = file.filename().string();
    if (name != "config.json" && file.extension() != ".safetensors" &&
        !name.ends_with(".safetensors.index.json") && name != "plan.json" &&
        name != "report.json") {
      std::filesystem::copy_file(file, to / name);
    }
  }
}

void add_size(CLI::App& command, compress_command& c) {
  auto const group = "Size";
  command
      .add_option("--budget", c.budget,
                  "part of what the target layers cost that is left to them; ranks are allocated")
      ->option_text("B")
      ->group(group);
  command
      .add_option("--budget-of", c.budget_of,
                  "bytes of the weights, FLOPs of a typical text, or time measured here")
      ->check(CLI::IsMember({"bytes", "flops", "time"}))
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--latency-table", c.latency_table,
                  "times for --budget-of time, as bench_rank_pays writes them, in place of "
                  "measuring")
      ->option_text("FILE")
      ->check(CLI::ExistingFile)
      ->group(group);
  command
      .add_option("--rank-ratio", c.rank_ratio, "the same part of min(m, n) in every target layer")
      ->option_text("R")
      ->group(group);
  command.add_option("--rank", c.rank, "the same rank in every target layer")
      ->option_text("K")
      ->group(group);
  command.add_option("--plan", c.plan, "a plan.json, as this command writes it, perhaps edited")
      ->option_text("FILE")
      ->check(CLI::ExistingFile)
      ->group(group);
  command
      .add_option("--form", c.form,
                  "auto (the smallest), two-factor, pivoted, diagonal-core or full-core")
      ->check(CLI::IsMember({"auto", "two-factor", "pivoted", "diagonal-core", "full-core"}))
      ->capture_default_str()
      ->group(group);
  command.add_option("--rank-step", c.rank_step, "allocated ranks are multiples of it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
}

void add_fit(CLI::App& command, compress_command& c) {
  auto const group = "Fit";
  command
      .add_option("--method", c.method,
                  "svd: of the weights alone; whitened: for the second moments of the inputs; "
                  "centred: for their covariance, with a new bias; sequential: centred, each layer "
                  "for what the compressed layers before it give")
      ->check(CLI::IsMember({"svd", "whitened", "centred", "sequential"}))
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--targets", c.targets,
                  "layers to compress: attention, linear (and feed-forward), all (and the output "
                  "layer lm_head), or a list such as q_proj,fc1")
      ->option_text("attention|linear|all|LIST")
      ->capture_default_str()
      ->group(group);
  command
      .add_option(
          "--sensitivity", c.sensitivity,
          "weigh the layers by how the loss on N dialogues rises when each is cut alone; 0: "
          "all alike")
      ->option_text("N")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--plan-dialogues", c.plan_dialogues,
                  "dialogues for the plan of the sequential method, whose fit reads all, and for "
                  "the end token of the others")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--shrinkage", c.shrinkage,
                  "0: the data alone decide what matters, 1: all inputs alike")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  command.add_option("--ridge", c.ridge, "of the sequential method, part of the mean variance")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  command
      .add_flag("--identity-metric", c.identity_metric,
                "count errors of all outputs alike, not by what reads them")
      ->group(group);
  command
      .add_flag("--keep-end-bias", c.keep_end_bias,
                "do not correct how soon texts end: compressed models end them too early")
      ->group(group);
  command.add_flag("--no-joint", c.no_joint, "no layers that share a basis")->group(group);
}

}  // namespace

void compress_command::add_to(CLI::App& app) {
  auto* command = app.add_subcommand(
      "compress", "Make a smaller model: calibrate, plan the ranks, fit the factors, save");
  calibration.add_to(*command);
  command->get_option("--calibration")
      ->required(false)
      ->description(
          "dialogues with summaries: .jsonl, .json, .csv or .tsv (512 random ones unless "
          "--limit is given), or moments of eckart calibrate: .safetensors");
  add_size(*command, *this);
  add_fit(*command, *this);
  command->add_option("--out", out, "directory to write, which all commands take as --model")
      ->option_text("DIR")
      ->required();
  command
      ->add_option("--export-dense", dense_out,
                   "also write the approximated weights as a plain Hugging Face checkpoint")
      ->option_text("DIR");
  command->add_option("--dtype", dtype, "of the stored numbers; auto: as the model has them")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16"}))
      ->capture_default_str();
  command->add_flag("--int8", int8,
                    "8 bits a number for the linear layers that are not in factors and the output "
                    "layer: a quarter of their bytes");
  command->add_flag("--restart", restart,
                    "do not go on from the layers of an unfinished run (DIR.layers)");
  command->add_flag("--json", json, "print the report as JSON");
  model.add_model_to(*command);
  device.add_device_to(
      *command,
      "On a GPU layers are decomposed and fitted there, and the products of the calibration's "
      "moments; the model's own passes over the calibration, metrics, sensitivity, plan, end token "
      "and files stay on the processor");
  command->callback([this] { run(); });
}

void compress_command::run() const {
  install_interrupt_handler();
  device.name();
  check(*this);
  model.prepare_blas();
  auto const directory = model.location();
  auto result = run_compression(*this, directory);
  if (int8) {
    eckart::use_int8(result.model);
  }
  auto const config = eckart::read_json(directory / "config.json");
  auto const type = stored_type(*this, directory);

  eckart::detail::temporary_folder stage(out);
  eckart::save_bart(stage.path(), result.model, config, {type, method});
  copy_text_files(directory, stage.path());
  eckart::write_compression_plan(stage.path() / "plan.json", result.plan);
  auto const report = report_on(*this, directory, stage.path(), result, type);
  eckart::write_atomically(stage.path() / "report.json",
                           [&](std::ostream& to) { to << report.dump(2) << '\n'; });
  if (!dense_out.empty()) {
    eckart::detail::temporary_folder dense(dense_out);
    auto const saved = eckart::bart<float>::load(stage.path());
    eckart::export_dense(dense.path(), saved, config, eckart::dtype::f32);
    copy_text_files(directory, dense.path());
    dense.move_into_place();
  }
  stage.move_into_place();
  if (method == "sequential") {
    std::filesystem::remove_all(layers_folder(*this));
  }
  if (json) {
    std::cout << report.dump(2) << '\n';
  } else {
    write_report(std::cout, *this, result, report);
  }
}

}  // namespace program
