#pragma once

#include "eckart/core/random.hpp"
#include "eckart/models/latency_table.hpp"
#include "eckart/models/plan_bart.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

namespace eckart {
inline namespace v0 {

namespace detail {

/// A layer of this shape, form and rank with random weights: its time does not depend on them.
template <real T>
auto random_layer(form stored_as, shape2 shape, index_t k) -> linear<T> {
  auto const noise = [](index_t rows, index_t cols) {
    auto m = make_matrix<T>({rows, cols});
    fill_normal(std::span<T>(m.data(), m.size()), 1);
    return m;
  };
  if (stored_as == form::dense) {
    return linear<T>(noise(shape.rows, shape.cols));
  }
  return linear<T>(weight_in_form(
      low_rank<T, two_factor>(noise(shape.rows, k), noise(k, shape.cols)), stored_as));
}

/// The least of several times, in nanoseconds, of a call with so many rows.
template <real T>
auto nanoseconds_of_call(linear<T> const& layer, index_t rows) -> std::uint64_t {
  using clock = std::chrono::steady_clock;
  auto const shape = layer.shape();
  auto x = make_matrix<T>({rows, shape.cols});
  x.fill(T{1});
  auto y = make_matrix<T>({rows, shape.rows});
  workspace<T> scratch(layer.worksize(rows));
  auto best = clock::duration::max();
  auto const stop = clock::now() + std::chrono::milliseconds(4);
  for (int i = 0; i < 3 || clock::now() < stop; ++i) {
    auto const start = clock::now();
    layer(as_view(std::as_const(x)), as_view(y), scratch);
    best = std::min(best, clock::now() - start);
  }
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(best).count());
}

}  // namespace detail

/// The time on this machine, in nanoseconds, of a text of so many source tokens, read at once, and
/// of `steps` written tokens of each of `beams` rows. Measured when first asked for, the least of
/// at least three calls; other work on the machine goes in.
template <real T>
auto time_cost(index_t source_tokens, index_t steps, index_t beams) -> layer_cost {
  using key = std::tuple<form, index_t, index_t, index_t, index_t>;
  auto const known = std::make_shared<std::map<key, std::uint64_t>>();
  return [=](std::string const& name, form f, shape2 shape, index_t k) {
    bool const once = reads_source(name);
    auto const rows = once ? source_tokens : beams;
    auto const [place, is_new] = known->try_emplace(key{f, shape.rows, shape.cols, k, rows}, 0U);
    if (is_new) {
      place->second = detail::nanoseconds_of_call(detail::random_layer<T>(f, shape, k), rows);
    }
    return place->second * static_cast<std::uint64_t>(once ? 1 : steps);
  };
}

/// The same with the times of a table, which do not depend on the moment.
inline auto time_cost(latency_table table, index_t source_tokens, index_t steps, index_t beams)
    -> layer_cost {
  auto const shared = std::make_shared<latency_table const>(std::move(table));
  return [=](std::string const& name, form f, shape2 shape, index_t k) {
    bool const once = reads_source(name);
    auto const one = shared->microseconds(f, shape, k, once ? source_tokens : beams);
    return static_cast<std::uint64_t>(
        std::llround(1e3 * one * static_cast<double>(once ? 1 : steps)));
  };
}

}  // namespace v0
}  // namespace eckart
