#pragma once

#include "sweep_result.hpp"
#include "terminal.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace program {

/// What a sweep says on stderr while it runs: on a terminal one line with a bar and the time left,
/// elsewhere a line for every finished model; nothing if quiet.
class sweep_progress {
 public:
  explicit sweep_progress(bool quiet);

  /// A line that stays.
  void note(std::string_view text) const;

  /// So many models belong to the sweep, so many of them were there before.
  void start(std::size_t models, std::size_t found);

  /// Work of no known length before the models: "decomposing 3/56".
  void prepare(std::string_view text);

  void begin_model(std::string name);
  void examples_done(std::size_t done, std::size_t total);
  void finish_model(sweep_point const& point);

  /// Takes the line with the bar away; only notes may follow.
  void end();

 private:
  void draw(double share, std::string_view what);
  auto time_left(double share) const -> std::string;

  bool quiet_;
  bool on_terminal_;
  std::optional<progress_line> line_;
  std::size_t models_ = 0;
  std::size_t done_ = 0;      // models
  std::size_t computed_ = 0;  // models, since start
  std::string name_;
  stopwatch model_watch_;
  double seconds_ = 0;  // of the computed models
};

}  // namespace program
