#pragma once

#include "eckart/core/parallel.hpp"
#include "eckart/models/calibration_walk.hpp"
#include "eckart/nn/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// A compressed model is less sure of everything, so also of not being done: it ends its texts too
/// early. One number mends that, an addition to the logit of the end token.
namespace eckart {
inline namespace v0 {

namespace detail {

/// p of log(p / (1 - p)).
inline auto probability(double log_odds) -> double {
  return 1 / (1 + std::exp(-log_odds));
}

/// Mean probability of the log-odds, each raised by `shift`.
inline auto mean_probability(std::span<double const> log_odds, double shift) -> double {
  auto const sum =
      std::accumulate(log_odds.begin(), log_odds.end(), 0.0,
                      [&](double s, double one) { return s + probability(one + shift); });
  return sum / static_cast<double>(log_odds.size());
}

}  // namespace detail

/// What has to be added to the log-odds of one model for their mean probability to be that of the
/// other's; at most 20 up or down. The mean grows with the shift, which is found by bisection to
/// 20 / 2^50. 0 for no log-odds.
inline auto matching_shift(std::span<double const> wanted, std::span<double const> log_odds)
    -> double {
  if (wanted.empty() || log_odds.empty()) {
    return 0;
  }
  auto const goal = detail::mean_probability(wanted, 0);
  double low = -20;
  double high = 20;
  for (int i = 0; i < 51; ++i) {
    auto const middle = (low + high) / 2;
    (detail::mean_probability(log_odds, middle) < goal ? low : high) = middle;
  }
  return (low + high) / 2;
}

/// Collects from a walk of two models what their output layers read at positions where the text
/// goes on, and then tells what the second model's logit of the end token lacks.
template <real T>
class end_matcher {
 public:
  /// Positions that are read at most. Their mean is known well enough, and each costs the logits of
  /// both models.
  static constexpr index_t most_positions = 8192;

  explicit end_matcher(packed_sequences const& targets) {
    for (index_t i = 0; i < targets.count(); ++i) {
      last_.push_back(targets.start(i) + targets.length(i) - 1);
    }
  }

  void inputs(std::string const& site, matrix_view<T const> own, matrix_view<T const> changing) {
    if (site != lm_head_name) {
      return;
    }
    for (index_t i = 0; i < own.rows; ++i, ++position_) {
      if (next_ < last_.size() && position_ == last_[next_]) {
        ++next_;
      } else if (count_ < most_positions) {
        own_.insert(own_.end(), own.row(i).begin(), own.row(i).end());
        changing_.insert(changing_.end(), changing.row(i).begin(), changing.row(i).end());
        ++count_;
      }
    }
  }

  /// The addition to the logit of `end` in `changed` that makes its mean probability at these
  /// positions that of `original`. Throws numerical_error where a logit is not finite.
  auto bias(bart<T> const& original, bart<T> const& changed, token_id end) const -> T {
    auto const wanted = log_odds(original, own_, end);
    auto const is = log_odds(changed, changing_, end);
    return static_cast<T>(matching_shift(wanted, is));
  }

 private:
  auto log_odds(bart<T> const& model, std::vector<T> const& states, token_id token) const
      -> std::vector<double> {
    constexpr index_t at_once = 256;
    auto const& c = model.config();
    if (token < 0 || token >= c.vocab_size) {
      throw shape_error(
          message("end_matcher: token ", token, " is outside the vocabulary of ", c.vocab_size));
    }
    auto const all = matrix_view<T const>(states.data(), count_, c.d_model, c.d_model);
    auto logits = make_matrix<T>({std::min(at_once, std::max<index_t>(count_, 1)), c.vocab_size});
    workspace<T> scratch;
    std::vector<double> result(static_cast<std::size_t>(count_));
    for (index_t first = 0; first < count_; first += at_once) {
      auto const rows = std::min(at_once, count_ - first);
      auto const block = as_view(logits).row_range(0, rows);
      model.logits(all.row_range(first, rows), block, scratch);
      parallel_for(rows, [&](index_t i) {
        auto& of_token = block(i, token);
        auto const logit =
            static_cast<double>(std::exchange(of_token, -std::numeric_limits<T>::infinity()));
        result[static_cast<std::size_t>(first + i)] =
            logit - log_sum_exp(std::span<T const>(block.row(i)));
      });
    }
    if (auto const bad =
            std::ranges::find_if_not(result, [](double x) { return std::isfinite(x); });
        bad != result.end()) {
      throw numerical_error(
          message("end_matcher: the logits of position ", bad - result.begin(), " are not finite"),
          0);
    }
    return result;
  }

  std::vector<index_t> last_;  // position of the last token of each target
  std::size_t next_ = 0;       // among them
  index_t position_ = 0;       // of the next row
  index_t count_ = 0;          // rows of own_ and changing_
  std::vector<T> own_;         // (count, d_model)
  std::vector<T> changing_;    // (count, d_model)
};

/// Changes the bias of the end token's logit such that, where the calibration's texts go on, the
/// model ends them with the original's mean probability; answers by how much. Both models have the
/// same d_model and vocabulary. A forward pass of each; throws as end_matcher.
template <real T>
auto match_end(bart<T> const& original, bart<T>& model, calibration_tokens const& data,
               token_id end) -> T {
  struct handler {
    end_matcher<T> matcher;

    void inputs(std::string const& site, matrix_view<T const> own, matrix_view<T const> changing) {
      matcher.inputs(site, own, changing);
    }
    void sums(std::string const&, matrix_view<T const>, matrix_view<T const>) {}
    void finish(std::string const&) {}
  };
  handler seen{end_matcher<T>(data.targets)};
  walk(original, std::as_const(model), data, seen);
  auto const shift = seen.matcher.bias(original, model, end);
  model.add_to_logits_bias(end, shift);
  return shift;
}

}  // namespace v0
}  // namespace eckart
