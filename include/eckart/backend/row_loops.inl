// Loops over a row of floats, written once and compiled for each instruction set: row_kernels.hpp
// includes this file in a namespace of each, with ECKART_LANES floats in a vector. Operators of
// vectors are the compiler's (GCC and Clang). No call of a function from outside of the namespace:
// it would be code of another instruction set.

using whole [[gnu::vector_size(ECKART_LANES * 4)]] = float;
using bits [[gnu::vector_size(ECKART_LANES * 4)]] = int;
using words [[gnu::vector_size(ECKART_LANES * 4)]] = unsigned;
using unaligned [[gnu::vector_size(ECKART_LANES * 4), gnu::aligned(4), gnu::may_alias]] = float;
using byte_lanes [[gnu::vector_size(ECKART_LANES)]] = unsigned char;
using half_whole [[gnu::vector_size(ECKART_LANES * 2)]] = float;
using half_double [[gnu::vector_size(ECKART_LANES * 4)]] = double;

inline constexpr index_t lanes = ECKART_LANES;

/// Rows of the left factor and vectors of columns that weighted_rows keeps in registers.
inline constexpr std::size_t row_group = ECKART_LANES == 16 ? 4 : 2;
inline constexpr std::size_t column_group = ECKART_LANES == 16 ? 4 : 2;

inline auto load(float const* x) -> whole {
  return *reinterpret_cast<unaligned const*>(x);
}
inline void store(float* x, whole v) {
  *reinterpret_cast<unaligned*>(x) = v;
}
inline auto splat(float x) -> whole {
  return x - whole{};  // not x + 0, which is an addition for x = -0
}

/// The last n < lanes numbers of a row, `fill` in the other lanes.
inline auto load_rest(float const* x, index_t n, float fill) -> whole {
  whole v = splat(fill);
  __builtin_memcpy(&v, x, static_cast<std::size_t>(n) * sizeof(float));
  return v;
}
inline void store_rest(float* x, index_t n, whole v) {
  __builtin_memcpy(x, &v, static_cast<std::size_t>(n) * sizeof(float));
}

/// a where the bits of the mask are set, else b.
inline auto choose(bits mask, whole a, whole b) -> whole {
  return __builtin_bit_cast(
      whole, (__builtin_bit_cast(bits, a) & mask) | (__builtin_bit_cast(bits, b) & ~mask));
}
inline auto larger(whole a, whole b) -> whole {
  return choose(a > b, a, b);
}

inline auto total(whole v) -> float {
  float sum = 0;
  for (index_t i = 0; i < lanes; ++i) {
    sum += v[i];
  }
  return sum;
}

/// e^x = 2^n e^r with n the nearest integer to x / log 2 and |r| <= log(2) / 2; e^r - 1 - r as r²
/// p(r), p of degree 4 by least squares reweighted towards the smallest largest relative
/// error: 3.1e-9 in exact arithmetic, below 2 units in the last place in float. 0 below -87.33,
/// where the result would be subnormal. x <= 88. NaN stays NaN.
inline auto exp_of(whole x) -> whole {
  constexpr float round =
      12582912.0F;  // 1.5 2^23: adding it leaves the nearest integer in the low bits
  whole const shifted = x * 1.44269504F + round;
  whole const n = shifted - round;
  whole const r = (x - n * 0.693145752F) - n * 1.42860677e-6F;  // log 2 in two parts
  whole const p =
      (((r * 0.001381454F + 0.008368745F) * r + 0.04166839F) * r + 0.16666521F) * r + 0.49999994F;
  words const power = (__builtin_bit_cast(words, shifted) << 23) + (127U << 23);
  whole const value = ((p * r) * r + r + 1.0F) * __builtin_bit_cast(whole, power);
  return choose(x < -87.33F, whole{}, value);
}

inline auto largest_of(float const* x, index_t n) -> float {
  // Four at a time: one would wait for the other.
  whole most = splat(-__builtin_inff());
  whole second = most;
  whole third = most;
  whole fourth = most;
  index_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    most = larger(load(x + i), most);
    second = larger(load(x + i + lanes), second);
    third = larger(load(x + i + 2 * lanes), third);
    fourth = larger(load(x + i + 3 * lanes), fourth);
  }
  most = larger(larger(second, most), larger(fourth, third));
  for (; i + lanes <= n; i += lanes) {
    most = larger(load(x + i), most);
  }
  if (i < n) {
    most = larger(load_rest(x + i, n - i, -__builtin_inff()), most);
  }
  float result = most[0];
  for (index_t lane = 1; lane < lanes; ++lane) {
    result = most[lane] > result ? most[lane] : result;
  }
  return result;
}

