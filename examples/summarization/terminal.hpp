#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace program {

/// One line on stderr that is written over and over; nothing if stderr is no terminal or if quiet.
class progress_line {
 public:
  explicit progress_line(bool quiet);
  progress_line(progress_line const&) = delete;
  auto operator=(progress_line const&) -> progress_line& = delete;
  ~progress_line();

  void show(std::string_view text);

 private:
  bool active_;
  bool shown_ = false;
};

/// 23655168 as "23,655,168".
auto grouped(std::uint64_t n) -> std::string;

/// "12 s", "3 min", "2 h 05 min".
auto duration_text(double seconds) -> std::string;

/// Seconds since its construction.
class stopwatch {
 public:
  stopwatch();
  auto seconds() const -> double;

 private:
  std::int64_t start_;  // nanoseconds
};

}  // namespace program
