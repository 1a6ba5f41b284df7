#pragma once

#include "eckart/models/bart/load.hpp"
#include "eckart/models/fit_bart.hpp"
#include "eckart/models/gather_moments.hpp"
#include "unit/models/calibration_fixture.hpp"

#include <cstddef>

namespace calibration_test {

/// The tiny model, calibrated on more tokens than its widest layer has inputs.
template <class T>
struct calibrated {
  eckart::bart<T> model = eckart::bart<T>::load(bart_test::tiny_model());
  examples data = some_examples(model.config(), 60);
  eckart::bart_moments moments = eckart::gather_moments(model, data.tokens);
  eckart::target_list targets = eckart::linear_targets();

  auto bases(bool with_metrics = false) const -> eckart::bart_bases<T> {
    eckart::bart_fit_options options;
    if (with_metrics) {
      options.metrics = eckart::bart_metrics(model, moments);
    }
    return eckart::fit_layers<T>(model, moments, targets, options);
  }
  auto states(eckart::bart<T> const& m) const -> recorder<T> {
    recorder<T> seen;
    eckart::walk(m, data.tokens, seen);
    return seen;
  }
  /// Mean squared difference of the decoder's output from the original's.
  auto distance(eckart::bart<T> const& m) const -> double {
    auto const a = states(model).own.at("lm_head");
    auto const b = states(m).own.at("lm_head");
    double sum = 0;
    for (std::size_t i = 0; i < a.numbers.size(); ++i) {
      auto const d = static_cast<double>(a.numbers[i] - b.numbers[i]);
      sum += d * d;
    }
    return sum / static_cast<double>(a.view().rows);
  }
};

}  // namespace calibration_test