inline void softmax(float* x, index_t n) {
  float const most = largest_of(x, n);
  whole sums{};
  index_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    whole const e = exp_of(load(x + i) - most);
    sums += e;
    store(x + i, e);
  }
  if (i < n) {
    whole const e = exp_of(load_rest(x + i, n - i, -__builtin_inff()) - most);
    sums += e;
    store_rest(x + i, n - i, e);
  }
  float const scale = 1.0F / total(sums);
  for (i = 0; i + lanes <= n; i += lanes) {
    store(x + i, load(x + i) * scale);
  }
  for (; i < n; ++i) {
    x[i] *= scale;
  }
}

/// Adds the two halves of a vector, in double.
inline void add_in_double(whole v, half_double& low, half_double& high) {
  half_whole parts[2];
  __builtin_memcpy(parts, &v, sizeof v);
  low += __builtin_convertvector(parts[0], half_double);
  high += __builtin_convertvector(parts[1], half_double);
}

inline auto exp_sum(float const* x, index_t n, float& most) -> double {
  most = largest_of(x, n);
  half_double low{};
  half_double high{};
  index_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    add_in_double(exp_of(load(x + i) - most), low, high);
  }
  if (i < n) {
    add_in_double(exp_of(load_rest(x + i, n - i, -__builtin_inff()) - most), low, high);
  }
  low += high;
  double sum = 0;
  for (index_t lane = 0; lane < lanes / 2; ++lane) {
    sum += low[lane];
  }
  return sum;
}

/// x/2 (1 + erf(x / sqrt 2)), erf as in nn/activation.hpp.
inline auto gelu_of(whole x) -> whole {
  constexpr int magnitude = 0x7fffffff;
  constexpr int one_from = 0x407ae148;  // 3.92: from here on erf rounds to 1
  bits const argument = __builtin_bit_cast(bits, x * 0.70710678118654752440F);
  bits const size = argument & magnitude;
  bits const is_cut = size > one_from;
  whole const c =
      __builtin_bit_cast(whole, (size & ~is_cut) | (is_cut & one_from) | (argument & ~magnitude));
  whole const t = c * c;
  whole const p =
      ((((t * 2.0347461e-06F + 2.87479779e-04F) * t + 3.86831397e-03F) * t + 5.30604385e-02F) * t +
       1.92763656e-01F) *
          t +
      1.12837899F;
  whole const q =
      ((((t * 3.80707788e-05F + 1.18811324e-03F) * t + 1.51722664e-02F) * t + 1.15084462e-01F) * t +
       5.04163980e-01F) *
          t +
      1.0F;
  return x * 0.5F * (c * p / q + 1.0F);
}

inline void gelu(float* x, index_t n) {
  index_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    store(x + i, gelu_of(load(x + i)));
  }
  if (i < n) {
    store_rest(x + i, n - i, gelu_of(load_rest(x + i, n - i, 0)));
  }
}

inline void add_and_normalize(float* row, float const* other, float const* weight,
                              float const* bias, index_t n, float epsilon) {
  whole sums{};
  index_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    whole const v = other ? load(row + i) + load(other + i) : load(row + i);
    store(row + i, v);
    sums += v;
  }
  float sum = 0;
  for (; i < n; ++i) {
    row[i] += other ? other[i] : 0.0F;
    sum += row[i];
  }
  float const mean = (sum + total(sums)) / static_cast<float>(n);
  sums = whole{};
  sum = 0;
  for (i = 0; i + lanes <= n; i += lanes) {
    whole const d = load(row + i) - mean;
    sums += d * d;
  }
  for (; i < n; ++i) {
    sum += (row[i] - mean) * (row[i] - mean);
  }
  float const variance = (sum + total(sums)) / static_cast<float>(n);
  float const scale = 1.0F / __builtin_sqrtf(variance + epsilon);
  for (i = 0; i + lanes <= n; i += lanes) {
    store(row + i, (load(row + i) - mean) * scale * load(weight + i) + load(bias + i));
  }
  for (; i < n; ++i) {
    row[i] = (row[i] - mean) * scale * weight[i] + bias[i];
  }
}

