#pragma once

#include "eckart/core/error.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#ifdef _OPENMP
#include <omp.h>
#endif

extern "C" {
// OpenBLAS's public functions, declared here because <cblas.h> conflicts with xflens.
char* openblas_get_config();
char* openblas_get_corename();
int openblas_get_parallel();
int openblas_get_num_threads();
void openblas_set_num_threads(int num_threads);
}

/// Which OpenBLAS is linked, which kernels it chose, and the repair of a wrong choice: releases
/// that are older than the processor fall back to SSE3 kernels, 5 to 6 times slower.
namespace eckart {
inline namespace v0 {

/// Instruction sets for which OpenBLAS has kernels, in order of speed.
enum class simd_level { sse, avx, avx2, avx512 };

inline auto operator<<(std::ostream& out, simd_level level) -> std::ostream& {
  constexpr std::array names{"SSE", "AVX", "AVX2", "AVX-512"};
  return out << names[static_cast<std::size_t>(level)];
}

/// What is linked and how it is set up.
struct blas_description {
  std::string version;  ///< e.g. "OpenBLAS 0.3.21"
  std::string core;     ///< kernels in use, e.g. "SkylakeX"
  std::string flavour;  ///< "openmp", "pthread" or "sequential"
  int threads = 1;
  std::string detected_core;  ///< kernels that the library had chosen by itself
  std::string warning;        ///< empty, or why the products are slower than the processor
};

namespace detail {

/// Instruction set that the kernels of an OpenBLAS core use; nullopt for names we do not know.
inline auto level_of_core(std::string_view core) -> std::optional<simd_level> {
  for (auto name : {"SkylakeX", "Cooperlake", "SapphireRapids"}) {
    if (core == name) {
      return simd_level::avx512;
    }
  }
  for (auto name : {"Haswell", "Zen"}) {
    if (core == name) {
      return simd_level::avx2;
    }
  }
  for (auto name : {"Sandybridge", "Bulldozer", "Piledriver", "Steamroller", "Excavator"}) {
    if (core == name) {
      return simd_level::avx;
    }
  }
  for (auto name :
       {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Athlon", "Opteron", "Opteron_SSE3",
        "Barcelona", "Bobcat", "Atom", "Nano", "Katmai", "Coppermine", "Northwood", "Banias"}) {
    if (core == name) {
      return simd_level::sse;
    }
  }
  return std::nullopt;
}

/// Instruction set of this processor; nullopt on other architectures than x86.
inline auto processor_level() -> std::optional<simd_level> {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512cd")) {
    return simd_level::avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return simd_level::avx2;
  }
  return __builtin_cpu_supports("avx") ? simd_level::avx : simd_level::sse;
#else
  return std::nullopt;
#endif
}

/// The core to switch to when `core` uses less than the processor has; nullopt to leave it.
inline auto better_core(std::string_view core, std::optional<simd_level> processor)
    -> std::optional<std::string> {
  auto const current = level_of_core(core);
  if (!current || !processor || *current >= *processor) {
    return std::nullopt;
  }
  switch (*processor) {
    case simd_level::avx512:
      return "SkylakeX";
    case simd_level::avx2:
      return "Haswell";
    case simd_level::avx:
      return "Sandybridge";
    case simd_level::sse:
      break;
  }
  return std::nullopt;
}

/// Re-initializes OpenBLAS with the kernels of `core`. Must not run beside another BLAS call.
/// False where the library does not export its initialization (built for one core only).
inline auto switch_core(std::string const& core) -> bool {
  using function = void (*)();
  auto const quit = reinterpret_cast<function>(::dlsym(RTLD_DEFAULT, "gotoblas_dynamic_quit"));
  auto const init = reinterpret_cast<function>(::dlsym(RTLD_DEFAULT, "gotoblas_dynamic_init"));
  if (quit == nullptr || init == nullptr) {
    return false;
  }
  constexpr auto variable = "OPENBLAS_CORETYPE";
  auto const* old_value = std::getenv(variable);
  auto const old = old_value ? std::optional<std::string>(old_value) : std::nullopt;
  ::setenv(variable, core.c_str(), 1);
  quit();
  init();
  if (old) {
    ::setenv(variable, old->c_str(), 1);
  } else {
    ::unsetenv(variable);
  }
  return true;
}

struct core_choice {
  std::string detected;
  std::string warning;
};

/// Repairs a core that uses less than the processor has. A user who set OPENBLAS_CORETYPE is
/// obeyed, with a warning.
inline auto repair_core() -> core_choice {
  core_choice choice{openblas_get_corename(), ""};
  auto const processor = processor_level();
  auto const better = better_core(choice.detected, processor);
  if (!better) {
    return choice;
  }
  if (std::getenv("OPENBLAS_CORETYPE") != nullptr) {
    choice.warning = message("OpenBLAS runs ", choice.detected, " kernels on an ", *processor,
                             " processor because OPENBLAS_CORETYPE asks for them");
  } else if (!switch_core(*better) || openblas_get_corename() != *better) {
    choice.warning = message("OpenBLAS runs ", choice.detected, " kernels on an ", *processor,
                             " processor; start the program with OPENBLAS_CORETYPE=", *better);
  }
  return choice;
}

/// Repairs once for the process, before the first product. Cheap afterwards.
inline auto ready_blas() -> core_choice const& {
  static core_choice const choice = repair_core();
  return choice;
}

}  // namespace detail

/// Identifies the BLAS that is really running. The first call (or the first product) repairs a
/// wrong processor detection and must not run beside BLAS calls of other libraries.
inline auto blas_info() -> blas_description {
  auto const& choice = detail::ready_blas();
  blas_description result;
  auto const config = std::string(openblas_get_config());
  auto const second_space = config.find(' ', config.find(' ') + 1);
  result.version = config.substr(0, second_space);
  result.core = openblas_get_corename();
  constexpr std::array flavours{"sequential", "pthread", "openmp"};
  auto const parallel = openblas_get_parallel();
  result.flavour = parallel >= 0 && parallel < 3 ? flavours[static_cast<std::size_t>(parallel)]
                                                 : message("unknown (", parallel, ")");
  result.threads = openblas_get_num_threads();
  result.detected_core = choice.detected;
  result.warning = choice.warning;
  return result;
}

/// Threads of all products and of eckart's own loops. Throws shape_error below 1.
inline void set_threads(int count) {
  if (count < 1) {
    throw shape_error(message("set_threads: ", count, " threads"));
  }
  detail::ready_blas();
  openblas_set_num_threads(count);
#ifdef _OPENMP
  omp_set_num_threads(count);
#endif
}

}  // namespace v0
}  // namespace eckart
