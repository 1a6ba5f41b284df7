#include "sweep.hpp"

#include "interrupt.hpp"
#include "report.hpp"
#include "sweep_files.hpp"
#include "sweep_run.hpp"

#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>
#include <eckart/models/bart/load.hpp>

#include <fmt/format.h>

#include <iostream>
#include <span>

namespace program {

namespace {

void write_files(std::filesystem::path const& out, sweep_result const& result) {
  eckart::write_atomically(out / "sweep.csv", [&](std::ostream& to) { write_csv(to, result); });
  eckart::write_atomically(out / "sweep.json",
                           [&](std::ostream& to) { to << to_json(result).dump(2) << '\n'; });
  eckart::write_atomically(out / "report.html", [&](std::ostream& to) { write_html(to, result); });
}

void add_measurement(CLI::App& command, sweep_options& options) {
  auto const group = "Measurement";
  auto& e = options.evaluation;
  e.add_to(command, group);
  command.add_option("--resamples", e.intervals.resamples, "of the bootstrap")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
  command.add_option("--seed", e.intervals.seed, "of the bootstrap")
      ->capture_default_str()
      ->group(group);
  command.add_option("--level", e.intervals.level, "of the intervals")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--compare", options.compare,
                  "compare states with the dense model's on the first N examples")
      ->check(CLI::PositiveNumber)
      ->option_text("N")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--show", options.show,
                  "ids of dialogues whose summaries are shown (default: the first 2)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->option_text("ID,...")
      ->group(group);
  command
      .add_flag_callback(
          "--no-times", [&options] { options.times = false; },
          "without seconds: the same run then writes the same bytes")
      ->group(group);
}

}  // namespace

void sweep_command::add_to(CLI::App& app) {
  auto* command = app.add_subcommand(
      "sweep", "Measure a model at falling ranks beside the dense one; write a report");
  choice.add_to(*command);
  command
      ->add_option("--out", out,
                   "directory for sweep.csv, sweep.json, report.html and state/, from which the "
                   "same command goes on where it was ended")
      ->option_text("DIR")
      ->required();
  command->add_flag("--restart", restart, "remove what DIR/state holds and begin anew");
  command->add_flag("--json", json, "write the result as JSON instead of a table");
  model.add_model_to(*command);
  data.add_to(*command);
  add_measurement(*command, options);
  generation.add_to(*command);
  command->callback([this] { run(); });
}

void sweep_command::run() const {
  options.evaluation.check();
  auto const one = 0.0;  // refuses bad options of the intervals before the work
  eckart::mean_interval(std::span(&one, 1), options.evaluation.intervals);
  sweep_progress progress(model.quiet);
  auto const examples = read_dataset(data);
  for (auto const& fault : examples.faults) {
    progress.note(eckart::message(fault, "; left out"));
  }
  model.prepare_blas();
  auto const directory = model.location();
  auto const dense = eckart::bart<float>::load(directory);
  text_side const text(directory, generation, dense.config());
  sweep_subject const subject{directory, data.file, dense, text, examples};
  auto const plan = plan_sweep(choice, dense);
  sweep_state state(out, settings_of(subject, options), restart);

  install_interrupt_handler();
  auto const outcome = run_sweep(subject, plan, options, state, progress, interrupted);
  progress.end();
  if (!outcome.result) {
    throw interruption("interrupted before any model was finished");
  }
  write_files(out, *outcome.result);
  if (json) {
    std::cout << to_json(*outcome.result).dump(2) << '\n';
  } else {
    write_table(std::cout, *outcome.result);
  }
  std::cout << std::flush;
  if (!outcome.complete) {
    throw interruption(fmt::format("interrupted with {} of {} models; the same command goes on",
                                   outcome.found + outcome.computed, plan.steps.size() + 1));
  }
}

}  // namespace program
