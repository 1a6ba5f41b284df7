#include "inspect.hpp"
#include "summarize.hpp"

#include <eckart/version.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>

namespace {

constexpr int bad_input = 2;  // exit status for anything that the user can mend

/// Threads of OpenMP that spin while they wait lose whole time slices as soon as another program
/// wants a processor: 20 s instead of 0.7 s for one summary were measured. OpenMP reads its policy
/// before main, so the program starts itself once more with it, unless the user has chosen.
void wait_without_spinning(char** arguments) {
  constexpr auto policy = "OMP_WAIT_POLICY";
  if (std::getenv(policy) == nullptr && std::getenv("GOMP_SPINCOUNT") == nullptr &&
      ::setenv(policy, "passive", 0) == 0) {
    ::execv("/proc/self/exe", arguments);  // returns only if it fails, which costs speed alone
  }
}

}  // namespace

int main(int argc, char** argv) {
  wait_without_spinning(argv);
  CLI::App app("eckart: summarize with BART, dense or low-rank, and see what low rank saves");
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("eckart {}.{}.{}", ECKART_VERSION_MAJOR,
                                                ECKART_VERSION_MINOR, ECKART_VERSION_PATCH));
  program::summarize_command summarize;
  program::inspect_command inspect;
  summarize.add_to(app);
  inspect.add_to(app);
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& e) {
    return app.exit(e) == 0 ? 0 : bad_input;
  } catch (std::bad_alloc const&) {
    std::cerr << "eckart: out of memory\n";
    return bad_input;
  } catch (std::exception const& e) {
    std::cerr << "eckart: " << e.what() << '\n';
    return bad_input;
  }
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "eckart: standard output cannot be written\n";
    return bad_input;
  }
  return 0;
}