/// Rows rows of c, Vectors vectors of columns: c = alpha a b + beta c.
template <std::size_t Rows, std::size_t Vectors>
inline void weighted_block(float alpha, float const* a, index_t lda, float const* b, index_t ldb,
                           index_t k, float beta, float* c, index_t ldc) {
  whole sum[Rows][Vectors] = {};
  for (index_t p = 0; p < k; ++p) {
    whole row[Vectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < Vectors; ++v) {
      row[v] = load(b + p * ldb + static_cast<index_t>(v) * lanes);
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < Rows; ++i) {
      whole const weight = splat(a[static_cast<index_t>(i) * lda + p]);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < Vectors; ++v) {
        sum[i][v] += weight * row[v];
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < Vectors; ++v) {
      float* to = c + static_cast<index_t>(i) * ldc + static_cast<index_t>(v) * lanes;
      whole const s = sum[i][v] * alpha;
      store(to, beta == 0 ? s : load(to) * beta + s);
    }
  }
}

template <std::size_t Rows>
inline void weighted_columns(float alpha, float const* a, index_t lda, float const* b, index_t ldb,
                             index_t k, float beta, float* c, index_t ldc, index_t n) {
  constexpr index_t step = static_cast<index_t>(column_group) * lanes;
  index_t j = 0;
  for (; j + step <= n; j += step) {
    weighted_block<Rows, column_group>(alpha, a, lda, b + j, ldb, k, beta, c + j, ldc);
  }
  for (; j + lanes <= n; j += lanes) {
    weighted_block<Rows, 1>(alpha, a, lda, b + j, ldb, k, beta, c + j, ldc);
  }
  for (; j < n; ++j) {
    for (index_t i = 0; i < static_cast<index_t>(Rows); ++i) {
      float sum = 0;
      for (index_t p = 0; p < k; ++p) {
        sum += a[i * lda + p] * b[p * ldb + j];
      }
      float& to = c[i * ldc + j];
      to = beta == 0 ? alpha * sum : beta * to + alpha * sum;
    }
  }
}

inline void weighted_rows(float alpha, float const* a, index_t lda, index_t rows, float const* b,
                          index_t ldb, index_t k, float beta, float* c, index_t ldc, index_t n) {
  constexpr auto step = static_cast<index_t>(row_group);
  index_t i = 0;
  for (; i + step <= rows; i += step) {
    weighted_columns<row_group>(alpha, a + i * lda, lda, b, ldb, k, beta, c + i * ldc, ldc, n);
  }
  for (; i < rows; ++i) {
    weighted_columns<1>(alpha, a + i * lda, lda, b, ldb, k, beta, c + i * ldc, ldc, n);
  }
}

/// As row_kernels::to_bytes.
inline auto to_bytes(float const* x, index_t n, unsigned char* bytes) -> float {
  whole most{};
  whole zeros{};  // NaN where a number is not finite
  index_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    whole const v = load(x + i);
    zeros += v * 0.0F;
    most = larger(larger(v, -v), most);
  }
  if (i < n) {
    whole const v = load_rest(x + i, n - i, 0);
    zeros += v * 0.0F;
    most = larger(larger(v, -v), most);
  }
  float size = 0;
  for (index_t lane = 0; lane < lanes; ++lane) {
    size = most[lane] > size ? most[lane] : size;
  }
  size += total(zeros);
  float const steps = size > 0 ? 127.0F / size : 0.0F;
  for (i = 0; i < n; i += lanes) {
    index_t const count = n - i < lanes ? n - i : lanes;
    whole const v = count == lanes ? load(x + i) : load_rest(x + i, count, 0);
    byte_lanes const b =
        __builtin_convertvector(__builtin_convertvector(v * steps + 128.5F, bits), byte_lanes);
    __builtin_memcpy(bytes + i, &b, static_cast<std::size_t>(count));
  }
  return size / 127.0F;
}

inline constexpr row_kernels kernels{softmax,           exp_sum,       gelu,
                                     add_and_normalize, weighted_rows, to_bytes};
