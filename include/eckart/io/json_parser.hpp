#pragma once

#include "eckart/core/error.hpp"
#include "eckart/io/file.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_string.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// JSON that is not trusted, parsed strictly.
namespace eckart {
inline namespace v0 {
namespace detail {

/// Walks over text and keeps a mark on how far it has come: nlohmann's SAX events carry no
/// position.
class marking_iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = char const*;
  using reference = char const&;

  marking_iterator(char const* at, char const** mark) : at_(at), mark_(mark) {}
  auto operator*() const -> char const& { return *at_; }
  auto operator++() -> marking_iterator& {
    *mark_ = ++at_;
    return *this;
  }
  auto operator++(int) -> marking_iterator {
    auto const before = *this;
    ++*this;
    return before;
  }
  auto operator==(marking_iterator const& other) const -> bool { return at_ == other.at_; }

 private:
  char const* at_;
  char const** mark_;
};

/// A value and where the keys of its outermost object stand in the file.
template <class Json>
struct located_json {
  parsed_json<Json> value;
  std::map<std::string, std::uint64_t, std::less<>> key_offsets;
};

/// SAX handler that builds the value and refuses what nlohmann's own lets pass: repeated keys and
/// any depth of nesting.
template <class Json>
class json_builder {
 public:
  using json = parsed_json<Json>;
  using string_t = typename json::string_t;

  json_builder(std::string_view text, std::string_view name, int max_depth,
               std::uint64_t base_offset)
      : text_(text), mark_(text.data()), name_(name), max_depth_(max_depth), base_(base_offset) {}

  auto build() -> located_json<Json> {
    // nlohmann takes a NUL for the end of the text and would not see what follows.
    if (auto const at = text_.find('\0'); at != std::string_view::npos) {
      fail(at, "a NUL byte is not JSON");
    }
    auto const* const first = text_.data();
    json::sax_parse(marking_iterator(first, &mark_), marking_iterator(first + text_.size(), &mark_),
                    this);
    return std::move(result_);
  }

  auto null() -> bool { return put(nullptr); }
  auto boolean(bool value) -> bool { return put(value); }
  auto number_integer(typename json::number_integer_t value) -> bool { return put(value); }
  auto number_unsigned(typename json::number_unsigned_t value) -> bool { return put(value); }
  auto number_float(typename json::number_float_t value, string_t const&) -> bool {
    return put(value);
  }
  auto string(string_t& value) -> bool { return put(std::move(value)); }
  auto binary(typename json::binary_t&) -> bool { return false; }  // never in a text
  auto start_object(std::size_t) -> bool { return open(json::object()); }
  auto start_array(std::size_t) -> bool { return open(json::array()); }
  auto end_object() -> bool { return close(); }
  auto end_array() -> bool { return close(); }

  auto key(string_t& name) -> bool {
    auto const [place, is_new] = open_.back()->emplace(name, nullptr);
    if (!is_new) {
      fail(key_start(), "key ", json_quoted(name), " appears twice in one object");
    }
    if (open_.size() == 1) {
      result_.key_offsets.emplace(name, base_ + key_start());
    }
    slot_ = &*place;
    return true;
  }

  auto parse_error(std::size_t position, std::string const&, typename json::exception const& fault)
      -> bool {
    // Counted from 1, the end of the text included.
    auto const at = std::min(position - std::min<std::size_t>(position, 1), text_.size());
    std::string what = fault.what();
    // "[json.exception.parse_error.101] parse error at line 1, ...": the id says nothing more.
    if (auto const end = what.find("] "); what.starts_with('[') && end != std::string::npos) {
      what.erase(0, end + 2);
    }
    fail(at, shortened(std::move(what), 400));
    return false;  // never reached, but only an instantiation knows
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail(std::size_t at, Parts const&... parts) const {
    throw format_error(message(name_, ": byte ", base_ + at, ": ", parts...), base_ + at);
  }

  auto consumed() const -> std::size_t { return static_cast<std::size_t>(mark_ - text_.data()); }

  // Position of the opening quote of the key that was just read. Every quote inside of it stands
  // after an odd number of backslashes.
  auto key_start() const -> std::size_t {
    auto at = consumed() - 1;  // the closing quote
    for (;;) {
      at = text_.rfind('"', at - 1);
      std::size_t slashes = 0;
      while (slashes < at && text_[at - 1 - slashes] == '\\') {
        ++slashes;
      }
      if (slashes % 2 == 0) {
        return at;
      }
    }
  }

  // Stores a value where the text has come to. It stays in place until its parent is closed.
  auto place(json value) -> json* {
    if (open_.empty()) {
      result_.value = std::move(value);
      return &result_.value;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
  }
  auto put(json value) -> bool {
    place(std::move(value));
    return true;
  }
  auto open(json container) -> bool {
    if (open_.size() >= static_cast<std::size_t>(std::max(max_depth_, 0))) {
      fail(consumed() - 1, "nested deeper than ", max_depth_, " levels");
    }
    open_.push_back(place(std::move(container)));
    return true;
  }
  auto close() -> bool {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  char const* mark_;  // first byte that the parser has not taken
  std::string_view name_;
  int max_depth_;
  std::uint64_t base_;
  located_json<Json> result_;
  std::vector<json*> open_;  // from the outermost open container to the innermost
  json* slot_ = nullptr;     // value of the last key
};

}  // namespace detail

/// The value of a JSON text (RFC 8259, UTF-8). Refused besides bad syntax: a key that appears twice
/// in one object, nesting beyond max_depth, anything after the value. Throws format_error
/// "NAME: byte OFFSET: ..." with base_offset (where the text starts in its file) added. O(size), no
/// recursion.
template <class Json = nlohmann::json>
auto parse_json(std::string_view text, std::string_view name, int max_depth = 64,
                std::uint64_t base_offset = 0) -> parsed_json<Json> {
  return detail::json_builder<Json>(text, name, max_depth, base_offset).build().value;
}

/// The value of a JSON file. Throws io_error, and format_error as parse_json.
template <class Json = nlohmann::json>
auto read_json(std::filesystem::path const& path) -> parsed_json<Json> {
  return parse_json<Json>(read_text(path), path.string());
}

}  // namespace v0
}  // namespace eckart
