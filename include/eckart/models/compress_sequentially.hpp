#pragma once

#include "eckart/models/calibration_walk.hpp"
#include "eckart/models/end_bias.hpp"
#include "eckart/models/plan_bart.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// What the sequential pass does.
template <real T>
struct sequential_options {
  double ridge = 1e-4;  ///< of the mean variance of the inputs
  /// The token whose probability where texts go on is to stay the original's (match_end).
  std::optional<token_id> end = {};

  /// A layer that an earlier run has fitted under the same circumstances, nothing if there is none;
  /// and what to do with one that is new: with both a run that was ended can go on.
  std::function<std::optional<linear<T>>(std::string const& name)> known = {};
  std::function<void(std::string const& name, linear<T> const&)> keep = {};
};

namespace detail {

/// Fits each site on what the walk tells, and puts the layers into the changing model.
template <real T, fit_engine Engine>
class sequential_fitter {
 public:
  sequential_fitter(bart<T> const& original, bart<T>& changing, calibration_tokens const& data,
                    bart_bases<T> const& bases, compression_plan const& plan,
                    sequential_options<T> const& options, site_progress const& progress,
                    Engine const& engine)
      : original_(original),
        layers_(bart_layers(original)),
        changing_(changing),
        bases_(bases),
        end_(data.targets),
        options_(options),
        progress_(progress),
        engine_(engine) {
    for (auto const& planned : plan.layers) {
      if (planned.stored_as != form::dense) {
        planned_.emplace(planned.name, planned);
      }
    }
    for (auto const& site : bart_sites(original.config())) {
      sites_.emplace(site.name, site);
    }
  }

  void inputs(std::string const& name, matrix_view<T const> own, matrix_view<T const> changing) {
    if (is_missing(name)) {
      of_layers_ = true;
      add(own, changing);
    }
    if (options_.end) {
      end_.inputs(name, own, changing);
    }
  }
  void sums(std::string const& name, matrix_view<T const> outputs, matrix_view<T const> changing) {
    if (is_missing(name)) {
      of_layers_ = false;
      add(outputs, changing);
    }
  }

  void finish(std::string const& name) {
    if (moments_) {
      fit_site(sites_.at(name));
    }
    moments_.reset();
  }

  /// After the walk.
  void match_end() {
    if (options_.end) {
      changing_.add_to_logits_bias(*options_.end, end_.bias(original_, changing_, *options_.end));
    }
  }

 private:
  /// Whether layers of a site have to be fitted; the first time, puts in those that are known.
  auto is_missing(std::string const& name) -> bool {
    auto const found = sites_.find(name);
    if (found == sites_.end()) {
      return false;
    }
    if (name != current_) {
      begin(found->second);
    }
    return !missing_.empty();
  }

  void add(matrix_view<T const> outputs, matrix_view<T const> inputs) {
    if (!moments_) {
      moments_.emplace(outputs.cols, inputs.cols);
    }
    moments_->add(outputs, inputs, engine_);
  }

  /// Puts in what is known of a site; the other planned layers of it are missing.
  void begin(linear_site const& site) {
    if (progress_) {
      progress_(done_, static_cast<index_t>(sites_.size()), site.name);
    }
    ++done_;
    current_ = site.name;
    missing_.clear();
    auto const look_up = [&](std::string const& name) {
      if (!planned_.contains(name)) {
        return;
      }
      if (auto known = options_.known ? options_.known(name) : std::nullopt) {
        changing_.replace(name, std::move(*known));
      } else {
        missing_.insert(name);
      }
    };
    std::ranges::for_each(site.members, look_up);
    if (site.can_be_joint()) {
      look_up(site.name);
    }
  }

  void put(std::string const& name, fitted_basis<T> const& basis) {
    auto layer = planned_linear(basis, planned_.at(name));
    if (options_.keep) {
      options_.keep(name, layer);
    }
    changing_.replace(name, std::move(layer));
  }

  void fit_site(linear_site const& site) {
    if (site.can_be_joint() && missing_.contains(site.name)) {
      auto const joint = joint_layer(members_of(site, original_));
      put(site.name, fit<T>(targets_of(joint.dense_weight(), as_span(*joint.bias())),
                            options_.ridge, joint_metric(site.members, bases_), engine_));
      return;
    }
    for (auto const& name : site.members) {
      if (missing_.contains(name)) {
        auto const& layer = layer_named(layers_, name);
        put(name, fit<T>(targets_of(layer.dense_weight(), layer.bias()), options_.ridge,
                         metric_of(bases_.metrics, name), engine_));
      }
    }
  }

  /// What the layer should answer: to the original's inputs what it answers there, or the sums.
  auto targets_of(matrix<T> const& weight, std::span<T const> bias) -> joint_moments {
    return of_layers_ ? joint_moments(weight, bias, *moments_) : std::move(*moments_);
  }

  bart<T> const& original_;
  std::vector<bart_layer<T>> layers_;  // of the original
  bart<T>& changing_;
  bart_bases<T> const& bases_;
  std::map<std::string, planned_layer> planned_;
  std::map<std::string, linear_site> sites_;
  std::string current_;                   // the site that is being told
  std::set<std::string> missing_;         // its layers that have to be fitted
  std::optional<joint_moments> moments_;  // of the outputs, and what the layers will read
  bool of_layers_ = false;                // the outputs are what the original's layers read
  end_matcher<T> end_;
  sequential_options<T> const& options_;
  site_progress const& progress_;
  Engine const& engine_;
  index_t done_ = 0;
};

}  // namespace detail

/// The model of a plan with each layer fitted, from the first to the last, to the inputs that the
/// layers before it really produce, so that it mends what they have lost (compress/whiten.hpp, the
/// function fit of joint moments). The engine multiplies and decomposes. Two forward passes and the
/// moments; no gradients.
template <real T, fit_engine Engine = host_engine>
auto compress_sequentially(bart<T> const& original, calibration_tokens const& data,
                           bart_bases<T> const& bases, compression_plan const& plan,
                           sequential_options<T> const& options = {},
                           site_progress const& progress = {}, Engine const& engine = {})
    -> bart<T> {
  refuse_overlap(original.config(), plan);
  auto changing = original;
  detail::sequential_fitter<T, Engine> fitter(original, changing, data, bases, plan, options,
                                              progress, engine);
  walk(original, std::as_const(changing), data, fitter);
  fitter.match_end();
  return changing;
}

}  // namespace v0
}  // namespace eckart
