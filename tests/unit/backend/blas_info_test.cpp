#include "eckart/backend/blas_info.hpp"

#include "eckart/backend/openblas.hpp"
#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>

using namespace eckart;
using support::random_matrix;
using support::refusal;

namespace {

using core_name = std::optional<std::string>;

// Sets or unsets OPENBLAS_CORETYPE, and undoes that in the end.
class core_variable {
 public:
  explicit core_variable(char const* value) {
    if (auto const* old = std::getenv(name)) {
      old_ = old;
    }
    assign(value);
  }
  core_variable(core_variable const&) = delete;
  auto operator=(core_variable const&) -> core_variable& = delete;
  ~core_variable() { assign(old_ ? old_->c_str() : nullptr); }

 private:
  static constexpr auto name = "OPENBLAS_CORETYPE";

  static void assign(char const* value) {
    if (value != nullptr) {
      ::setenv(name, value, 1);
    } else {
      ::unsetenv(name);
    }
  }
  core_name old_;
};

// Gives the library back the kernels that it had.
class kept_core {
 public:
  kept_core() = default;
  kept_core(kept_core const&) = delete;
  auto operator=(kept_core const&) -> kept_core& = delete;
  ~kept_core() { detail::switch_core(core_); }

 private:
  std::string core_ = blas_info().core;
};

// The oracle's product of 33 x 65 by 65 x 47, entries below 1. Two products with 65 summands each
// differ by at most (65 + 1) eps times the sum of 65 magnitudes below 1, at each of 33 * 47
// entries.
template <class T>
auto products_are_right() -> bool {
  auto const a = random_matrix<T>(33, 65, 1);
  auto const b = random_matrix<T>(65, 47, 2);
  auto got = make_matrix<T>({33, 47});
  auto expected = got;
  openblas{}.gemm(op::none, op::none, T{1}, as_view(a), as_view(b), T{0}, as_view(got));
  reference{}.gemm(op::none, op::none, T{1}, as_view(a), as_view(b), T{0}, as_view(expected));
  return support::distance(got, expected) <= 66 * support::epsilon<T> * 65 * std::sqrt(33.0 * 47.0);
}

// False, with a word about it, where the kernels cannot be chosen at run time.
auto runs_on(char const* core) -> bool {
  if (!detail::switch_core(core) || std::string(openblas_get_corename()) != core) {
    MESSAGE("skipped: this OpenBLAS has no kernels for ", core, " that could be switched to");
    return false;
  }
  return true;
}

}  // namespace

TEST_CASE("the linked library is described") {
  auto const info = blas_info();
  CHECK(info.version.rfind("OpenBLAS ", 0) == 0);
  CHECK(info.version.size() > std::string("OpenBLAS ").size());
  CHECK(info.version.find(' ', 9) == std::string::npos);
  CHECK_FALSE(info.core.empty());
  CHECK_FALSE(info.detected_core.empty());
  CHECK((info.flavour == "openmp" || info.flavour == "pthread" || info.flavour == "sequential"));
  CHECK(info.threads >= 1);
}

TEST_CASE("kernels below the processor's level are replaced by kernels of its level") {
  using detail::better_core;
  CHECK(better_core("Prescott", simd_level::avx512) == core_name("SkylakeX"));
  CHECK(better_core("Prescott", simd_level::avx2) == core_name("Haswell"));
  CHECK(better_core("Prescott", simd_level::avx) == core_name("Sandybridge"));
  CHECK(better_core("Nehalem", simd_level::avx2) == core_name("Haswell"));
  CHECK(better_core("Sandybridge", simd_level::avx512) == core_name("SkylakeX"));
  CHECK(better_core("Piledriver", simd_level::avx2) == core_name("Haswell"));
  CHECK(better_core("Haswell", simd_level::avx512) == core_name("SkylakeX"));
  CHECK(better_core("Zen", simd_level::avx512) == core_name("SkylakeX"));
}

