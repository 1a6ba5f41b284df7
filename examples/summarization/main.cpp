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
#ifdef __GLIBC__
#include <malloc.h>
#endif

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

/// Matrices of some megabytes come and go with every block of rows. Their pages are kept: to give
/// them back and have them cleared again is a thirtieth of the time of a calibration.
void keep_freed_pages() {
#ifdef __GLIBC__
  constexpr int largest_from_heap = 32 << 20;  // glibc takes no more
  constexpr int trim_from = 1 << 30;
  ::mallopt(M_MMAP_THRESHOLD, largest_from_heap);
  ::mallopt(M_TRIM_THRESHOLD, trim_from);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  spin_briefly(argv);
  keep_freed_pages();
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
