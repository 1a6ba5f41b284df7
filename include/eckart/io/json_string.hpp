#pragma once

#include "eckart/io/utf8.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

/// Texts as JSON writes them, for headers of files and for messages.
namespace eckart {
inline namespace v0 {

/// A text that is valid UTF-8 as a JSON string, quotes included: quote, backslash and control
/// characters escaped, all else as it is (RFC 8259, section 7). O(n).
inline auto json_string(std::string_view text) -> std::string {
  constexpr std::string_view plain = "\b\t\n\f\r\"\\";
  constexpr std::string_view escaped = "btnfr\"\\";
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result(1, '"');
  for (auto const c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (auto const short_form = plain.find(c); short_form != std::string_view::npos) {
      result += '\\';
      result += escaped[short_form];
    } else if (byte < 0x20) {
      result += "\\u00";
      result += digits[byte >> 4U];
      result += digits[byte & 0xFU];
    } else {
      result += c;
    }
  }
  result += '"';
  return result;
}

namespace detail {

// Cut to a length that fits in a message: the text may be a whole hostile file.
inline auto shortened(std::string text, std::size_t limit = 200) -> std::string {
  if (text.size() > limit) {
    text.resize(limit);
    text += "...";
  }
  return text;
}

// In quotes, control characters escaped, invalid UTF-8 replaced: fit for a terminal.
inline auto json_quoted(std::string_view text) -> std::string {
  return json_string(replace_invalid_utf8(shortened(std::string(text))));
}

}  // namespace detail

}  // namespace v0
}  // namespace eckart