TEST_CASE("kernels at the processor's level or above are left alone") {
  using detail::better_core;
  CHECK(better_core("Prescott", simd_level::sse) == std::nullopt);
  CHECK(better_core("Sandybridge", simd_level::avx) == std::nullopt);
  CHECK(better_core("Haswell", simd_level::avx2) == std::nullopt);
  CHECK(better_core("Zen", simd_level::avx2) == std::nullopt);
  CHECK(better_core("SkylakeX", simd_level::avx512) == std::nullopt);
  CHECK(better_core("Cooperlake", simd_level::avx512) == std::nullopt);
  CHECK(better_core("SapphireRapids", simd_level::avx512) == std::nullopt);
  CHECK(better_core("SkylakeX", simd_level::avx2) == std::nullopt);
}

TEST_CASE("unknown kernels and other architectures are left alone") {
  using detail::better_core;
  CHECK(better_core("Diamondlake", simd_level::avx512) == std::nullopt);
  CHECK(better_core("", simd_level::avx512) == std::nullopt);
  CHECK(better_core("prescott", simd_level::avx512) == std::nullopt);
  CHECK(better_core("Prescott", std::nullopt) == std::nullopt);
}

TEST_CASE("every better core is itself at the level that was asked for") {
  for (auto const level : {simd_level::avx, simd_level::avx2, simd_level::avx512}) {
    auto const core = detail::better_core("Prescott", level);
    REQUIRE(core);
    CHECK(detail::level_of_core(*core) == std::optional(level));
  }
}

TEST_CASE("a level is written as its usual name") {
  std::ostringstream out;
  out << simd_level::sse << ' ' << simd_level::avx << ' ' << simd_level::avx2 << ' '
      << simd_level::avx512;
  CHECK(out.str() == "SSE AVX AVX2 AVX-512");
}

TEST_CASE("a wrong choice of kernels is repaired while the program runs") {
  auto const processor = detail::processor_level();
  if (!processor || *processor == simd_level::sse) {
    MESSAGE("skipped: this processor has no better kernels than Prescott's");
    return;
  }
  kept_core const restore;
  core_variable const unset(nullptr);
  if (!runs_on("Prescott")) {
    return;
  }
  CHECK(products_are_right<float>());
  auto const choice = detail::repair_core();
  CHECK(choice.detected == "Prescott");
  CHECK(choice.warning.empty());
  CHECK(detail::level_of_core(openblas_get_corename()) == processor);
  CHECK(std::getenv("OPENBLAS_CORETYPE") == nullptr);
  CHECK(products_are_right<float>());
  CHECK(products_are_right<double>());
  auto const again = detail::repair_core();  // nothing is left to repair
  CHECK(again.detected == openblas_get_corename());
  CHECK(again.warning.empty());
}

TEST_CASE("a user who chose the kernels is obeyed, with a warning") {
  auto const processor = detail::processor_level();
  if (!processor || *processor == simd_level::sse) {
    MESSAGE("skipped: this processor has no better kernels than Prescott's");
    return;
  }
  kept_core const restore;
  core_variable const chosen("Prescott");
  if (!runs_on("Prescott")) {
    return;
  }
  auto const choice = detail::repair_core();
  CHECK(std::string(openblas_get_corename()) == "Prescott");
  CHECK(choice.warning == message("OpenBLAS runs Prescott kernels on an ", *processor,
                                  " processor because OPENBLAS_CORETYPE asks for them"));
  CHECK(products_are_right<double>());
}

TEST_CASE("switching kernels gives the environment back") {
  kept_core const restore;
  core_variable const chosen("Haswell");
  if (!runs_on("Prescott")) {
    return;
  }
  CHECK(std::string(std::getenv("OPENBLAS_CORETYPE")) == "Haswell");
}

TEST_CASE("the number of threads is the one that was set") {
  auto const before = blas_info().threads;
  if (blas_info().flavour == "sequential") {
    MESSAGE("skipped: this OpenBLAS has one thread");
    return;
  }
  set_threads(2);
  CHECK(blas_info().threads == 2);
  set_threads(1);
  CHECK(blas_info().threads == 1);
  set_threads(before);
  CHECK(blas_info().threads == before);
}

TEST_CASE("less than one thread is refused by name and changes nothing") {
  auto const before = blas_info().threads;
  CHECK(refusal<shape_error>([] { set_threads(0); }) == "set_threads: 0 threads");
  CHECK(refusal<shape_error>([] { set_threads(-3); }) == "set_threads: -3 threads");
  CHECK(blas_info().threads == before);
}
