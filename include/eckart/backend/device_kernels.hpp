#pragma once

#include "eckart/backend/cuda_status.hpp"
#include "eckart/backend/device_matrix.hpp"

#include <cuda_runtime_api.h>
#include <nvrtc.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The few steps between products for which cuBLAS has no call, as kernels that NVRTC compiles when
/// the first of them is wanted: so a program needs no nvcc, and one that never wants them no time.
namespace eckart {
inline namespace v0 {

/// Throws backend_error with the name of an NVRTC status that is not success.
inline void check_nvrtc(nvrtcResult status, std::string_view what) {
  if (status != NVRTC_SUCCESS) {
    throw backend_error(message(what, ": ", nvrtcGetErrorString(status)), static_cast<int>(status));
  }
}

namespace detail {

// Matrices are row-major. `number` is the element, `sum` what it is calculated in: both are defined
// in front of this text. Each kernel stands beside the plain loop that it must equal.
inline constexpr std::string_view device_kernels_source = R"cuda(
typedef long long index;

__device__ float value(float x) { return x; }
__device__ double value(double x) { return x; }
__device__ void round_to(float& to, float x) { to = x; }
__device__ void round_to(double& to, double x) { to = x; }
__device__ float value(half_bits x) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(x.bits));
  return result;
}
__device__ void round_to(half_bits& to, float x) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(x));
}
__device__ float value(bfloat16_bits x) { return __uint_as_float((unsigned)x.bits << 16); }
#if __CUDA_ARCH__ >= 800
__device__ void round_to(bfloat16_bits& to, float x) {
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(to.bits) : "f"(x));
}
#endif

// for i < rows, j < cols: c(i, j) *= d[j]
extern "C" __global__ void scale_columns(number const* d, number* c, index ld, index rows,
                                         index cols) {
  index const j = (index)blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= cols) return;
  sum const factor = value(d[j]);
  for (index i = (index)blockIdx.y * 8; i < rows; i += (index)gridDim.y * 8) {
    number* const entry = c + i * ld + j;
#pragma unroll
    for (int r = 0; r < 8; ++r) {
      if (i + r < rows) round_to(entry[r * ld], value(entry[r * ld]) * factor);
    }
  }
}

// for i < rows, j < cols: y(i, j) = from(i, source[j]) + beta y(i, j); y is not read where beta is
// 0. A thread asks for the numbers of 8 rows before it waits for the first.
extern "C" __global__ void gather_columns(number const* from, index ld_from, int const* source,
                                          sum beta, number* y, index ld, index rows, index cols) {
  index const j = (index)blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= cols) return;
  for (index i = (index)blockIdx.y * 8; i < rows; i += (index)gridDim.y * 8) {
    number const* const column = from + i * ld_from + source[j];
    number* const entry = y + i * ld + j;
    number taken[8];
#pragma unroll
    for (int r = 0; r < 8; ++r) {
      if (i + r < rows) taken[r] = column[r * ld_from];
    }
#pragma unroll
    for (int r = 0; r < 8; ++r) {
      if (i + r >= rows) break;
      if (beta == 0) {
        entry[r * ld] = taken[r];
      } else {
        round_to(entry[r * ld], value(taken[r]) + beta * value(entry[r * ld]));
      }
    }
  }
}

// if x(i, j) is NaN or infinite for an i < rows, j < cols: *mark = 1
extern "C" __global__ void mark_non_finite(number const* x, index ld, index rows, index cols,
                                           int* mark) {
  index const j = (index)blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= cols) return;
  for (index i = blockIdx.y; i < rows; i += gridDim.y) {
    sum const number = value(x[i * ld + j]);
    if (number - number != 0) *mark = 1;
  }
}

// For each column j of u (rows, cols): where its first entry of largest magnitude is negative, the
// column and row j of vt (cols, width) change their signs. A block of 256 threads a column.
extern "C" __global__ void fix_signs(number* u, index ldu, index rows, number* vt, index ldvt,
                                     index width) {
  __shared__ sum largest[256];
  __shared__ index place[256];
  index const j = blockIdx.x;
  index const t = threadIdx.x;
  sum best = -1;
  index at = 0;
  for (index i = t; i < rows; i += 256) {
    sum const size = fabs(value(u[i * ldu + j]));
    if (size > best) { best = size; at = i; }
  }
  largest[t] = best;
  place[t] = at;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (t < half && (largest[t + half] > largest[t] ||
                     (largest[t + half] == largest[t] && place[t + half] < place[t]))) {
      largest[t] = largest[t + half];
      place[t] = place[t + half];
    }
    __syncthreads();
  }
  bool const turn = rows > 0 && value(u[place[0] * ldu + j]) < 0;
  __syncthreads();
  if (!turn) return;
  for (index i = t; i < rows; i += 256) round_to(u[i * ldu + j], -value(u[i * ldu + j]));
  for (index i = t; i < width; i += 256) round_to(vt[j * ldvt + i], -value(vt[j * ldvt + i]));
}
)cuda";

