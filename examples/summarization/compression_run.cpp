#include "compression_run.hpp"

#include "calibrate.hpp"
#include "compression_engine.hpp"
#include "fingerprint.hpp"
#include "interrupt.hpp"
#include "layer_store.hpp"
#include "terminal.hpp"

#include <eckart/io/file.hpp>
#include <eckart/io/json.hpp>
#include <eckart/models/bart/load.hpp>
#include <eckart/models/bart_metrics.hpp>
#include <eckart/models/compress_sequentially.hpp>
#include <eckart/models/compression_plan_file.hpp>
#include <eckart/models/end_bias.hpp>
#include <eckart/models/fold_bart.hpp>
#include <eckart/models/gather_moments.hpp>
#include <eckart/models/latency_table.hpp>
#include <eckart/models/layer_timing.hpp>
#include <eckart/models/moments_file.hpp>
#include <eckart/models/sensitivity.hpp>
#include <eckart/version.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

namespace program {

namespace {

constexpr eckart::index_t beams = 4;
constexpr auto wholly = "gpu";          // steps that a GPU takes over
constexpr auto partly = "cpu and gpu";  // the model's own passes stay
constexpr auto all_dialogues = std::numeric_limits<std::size_t>::max();

/// What the parts of a run have in common, and their times.
class compression_run {
 public:
  compression_run(compress_command const& command, std::filesystem::path const& directory)
      : command_(command),
        directory_(directory),
        line_(command.model.quiet),
        engine_(make_engine(command.device)),
        dense_(eckart::bart<float>::load(directory)) {}

  auto run() -> compression_outcome {
    auto const parameters = dense_.parameters();
    eckart::fold(dense_);
    read();
    if (is_sequential() && std::filesystem::exists(layers_folder(command_))) {
      open_store();
    }
    auto const moments = gather();
    auto bases = fit(moments);
    auto plan = make_plan(bases);
    auto const cost = cost_model();
    compression_outcome result{compressed(bases, plan),
                               plan,
                               eckart::planned_cost(dense_.config(), bases, plan, cost),
                               eckart::dense_cost(bases, cost),
                               parameters,
                               {},
                               dialogues_,
                               fingerprint_,
                               decoder_inputs_,
                               0};
    fold_again(result.model);
    if (end_) {
      auto const at = static_cast<std::size_t>(*end_);
      result.end_bias = result.model.final_logits_bias()[at] - dense_.final_logits_bias()[at];
    }
    result.steps = std::move(steps_);
    return result;
  }

 private:
  /// The fit gives every layer a bias, of which those of keys and values are again not needed.
  static void fold_again(eckart::bart<float>& model) {
    model.visit_attentions([](std::string const&, eckart::multi_head_attention<float>& a) {
      if (a.k_proj) {
        eckart::drop_key_bias(a);
        eckart::fold_value_bias(a);
      }
    });
  }

  /// f(), timed. `device` is where it computes if a GPU was chosen.
  template <class F>
  auto timed(std::string name, F f, std::string const& device = "cpu") {
    stopwatch const clock;
    auto result = f();
    steps_.push_back(
        {std::move(name), clock.seconds(), command_.device.is_cuda() ? device : "cpu"});
    return result;
  }

  auto shown(std::string what) -> eckart::site_progress {
    return [this, what = std::move(what)](eckart::index_t done, eckart::index_t total,
                                          std::string const& name) {
      if (interrupted()) {
        throw interruption(command_.method == "sequential" ? "interrupted; the same command goes on"
                                                           : "interrupted, nothing was written");
      }
      line_.show(fmt::format("{} {}/{} {}", what, done + 1, total, name));
    };
  }

  auto is_sequential() const -> bool { return command_.method == "sequential"; }
  auto is_plain() const -> bool { return command_.method == "svd"; }
  auto has_moments_file() const -> bool {
    return command_.calibration.data.file.extension() == ".safetensors";
  }

  void read() {
    auto const& file = command_.calibration.data.file;
    if (file.empty()) {
      if (!is_plain()) {
        throw eckart::error("compress: --calibration is required, but for --method svd");
      }
      return;
    }
    if (has_moments_file()) {
      if (is_sequential() || command_.sensitivity > 0 || command_.budget_of != "bytes") {
        throw eckart::error(
            "compress: --calibration names moments, but --method sequential, --sensitivity and "
            "budgets of FLOPs or time need the dialogues themselves");
      }
      return;
    }
    timed("reading", [&] {
      text_side const text(directory_, {}, dense_.config());
      set_ = read_calibration(command_.calibration, dense_, text, command_.model.quiet);
      auto const& ends = text.options.eos_token_id;
      if (!command_.keep_end_bias && !is_plain() && !ends.empty()) {
        end_ = ends.front();
      }
      return 0;
    });
    dialogues_ = set_->sources.size();
    fingerprint_ = set_->fingerprint;
    decoder_inputs_ = command_.calibration.decoder_inputs;
  }

