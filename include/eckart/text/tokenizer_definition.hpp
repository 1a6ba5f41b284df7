#pragma once

#include "eckart/core/error.hpp"
#include "eckart/text/added_tokens.hpp"
#include "eckart/text/byte_alphabet.hpp"
#include "eckart/text/byte_pair_encoding.hpp"
#include "eckart/text/sequence_template.hpp"
#include "eckart/text/vocabulary.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// What the files of a byte-level BPE tokenizer say.
struct tokenizer_definition {
  vocabulary words;                     ///< all tokens, added ones too
  std::vector<merge_rule> merges;       ///< in order of rank
  std::vector<added_token> added;       ///< looked for in the text
  std::optional<std::int32_t> unknown;  ///< for a byte without token
  sequence_template single{{sequence_template::first}};
  sequence_template pair{{sequence_template::first, sequence_template::second}};
  bool add_prefix_space = false;  ///< a text that begins without a space gets one
};

/// The symbol of each byte: its token, else the unknown token, else none.
inline auto byte_symbols(tokenizer_definition const& d) -> std::array<std::int32_t, 256> {
  std::array<std::int32_t, 256> symbols{};
  for (std::size_t b = 0; b < symbols.size(); ++b) {
    auto const id = d.words.find(to_byte_alphabet(std::string(1, static_cast<char>(b))));
    symbols[b] = id.value_or(d.unknown.value_or(byte_pair_encoding::no_symbol));
  }
  return symbols;
}

namespace detail {

// Reads the parts that the two forms of tokenizer files share. Every fault is a format_error that
// names the file and the entry.
class tokenizer_reader {
 public:
  explicit tokenizer_reader(std::string source) : source_(std::move(source)) {}

  auto source() const -> std::string const& { return source_; }

  [[noreturn]] void fail(std::string const& what, std::uint64_t offset = 0) const {
    throw format_error(source_ + ": " + what, offset);
  }

  // The member of an object, null if it is absent.
  template <class Json>
  auto member(Json const& object, std::string const& what, std::string const& name) const
      -> Json const& {
    static Json const absent;
    if (!object.is_object()) {
      fail(message(what, " is ", object.type_name(), ", not an object"));
    }
    auto const found = object.find(name);
    return found == object.end() ? absent : *found;
  }

  template <class Json>
  auto array(Json const& value, std::string const& what) const -> Json const& {
    if (!value.is_array()) {
      fail(message(what, " is ", value.type_name(), ", not an array"));
    }
    return value;
  }

  template <class Json>
  auto text(Json const& value, std::string const& what) const -> std::string const& {
    if (!value.is_string()) {
      fail(message(what, " is ", value.type_name(), ", not a string"));
    }
    return value.template get_ref<std::string const&>();
  }

  // Whether an integer is a possible id is for the vocabulary to say.
  template <class Json>
  auto integer(Json const& value, std::string const& what) const -> std::int64_t {
    constexpr std::uint64_t highest = std::numeric_limits<std::int64_t>::max();
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && value.template get<std::uint64_t>() > highest)) {
      fail(message(what, " is ", quote(value.dump()), ", not an id"));
    }
    return value.template get<std::int64_t>();
  }

  template <class Json>
  auto flag(Json const& object, std::string const& what, std::string const& name,
            bool otherwise = false) const -> bool {
    auto const& value = member(object, what, name);
    if (!value.is_null() && !value.is_boolean()) {
      fail(message(what, ".", name, " is ", value.type_name(), ", not true or false"));
    }
    return value.is_null() ? otherwise : value.template get<bool>();
  }

  // The vocabulary, with room for `more` tokens to be added.
  template <class Json>
  auto read_words(Json const& object, std::string const& what, std::size_t more) const
      -> vocabulary {
    if (!object.is_object() || object.empty()) {
      fail(message(what, " is ", object.empty() ? "empty or not" : "not",
                   " an object of tokens and ids"));
    }
    vocabulary result(source_, object.size() + more);
    for (auto const& [token, id] : object.items()) {
      if (!id.is_number_integer()) {
        fail(message(what, ": the id of ", quote(token), " is ", id.type_name(),
                     ", not an integer"));
      }
      result.insert(token, integer(id, what));
    }
    return result;
  }

  // "a b": exactly one space, with something on either side.
  template <class Where>
  auto parts(std::string_view line, Where const& where, std::uint64_t offset) const
      -> std::pair<std::string_view, std::string_view> {
    auto const space = line.find(' ');
    if (space == std::string_view::npos || space != line.rfind(' ') || space == 0 ||
        space + 1 == line.size()) {
      fail(message(where(), ": ", quote(line), " is not two parts with a space between"), offset);
    }
    return {line.substr(0, space), line.substr(space + 1)};
  }

  // The rule for two parts; `joined` is a buffer, `where()` names the entry for a message.
  template <class Where>
  auto rule(vocabulary const& words, std::string_view left, std::string_view right,
            std::string& joined, Where const& where, std::uint64_t offset) const -> merge_rule {
    joined.assign(left).append(right);
    auto const find = [&](std::string_view token, char const* role) {
      auto const id = words.find(token);
      if (!id) {
        fail(message(where(), ": the ", role, " ", quote(token), " of merge ", quote(left), " ",
                     quote(right), " is not in the vocabulary"),
             offset);
      }
      return *id;
    };
    return {find(left, "left part"), find(right, "right part"), find(joined, "result")};
  }

  // Two rules for one pair would leave its rank open.
  void check_unique(tokenizer_definition const& d) const {
    std::vector<std::uint64_t> pairs;
    pairs.reserve(d.merges.size());
    for (auto const& r : d.merges) {
      pairs.push_back((static_cast<std::uint64_t>(r.left) << 32U) |
                      static_cast<std::uint32_t>(r.right));
    }
    std::sort(pairs.begin(), pairs.end());
    auto const twice = std::adjacent_find(pairs.begin(), pairs.end());
    if (twice != pairs.end()) {
      auto const token = [&](std::uint64_t id) {
        return quote(d.words.token(static_cast<std::int32_t>(id)));
      };
      fail(message("merge ", token(*twice >> 32U), " ", token(*twice & 0xFFFFFFFFU),
                   " is given twice"));
    }
  }

 private:
  std::string source_;
};

}  // namespace detail

}  // namespace v0
}  // namespace eckart