/// What stands in front of the source for elements T.
template <device_number T>
constexpr auto device_number_definition() -> std::string_view {
  if constexpr (std::same_as<T, float>) {
    return "typedef float number; typedef float sum;";
  } else if constexpr (std::same_as<T, double>) {
    return "typedef double number; typedef double sum;";
  } else if constexpr (std::same_as<T, half>) {
    return "typedef half_bits number; typedef float sum;";
  } else {
    return "typedef bfloat16_bits number; typedef float sum;";
  }
}

/// Machine code for the device that is current. Throws backend_error with the compiler's messages.
inline auto compile_for_device(std::string const& source) -> std::vector<char> {
  int device = 0;
  int major = 0;
  int minor = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
             "cudaDeviceGetAttribute");
  check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
             "cudaDeviceGetAttribute");
  auto const target = message("--gpu-architecture=sm_", major, minor);
  nvrtcProgram program = nullptr;
  check_nvrtc(nvrtcCreateProgram(&program, source.c_str(), "eckart", 0, nullptr, nullptr),
              "nvrtcCreateProgram");
  struct guard {
    nvrtcProgram* program;
    ~guard() { nvrtcDestroyProgram(program); }
  } const destroyed{&program};
  std::array const options{target.c_str()};
  auto const status = nvrtcCompileProgram(program, 1, options.data());
  if (status != NVRTC_SUCCESS) {
    std::size_t size = 0;
    nvrtcGetProgramLogSize(program, &size);
    std::string log(size, '\0');
    nvrtcGetProgramLog(program, log.data());
    throw backend_error(message("nvrtcCompileProgram: ", nvrtcGetErrorString(status), "\n", log),
                        static_cast<int>(status));
  }
  std::size_t size = 0;
  check_nvrtc(nvrtcGetCUBINSize(program, &size), "nvrtcGetCUBINSize");
  std::vector<char> code(size);
  check_nvrtc(nvrtcGetCUBIN(program, code.data()), "nvrtcGetCUBIN");
  return code;
}

/// The kernels for elements T, compiled when they are asked for first. Movable.
template <device_number T>
class device_kernels {
 public:
  device_kernels() = default;
  device_kernels(device_kernels&& other) noexcept
      : library_(std::exchange(other.library_, nullptr)) {}
  auto operator=(device_kernels&& other) noexcept -> device_kernels& {
    std::swap(library_, other.library_);
    return *this;
  }
  ~device_kernels() {
    if (library_ != nullptr) {
      cudaLibraryUnload(library_);
    }
  }

  /// Starts a kernel with the arguments of its declaration, in the order of the stream.
  template <class... Arguments>
  void launch(char const* name, dim3 grid, cudaStream_t stream, Arguments... arguments) {
    load();
    cudaKernel_t kernel = nullptr;
    check_cuda(cudaLibraryGetKernel(&kernel, library_, name), "cudaLibraryGetKernel");
    std::array<void*, sizeof...(Arguments)> pointers{&arguments...};
    check_cuda(cudaLaunchKernel(static_cast<void const*>(kernel), grid, dim3(threads),
                                pointers.data(), 0, stream),
               name);
  }

  /// A grid with a thread for each column of 8 rows.
  static auto grid_of(shape2 shape) -> dim3 {
    auto const blocks = (shape.cols + threads - 1) / threads;
    return {static_cast<unsigned>(blocks),
            static_cast<unsigned>(std::min<index_t>((shape.rows + 7) / 8, most_groups))};
  }

 private:
  static constexpr unsigned threads = 256;  // fix_signs counts on it
  static constexpr index_t most_groups = 4096;

  void load() {
    if (library_ == nullptr) {
      auto const code = compile_for_device(message(
          "struct half_bits { unsigned short bits; }; struct bfloat16_bits { unsigned short "
          "bits; };\n",
          device_number_definition<T>(), device_kernels_source));
      check_cuda(
          cudaLibraryLoadData(&library_, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
          "cudaLibraryLoadData");
    }
  }

  cudaLibrary_t library_ = nullptr;
};

}  // namespace detail
}  // namespace v0
}  // namespace eckart
