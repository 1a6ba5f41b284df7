#include "sweep_run.hpp"

#include "model_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

namespace program {

namespace {

using eckart::index_t;

/// Thrown where nothing but an exception ends the work early.
struct stopped {};

/// Places of the dialogues whose summaries are shown.
auto shown_places(dataset const& data, std::vector<std::string> const& ids)
    -> std::vector<std::size_t> {
  std::vector<std::size_t> places;
  if (ids.empty()) {
    for (std::size_t i = 0; i < std::min<std::size_t>(2, data.examples.size()); ++i) {
      places.push_back(i);
    }
  }
  for (auto const& id : ids) {
    auto const found = std::ranges::find(data.examples, id, &example::id);
    if (found == data.examples.end()) {
      throw eckart::shape_error(eckart::message("sweep: no example has the id '", id, "' to show"));
    }
    places.push_back(static_cast<std::size_t>(found - data.examples.begin()));
  }
  return places;
}

/// The decompositions of all targets, made when the first of them is needed.
class shared_decomposition {
 public:
  explicit shared_decomposition(eckart::target_list targets) : targets_(std::move(targets)) {}

  /// Calls use(decomposition) with that of the layers in question. The factors are moved there and
  /// back, not copied.
  template <class Use>
  auto with(eckart::bart<float> const& model, target_set const& set, sweep_progress& progress,
            std::function<bool()> const& stop, Use const& use) {
    if (all_.layers.empty()) {
      all_ = eckart::decompose(
          model, targets_, [&](index_t done, index_t total, std::string const& name) {
            if (stop && stop()) {
              throw stopped{};
            }
            progress.prepare(fmt::format("decomposing {}/{} {}", done + 1, total, name));
          });
    }
    eckart::bart_decomposition<float> some;
    for (auto one = all_.layers.begin(); one != all_.layers.end();) {
      auto const next = std::next(one);
      if (eckart::matches_target(one->first, set.names)) {
        some.layers.insert(all_.layers.extract(one));
      }
      one = next;
    }
    auto result = use(some);
    all_.layers.merge(some.layers);
    return result;
  }

 private:
  eckart::target_list targets_;
  eckart::bart_decomposition<float> all_;
};

/// Measures models on the subject's examples.
class measurement {
 public:
  measurement(sweep_subject const& subject, sweep_options const& options, sweep_progress& progress,
              std::function<bool()> const& stop)
      : subject_(subject),
        options_(options),
        progress_(progress),
        stop_(stop),
        shown_(shown_places(subject.data, options.show)) {
    auto const& text = subject.text;
    eckart::encode_options const fitting{.max_length = text.max_positions};
    auto const count = std::min(options.compare, subject.data.examples.size());
    for (auto const& one : std::span(subject.data.examples).first(count)) {
      sources_.push_back(text.tokenizer.encode(one.dialogue, fitting));
      labels_.push_back(text.tokenizer.encode(one.references.front(), fitting));
    }
  }

  auto shown() const -> std::vector<shown_dialogue> {
    std::vector<shown_dialogue> dialogues;
    for (auto const place : shown_) {
      auto const& one = subject_.data.examples[place];
      dialogues.push_back({one.id, one.dialogue, one.references.front()});
    }
    return dialogues;
  }

  auto dense() const -> dense_record {
    sweep_point point;
    point.method = "dense";
    auto result = measure(subject_.dense, point);
    return {std::move(point), std::move(result)};
  }

  auto compressed(eckart::bart<float> const& model, sweep_step const& step,
                  evaluation const& dense) const -> sweep_point {
    sweep_point point;
    point.method = step.method;
    point.targets = step.targets.name;
    point.stored_as = step.stored_as;
    point.rank = step.rank;
    auto const result = measure(model, point);
    point.identical = identical_share(dense, result);
    point.difference = rouge_differences(dense, result, options_.evaluation.intervals);
    point.likeness = eckart::compare_models(subject_.dense, model, sources_, labels_);
    return point;
  }

 private:
  /// The figures that every model has. Throws `stopped`.
  auto measure(eckart::bart<float> const& model, sweep_point& point) const -> evaluation {
    auto result = evaluate(
        model, subject_.text, subject_.data.examples, options_.evaluation,
        [&](std::size_t done, std::size_t total) { progress_.examples_done(done, total); }, stop_);
    if (!result) {
      throw stopped{};
    }
    auto const figures = figures_of(model);
    point.parameters = figures.parameters;
    point.bytes = figures.bytes;
    point.encoder_flops = figures.encoder_flops;
    point.decoder_flops = figures.decoder_flops;
    point.quality = figures_of(*result, options_.evaluation);
    if (options_.times) {
      point.seconds = result->seconds;
    }
    for (auto const place : shown_) {
      point.summaries.push_back(result->rows[place].prediction);
    }
    return std::move(*result);
  }

