#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

/// UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
namespace eckart {
inline namespace v0 {

/// What stands at one position of a byte string.
struct utf8_unit {
  char32_t code_point = 0;  ///< U+FFFD if not valid
  std::size_t length = 0;   ///< bytes; if not valid those of the maximal subpart, at least 1
  bool valid = false;
};

namespace detail {

// Bytes of a sequence by its first byte, 0 for a byte that begins none.
constexpr auto utf8_length(unsigned char first) -> std::size_t {
  return first < 0x80                     ? 1
         : first >= 0xC2 && first <= 0xDF ? 2
         : first >= 0xE0 && first <= 0xEF ? 3
         : first >= 0xF0 && first <= 0xF4 ? 4
                                          : 0;
}

// The second byte alone decides on overlong forms, surrogates and the upper end (Unicode 15,
// table 3-7).
constexpr auto utf8_second_fits(unsigned char first, unsigned char second) -> bool {
  switch (first) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return second >= 0x80 && second <= 0xBF;
  }
}

// Bytes from `position` on that are ASCII for certain; looks at 8 at a time.
inline auto ascii_prefix(std::string_view text, std::size_t position) -> std::size_t {
  auto const begin = position;
  while (text.size() - position >= 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, text.data() + position, 8);
    if ((eight & 0x8080808080808080U) != 0) {
      break;
    }
    position += 8;
  }
  return position - begin;
}

}  // namespace detail

/// Decodes the character at `position`, which must be smaller than the size of the text. O(1).
constexpr auto decode_utf8(std::string_view text, std::size_t position) -> utf8_unit {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[position + i]); };
  auto const first = byte(0);
  if (first < 0x80) {
    return {first, 1, true};
  }
  auto const length = detail::utf8_length(first);
  auto const available = text.size() - position;
  if (length == 0 || available < 2 || !detail::utf8_second_fits(first, byte(1))) {
    return {0xFFFD, 1, false};
  }
  auto code_point = static_cast<char32_t>(first & (0x7FU >> length));
  for (std::size_t i = 1; i < length; ++i) {
    if (i == available || (byte(i) & 0xC0U) != 0x80U) {
      return {0xFFFD, i, false};
    }
    code_point = (code_point << 6U) | (byte(i) & 0x3FU);
  }
  return {code_point, length, true};
}

/// Appends the UTF-8 form of a code point, which must be a Unicode scalar value.
inline void append_utf8(std::string& text, char32_t code_point) {
  auto const put = [&](char32_t bits) { text.push_back(static_cast<char>(bits)); };
  if (code_point < 0x80) {
    put(code_point);
    return;
  }
  if (code_point < 0x800) {
    put(0xC0U | (code_point >> 6U));
  } else {
    if (code_point < 0x10000) {
      put(0xE0U | (code_point >> 12U));
    } else {
      put(0xF0U | (code_point >> 18U));
      put(0x80U | ((code_point >> 12U) & 0x3FU));
    }
    put(0x80U | ((code_point >> 6U) & 0x3FU));
  }
  put(0x80U | (code_point & 0x3FU));
}

/// Offset of the first byte at or after `from` that begins no valid character. O(n).
inline auto find_invalid_utf8(std::string_view text, std::size_t from = 0)
    -> std::optional<std::size_t> {
  for (std::size_t i = from; i < text.size();) {
    i += detail::ascii_prefix(text, i);
    if (i == text.size()) {
      break;
    }
    auto const unit = decode_utf8(text, i);
    if (!unit.valid) {
      return i;
    }
    i += unit.length;
  }
  return std::nullopt;
}

/// Calls `sink(std::string_view run, bool valid)` for the longest runs of valid characters and of
/// invalid bytes, in order; together they are the text. O(n).
template <class Sink>
void for_each_utf8_run(std::string_view text, Sink&& sink) {
  for (std::size_t i = 0; i < text.size();) {
    auto const bad = find_invalid_utf8(text, i).value_or(text.size());
    if (bad > i) {
      sink(text.substr(i, bad - i), true);
    }
    auto good = bad;
    while (good < text.size()) {
      auto const unit = decode_utf8(text, good);
      if (unit.valid) {
        break;
      }
      good += unit.length;
    }
    if (good > bad) {
      sink(text.substr(bad, good - bad), false);
    }
    i = good;
  }
}

/// The text with U+FFFD for every maximal subpart of an ill-formed sequence (Unicode 15, section
/// 3.9; the same as Rust's String::from_utf8_lossy and Python's errors="replace"). O(n).
inline auto replace_invalid_utf8(std::string_view text) -> std::string {
  std::string result;
  result.reserve(text.size());
  for_each_utf8_run(text, [&](std::string_view run, bool valid) {
    if (valid) {
      result += run;
      return;
    }
    for (std::size_t i = 0; i < run.size(); i += decode_utf8(run, i).length) {
      append_utf8(result, 0xFFFD);
    }
  });
  return result;
}

}  // namespace v0
}  // namespace eckart
