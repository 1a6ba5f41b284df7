#pragma once

#include "dataset.hpp"
#include "device_choice.hpp"
#include "text_side.hpp"

#include <eckart/eval/bootstrap.hpp>
#include <eckart/models/compare_models.hpp>
#include <eckart/models/teacher_forcing.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace program {

/// The ROUGE measures of the figures, in this order.
inline constexpr std::array<std::string_view, 4> rouge_names{"rouge1", "rouge2", "rougeL",
                                                             "rougeLsum"};

/// What a model did with one example.
struct example_result {
  std::string id;
  std::string prediction;
  token_ids ids;                ///< as generated, special tokens counted
  std::array<double, 4> rouge;  ///< F1 in percent, see rouge_names; of the best reference
  eckart::token_loss loss;      ///< of the first reference, teacher-forced
};

/// How the examples are run.
struct evaluation_options {
  device_choice device;                  ///< where summaries are written and losses measured
  std::optional<eckart::index_t> batch;  ///< examples generated together, of like length
  int jobs = 0;       ///< batches at a time, each on one thread; 0: all processors. None on a GPU
  bool stem = false;  ///< ROUGE on Porter stems
  eckart::bootstrap_options intervals;  ///< level, resamples, seed

  /// The batch: unless one was asked for, 8, on a GPU 64.
  auto batch_size() const -> eckart::index_t { return batch.value_or(device.is_cuda() ? 64 : 8); }
  /// Batches at a time.
  auto jobs_at_a_time() const -> int;

  /// Adds --device, --precision, --batch, --jobs and --stem.
  void add_to(CLI::App& command, std::string const& group);
  /// Throws what device_choice::name does, and error for jobs on a GPU.
  void check() const;
};

/// What one model did with all examples, in the order of the data.
struct evaluation {
  std::vector<example_result> rows;
  double seconds = 0;  ///< generation, all jobs together, on the clock
};

/// Figures over all examples.
struct quality_figures {
  std::array<eckart::mean_estimate, 4>
      rouge;                     ///< mean F1 in percent with interval, see rouge_names
  eckart::mean_estimate length;  ///< generated tokens
  double loss = 0;               ///< nats a reference token
  double perplexity = 0;
  std::uint64_t generated_tokens = 0;
};

/// Generates, scores and measures. The same rows for every number of jobs: batches do not depend on
/// it, and each runs on one thread. On a GPU in 16 bits they may depend on the batch. The GPU's
/// copy of the model is given back at the end. progress(done, total) after every batch, from one
/// thread at a time. `stop` is asked between batches; if it says yes the answer is nothing.
auto evaluate(eckart::bart<float> const& model, text_side const& text,
              std::span<example const> examples, evaluation_options const& options,
              std::function<void(std::size_t, std::size_t)> const& progress = {},
              std::function<bool()> const& stop = {}) -> std::optional<evaluation>;

/// Means and intervals of the rows.
auto figures_of(evaluation const& result, evaluation_options const& options) -> quality_figures;

/// Share of the examples for which both wrote the same ids.
auto identical_share(evaluation const& a, evaluation const& b) -> double;

/// other - dense in each of rouge_names, percent points, paired by example.
auto rouge_differences(evaluation const& dense, evaluation const& other,
                       eckart::bootstrap_options const& options)
    -> std::array<eckart::difference_estimate, 4>;

}  // namespace program
