#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

// A piece of a file for a message: in quotes, shortened, control characters as \xNN.
inline auto quote(std::string_view text) -> std::string {
  constexpr std::size_t longest = 60;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result = "\"";
  for (char const c : text.substr(0, longest)) {
    auto const byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      result += {'\\', 'x', digits[byte >> 4U], digits[byte & 15U]};
    } else {
      result += c;
    }
  }
  return result + (text.size() > longest ? "...\"" : "\"");
}

struct string_hash {
  using is_transparent = void;
  auto operator()(std::string_view text) const -> std::size_t {
    return std::hash<std::string_view>()(text);
  }
};

}  // namespace detail

/// Tokens and their ids, one to one. Ids may have holes, but few enough that a table by id is no
/// larger than ten times the number of tokens.
class vocabulary {
 public:
  vocabulary() = default;

  /// An empty vocabulary for `entries` tokens from `source`, the file that messages name.
  vocabulary(std::string source, std::size_t entries) : source_(std::move(source)) {
    constexpr std::size_t highest = std::numeric_limits<std::int32_t>::max();
    end_ = static_cast<std::int64_t>(entries < highest / 10 ? entries * 10 : highest);
    tokens_.reserve(std::min(entries, highest));
    ids_.reserve(std::min(entries, highest));
  }

  /// Adds a token. Throws format_error if the token is empty or known, or if the id is negative,
  /// too high or taken.
  void insert(std::string const& token, std::int64_t id) {
    if (token.empty()) {
      fail(token, id, "the token is empty");
    }
    if (id < 0 || id >= end_) {
      fail(token, id, message("ids must be at least 0 and below ", end_));
    }
    auto const at = static_cast<std::size_t>(id);
    if (at < tokens_.size() && !tokens_[at].empty()) {
      fail(token, id, message("that is the id of ", detail::quote(tokens_[at])));
    }
    auto const [known, fresh] = ids_.try_emplace(token, static_cast<std::int32_t>(id));
    if (!fresh) {
      fail(token, id, message("it has id ", known->second, " already"));
    }
    if (at >= tokens_.size()) {
      tokens_.resize(at + 1);
    }
    tokens_[at] = token;
  }

  /// The id of a token, none if it is not in the vocabulary. O(1).
  auto find(std::string_view token) const -> std::optional<std::int32_t> {
    auto const found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  /// The token of an id. Throws shape_error for an id beyond the vocabulary or of no token. O(1).
  auto token(std::int32_t id) const -> std::string const& {
    auto const at = static_cast<std::size_t>(id);
    if (id < 0 || at >= tokens_.size()) {
      throw shape_error(message("vocabulary: id ", id, " is not in 0 to ", size() - 1));
    }
    if (tokens_[at].empty()) {
      throw shape_error(message("vocabulary: id ", id, " below ", size(), " names no token"));
    }
    return tokens_[at];
  }

  /// The highest id plus 1: the rows of an embedding that takes every token.
  auto size() const -> index_t { return static_cast<index_t>(tokens_.size()); }

  /// The file that the tokens come from.
  auto source() const -> std::string const& { return source_; }

 private:
  [[noreturn]] void fail(std::string const& token, std::int64_t id, std::string const& why) const {
    throw format_error(
        message(source_, ": token ", detail::quote(token), " with id ", id, ": ", why), 0);
  }

  std::string source_;
  std::int64_t end_ = 0;             // no id may reach it
  std::vector<std::string> tokens_;  // by id, empty in holes
  std::unordered_map<std::string, std::int32_t, detail::string_hash, std::equal_to<>> ids_;
};

}  // namespace v0
}  // namespace eckart
