#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/view.hpp"
#include "eckart/factor/cost.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

/// What there is to choose from when a matrix is to be made smaller, and what each way costs and
/// loses.
namespace eckart {
inline namespace v0 {

/// One way to store a matrix, or several stacked ones.
struct storage_choice {
  form stored_as = form::dense;
  index_t rank = 0;
  std::uint64_t cost = 0;  ///< bytes, FLOPs or nanoseconds: the unit of the budget
  double loss = 0;         ///< finite, not negative; of all matrices in one unit

  constexpr auto operator==(storage_choice const&) const -> bool = default;
};

namespace detail {

inline void check_levels(shape2 w, index_t step, std::uint64_t bytes_each) {
  // A quarter of the range: a full core of any rank below min(m, n) has less than 3 m n numbers.
  constexpr auto most = std::numeric_limits<std::uint64_t>::max() / 4;
  auto const rows = static_cast<std::uint64_t>(w.rows);
  auto const cols = static_cast<std::uint64_t>(w.cols);
  if (w.rows < 1 || w.cols < 1 || bytes_each < 1 || rows > most / cols ||
      rows * cols > most / bytes_each) {
    throw shape_error(message("levels: a ", w, " matrix of ", bytes_each, " bytes a number"));
  }
  if (step < 1) {
    throw shape_error(message("levels: ranks in steps of ", step));
  }
}

}  // namespace detail

/// Which ranks and forms `levels` offers, and what a loss of them weighs.
struct level_options {
  std::vector<form> forms{all_factor_forms.begin(), all_factor_forms.end()};
  index_t step = 16;       ///< ranks are multiples of it
  double weight = 1;       ///< brings the losses of all matrices to one unit
  double unexplained = 0;  ///< lost at every rank but not by the dense matrix, before the weight
  std::uint64_t bytes_each = sizeof(float);  ///< of a parameter; 1 to count parameters
};

/// The ways to store one matrix: dense without a loss, and at the ranks step, 2 step, ... below
/// min(m, n) the cheapest of the forms (the first of equal ones), as long as it costs less than the
/// dense matrix. cost(form, rank) is in the unit of the budget, the loss weight * (unexplained +
/// tail(k)), where tail(k) is what rank k loses. Throws shape_error for a matrix without elements
/// or too large to count, a step below 1, and a loss that is negative or not finite.
template <std::invocable<index_t> Tail, std::invocable<form, index_t> Cost>
auto levels(shape2 w, Tail const& tail, Cost const& cost, level_options const& options)
    -> std::vector<storage_choice> {
  detail::check_levels(w, options.step, options.bytes_each);
  auto const full = std::min(w.rows, w.cols);
  std::uint64_t const dense = cost(form::dense, full);
  std::vector<storage_choice> result{{form::dense, full, dense, 0.0}};
  for (index_t i = 1; i <= (full - 1) / options.step; ++i) {
    storage_choice best{form::dense, i * options.step, dense, 0.0};
    for (auto const f : options.forms) {
      if (std::uint64_t const price = cost(f, best.rank); price < best.cost) {
        best.cost = price;
        best.stored_as = f;
      }
    }
    if (best.stored_as == form::dense) {
      continue;
    }
    best.loss = options.weight * (options.unexplained + static_cast<double>(tail(best.rank)));
    if (!(best.loss >= 0 && std::isfinite(best.loss))) {
      throw shape_error(
          message("levels: the loss of a ", w, " matrix at rank ", best.rank, " is ", best.loss));
    }
    result.push_back(best);
  }
  return result;
}

/// The same with the cost in bytes.
template <std::invocable<index_t> Tail>
auto levels(shape2 w, Tail const& tail, level_options const& options = {})
    -> std::vector<storage_choice> {
  return levels(
      w, tail, [&](form f, index_t k) { return cost::parameters(f, w, k) * options.bytes_each; },
      options);
}

/// The same from what each component is worth, as the squared singular values are: rank k loses the
/// sum of all but the first k. Throws shape_error unless there are min(m, n) values, all finite and
/// not negative, and as above.
inline auto levels(shape2 w, std::span<double const> component_losses,
                   level_options const& options = {}) -> std::vector<storage_choice> {
  auto const full = std::min(w.rows, w.cols);
  if (static_cast<index_t>(component_losses.size()) != full) {
    throw shape_error(message("levels: ", component_losses.size(), " values for a ", w, " matrix"));
  }
  std::vector<double> tails(component_losses.size() + 1, 0.0);
  for (auto k = component_losses.size(); k-- > 0;) {  // the small ones first, which loses no digits
    if (!(component_losses[k] >= 0 && std::isfinite(component_losses[k]))) {
      throw shape_error(
          message("levels: value ", k, " of a ", w, " matrix is ", component_losses[k]));
    }
    tails[k] = tails[k + 1] + component_losses[k];
  }
  return levels(
      w, [&](index_t k) { return tails[static_cast<std::size_t>(k)]; }, options);
}

}  // namespace v0
}  // namespace eckart
