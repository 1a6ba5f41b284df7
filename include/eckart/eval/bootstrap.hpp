#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

/// How sure a mean over examples is: the bootstrap of Efron and Tibshirani 1993, "An Introduction
/// to the Bootstrap". The examples must be independent of each other.
namespace eckart {
inline namespace v0 {

struct bootstrap_options {
  double level = 0.95;         ///< share of resamples that the interval holds, in (0, 1)
  index_t resamples = 10'000;  ///< at least 2 / (1 - level) - 1
  std::uint64_t seed = 0;      ///< the same seed draws the same resamples on every machine
};

/// A mean and its percentile interval.
struct mean_estimate {
  double mean = 0;
  double low = 0;
  double high = 0;
};

/// The mean of a - b over pairs, and what the resamples say about its sign.
struct difference_estimate {
  mean_estimate difference;
  double share_above = 0;  ///< of resamples with a mean difference above 0
  double share_below = 0;  ///< below 0; what is left of 1 had exactly 0
  double p_value = 1;      ///< two-sided, of no difference; never 0
};

namespace detail {

// How many resamples lie outside the interval on each side, plus 1 (Efron and Tibshirani 1993,
// section 12.5): the interval runs from the k-th smallest to the k-th largest. The summand keeps
// (1 - 0.9) / 2 from being less than 0.05.
inline auto bootstrap_rank(bootstrap_options const& options) -> std::size_t {
  if (!(options.level > 0 && options.level < 1)) {
    throw shape_error(message("bootstrap: level ", options.level, " is not in (0, 1)"));
  }
  auto const tail = (1 - options.level) / 2;
  auto const rank = std::floor((static_cast<double>(options.resamples) + 1) * tail + 1e-9);
  if (!(rank >= 1)) {
    throw shape_error(message("bootstrap: ", options.resamples, " resamples for level ",
                              options.level, ", which needs ", std::ceil(1 / tail - 1 - 1e-9)));
  }
  return static_cast<std::size_t>(rank);
}

// Finite, and of a sum that is finite whichever are drawn; at most 2^32 - 1 of them.
inline void check_bootstrap_values(std::span<double const> values) {
  auto const n = values.size();
  if (n == 0 || n > std::numeric_limits<std::uint32_t>::max()) {
    throw shape_error(message("bootstrap: of ", n, " values"));
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (!std::isfinite(values[i] * static_cast<double>(n))) {
      throw numerical_error(message("bootstrap: value ", i, " of ", n, " is ", values[i]), 0);
    }
  }
}

inline auto plain_mean(std::span<double const> values) -> double {
  double sum = 0;
  for (auto const x : values) {
    sum += x;
  }
  return sum / static_cast<double>(values.size());
}

// The means of the resamples, rising. A position is the upper half of a random number times n,
// whose high half no value is more than n / 2^32 more likely than another.
inline auto resampled_means(std::span<double const> values, bootstrap_options const& options)
    -> std::vector<double> {
  auto const n = static_cast<std::uint64_t>(values.size());
  std::vector<double> means(static_cast<std::size_t>(options.resamples));
  std::uint64_t drawn = 0;
  for (auto& mean : means) {
    double sum = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      auto const position = ((random_bits(options.seed, drawn++) >> 32U) * n) >> 32U;
      sum += values[static_cast<std::size_t>(position)];
    }
    mean = sum / static_cast<double>(n);
  }
  std::sort(means.begin(), means.end());
  return means;
}

inline auto to_estimate(std::span<double const> values, std::span<double const> means,
                        std::size_t rank) -> mean_estimate {
  return {plain_mean(values), means[rank - 1], means[means.size() - rank]};
}

}  // namespace detail

/// The mean of the values and its percentile interval (section 13.3). Throws shape_error for no
/// value, a level outside (0, 1) or too few resamples for it, numerical_error for a value that is
/// not finite. O(n resamples) time, O(resamples) memory.
inline auto mean_interval(std::span<double const> values, bootstrap_options const& options = {})
    -> mean_estimate {
  auto const rank = detail::bootstrap_rank(options);
  detail::check_bootstrap_values(values);
  return detail::to_estimate(values, detail::resampled_means(values, options), rank);
}

/// The mean of a[i] - b[i], two measurements of the same examples: whole pairs are drawn. The
/// p value is 2 (1 + the smaller number of resamples on or beyond 0) / (resamples + 1), at most 1,
/// so that it is at most 1 - level just if the interval leaves 0 out. Errors and cost as
/// mean_interval; throws shape_error for unequal lengths, too.
inline auto paired_difference(std::span<double const> a, std::span<double const> b,
                              bootstrap_options const& options = {}) -> difference_estimate {
  if (a.size() != b.size()) {
    throw shape_error(message("bootstrap: ", a.size(), " values paired with ", b.size()));
  }
  auto const rank = detail::bootstrap_rank(options);
  std::vector<double> differences(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences[i] = a[i] - b[i];
  }
  detail::check_bootstrap_values(differences);
  auto const means = detail::resampled_means(differences, options);
  auto const [first_zero, first_above] = std::equal_range(means.begin(), means.end(), 0.0);
  auto const all = static_cast<double>(means.size());
  auto const below = static_cast<double>(first_zero - means.begin());
  auto const above = static_cast<double>(means.end() - first_above);
  auto const beyond = all - std::max(below, above);
  return {detail::to_estimate(differences, means, rank), above / all, below / all,
          std::min(1.0, 2 * (1 + beyond) / (all + 1))};
}

}  // namespace v0
}  // namespace eckart
