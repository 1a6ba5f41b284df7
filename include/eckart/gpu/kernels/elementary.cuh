#pragma once

/// Functions of one instruction.
namespace eckart {
inline namespace v0 {
namespace gpu {

/// 2^x within 2 units in the last place, 0 below 2^-126.
__device__ inline auto power_of_2(float x) -> float {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(result) : "f"(x));
  return result;
}
/// 1 / x within 1 unit in the last place, 0 where that is below 2^-126.
__device__ inline auto reciprocal(float x) -> float {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;\n" : "=f"(result) : "f"(x));
  return result;
}

}  // namespace gpu
}  // namespace v0
}  // namespace eckart
