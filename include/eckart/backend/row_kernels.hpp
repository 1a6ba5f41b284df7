#pragma once

#include "eckart/backend/blas_info.hpp"
#include "eckart/core/concepts.hpp"

#include <cstddef>

#if defined(__GNUC__) || defined(__clang__)
#define ECKART_HAS_ROW_KERNELS 1
#endif

/// What happens to a row of floats between two products: softmax, GELU, LayerNorm, the weighted sum
/// of attention. The loops stand in row_loops.inl; the instruction set is chosen while the program
/// runs.
namespace eckart {
inline namespace v0 {
namespace detail {

/// One instruction set's functions of a row x of n floats.
struct row_kernels {
  /// x_i <- exp(x_i - max x) / sum_j exp(x_j - max x); n > 0.
  void (*softmax)(float* x, index_t n);
  /// sum_j exp(x_j - most) in double, and most = max x; n > 0.
  double (*exp_sum)(float const* x, index_t n, float& most);
  /// x_i <- x_i Phi(x_i), within 3e-7 |x_i|.
  void (*gelu)(float* x, index_t n);
  /// row <- (row + other - mean) / sqrt(variance + epsilon) * weight + bias; other may be null.
  void (*add_and_normalize)(float* row, float const* other, float const* weight, float const* bias,
                            index_t n, float epsilon);
  /// c (rows, n) = alpha a (rows, k) b (k, n) + beta c; c is not read where beta is 0.
  void (*weighted_rows)(float alpha, float const* a, index_t lda, index_t rows, float const* b,
                        index_t ldb, index_t k, float beta, float* c, index_t ldc, index_t n);
  /// bytes_i = 128 + x_i / scale, to nearest; answers scale = max |x| / 127, NaN where a number is
  /// not finite.
  float (*to_bytes)(float const* x, index_t n, unsigned char* bytes);
};

/// Wider and longer sums of weighted rows are a matter for BLAS.
inline constexpr index_t weighted_columns_limit = 256;
inline constexpr index_t weighted_terms_limit = 1 << 16;

#ifdef ECKART_HAS_ROW_KERNELS

/// Whatever the compiler's own target has.
namespace baseline {
#define ECKART_LANES 4
#include "eckart/backend/row_loops.inl"
#undef ECKART_LANES
}  // namespace baseline

#if defined(__x86_64__)

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
#define ECKART_LANES 8
#include "eckart/backend/row_loops.inl"
#undef ECKART_LANES
}  // namespace avx2
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq")
#endif
namespace avx512 {
#define ECKART_LANES 16
#include "eckart/backend/row_loops.inl"
#undef ECKART_LANES
}  // namespace avx512
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

/// The functions for an instruction set.
inline auto row_kernels_of(simd_level level) -> row_kernels {
#if defined(__x86_64__)
  if (level == simd_level::avx512) {
    return avx512::kernels;
  }
  if (level == simd_level::avx2) {
    return avx2::kernels;
  }
#else
  (void)level;
#endif
  return baseline::kernels;
}

inline auto best_row_kernels() -> row_kernels const& {
  static auto const kernels = row_kernels_of(processor_level().value_or(simd_level::sse));
  return kernels;
}

#endif

}  // namespace detail
}  // namespace v0
}  // namespace eckart
