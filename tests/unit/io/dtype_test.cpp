#include "eckart/io/dtype.hpp"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <sstream>
#include <vector>

using namespace eckart;

namespace {

// The value of a pattern, from the definition: sign, exponent field, mantissa field.
auto definition(int pattern, int exponent_bits, int mantissa_bits) -> double {
  auto const sign = pattern >> 15 != 0 ? -1.0 : 1.0;
  auto const exponent = pattern >> mantissa_bits & ((1 << exponent_bits) - 1);
  auto const mantissa = pattern & ((1 << mantissa_bits) - 1);
  auto const bias = (1 << (exponent_bits - 1)) - 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) {
    return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  }
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

auto all_patterns() -> std::vector<std::uint16_t> {
  std::vector<std::uint16_t> patterns(65536);
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    patterns[i] = static_cast<std::uint16_t>(i);
  }
  return patterns;
}

// Equal as bits, so that -0 is not 0; any NaN of the right sign where NaN is expected.
template <class T>
auto is_same(T value, double expected, bool negative) -> bool {
  if (std::isnan(expected)) {
    return std::isnan(value) && std::signbit(value) == negative;
  }
  return static_cast<double>(value) == expected && std::signbit(value) == std::signbit(expected);
}

template <class T>
auto count_wrong(dtype type, int exponent_bits, int mantissa_bits) -> int {
  auto const patterns = all_patterns();
  std::vector<T> values(patterns.size());
  decode<T>(type, std::as_bytes(std::span(patterns)), values);
  int wrong = 0;
  for (int i = 0; i < 65536; ++i) {
    auto const value = values[static_cast<std::size_t>(i)];
    wrong +=
        static_cast<int>(!is_same(value, definition(i, exponent_bits, mantissa_bits), i >= 32768));
  }
  return wrong;
}

// The nearest pattern, ties to even, by looking at both neighbours of the truncated one.
auto nearest(double value, int exponent_bits, int mantissa_bits) -> int {
  auto const sign = std::signbit(value) ? 32768 : 0;
  auto const infinity = ((1 << exponent_bits) - 1) << mantissa_bits;
  auto const size = std::abs(value);
  int low = 0;
  int high = infinity;  // patterns are ordered as their values
  while (high - low > 1) {
    auto const middle = (low + high) / 2;
    (definition(middle, exponent_bits, mantissa_bits) <= size ? low : high) = middle;
  }
  // The number that would follow the largest finite one stands for infinity.
  auto const step = definition(low, exponent_bits, mantissa_bits) -
                    definition(low == 0 ? 0 : low - 1, exponent_bits, mantissa_bits);
  auto const above = high == infinity ? definition(low, exponent_bits, mantissa_bits) + step
                                      : definition(high, exponent_bits, mantissa_bits);
  auto const middle = definition(low, exponent_bits, mantissa_bits) / 2 + above / 2;  // exact
  auto const up = size > middle || (size == middle && low % 2 == 1);
  return sign + (up ? high : low);
}

}  // namespace

TEST_CASE("every name leads to its type and back, with the size of the format") {
  constexpr std::array<int, 15> sizes{1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    auto const type = static_cast<dtype>(i);
    CHECK(find_dtype(dtype_name(type)) == type);
    CHECK(dtype_size(type) == sizes[i]);
  }
  CHECK(find_dtype("BF16") == dtype::bf16);
  CHECK(find_dtype("F8_E4M3") == dtype::f8_e4m3);
  CHECK(!find_dtype("f32").has_value());
  CHECK(!find_dtype("").has_value());
  std::ostringstream out;
  out << dtype::boolean;
  CHECK(out.str() == "BOOL");
}

TEST_CASE_TEMPLATE("all 65536 half-precision patterns decode to the value of the definition", T,
                   float, double) {
  CHECK(count_wrong<T>(dtype::f16, 5, 10) == 0);
  CHECK(count_wrong<T>(dtype::bf16, 8, 7) == 0);
}

