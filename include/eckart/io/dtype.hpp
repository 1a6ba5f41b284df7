#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <ostream>
#include <span>
#include <string_view>

/// The element types of tensor files and the conversions between the floating-point ones.
namespace eckart {
inline namespace v0 {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian");

/// Every element type of the safetensors format, in the order of the format's own list: the order
/// of tensors in a file follows it, so that each is aligned to its element.
enum class dtype {
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  f64,
  i64,
  u64
};

namespace detail {

struct dtype_row {
  std::string_view name;  // as written in the file
  int bytes;              // of one element
};

inline constexpr std::array<dtype_row, 15> dtype_table{{{"BOOL", 1},
                                                        {"U8", 1},
                                                        {"I8", 1},
                                                        {"F8_E5M2", 1},
                                                        {"F8_E4M3", 1},
                                                        {"I16", 2},
                                                        {"U16", 2},
                                                        {"F16", 2},
                                                        {"BF16", 2},
                                                        {"I32", 4},
                                                        {"U32", 4},
                                                        {"F32", 4},
                                                        {"F64", 8},
                                                        {"I64", 8},
                                                        {"U64", 8}}};

}  // namespace detail

/// Name of an element type in a file: "BF16".
constexpr auto dtype_name(dtype type) -> std::string_view {
  return detail::dtype_table[static_cast<std::size_t>(type)].name;
}

/// Bytes of one element.
constexpr auto dtype_size(dtype type) -> int {
  return detail::dtype_table[static_cast<std::size_t>(type)].bytes;
}

/// The element type of that name, nothing if there is none.
constexpr auto find_dtype(std::string_view name) -> std::optional<dtype> {
  auto const row = std::ranges::find(detail::dtype_table, name, &detail::dtype_row::name);
  if (row == detail::dtype_table.end()) {
    return std::nullopt;
  }
  return static_cast<dtype>(row - detail::dtype_table.begin());
}

/// True for the types that decode and encode convert: F64, F32, F16 and BF16.
constexpr auto is_convertible(dtype type) -> bool {
  return type == dtype::f64 || type == dtype::f32 || type == dtype::f16 || type == dtype::bf16;
}

inline auto operator<<(std::ostream& out, dtype type) -> std::ostream& {
  return out << dtype_name(type);
}

/// The value of an IEEE binary16 pattern. Exact, NaN payloads kept.
/// Without branches: both cases are computed and one is selected by a mask, which compilers turn
/// into vector code. A subnormal m * 2^-24 is found as (2^-14 + m * 2^-24) - 2^-14, between normal
/// numbers, so that a processor set to flush subnormals gives the same.
constexpr auto f16_to_float(std::uint16_t bits) -> float {
  constexpr std::uint32_t exponent = 0x1fu << 23;  // of binary16, shifted into place
  constexpr std::uint32_t bias_change = (127u - 15u) << 23;
  constexpr std::uint32_t smallest_normal = 113u << 23;  // 2^-14
  auto const sign = std::uint32_t{bits} << 16 & 0x8000'0000u;
  auto const magnitude = (std::uint32_t{bits} & 0x7fffu) << 13;
  auto const is_subnormal = 0u - static_cast<std::uint32_t>((magnitude & exponent) == 0);
  auto const is_special = 0u - static_cast<std::uint32_t>((magnitude & exponent) == exponent);
  // Inf and NaN: twice the change lifts the exponent from 31 to 255.
  auto const normal = magnitude + bias_change + (is_special & bias_change);
  auto const subnormal = std::bit_cast<std::uint32_t>(
      std::bit_cast<float>(magnitude + smallest_normal) - std::bit_cast<float>(smallest_normal));
  return std::bit_cast<float>(sign | (is_subnormal & subnormal) | (~is_subnormal & normal));
}

/// The value of a bfloat16 pattern: the upper half of a float. Exact, NaN payloads kept.
constexpr auto bf16_to_float(std::uint16_t upper) -> float {
  return std::bit_cast<float>(std::uint32_t{upper} << 16);
}

namespace detail {

// The nearest number with the given bits of exponent and mantissa, ties to even, as a pattern. From
// double, since rounding twice (double, float, half) may miss the nearest. Beyond the range:
// infinity.
template <int exponent_bits, int mantissa_bits>
constexpr auto round_to_pattern(double value) -> std::uint16_t {
  static_assert(exponent_bits + mantissa_bits == 15);
  constexpr int bias = (1 << (exponent_bits - 1)) - 1;
  constexpr int min_exponent = 1 - bias;
  constexpr auto infinity = ((std::uint64_t{1} << exponent_bits) - 1) << mantissa_bits;
  constexpr auto implicit_one = std::uint64_t{1} << 52;
  auto const bits = std::bit_cast<std::uint64_t>(value);
  auto const sign = bits >> 63 << 15;
  auto const fraction = bits & (implicit_one - 1);
  auto const exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
  auto const pattern = [sign](std::uint64_t rest) {
    return static_cast<std::uint16_t>(sign | rest);
  };
  if (exponent == 1024 && fraction != 0) {
    auto const payload = fraction >> (52 - mantissa_bits);
    return pattern(infinity | (payload != 0 ? payload : std::uint64_t{1} << (mantissa_bits - 1)));
  }
  if (exponent > bias) {
    return pattern(infinity);
  }
  auto const shift = 52 - mantissa_bits + std::max(0, min_exponent - exponent);
  if (shift > 53) {
    return pattern(0);  // below half of the smallest subnormal
  }
  auto const significand = fraction | implicit_one;
  auto const middle = std::uint64_t{1} << (shift - 1);
  auto const rest = significand & (2 * middle - 1);
  auto kept = significand >> shift;
  kept += static_cast<std::uint64_t>(rest > middle || (rest == middle && kept % 2 == 1));
  // The implicit one of a normal number, and a carry, add 1 to the exponent field.
  auto const field = static_cast<std::uint64_t>(std::max(exponent, min_exponent) + bias - 1);
  return pattern((field << mantissa_bits) + kept);
}

// Calls convert on each element of type Stored at `bytes`, which need not be aligned. Elements go
// through a local block: it cannot overlap `out`, so the loop is vectorized without a run-time
// test.
template <class Stored, real T, class Convert>
void decode_each(std::byte const* bytes, std::span<T> out, Convert convert) {
  constexpr std::size_t block = 32;
  std::array<Stored, block> stored;
  std::size_t i = 0;
  for (; i + block <= out.size(); i += block) {
    std::memcpy(stored.data(), bytes + i * sizeof(Stored), sizeof stored);
    for (std::size_t j = 0; j < block; ++j) {
      out[i + j] = convert(stored[j]);
    }
  }
  for (; i < out.size(); ++i) {
    std::memcpy(stored.data(), bytes + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored[0]);
  }
}

// Writes convert(value) for each value; stops at a finite value that became infinite.
template <class Stored, real T, class Convert, class IsInfinite>
auto encode_each(std::span<T const> values, std::byte* bytes, Convert convert,
                 IsInfinite is_infinite) -> std::optional<std::size_t> {
  for (std::size_t i = 0; i < values.size(); ++i) {
    Stored const stored = convert(values[i]);
    if (is_infinite(stored) && std::isfinite(values[i])) {
      return i;
    }
    std::memcpy(bytes + i * sizeof(Stored), &stored, sizeof(Stored));
  }
  return std::nullopt;
}

}  // namespace detail

/// The nearest binary16 pattern, ties to even; infinity from 65520 on; NaN stays NaN.
constexpr auto to_f16(double value) -> std::uint16_t {
  return detail::round_to_pattern<5, 10>(value);
}

/// The nearest bfloat16 pattern, ties to even; NaN stays NaN.
constexpr auto to_bf16(double value) -> std::uint16_t {
  return detail::round_to_pattern<8, 7>(value);
}

/// Converts stored elements into `out`. `bytes` holds out.size() elements of `type`, at any
/// address. Exact but for F64 into float, which rounds to nearest. Throws shape_error if the sizes
/// differ or the type is not convertible. A copy if T is the stored type.
template <real T>
void decode(dtype type, std::span<std::byte const> bytes, std::span<T> out) {
  if (!is_convertible(type) ||
      bytes.size() / static_cast<std::size_t>(dtype_size(type)) != out.size() ||
      bytes.size() % static_cast<std::size_t>(dtype_size(type)) != 0) {
    throw shape_error(
        message("decode: ", bytes.size(), " bytes of ", type, " into ", out.size(), " elements"));
  }
  auto const cast = [](auto stored) { return static_cast<T>(stored); };
  if (out.empty()) {
    return;  // memcpy takes no null pointer
  }
  if (type == (std::same_as<T, float> ? dtype::f32 : dtype::f64)) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
  } else if (type == dtype::f32) {
    detail::decode_each<float>(bytes.data(), out, cast);
  } else if (type == dtype::f64) {
    detail::decode_each<double>(bytes.data(), out, cast);
  } else if (type == dtype::f16) {
    detail::decode_each<std::uint16_t>(
        bytes.data(), out, [](auto bits) { return static_cast<T>(f16_to_float(bits)); });
  } else {
    detail::decode_each<std::uint16_t>(
        bytes.data(), out, [](auto upper) { return static_cast<T>(bf16_to_float(upper)); });
  }
}

/// Converts values into stored elements, to nearest, ties to even. `bytes` holds values.size()
/// elements of `type`, at any address. Answers the position of the first finite value that is
/// beyond the range of `type`, where it has stopped, nothing if all went well. Throws shape_error
/// as decode.
template <real T>
auto encode(std::span<T const> values, dtype type, std::span<std::byte> bytes)
    -> std::optional<std::size_t> {
  if (!is_convertible(type) ||
      bytes.size() != values.size() * static_cast<std::size_t>(dtype_size(type))) {
    throw shape_error(
        message("encode: ", values.size(), " elements into ", bytes.size(), " bytes of ", type));
  }
  if (values.empty()) {
    return std::nullopt;
  }
  auto const is_infinite = [](auto stored) { return std::isinf(stored); };
  if (type == (std::same_as<T, float> ? dtype::f32 : dtype::f64)) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return std::nullopt;
  }
  if (type == dtype::f32) {
    return detail::encode_each<float>(
        values, bytes.data(), [](T value) { return static_cast<float>(value); }, is_infinite);
  }
  if (type == dtype::f64) {
    return detail::encode_each<double>(
        values, bytes.data(), [](T value) { return static_cast<double>(value); }, is_infinite);
  }
  if (type == dtype::f16) {
    return detail::encode_each<std::uint16_t>(
        values, bytes.data(), [](T value) { return to_f16(static_cast<double>(value)); },
        [](std::uint16_t stored) { return (stored & 0x7fff) == 0x7c00; });
  }
  return detail::encode_each<std::uint16_t>(
      values, bytes.data(), [](T value) { return to_bf16(static_cast<double>(value)); },
      [](std::uint16_t stored) { return (stored & 0x7fff) == 0x7f80; });
}

}  // namespace v0
}  // namespace eckart
