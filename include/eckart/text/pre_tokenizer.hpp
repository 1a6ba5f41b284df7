#pragma once

#include "eckart/core/error.hpp"
#include "eckart/text/pattern.hpp"
#include "eckart/text/utf8.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace eckart {
inline namespace v0 {

namespace detail {

// GPT-2's expression
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// with \s written out as Unicode's White_Space, because PCRE2's own \s is another set (ASCII alone,
// or with U+180E). Possessive repeats (++) match the same and never step back.
inline auto gpt2_expression() -> std::string {
  std::string const space =
      R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}++| ?\p{N}++| ?[^\p{L}\p{N})" + space + "]++|[" + space +
         "]+(?![^" + space + "])|[" + space + "]++";
}

}  // namespace detail

/// Cuts a text into the words that byte pair encoding never crosses: runs of letters, of digits, of
/// other signs, each with one leading space, English contractions, and white space. Letters and
/// digits are those of the Unicode version of the PCRE2 that is linked.
class pre_tokenizer {
 public:
  pre_tokenizer() : pattern_(detail::gpt2_expression()) {}

  /// Calls `sink(std::string_view word)` for each word, in order; together they are the text. Takes
  /// any bytes: those that are not UTF-8 separate what is around them as the ends of a text do, and
  /// each run of them is a word. O(n). Thread-safe.
  template <class Sink>
  void split(std::string_view text, Sink&& sink) const {
    pattern::matcher matcher(pattern_);
    for_each_utf8_run(text, [&](std::string_view run, bool valid) {
      if (!valid) {
        sink(run);
        return;
      }
      for (std::size_t at = 0; at < run.size();) {
        auto const length = matcher.match_length(run, at);
        if (length == 0) {  // the alternatives cover every character
          throw error(message("pre_tokenizer: no word at byte ", at, " of ", run.size()));
        }
        sink(run.substr(at, length));
        at += length;
      }
    });
  }

 private:
  pattern pattern_;
};

}  // namespace v0
}  // namespace eckart