TEST_CASE("a NaN keeps its payload through half precision and back") {
  static_assert(std::bit_cast<std::uint32_t>(f16_to_float(0x7e01)) == 0x7fc02000U);
  static_assert(std::bit_cast<std::uint32_t>(f16_to_float(0xfd55)) == 0xffaaa000U);
  static_assert(std::bit_cast<std::uint32_t>(bf16_to_float(0xff81)) == 0xff810000U);
  static_assert(to_f16(std::bit_cast<double>(0x7ff8'0400'0000'0000U)) == 0x7e01);
  // A payload in the low bits alone must not turn into infinity.
  static_assert(to_f16(std::bit_cast<double>(0xfff0'0000'0000'0001U)) == 0xfe00);
  static_assert(to_bf16(std::bit_cast<double>(0x7ff0'0000'0000'0001U)) == 0x7fc0);
}

TEST_CASE("every pattern that is not a NaN survives decoding and encoding") {
  auto const patterns = all_patterns();
  std::vector<float> values(patterns.size());
  std::vector<std::uint16_t> again(patterns.size());
  for (auto const type : {dtype::f16, dtype::bf16}) {
    decode<float>(type, std::as_bytes(std::span(patterns)), values);
    // Infinity is no overflow: it was infinite before.
    CHECK(!encode<float>(values, type, std::as_writable_bytes(std::span(again))).has_value());
    int wrong = 0;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      wrong += static_cast<int>(again[i] != patterns[i] && !std::isnan(values[i]));
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("encoding rounds to the nearest pattern, ties to even") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-30.0, 17.0);
  int wrong = 0;
  auto const check = [&wrong](double value) {
    wrong += static_cast<int>(to_f16(value) != nearest(value, 5, 10));
    wrong += static_cast<int>(to_bf16(value) != nearest(value, 8, 7));
    wrong += static_cast<int>(to_f16(-value) != nearest(-value, 5, 10));
  };
  for (int i = 0; i < 20'000; ++i) {
    check(std::exp2(exponent(random)));
  }
  // Around every midpoint between neighbours, where the direction changes.
  for (int i = 0; i < 0x7bff; ++i) {
    auto const middle = (definition(i, 5, 10) + definition(i + 1, 5, 10)) / 2;
    for (auto const value : {middle, std::nextafter(middle, 0.0), std::nextafter(middle, 1e9)}) {
      check(value);
    }
  }
  for (auto const value : {0.0, 65504.0, 65519.9, 65520.0, 1e300, 5e-324, 3.4e38, 1e-40, 9.2e-41}) {
    check(value);
  }
  CHECK(wrong == 0);
  // 1 + 2^-11 + 2^-30 rounds up; by way of float it would be a tie and round down.
  CHECK(to_f16(1 + 0x1p-11 + 0x1p-30) == 0x3c01);
}

TEST_CASE("values beyond the range are found at their position") {
  std::vector<double> values{1, -65519, 65520, 1e39};
  std::vector<std::byte> bytes(32);
  CHECK(encode<double>(values, dtype::f16, std::span(bytes).first(8)) == 2U);
  CHECK(encode<double>(values, dtype::bf16, std::span(bytes).first(8)) == 3U);
  CHECK(encode<double>(values, dtype::f32, std::span(bytes).first(16)) == 3U);
  CHECK(!encode<double>(values, dtype::f64, bytes).has_value());
}

TEST_CASE_TEMPLATE("decoding reads any number of elements at any address", T, float, double) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (std::size_t const count : {0U, 1U, 31U, 32U, 33U, 100U}) {
    std::vector<T> values(count);
    for (auto& value : values) {
      value = f16_to_float(to_f16(static_cast<double>(normal(random))));
    }
    for (auto const type : {dtype::f16, dtype::f32, dtype::f64}) {
      auto const size = count * static_cast<std::size_t>(dtype_size(type));
      for (std::size_t const shift : {0U, 1U, 3U}) {
        std::vector<std::byte> buffer(size + shift, std::byte{0xaa});
        auto const bytes = std::span(buffer).subspan(shift);
        CHECK(!encode<T>(values, type, bytes).has_value());
        std::vector<T> again(count, T{-1});
        decode<T>(type, bytes, again);
        CHECK(again == values);
      }
    }
  }
}

TEST_CASE("float and F32 are copied bit by bit, signaling NaN and payload too") {
  std::array<std::uint32_t, 4> const bits{0x7f80'0001U, 0xffc1'2345U, 0x8000'0000U, 1U};
  std::array<float, 4> values{};
  decode<float>(dtype::f32, std::as_bytes(std::span(bits)), values);
  std::array<std::uint32_t, 4> again{};
  CHECK(!encode<float>(values, dtype::f32, std::as_writable_bytes(std::span(again))).has_value());
  CHECK(again == bits);
  CHECK(std::memcmp(values.data(), bits.data(), sizeof bits) == 0);
}

TEST_CASE("sizes that do not match and types without conversion are refused") {
  std::vector<std::byte> bytes(9);
  std::vector<float> values(2);
  CHECK_THROWS_AS(decode<float>(dtype::f32, bytes, values), shape_error);
  CHECK_THROWS_AS(decode<float>(dtype::f32, std::span(bytes).first(4), values), shape_error);
  CHECK_THROWS_AS(decode<float>(dtype::i32, std::span(bytes).first(8), values), shape_error);
  CHECK_THROWS_AS(encode<float>(values, dtype::f32, bytes), shape_error);
  CHECK_THROWS_AS(encode<float>(values, dtype::i32, std::span(bytes).first(8)), shape_error);
}
