#pragma once

#include "eckart/io/utf8.hpp"

/// What a tokenizer asks about the characters of a text (io/utf8.hpp, included here, finds them).
namespace eckart {
inline namespace v0 {

/// Unicode's property White_Space, what `\s` means to the published tokenizers.
constexpr auto is_white_space(char32_t c) -> bool {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

/// Whether there is nothing but white space.
constexpr auto is_blank(std::string_view text) -> bool {
  for (std::size_t i = 0; i < text.size();) {
    auto const unit = decode_utf8(text, i);
    if (!is_white_space(unit.code_point)) {
      return false;
    }
    i += unit.length;
  }
  return true;
}

}  // namespace v0
}  // namespace eckart
