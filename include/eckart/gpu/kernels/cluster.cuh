#pragma once

#include "eckart/gpu/kernels/numbers.cuh"

#include <cstdint>

/// Instructions of a cluster of thread blocks, which write into each other's shared memory (compute
/// capability 9.0 and later; elsewhere a kernel that uses them has no body).
namespace eckart {
inline namespace v0 {
namespace gpu {

__device__ inline auto cluster_rank() -> int {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;\n" : "=r"(rank));
  return static_cast<int>(rank);
}

/// A barrier of all threads of a cluster in two halves: what was written before arrive() is seen
/// behind wait().
__device__ inline void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n" ::: "memory");
}
/// The same for threads that have written nothing which others read, which costs less.
__device__ inline void cluster_arrive_relaxed() {
  asm volatile("barrier.cluster.arrive.relaxed.aligned;\n" ::: "memory");
}
__device__ inline void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;\n" ::: "memory");
}

/// Where an address of the own shared memory is in that of another block of the cluster.
__device__ inline auto address_in(int block, unsigned address) -> unsigned {
  unsigned there;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;\n" : "=r"(there) : "r"(address), "r"(block));
  return there;
}

/// A place in shared memory that counts the bytes which other blocks send: threads can wait until
/// all have come. For one use.
struct arrivals {
  unsigned address;  ///< of 8 bytes of shared memory

  /// By one thread, before the cluster's barrier that stands before the first send().
  __device__ void expect(int bytes) const {
    asm volatile(
        "mbarrier.init.shared::cta.b64 [%0], 1;\n"
        "fence.mbarrier_init.release.cluster;\n"
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(address),
        "r"(bytes)
        : "memory");
  }
  __device__ void wait() const {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], 0;\n"
        "@!done bra again;\n"
        "}\n" ::"r"(address)
        : "memory");
  }
  /// 16 bytes to the place `to` of a block, whose arrivals stand where the own do.
  __device__ void send(int block, unsigned to, uint4 values) const {
    asm volatile(
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, "
        "[%5];\n" ::"r"(address_in(block, to)),
        "r"(values.x), "r"(values.y), "r"(values.z), "r"(values.w), "r"(address_in(block, address))
        : "memory");
  }
};

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
