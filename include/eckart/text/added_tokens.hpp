#pragma once

#include "eckart/text/pattern.hpp"
#include "eckart/text/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// A token that is looked for in the text itself, before any other step: `<s>`, `<mask>`.
struct added_token {
  std::string content;       ///< as it stands in the text, never empty
  std::int32_t id = 0;       ///< in the vocabulary
  bool special = true;       ///< controls the model; decoding can leave it out
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< takes the white space after it along
  bool single_word = false;  ///< only where no word character touches it
  bool normalized = false;   ///< looked for after the others, in what they leave
};

namespace detail {

// The character that ends at `end`, which must be above 0.
inline auto decode_utf8_before(std::string_view text, std::size_t end) -> utf8_unit {
  auto begin = end - 1;
  while (begin > 0 && end - begin < 4 &&
         (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) {
    --begin;
  }
  auto const unit = decode_utf8(text, begin);
  return unit.valid && begin + unit.length == end ? unit : utf8_unit{0xFFFD, 1, false};
}

inline auto white_space_before(std::string_view text, std::size_t at) -> std::size_t {
  auto begin = at;
  while (begin > 0) {
    auto const unit = decode_utf8_before(text, begin);
    if (!is_white_space(unit.code_point)) {
      break;
    }
    begin -= unit.length;
  }
  return at - begin;
}

inline auto white_space_after(std::string_view text, std::size_t at) -> std::size_t {
  auto end = at;
  while (end < text.size()) {
    auto const unit = decode_utf8(text, end);
    if (!is_white_space(unit.code_point)) {
      break;
    }
    end += unit.length;
  }
  return end - at;
}

// \w of UTS 18, annex C: Alphabetic, marks, decimal digits, connectors, the two joiners. What
// Alphabetic has beyond letters, numbers and marks are the circled and squared Latin letters.
inline auto word_character_expression() -> char const* {
  return R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9})"
         R"(\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}])";
}

}  // namespace detail

/// Finds added tokens in a text as Hugging Face's `AddedVocabulary` does: leftmost first, of those
/// that begin at one place the longest; first all tokens that are not `normalized`, then, in each
/// piece between them, the `normalized` ones (no text is normalized here).
class added_token_set {
 public:
  added_token_set() : added_token_set(std::vector<added_token>()) {}

  explicit added_token_set(std::vector<added_token> tokens) : tokens_(std::move(tokens)) {
    // By first byte, the longest first.
    std::stable_sort(tokens_.begin(), tokens_.end(), [](auto const& a, auto const& b) {
      return first_byte(a) != first_byte(b) ? first_byte(a) < first_byte(b)
                                            : a.content.size() > b.content.size();
    });
    for (auto const& token : tokens_) {
      for (std::size_t b = first_byte(token) + 1; b < starts_.size(); ++b) {
        ++starts_[b];
      }
      has_pass_[token.normalized ? 1 : 0] = true;
    }
  }

  /// All tokens.
  auto tokens() const -> std::span<added_token const> { return tokens_; }

  /// Cuts the text into added tokens, `on_token(added_token const&)`, and what is between them,
  /// `on_text(std::string_view)`, never empty, in order. With `split_special` special tokens are
  /// text like any other. O(n t) for t tokens that share a first byte. Thread-safe.
  template <class OnText, class OnToken>
  void split(std::string_view text, bool split_special, OnText&& on_text,
             OnToken&& on_token) const {
    auto const second = [&](std::string_view piece) {
      scan(piece, true, split_special, on_text, on_token);
    };
    scan(text, false, split_special, second, on_token);
  }

 private:
  static auto first_byte(added_token const& token) -> std::size_t {
    return static_cast<unsigned char>(token.content.front());
  }

  auto candidates(char first) const -> std::span<added_token const> {
    auto const byte = static_cast<std::size_t>(static_cast<unsigned char>(first));
    return tokens().subspan(starts_[byte], starts_[byte + 1] - starts_[byte]);
  }

  auto find(std::string_view text, std::size_t at, bool normalized) const -> added_token const* {
    for (auto const& token : candidates(text[at])) {
      if (token.normalized == normalized && text.substr(at).starts_with(token.content)) {
        return &token;
      }
    }
    return nullptr;
  }

  // Whether a word character touches either side of text[begin, end).
  auto touches_word(std::string_view text, std::size_t begin, std::size_t end) const -> bool {
    pattern::matcher matcher(word_character_);
    auto const is_word = [&](utf8_unit unit, std::size_t at) {
      return unit.valid && matcher.match_length(text.substr(at, unit.length), 0) > 0;
    };
    if (begin > 0) {
      auto const unit = detail::decode_utf8_before(text, begin);
      if (is_word(unit, begin - unit.length)) {
        return true;
      }
    }
    return end < text.size() && is_word(decode_utf8(text, end), end);
  }

  template <class OnText, class OnToken>
  void scan(std::string_view text, bool normalized, bool split_special, OnText& on_text,
            OnToken& on_token) const {
    std::size_t done = 0;  // what is before has been reported
    for (std::size_t i = 0; has_pass_[normalized ? 1 : 0] && i < text.size();) {
      auto const* token = find(text, i, normalized);
      if (token == nullptr) {
        ++i;
        continue;
      }
      auto begin = i;
      auto end = i + token->content.size();
      i = end;  // a match that is turned down is stepped over all the same
      if ((split_special && token->special) ||
          (token->single_word && touches_word(text, begin, end))) {
        continue;
      }
      begin -= token->lstrip ? detail::white_space_before(text, begin) : 0;
      end += token->rstrip ? detail::white_space_after(text, end) : 0;
      if (done < begin) {
        on_text(text.substr(done, begin - done));
      }
      on_token(*token);
      done = end;
    }
    if (done < text.size()) {
      on_text(text.substr(done));
    }
  }

  std::vector<added_token> tokens_;        // sorted by first byte, then longest first
  std::array<std::size_t, 257> starts_{};  // where the tokens of a first byte begin
  std::array<bool, 2> has_pass_{};         // whether there are tokens not normalized, normalized
  pattern word_character_{detail::word_character_expression()};
};

}  // namespace v0
}  // namespace eckart
