#include "interrupt.hpp"

#include <signal.h>

#include <atomic>

namespace program {

namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // so that a signal handler may write it

extern "C" void set_flag(int) {
  flag = true;
}

}  // namespace

void install_interrupt_handler() {
  flag = false;
  struct sigaction action = {};
  action.sa_handler = set_flag;
  // The first signal takes the handler away; system calls that it breaks into go on.
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

auto interrupted() -> bool {
  return flag;
}

}  // namespace program