  auto gather() -> eckart::bart_moments {
    if (is_plain()) {
      return {};
    }
    if (has_moments_file()) {
      auto loaded = eckart::load_moments(command_.calibration.data.file);
      // The data are not at hand: whatever they were, they are the file's.
      eckart::check_origin(loaded.origin, model_fingerprint(directory_), loaded.origin.data,
                           command_.calibration.data.file.string());
      dialogues_ = loaded.origin.examples;
      fingerprint_ = loaded.origin.data;
      decoder_inputs_ = loaded.origin.decoder_inputs;
      return std::move(loaded.moments);
    }
    return timed(
        "calibration",
        [&] {
          auto const count = is_sequential() ? command_.plan_dialogues : all_dialogues;
          return eckart::gather_moments(dense_, set_->tokens(dense_.config(), count),
                                        shown("calibrating"), *engine_);
        },
        partly);
  }

  auto target_names() const -> eckart::target_list {
    model_choice choice;
    choice.targets = command_.targets;
    return choice.target_names();
  }

  auto fit(eckart::bart_moments const& moments) -> eckart::bart_bases<float> {
    auto const targets = target_names();
    eckart::bart_fit_options options;
    options.whitened = !is_plain();
    options.fit = {.centred = command_.method != "whitened", .shrinkage = command_.shrinkage};
    if (!is_plain() && !command_.identity_metric) {
      options.metrics = timed("metrics", [&] { return eckart::bart_metrics(dense_, moments); });
    }
    auto bases = timed(
        "decompositions",
        [&] {
          return eckart::fit_layers(dense_, moments, targets, options, shown("decomposing"),
                                    *engine_);
        },
        wholly);
    if (command_.sensitivity > 0) {
      auto const weights = timed("sensitivity", [&] {
        auto const count = std::min(command_.sensitivity, set_->sources.size());
        return eckart::measured_sensitivity(dense_, bases, std::span(set_->sources).first(count),
                                            std::span(set_->labels).first(count), {},
                                            shown("sensitivity"));
      });
      eckart::weigh(bases, weights);
    }
    if (!is_plain() && !command_.no_joint && (command_.budget || !command_.plan.empty())) {
      timed(
          "joint layers",
          [&] {
            eckart::fit_joint_layers(dense_, moments, bases, options.fit, *engine_);
            return 0;
          },
          wholly);
    }
    return bases;
  }

  /// Tokens of a typical text; of the calibration where there is one.
  auto cost_model() const -> eckart::layer_cost {
    if (command_.budget_of == "bytes") {
      return eckart::parameter_cost(eckart::shares_output_table(dense_));
    }
    eckart::index_t source = 128;
    eckart::index_t steps = 24;
    if (set_ && !set_->sources.empty()) {
      auto const count = static_cast<eckart::index_t>(set_->sources.size());
      auto const tokens = set_->tokens(dense_.config(), all_dialogues);
      source = std::max<eckart::index_t>(1, tokens.sources.tokens() / count);
      steps = std::max<eckart::index_t>(1, tokens.targets.tokens() / count);
    }
    if (command_.budget_of == "flops") {
      return eckart::flop_cost(source, steps * beams);
    }
    if (!times_) {
      times_ = command_.latency_table.empty()
                   ? eckart::time_cost<float>(source, steps, beams)
                   : eckart::time_cost(eckart::read_latency_table(command_.latency_table), source,
                                       steps, beams);
    }
    return *times_;
  }

  auto forms() const -> std::vector<eckart::form> {
    if (command_.form == "auto") {
      return {eckart::form::two_factor, eckart::form::pivoted};
    }
    return {*std::ranges::find(eckart::all_factor_forms, command_.form, eckart::name_of)};
  }

  /// The plan; that of an unfinished run, whose layers fit no other, where there is one.
  auto make_plan(eckart::bart_bases<float> const& bases) -> eckart::compression_plan {
    if (store_ && std::filesystem::exists(store_->plan_file())) {
      return eckart::read_compression_plan(store_->plan_file());
    }
    auto plan = new_plan(bases);
    if (is_sequential()) {
      if (!store_) {  // only now, so that what is refused before leaves nothing behind
        open_store();
      }
      eckart::write_compression_plan(store_->plan_file(), plan);
    }
    return plan;
  }

  void open_store() { store_.emplace(layers_folder(command_), circumstances(), command_.restart); }

