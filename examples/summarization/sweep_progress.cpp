#include "sweep_progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <utility>

namespace program {

namespace {

auto bar(double share) -> std::string {
  constexpr std::size_t width = 16;
  auto const full = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * width);
  return "[" + std::string(full, '#') + std::string(width - full, '.') + "]";
}

}  // namespace

sweep_progress::sweep_progress(bool quiet)
    : quiet_(quiet), on_terminal_(::isatty(STDERR_FILENO) == 1), line_(std::in_place, quiet) {}

void sweep_progress::note(std::string_view text) const {
  if (!quiet_) {
    std::cerr << (on_terminal_ ? "\r\033[K" : "") << "eckart: " << text << std::endl;
  }
}

void sweep_progress::start(std::size_t models, std::size_t found) {
  models_ = models;
  done_ = found;
}

void sweep_progress::prepare(std::string_view text) {
  line_->show(text);
}

void sweep_progress::begin_model(std::string name) {
  name_ = std::move(name);
  model_watch_ = stopwatch();
  draw(0, "losses");
}

void sweep_progress::examples_done(std::size_t done, std::size_t total) {
  draw(static_cast<double>(done) / static_cast<double>(total), fmt::format("{}/{}", done, total));
}

void sweep_progress::finish_model(sweep_point const& point) {
  ++done_;
  ++computed_;
  auto const seconds = model_watch_.seconds();
  seconds_ += seconds;
  if (!on_terminal_) {
    note(fmt::format("{}/{} {}: ROUGE-1 {:.2f}, loss {:.3f}, {}", done_, models_, name_,
                     point.quality.rouge[0].mean, point.quality.loss, duration_text(seconds)));
  }
}

void sweep_progress::end() {
  line_.reset();
}

void sweep_progress::draw(double share, std::string_view what) {
  auto const all = static_cast<double>(models_);
  line_->show(fmt::format("{} {}/{} {}: {}{}", bar((static_cast<double>(done_) + share) / all),
                          done_ + 1, models_, name_, what, time_left(share)));
}

/// The models that are still to come, each as long as the finished ones were on average; before
/// there is one, as long as this one seems to become.
auto sweep_progress::time_left(double share) const -> std::string {
  auto const now = model_watch_.seconds();
  if (computed_ == 0 && share <= 0) {
    return "";
  }
  auto const one = computed_ > 0 ? seconds_ / static_cast<double>(computed_) : now / share;
  auto const rest_of_this = share > 0 ? now / share - now : one;
  auto const rest = rest_of_this + one * static_cast<double>(models_ - done_ - 1);
  return fmt::format(", {} left", duration_text(rest));
}

}  // namespace program