  sweep_subject const& subject_;
  sweep_options const& options_;
  sweep_progress& progress_;
  std::function<bool()> const& stop_;
  std::vector<std::size_t> shown_;
  std::vector<token_ids> sources_;  // of the examples on which states are compared
  std::vector<token_ids> labels_;
};

auto compressed_copy(eckart::bart<float> const& dense, sweep_step const& step,
                     eckart::bart_decomposition<float> const& decomposition)
    -> eckart::bart<float> {
  auto model = dense;
  eckart::compress(model, decomposition, at_most_rank{step.rank}, step.stored_as);
  return model;
}

/// The result without its models.
auto frame_of(sweep_subject const& subject, sweep_plan const& plan, sweep_options const& options,
              measurement const& measure) -> sweep_result {
  sweep_result result;
  auto const whole = std::filesystem::weakly_canonical(subject.directory);
  result.model = whole.filename().string();
  result.data = subject.data_file.filename().string();
  result.fingerprint = subject.data.fingerprint;
  result.examples = subject.data.examples.size();
  result.device = options.evaluation.device.name();
  result.precision = options.evaluation.device.precision;
  result.generation = subject.text.generation_text();
  result.level = options.evaluation.intervals.level;
  result.shown = measure.shown();
  result.marks = plan.marks;
  return result;
}

/// The models of a sweep, finished or not.
struct sweep_models {
  std::optional<dense_record> dense;
  std::vector<std::optional<sweep_point>> points;  // by step

  auto finished() const -> std::size_t {
    auto const is_there = [](auto const& point) { return point.has_value(); };
    return static_cast<std::size_t>(std::ranges::count_if(points, is_there)) +
           (dense.has_value() ? 1U : 0U);
  }
};

/// All layers that a missing model replaces.
auto targets_of_missing(sweep_models const& models, sweep_plan const& plan) -> eckart::target_list {
  eckart::target_list all;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    for (auto const& name : plan.steps[i].targets.names) {
      if (!models.points[i] && std::ranges::find(all, name) == all.end()) {
        all.push_back(name);
      }
    }
  }
  return all;
}

void compute_missing(sweep_models& models, sweep_subject const& subject, sweep_plan const& plan,
                     measurement const& measure, sweep_state const& state, sweep_progress& progress,
                     std::function<bool()> const& stop) {
  if (!models.dense) {
    progress.begin_model("dense");
    auto dense = measure.dense();
    state.save(dense);
    progress.finish_model(dense.point);
    models.dense = std::move(dense);
  }
  shared_decomposition decompositions(targets_of_missing(models, plan));
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    auto const& step = plan.steps[i];
    if (models.points[i]) {
      continue;
    }
    auto const model = decompositions.with(
        subject.dense, step.targets, progress, stop,
        [&](auto const& some) { return compressed_copy(subject.dense, step, some); });
    progress.begin_model(description(step));
    auto point = measure.compressed(model, step, models.dense->result);
    state.save(step, point);
    progress.finish_model(point);
    models.points[i] = std::move(point);
  }
}

}  // namespace

auto run_sweep(sweep_subject const& subject, sweep_plan const& plan, sweep_options const& options,
               sweep_state& state, sweep_progress& progress, std::function<bool()> const& stop)
    -> sweep_outcome {
  measurement const measure(subject, options, progress, stop);
  sweep_models models{state.load_dense(), {}};
  for (auto const& step : plan.steps) {
    models.points.push_back(state.load(step));
  }
  sweep_outcome outcome;
  outcome.found = models.finished();
  for (auto const& note : state.notes()) {
    progress.note(note);
  }
  if (outcome.found > 0) {
    progress.note(
        fmt::format("continuing: {} of {} models are there", outcome.found, plan.steps.size() + 1));
  }
  progress.start(plan.steps.size() + 1, outcome.found);
  try {
    compute_missing(models, subject, plan, measure, state, progress, stop);
    outcome.complete = true;
  } catch (stopped) {
    outcome.complete = false;
  }
  outcome.computed = models.finished() - outcome.found;
  if (models.dense) {
    outcome.result = frame_of(subject, plan, options, measure);
    outcome.result->dense = std::move(models.dense->point);
    for (auto& point : models.points) {
      if (point) {
        outcome.result->points.push_back(std::move(*point));
      }
    }
  }
  return outcome;
}

}  // namespace program