  auto new_plan(eckart::bart_bases<float> const& bases) -> eckart::compression_plan {
    if (!command_.plan.empty()) {
      auto plan = eckart::read_compression_plan(command_.plan);
      check_names(plan, bases);
      return plan;
    }
    return timed("plan", [&] {
      if (command_.budget) {
        auto const cost = cost_model();
        auto const dense = eckart::dense_cost(bases, cost);
        if (dense == 0) {  // lm_head alone, in bytes
          throw eckart::error(
              "compress: the word embeddings keep the table of lm_head, so that factors of it save "
              "no bytes; give --budget-of flops or time, --rank or --rank-ratio");
        }
        auto const most = *command_.budget * static_cast<double>(dense);
        return eckart::plan_layers(dense_.config(), bases,
                                   static_cast<std::uint64_t>(std::floor(most)),
                                   {forms(), command_.rank_step, cost});
      }
      return eckart::uniform_plan(
          dense_.config(), bases, forms().back(), [&](eckart::shape2 shape) -> eckart::index_t {
            if (command_.rank) {
              return *command_.rank;
            }
            auto const most = std::min(shape.rows, shape.cols);
            auto const share = *command_.rank_ratio;
            return std::max<eckart::index_t>(1, std::lround(share * static_cast<double>(most)));
          });
    });
  }

  /// A plan that somebody has edited names layers of this model that were fitted.
  void check_names(eckart::compression_plan const& plan,
                   eckart::bart_bases<float> const& bases) const {
    std::vector<eckart::named_shape> shapes;
    for (auto const& [name, basis] : bases.layers) {
      shapes.push_back({name, basis.shape()});
    }
    eckart::check_plan(plan, shapes, command_.plan.string());
    if (command_.budget) {
      auto const cost = cost_model();
      auto const dense = eckart::dense_cost(bases, cost);
      auto const total = eckart::planned_cost(dense_.config(), bases, plan, cost);
      if (static_cast<double>(total) > *command_.budget * static_cast<double>(dense)) {
        throw eckart::shape_error(fmt::format(
            "{}: the plan costs {} of the dense layers' {} ({}), above the budget {}",
            command_.plan.string(), total, dense, command_.budget_of, *command_.budget));
      }
    }
  }

  auto compressed(eckart::bart_bases<float> const& bases, eckart::compression_plan const& plan)
      -> eckart::bart<float> {
    if (!is_sequential()) {
      return timed("factors", [&] {
        auto model = dense_;
        eckart::apply_plan(model, bases, plan);
        if (end_) {
          auto const data = set_->tokens(dense_.config(), command_.plan_dialogues);
          eckart::match_end(dense_, model, data, *end_);
        }
        return model;
      });
    }
    auto const& store = *store_;
    if (store.count() > 0 && !command_.model.quiet) {
      std::cerr << fmt::format("eckart: continuing: {} layers are there\n", store.count());
    }
    eckart::sequential_options<float> options;
    options.ridge = command_.ridge;
    options.end = end_;
    options.known = [&](std::string const& name) { return store.find(name); };
    options.keep = [&](std::string const& name, eckart::linear<float> const& layer) {
      store.keep(name, layer);
    };
    return timed(
        "sequential pass",
        [&] {
          return eckart::compress_sequentially(dense_, set_->tokens(dense_.config(), all_dialogues),
                                               bases, plan, options, shown("fitting"), *engine_);
        },
        partly);
  }

  /// What fitted layers depend on.
  auto circumstances() const -> std::string {
    fingerprint hash;
    hash.add(model_fingerprint(directory_));
    hash.add(fingerprint_);
    for (auto const& file : {command_.plan, command_.latency_table}) {
      hash.add(file.empty() ? std::string() : eckart::read_text(file));
    }
    hash.add(fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {}", command_.targets,
                         command_.budget.value_or(0), command_.budget_of,
                         command_.rank_ratio.value_or(0), command_.rank.value_or(0), command_.form,
                         command_.rank_step, command_.shrinkage, command_.ridge,
                         command_.identity_metric, command_.no_joint, command_.plan_dialogues,
                         command_.sensitivity));
    if (command_.device.is_cuda()) {
      hash.add(command_.device.name());
    }
    return fmt::format("{}.{}.{} {}", ECKART_VERSION_MAJOR, ECKART_VERSION_MINOR,
                       ECKART_VERSION_PATCH, hash.text());
  }

  compress_command const& command_;
  std::filesystem::path directory_;
  progress_line line_;
  std::unique_ptr<compression_engine> engine_;
  eckart::bart<float> dense_;
  std::optional<calibration_set> set_;
  std::optional<eckart::token_id> end_;  ///< whose probability is to be kept
  std::optional<layer_store> store_;
  std::size_t dialogues_ = 0;
  std::string fingerprint_;
  std::string decoder_inputs_;
  std::vector<timed_step> steps_;
  mutable std::optional<eckart::layer_cost> times_;
};

}  // namespace

auto layers_folder(compress_command const& command) -> std::filesystem::path {
  auto folder = command.out;
  folder += ".layers";
  return folder;
}

auto run_compression(compress_command const& command, std::filesystem::path const& directory)
    -> compression_outcome {
  return compression_run(command, directory).run();
}

}  // namespace program
