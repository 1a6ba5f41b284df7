#pragma once

#include "sweep_progress.hpp"
#include "sweep_settings.hpp"
#include "sweep_state.hpp"

#include <cstddef>
#include <functional>
#include <optional>

namespace program {

/// What came out of a sweep that went to its end or was stopped before.
struct sweep_outcome {
  std::optional<sweep_result> result;  ///< nothing if not even the dense model is finished
  std::size_t found = 0;               ///< models that the state held
  std::size_t computed = 0;            ///< models that were run now
  bool complete = false;
};

/// Runs the dense model, then every step, unless the state holds it already; each is in the state
/// before the next begins. A matrix is decomposed once for all its ranks and forms, and all
/// decompositions are held at once: for square matrices twice their memory. `stop` is asked often;
/// once it says yes the outcome holds what is finished. Throws shape_error for an id in
/// options.show that no example has.
auto run_sweep(sweep_subject const& subject, sweep_plan const& plan, sweep_options const& options,
               sweep_state& state, sweep_progress& progress, std::function<bool()> const& stop)
    -> sweep_outcome;

}  // namespace program
