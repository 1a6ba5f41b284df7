#pragma once

#include "eckart/eval/porter_stemmer.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Words as the Python package rouge-score 0.1.2 sees them.
namespace eckart {
inline namespace v0 {

struct rouge_options {
  bool stem = false;  ///< Porter's stems in place of words of more than three letters
};

namespace detail {

// Bytes of the character at the front of `text` if its lower case in Unicode begins with an ASCII
// letter, else 0. Besides A to Z there are two: U+0130 (i and a combining dot, which then
// separates) and U+212A, the Kelvin sign (k).
constexpr auto lowers_to_ascii(std::string_view text) -> std::size_t {
  return text.starts_with("\xC4\xB0") ? 2 : text.starts_with("\xE2\x84\xAA") ? 3 : 0;
}

constexpr auto is_word_byte(char c) -> bool {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

}  // namespace detail

/// Calls `sink(std::string&& word)` for every word of a UTF-8 text: the longest runs of a to z and
/// 0 to 9 in its lower case. Everything else separates, letters beyond ASCII and invalid bytes
/// included: "Café" is "caf". O(n).
template <class Sink>
void for_each_rouge_token(std::string_view text, rouge_options options, Sink&& sink) {
  std::string word;
  auto const finish = [&] {
    if (!word.empty()) {
      sink(options.stem && word.size() > 3 ? porter_stem(word) : word);
      word.clear();
    }
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto const c = text[i];
    if (detail::is_word_byte(c)) {
      word += c;
    } else if (c >= 'A' && c <= 'Z') {
      word += static_cast<char>(c - 'A' + 'a');
    } else if (auto const length = detail::lowers_to_ascii(text.substr(i)); length != 0) {
      word += length == 2 ? 'i' : 'k';
      i += length - 1;
      if (length == 2) {
        finish();
      }
    } else {
      finish();
    }
  }
  finish();
}

/// The words of a text in order. O(n).
inline auto rouge_tokens(std::string_view text, rouge_options options = {})
    -> std::vector<std::string> {
  std::vector<std::string> tokens;
  for_each_rouge_token(text, options, [&](std::string word) { tokens.push_back(std::move(word)); });
  return tokens;
}

}  // namespace v0
}  // namespace eckart
