#pragma once

#include "eckart/gpu/kernels/tensor_core.cuh"

#include <cstdint>

// The instructions are those of 9.0a alone, and their sums have to be in registers: not in a build
// for a debugger.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) && !defined(__CUDACC_DEBUG__)
#define ECKART_HAS_WARPGROUPS
#endif

/// Products by four warps together (where ECKART_HAS_WARPGROUPS is defined; elsewhere the functions
/// have no body). The second factor, or both, are read from tiles in shared memory, which
/// are those of tensor_core.cuh, at multiples of 1024 bytes.
namespace eckart {
inline namespace v0 {
namespace gpu {

inline constexpr int warpgroup_threads = 128;
inline constexpr int warpgroup_rows = 64;  ///< of the product
inline constexpr int tile_columns = 64;    ///< numbers of a row of a tile
inline constexpr int step_columns = 16;    ///< numbers of a row that an instruction multiplies

/// How the instructions name a tile: groups of 8 rows follow each other.
__device__ __forceinline__ auto tile_descriptor(unsigned address) -> std::uint64_t {
  constexpr std::uint64_t bytes_of_group = 8 * row_bytes;
  constexpr std::uint64_t in_chunks_xor_row = std::uint64_t{1} << 62;
  return (address & 0x3ffffU) >> 4U | std::uint64_t{1} << 16U | (bytes_of_group >> 4U) << 32U |
         in_chunks_xor_row;
}
/// From one step's numbers to the next one's, in units of a descriptor.
inline constexpr std::uint64_t step_in_descriptor = 2 * step_columns >> 4;

/// The same for 64 rows in groups of 8 columns, one group behind the other, of which a row has 16
/// bytes.
__device__ __forceinline__ auto group_descriptor(unsigned address) -> std::uint64_t {
  constexpr std::uint64_t bytes_of_group = warpgroup_rows * packet_bytes;
  constexpr std::uint64_t bytes_of_8_rows = 8 * packet_bytes;
  return (address & 0x3ffffU) >> 4U | (bytes_of_group >> 4U) << 16U |
         (bytes_of_8_rows >> 4U) << 32U;
}
inline constexpr std::uint64_t step_of_groups_in_descriptor =
    2 * step_columns * warpgroup_rows >> 4;

/// Changes the registers that each thread of a warpgroup has: to more, where others gave theirs, or
/// to fewer.
template <int Registers, bool More>
__device__ __forceinline__ void keep_registers() {
#ifdef ECKART_HAS_WARPGROUPS
  if constexpr (More) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(Registers));
  } else {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(Registers));
  }
#endif
}

/// Before the first product, and where registers of products were touched in between.
__device__ __forceinline__ void begin_products() {
#ifdef ECKART_HAS_WARPGROUPS
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#endif
}
/// Ends a group of products.
__device__ __forceinline__ void commit_products() {
#ifdef ECKART_HAS_WARPGROUPS
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#endif
}
/// Waits for all groups but the last `Pending`.
template <int Pending = 0>
__device__ __forceinline__ void wait_for_products() {
#ifdef ECKART_HAS_WARPGROUPS
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(Pending) : "memory");
#endif
}

/// Behind the waiting for products, or in front of the first one: no use of their sums is moved
/// across by the compiler.
template <int Size>
__device__ __forceinline__ void settle(float (&sums)[Size]) {
#pragma unroll
  for (float& sum : sums) {
    asm volatile("" : "+f"(sum)::"memory");
  }
}

#ifdef ECKART_HAS_WARPGROUPS
// A product's sums as operands of an instruction, and the names that they have in it.
#define ECKART_SUMS_4(s, i) "+f"(s[i]), "+f"(s[(i) + 1]), "+f"(s[(i) + 2]), "+f"(s[(i) + 3])
#define ECKART_SUMS_8(s, i) ECKART_SUMS_4(s, i), ECKART_SUMS_4(s, (i) + 4)
#define ECKART_SUMS_16(s, i) ECKART_SUMS_8(s, i), ECKART_SUMS_8(s, (i) + 8)
#define ECKART_SUMS_32(s, i) ECKART_SUMS_16(s, i), ECKART_SUMS_16(s, (i) + 16)
#define ECKART_NAMES_4 "%0,%1,%2,%3"
#define ECKART_NAMES_8 ECKART_NAMES_4 ",%4,%5,%6,%7"
#define ECKART_NAMES_16 ECKART_NAMES_8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define ECKART_NAMES_32 \
  ECKART_NAMES_16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define ECKART_NAMES_48 \
  ECKART_NAMES_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define ECKART_NAMES_64 \
  ECKART_NAMES_48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define ECKART_PRODUCT(columns, type, names, a, b, transposed)                                   \
  "wgmma.mma_async.sync.aligned.m64n" columns "k16.f32." type "." type " {" names "}, " a ", " b \
  ", 1, 1, 1, " transposed ";\n"
