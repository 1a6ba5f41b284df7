#include "calibrate.hpp"
#include "compress.hpp"
#include "evaluate.hpp"
#include "inspect.hpp"
#include "interrupt.hpp"
#include "summarize.hpp"
#include "sweep.hpp"

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

/// Threads of GNU OpenMP spin for about a millisecond while they wait, and lose whole time slices
/// as soon as other programs want the processors (docs/openblas.md). A thousand turns are enough
/// for the short waits inside a decomposition. The library reads the variable before main, so the
/// program starts itself once more with it, unless the user has chosen.
void spin_briefly(char** arguments) {
  constexpr auto spins = "GOMP_SPINCOUNT";
  if (std::getenv(spins) == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr &&
      ::setenv(spins, "1000", 0) == 0) {
    ::execv("/proc/self/exe", arguments);  // returns only if it fails, which costs speed alone
  }
}

}  // namespace

int main(int argc, char** argv) {
  spin_briefly(argv);
  CLI::App app("eckart: summarize with BART, dense or low-rank, and see what low rank saves");
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("eckart {}.{}.{}", ECKART_VERSION_MAJOR,
                                                ECKART_VERSION_MINOR, ECKART_VERSION_PATCH));
  program::summarize_command summarize;
  program::evaluate_command evaluate;
  program::sweep_command sweep;
  program::calibrate_command calibrate;
  program::compress_command compress;
  program::inspect_command inspect;
  summarize.add_to(app);
  evaluate.add_to(app);
  sweep.add_to(app);
  calibrate.add_to(app);
  compress.add_to(app);
  inspect.add_to(app);
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& e) {
    return app.exit(e) == 0 ? 0 : bad_input;
  } catch (program::interruption const& e) {
    std::cerr << "eckart: " << e.what() << '\n';
    return program::interrupted_status;
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
