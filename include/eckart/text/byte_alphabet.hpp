#pragma once

#include "eckart/text/utf8.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

/// GPT-2's way to write any byte string as printable text: 188 bytes stand for themselves (read as
/// Latin-1), the other 68, in order, for U+0100 to U+0143. Source: `bytes_to_unicode` of GPT-2's
/// encoder.py.
namespace eckart {
inline namespace v0 {

namespace detail {

inline constexpr std::size_t byte_alphabet_end = 0x144;  // first code point beyond the alphabet

constexpr auto stands_for_itself(std::size_t byte) -> bool {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct byte_alphabet_tables {
  std::array<char32_t, 256> code_points{};
  std::array<int, byte_alphabet_end> bytes{};  // -1: not of the alphabet

  constexpr byte_alphabet_tables() {
    for (auto& b : bytes) {
      b = -1;
    }
    char32_t next = 0x100;
    for (std::size_t b = 0; b < 256; ++b) {
      code_points[b] = stands_for_itself(b) ? static_cast<char32_t>(b) : next++;
      bytes[code_points[b]] = static_cast<int>(b);
    }
  }
};

inline constexpr byte_alphabet_tables byte_alphabet{};

}  // namespace detail

/// The code point that stands for a byte: 0x20 gives U+0120, 0x0A gives U+010A.
constexpr auto byte_to_code_point(unsigned char byte) -> char32_t {
  return detail::byte_alphabet.code_points[byte];
}

/// The byte that a code point stands for, none if it is not of the alphabet.
constexpr auto code_point_to_byte(char32_t code_point) -> std::optional<unsigned char> {
  if (code_point >= detail::byte_alphabet_end || detail::byte_alphabet.bytes[code_point] < 0) {
    return std::nullopt;
  }
  return static_cast<unsigned char>(detail::byte_alphabet.bytes[code_point]);
}

/// Any byte string, written in the alphabet as UTF-8.
inline auto to_byte_alphabet(std::string_view bytes) -> std::string {
  std::string result;
  for (char const c : bytes) {
    append_utf8(result, byte_to_code_point(static_cast<unsigned char>(c)));
  }
  return result;
}

/// Appends the bytes that a text of the alphabet stands for. Answers false, and appends nothing, if
/// the text has a character of no byte or is not UTF-8.
inline auto append_from_byte_alphabet(std::string& bytes, std::string_view text) -> bool {
  auto const before = bytes.size();
  for (std::size_t i = 0; i < text.size();) {
    auto const unit = decode_utf8(text, i);
    auto const byte = unit.valid ? code_point_to_byte(unit.code_point) : std::nullopt;
    if (!byte) {
      bytes.resize(before);
      return false;
    }
    bytes.push_back(static_cast<char>(*byte));
    i += unit.length;
  }
  return true;
}

/// The bytes that a text of the alphabet stands for, none if it is not of the alphabet.
inline auto from_byte_alphabet(std::string_view text) -> std::optional<std::string> {
  std::string bytes;
  if (!append_from_byte_alphabet(bytes, text)) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace v0
}  // namespace eckart
