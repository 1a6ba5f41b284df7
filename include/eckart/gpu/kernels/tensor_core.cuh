#pragma once

#include "eckart/gpu/kernels/numbers.cuh"

#include <cstdint>

/// Instructions of the tensor cores (compute capability 8.0 and later) and what feeds them. Tiles
/// in shared memory have rows of 64 numbers of 16 bits, which are 8 chunks of 16 bytes; chunk c of
/// row r stands at place c xor (r mod 8), so that 8 rows of one chunk fall in different banks.
namespace eckart {
inline namespace v0 {
namespace gpu {

inline constexpr int row_bytes = 128;  ///< of a tile in shared memory
inline constexpr int row_chunks = row_bytes / packet_bytes;

__device__ inline auto chunk_at(unsigned tile, int row, int chunk) -> unsigned {
  return tile + static_cast<unsigned>(row * row_bytes + (chunk ^ (row % 8)) * packet_bytes);
}

__device__ inline auto shared_address(void const* p) -> unsigned {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

/// Starts a copy of 16 bytes to shared memory; zeros where `exists` is false.
__device__ inline void copy_async(unsigned to, void const* from, bool exists) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from),
               "r"(exists ? packet_bytes : 0));
}
__device__ inline void commit_copies() {
  asm volatile("cp.async.commit_group;\n");
}
/// Waits for the copies of all groups but the last `Pending`.
template <int Pending = 0>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending) : "memory");
}

/// Four 8 x 8 matrices, the rows of matrix i at the addresses of lanes 8 i to 8 i + 7.
__device__ inline void load_matrices(unsigned address, std::uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address));
}
__device__ inline void load_transposed(unsigned address, std::uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address));
}

/// The reverse of load_matrices: four 8 x 8 matrices to shared memory.
__device__ inline void store_matrices(unsigned address, std::uint32_t const (&from)[4]) {
#if __CUDA_ARCH__ >= 900
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};\n" ::"r"(address),
               "r"(from[0]), "r"(from[1]), "r"(from[2]), "r"(from[3])
               : "memory");
#endif
}

/// c (16, 8) += a (16, 16) b (16, 8) in float.
template <kernel_number T>
__device__ inline void multiply_add(std::uint32_t const (&a)[4], std::uint32_t b0, std::uint32_t b1,
                                    float (&c)[4]) {
  if constexpr (std::same_as<T, half>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

/// Two numbers of 16 bits, the first in the lower half.
template <kernel_number T>
__device__ inline auto pack(float first, float second) -> std::uint32_t {
  if constexpr (std::same_as<T, half>) {
    auto const both = __floats2half2_rn(first, second);
    return *reinterpret_cast<std::uint32_t const*>(&both);
  } else {
    auto const both = __floats2bfloat162_rn(first, second);
    return *reinterpret_cast<std::uint32_t const*>(&both);
  }
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
