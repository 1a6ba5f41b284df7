#pragma once

#include "sweep_plan.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace program {

/// The dense model's figures, and its rows, with which the other models' are paired.
struct dense_record {
  sweep_point point;
  evaluation result;  ///< rows without their losses
};

/// What a sweep has finished, in files of DIR/state, so that a later run goes on where an earlier
/// one was ended, by whatever: settings.json, dense.json and one file for every other point. Each
/// is complete or not there; one that a broken disk has changed is found by its fingerprint. Only
/// one process at a time may have the same DIR.
class sweep_state {
 public:
  /// Opens DIR/state for a sweep with these settings, a JSON object of plain values, and makes what
  /// does not exist. Throws eckart::error if the points that are there have other settings, naming
  /// the first that differs, or unreadable ones; with `restart` they are removed instead. Throws
  /// io_error, too.
  sweep_state(std::filesystem::path const& out, nlohmann::ordered_json const& settings,
              bool restart);
  sweep_state(sweep_state const&) = delete;
  auto operator=(sweep_state const&) -> sweep_state& = delete;
  ~sweep_state();

  /// What was saved, nothing if it was not or cannot be read; the latter is a note.
  auto load_dense() -> std::optional<dense_record>;
  auto load(sweep_step const& step) -> std::optional<sweep_point>;

  void save(dense_record const& dense) const;
  void save(sweep_step const& step, sweep_point const& point) const;

  /// What to tell about files that could not be used.
  auto notes() const -> std::vector<std::string> const& { return notes_; }

 private:
  void lock();
  void check(nlohmann::ordered_json const& settings) const;
  void remove_points() const;
  void remove_leftovers() const;
  auto points() const -> std::size_t;
  auto file_of(sweep_step const& step) const -> std::filesystem::path;
  template <class Read>
  auto load_file(std::filesystem::path const& file, Read const& read)
      -> decltype(std::optional(read(nlohmann::json())));

  std::filesystem::path out_;
  std::filesystem::path folder_;
  std::vector<std::string> notes_;
  int lock_ = -1;  // file descriptor
};

}  // namespace program
