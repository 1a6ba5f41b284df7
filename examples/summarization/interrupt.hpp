#pragma once

#include <eckart/core/error.hpp>

/// Ctrl-C during long work: a command asks interrupted() between its steps and ends by itself, so
/// that nothing is left half-written.
namespace program {

/// Exit status after an interrupt: 128 and the signal's number, as shells have it.
inline constexpr int interrupted_status = 130;

/// What a command throws when it ends because of an interrupt; the program then exits with
/// interrupted_status and the text.
struct interruption : eckart::error {
  using error::error;
};

/// From now on the first SIGINT only sets a flag; a second one ends the process at once.
void install_interrupt_handler();

/// Has there been a SIGINT since the handler was installed?
auto interrupted() -> bool;

}  // namespace program
