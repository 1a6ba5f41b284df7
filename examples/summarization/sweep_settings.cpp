#include "sweep_settings.hpp"

#include "fingerprint.hpp"
#include "model_choice.hpp"

#include <eckart/backend/blas_info.hpp>
#include <eckart/version.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace program {

auto settings_of(sweep_subject const& subject, sweep_options const& options)
    -> nlohmann::ordered_json {
  nlohmann::ordered_json settings;
  settings["data"] = subject.data.fingerprint;
  for (auto const& file : files_of_model(subject.directory)) {
    settings[file.filename().string()] = fingerprint_of_file(file);
  }
  // Options that the command line cannot change are in the model's files.
  auto const& generation = subject.text.options;
  auto const lengths = eckart::resolve_lengths(generation, subject.text.max_positions);
  settings["num-beams"] = generation.num_beams;
  settings["no-repeat-ngram-size"] = generation.no_repeat_ngram_size;
  settings["max-length"] = lengths.max_length;
  settings["min-length"] = lengths.min_length;
  settings["length-penalty"] = generation.length_penalty;
  settings["repetition-penalty"] = generation.repetition_penalty;
  settings["early-stopping"] = name_of(generation.early_stopping);
  auto const& evaluation = options.evaluation;
  if (evaluation.device.is_cuda()) {  // not told before there was a choice
    settings["device"] = evaluation.device.name();
    settings["precision"] = evaluation.device.precision;
  }
  settings["batch"] = evaluation.batch_size();
  settings["stem"] = evaluation.stem;
  settings["level"] = evaluation.intervals.level;
  settings["resamples"] = evaluation.intervals.resamples;
  settings["seed"] = evaluation.intervals.seed;
  settings["compare"] = options.compare;
  settings["show"] = options.show;
  settings["times"] = options.times;
  // Times of different numbers of threads cannot be compared.
  if (options.times && !evaluation.device.is_cuda()) {
    settings["jobs"] = evaluation.jobs > 0 ? evaluation.jobs : eckart::blas_info().threads;
  }
  settings["eckart"] =
      fmt::format("{}.{}.{}", ECKART_VERSION_MAJOR, ECKART_VERSION_MINOR, ECKART_VERSION_PATCH);
  return settings;
}

}  // namespace program
