#include "calibrate.hpp"

#include "fingerprint.hpp"
#include "interrupt.hpp"
#include "terminal.hpp"

#include <eckart/io/json.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/fold_bart.hpp>
#include <eckart/models/gather_moments.hpp>
#include <eckart/models/moments_file.hpp>

#include <fmt/format.h>
#include <sys/resource.h>

#include <iostream>
#include <limits>

namespace program {

auto model_fingerprint(std::filesystem::path const& directory) -> std::string {
  fingerprint hash;
  for (auto const& file : files_of_model(directory)) {
    if (file.filename() == "config.json" || file.extension() == ".safetensors") {
      hash.add(fingerprint_of_file(file));
    }
  }
  return hash.text();
}

auto peak_memory() -> std::uint64_t {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

void calibrate_command::add_to(CLI::App& app) {
  auto* command = app.add_subcommand(
      "calibrate", "Gather the moments of what enters each linear layer, for eckart compress");
  calibration.add_to(*command);
  command->add_option("--out", out, "file to write, safetensors")->option_text("FILE")->required();
  model.add_model_to(*command);
  command->callback([this] { run(); });
}

void calibrate_command::run() const {
  install_interrupt_handler();
  model.prepare_blas();
  auto const directory = model.location();
  auto bart = eckart::bart<float>::load(directory);
  eckart::fold(bart);  // as eckart compress does, which moves the means of some inputs
  text_side const text(directory, {}, bart.config());
  auto const set = read_calibration(calibration, bart, text, model.quiet);
  auto const tokens = set.tokens(bart.config(), std::numeric_limits<std::size_t>::max());
  stopwatch clock;
  eckart::bart_moments moments;
  {
    progress_line line(model.quiet);
    moments = eckart::gather_moments(
        bart, tokens, [&](eckart::index_t done, eckart::index_t total, std::string const& site) {
          if (interrupted()) {
            throw interruption("interrupted, nothing was written");
          }
          line.show(fmt::format("calibrating {}/{} {}", done + 1, total, site));
        });
  }
  eckart::save_moments(out, moments,
                       {model_fingerprint(directory), set.fingerprint, set.sources.size(),
                        calibration.decoder_inputs});
  std::cout << fmt::format(
      "{} dialogues, {} source and {} summary tokens, {} inputs of layers, {:.1f} s, "
      "{} MB of memory at most\n",
      set.sources.size(), grouped(static_cast<std::uint64_t>(tokens.sources.tokens())),
      grouped(static_cast<std::uint64_t>(tokens.targets.tokens())), moments.size(), clock.seconds(),
      peak_memory() / 1'000'000);
}

}  // namespace program