#define ECKART_PRODUCTS_OF(type)                                                    \
  if constexpr (Columns == 8) {                                                     \
    asm volatile(ECKART_PRODUCT("8", type, ECKART_NAMES_4, "%4", "%5", "0, 0")      \
                 : ECKART_SUMS_4(sums, 0)                                           \
                 : "l"(a), "l"(b));                                                 \
  } else if constexpr (Columns == 16) {                                             \
    asm volatile(ECKART_PRODUCT("16", type, ECKART_NAMES_8, "%8", "%9", "0, 0")     \
                 : ECKART_SUMS_8(sums, 0)                                           \
                 : "l"(a), "l"(b));                                                 \
  } else if constexpr (Columns == 32) {                                             \
    asm volatile(ECKART_PRODUCT("32", type, ECKART_NAMES_16, "%16", "%17", "0, 0")  \
                 : ECKART_SUMS_16(sums, 0)                                          \
                 : "l"(a), "l"(b));                                                 \
  } else if constexpr (Columns == 64) {                                             \
    asm volatile(ECKART_PRODUCT("64", type, ECKART_NAMES_32, "%32", "%33", "0, 0")  \
                 : ECKART_SUMS_32(sums, 0)                                          \
                 : "l"(a), "l"(b));                                                 \
  } else if constexpr (Columns == 96) {                                             \
    asm volatile(ECKART_PRODUCT("96", type, ECKART_NAMES_48, "%48", "%49", "0, 0")  \
                 : ECKART_SUMS_32(sums, 0), ECKART_SUMS_16(sums, 32)                \
                 : "l"(a), "l"(b));                                                 \
  } else {                                                                          \
    static_assert(Columns == 128);                                                  \
    asm volatile(ECKART_PRODUCT("128", type, ECKART_NAMES_64, "%64", "%65", "0, 0") \
                 : ECKART_SUMS_32(sums, 0), ECKART_SUMS_32(sums, 32)                \
                 : "l"(a), "l"(b));                                                 \
  }
#define ECKART_PRODUCT_FROM_REGISTERS(type)                                                 \
  asm volatile(ECKART_PRODUCT("64", type, ECKART_NAMES_32, "{%32,%33,%34,%35}", "%36", "0") \
               : ECKART_SUMS_32(sums, 0)                                                    \
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "l"(b))
#endif

/// sums (64, Columns) += a b^T over 16 numbers of each row: a has 64 rows, b
/// Columns rows. A thread has of every 8 columns 4 sums: columns 2 (l mod 4) and the next, of row
/// l / 4 of its warp's 16 rows and of the row 8 below, l its lane.
template <kernel_number T, int Columns>
__device__ __forceinline__ void multiply_tiles(std::uint64_t a, std::uint64_t b,
                                               float (&sums)[Columns / 2]) {
#ifdef ECKART_HAS_WARPGROUPS
  if constexpr (std::same_as<T, half>) {
    ECKART_PRODUCTS_OF("f16")
  } else {
    ECKART_PRODUCTS_OF("bf16")
  }
#endif
}

/// The same for 64 rows of b, and a in registers: what a thread has as sums of 16 columns, packed
/// two by two in their order.
template <kernel_number T>
__device__ __forceinline__ void multiply_by_tile(uint4 const& a, std::uint64_t b,
                                                 float (&sums)[tile_columns / 2]) {
#ifdef ECKART_HAS_WARPGROUPS
  if constexpr (std::same_as<T, half>) {
    ECKART_PRODUCT_FROM_REGISTERS("f16");
  } else {
    ECKART_PRODUCT_FROM_REGISTERS("bf16");
  }
#endif
}

#ifdef ECKART_HAS_WARPGROUPS
#undef ECKART_PRODUCT_FROM_REGISTERS
#undef ECKART_PRODUCTS_OF
#undef ECKART_PRODUCT
#undef ECKART_NAMES_64
#undef ECKART_NAMES_48
#undef ECKART_NAMES_32
#undef ECKART_NAMES_16
#undef ECKART_NAMES_8
#undef ECKART_NAMES_4
#undef ECKART_SUMS_32
#undef ECKART_SUMS_16
#undef ECKART_SUMS_8
#undef ECKART_SUMS_4
#endif

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
