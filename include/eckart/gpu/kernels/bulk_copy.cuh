#pragma once

#include "eckart/gpu/kernels/cluster.cuh"

#include <cudaTypedefs.h>
#include <array>
#include <cstdint>

/// Copies of whole tiles from matrices in global to shared memory by the copy engine (compute
/// capability 9.0 and later), and what waits for them.
namespace eckart {
inline namespace v0 {
namespace gpu {

/// Matrices of 16-bit numbers in one shape as the copy engine sees them. A tile has 64 columns and
/// some rows; what is behind the end of a matrix is read as zeros and not written. In shared memory
/// tiles lie as tensor_core.cuh has them.
template <kernel_number T>
class tile_map {
 public:
  /// Tiles of `rows` rows, at most 256, of `parts` matrices, which begin `distance` numbers from
  /// each other. Throws backend_error, shape_error where rows do not begin at multiples of 16
  /// bytes.
  tile_map(device_view<T const> matrix, index_t parts, index_t distance, index_t rows) {
    if (!in_packets(matrix.ld, matrix.data) || !in_packets(distance, matrix.data)) {
      throw shape_error(message("tile_map: rows of ", matrix.shape(), " ", matrix.ld,
                                " apart, matrices ", distance));
    }
    constexpr auto type =
        std::same_as<T, half> ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    auto const size = [](index_t n) { return static_cast<cuuint64_t>(n); };
    std::array<cuuint64_t, 3> const sizes{size(matrix.cols), size(matrix.rows), size(parts)};
    std::array<cuuint64_t, 2> const strides{size(matrix.ld) * sizeof(T),
                                            size(distance) * sizeof(T)};
    std::array<cuuint32_t, 3> const box{64, static_cast<cuuint32_t>(rows), 1};
    std::array<cuuint32_t, 3> const steps{1, 1, 1};
    auto const status = encoder()(
        &map_, type, 3, const_cast<T*>(matrix.data), sizes.data(), strides.data(), box.data(),
        steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
        CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (status != CUDA_SUCCESS) {
      throw backend_error(message("cuTensorMapEncodeTiled: status ", static_cast<int>(status)),
                          static_cast<int>(status));
    }
  }

  __device__ auto map() const -> CUtensorMap const* { return &map_; }
  /// Brings the description to where the copy engine looks for it.
  __device__ void prefetch() const {
    asm volatile("prefetch.tensormap [%0];\n" ::"l"(&map_) : "memory");
  }

 private:
  static auto encoder() -> PFN_cuTensorMapEncodeTiled_v12000 {
    static auto const function = [] {
      void* found = nullptr;
      cudaDriverEntryPointQueryResult result{};
      check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                                  cudaEnableDefault, &result),
                 "cudaGetDriverEntryPointByVersion");
      if (found == nullptr) {
        throw backend_error("cuTensorMapEncodeTiled: not in this driver", 0);
      }
      return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
    }();
    return function;
  }

  CUtensorMap map_{};
};

/// A place in shared memory where bytes that arrive are counted, phase after phase.
struct phases {
  unsigned address;  ///< of 8 bytes of shared memory

  /// By one thread: a phase has so many arrivals.
  __device__ void begin(int arrivals) const {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(address), "r"(arrivals)
                 : "memory");
  }
  /// Behind all begin(): the copy engine and the other blocks see them, after the next barrier of
  /// the cluster.
  __device__ static void show() {
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
    asm volatile("fence.proxy.async;\n" ::: "memory");
  }
  /// One arrival, with so many bytes to come in this phase.
  __device__ void expect(int bytes) const {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(address),
                 "r"(bytes)
                 : "memory");
  }
  /// One arrival at the same place of a block of the cluster.
  __device__ void arrive_in(int block) const {
    asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];\n" ::"r"(address_in(block, address))
                 : "memory");
  }
  /// Until the phase with this parity is over, 0 for the first one: what the copy engine brought
  /// is there.
  __device__ void wait(int parity) const {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}\n" ::"r"(address),
        "r"(parity)
        : "memory");
  }
};

/// A ring of stages as a thread goes through it, and the parity of the turn. Who goes `by` more
/// than one needs a number of stages that is a multiple.
struct ring_stage {
  int place = 0;
  int parity = 0;
  __device__ void advance(int stages, int by = 1) {
    place += by;
    if (place >= stages) {
      place -= stages;
      parity ^= 1;
    }
  }
};

/// Starts the copy of a tile, by one thread; the bytes arrive at `done`.
template <kernel_number T>
__device__ inline void copy_tile(tile_map<T> const& from, int column, int row, int part,
                                 unsigned to, phases done) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5}], [%2];\n" ::"r"(to),
      "l"(from.map()), "r"(done.address), "r"(column), "r"(row), "r"(part)
      : "memory");
}

/// The same into blocks of the cluster, one bit each, at the same places.
template <kernel_number T>
__device__ inline void copy_tile_to(unsigned blocks, tile_map<T> const& from, int column, int row,
                                    int part, unsigned to, phases done) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;\n" ::"r"(to),
      "l"(from.map()), "r"(done.address), "r"(column), "r"(row), "r"(part),
      "h"(static_cast<std::uint16_t>(blocks))
      : "memory");
}

/// Brings a tile into the second cache.
template <kernel_number T>
__device__ inline void prefetch_tile(tile_map<T> const& from, int column, int row, int part) {
  asm volatile("cp.async.bulk.prefetch.tensor.3d.L2.global [%0, {%1, %2, %3}];\n" ::"l"(from.map()),
               "r"(column), "r"(row), "r"(part)
               : "memory");
}

/// Starts the copy of a tile from shared memory, by one thread, which has shown it to the engine.
template <kernel_number T>
__device__ inline void write_tile(tile_map<T> const& to, int column, int row, int part,
                                  unsigned from) {
  asm volatile(
      "cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];\n"
      "cp.async.bulk.commit_group;\n" ::"l"(to.map()),
      "r"(from), "r"(column), "r"(row), "r"(part)
      : "memory");
}
/// Until what the thread writes has been read from shared memory.
__device__ inline void wait_for_written() {
  asm volatile("cp.async.bulk.wait_group.read 0;\n" ::: "memory");
}
/// Between what threads have written to shared memory and copies that read it.
__device__ inline void show_to_engine() {
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
