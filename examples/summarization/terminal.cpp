#include "terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>

namespace program {

namespace {

auto now() -> std::int64_t {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

progress_line::progress_line(bool quiet) : active_(!quiet && isatty(STDERR_FILENO) == 1) {}

progress_line::~progress_line() {
  if (shown_) {
    std::cerr << "\r\033[K" << std::flush;
  }
}

void progress_line::show(std::string_view text) {
  if (active_) {
    std::cerr << "\r\033[K" << text << std::flush;
    shown_ = true;
  }
}

auto grouped(std::uint64_t n) -> std::string {
  auto text = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return text;
}

auto duration_text(double seconds) -> std::string {
  auto const s = static_cast<long>(std::lround(std::clamp(seconds, 0.0, 1e9)));
  if (s < 100) {
    return fmt::format("{} s", s);
  }
  auto const minutes = (s + 30) / 60;
  return minutes < 100 ? fmt::format("{} min", minutes)
                       : fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

stopwatch::stopwatch() : start_(now()) {}

auto stopwatch::seconds() const -> double {
  return static_cast<double>(now() - start_) * 1e-9;
}

}  // namespace program
