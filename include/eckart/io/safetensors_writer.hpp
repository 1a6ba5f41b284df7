#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/view.hpp"
#include "eckart/io/dtype.hpp"
#include "eckart/io/file.hpp"
#include "eckart/io/json_string.hpp"
#include "eckart/io/safetensors_format.hpp"
#include "eckart/io/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Collects tensors and writes them as one safetensors file. Keeps views: the values must live and
/// stay until save() has returned; they are converted while they are written, a block at a time.
/// The file depends on the content alone, not on the order of the calls: tensors stand by element
/// type (wider first, as the reference implementation orders them, so that each is aligned to its
/// element), then by name.
class safetensors_writer {
 public:
  /// Adds a matrix, shape [rows, cols], stored as `stored`: F64, F32, F16 or BF16, to nearest, ties
  /// to even. Throws shape_error for another type, a name that was used before, or "__metadata__".
  void add(std::string name, matrix_view<float const> values, dtype stored = dtype::f32) {
    add_values(std::move(name), {values.rows, values.cols}, values, stored);
  }
  void add(std::string name, matrix_view<double const> values, dtype stored = dtype::f64) {
    add_values(std::move(name), {values.rows, values.cols}, values, stored);
  }

  /// Adds a vector, shape [values.size()]; otherwise as above.
  void add(std::string name, std::span<float const> values, dtype stored = dtype::f32) {
    add_vector(std::move(name), values, stored);
  }
  void add(std::string name, std::span<double const> values, dtype stored = dtype::f64) {
    add_vector(std::move(name), values, stored);
  }

  /// Adds a matrix of bytes, stored as I8; otherwise as above.
  void add(std::string name, matrix_view<std::int8_t const> values) {
    insert(
        std::move(name),
        {dtype::i8, {values.rows, values.cols}, static_cast<std::uint64_t>(values.size()), values});
  }

  /// Adds a container of rank 1 or 2, stored as its own type; otherwise as above.
  template <dense_matrix E>
  void add(std::string name, E const& values) {
    add(std::move(name), values, std::is_same_v<value_t<E>, double> ? dtype::f64 : dtype::f32);
  }
  template <dense_matrix E>
  void add(std::string name, E const& values, dtype stored) {
    if (values.dimension() == 1) {
      if (values.size() > 1 && values.strides()[0] != 1) {
        throw shape_error(message("safetensors_writer: tensor ", detail::json_quoted(name),
                                  ": a vector needs stride 1, got ", values.strides()[0]));
      }
      add_vector(std::move(name), std::span(values.data(), values.size()), stored);
    } else {
      add(std::move(name), as_view(values), stored);
    }
  }
  /// A temporary would be gone before save() reads it.
  template <dense_matrix E>
  void add(std::string name, E const&& values, dtype stored = dtype::f32) = delete;

  /// Adds a tensor of any type and shape from its stored bytes, which are written as they are.
  /// Throws shape_error if their number does not match, and as above.
  void add_stored(std::string name, dtype type, std::vector<index_t> shape,
                  std::span<std::byte const> bytes) {
    if (!holds(bytes.size(), type, shape)) {
      throw shape_error(message("safetensors_writer: tensor ", detail::json_quoted(name), ": ",
                                bytes.size(), " bytes for shape ", detail::shape_text(shape),
                                " of ", type));
    }
    insert(std::move(name), {type, std::move(shape), bytes.size(), bytes});
  }

  /// Whether a tensor of that name was added.
  auto contains(std::string_view name) const -> bool { return entries_.contains(name); }

  /// Adds a text to the `__metadata__` of the file, in place of an earlier one under this key.
  /// Loaders of other libraries want ("format", "pt"). Throws format_error for invalid UTF-8.
  void metadata(std::string key, std::string value) {
    check_text(key);
    check_text(value);
    metadata_[std::move(key)] = std::move(value);
  }

  /// Writes the file, complete or not at all. Throws io_error as write_atomically, and
  /// numerical_error if a finite value is beyond the range of its stored type.
  void save(std::filesystem::path const& path) const {
    auto const order = file_order();
    auto const header = header_text(order);
    if (header.size() > safetensors_header_limit) {
      throw shape_error(message("safetensors_writer: header of ", header.size(),
                                " bytes exceeds the limit of ", safetensors_header_limit));
    }
    write_atomically(path, [&](std::ostream& out) {
      auto const length = static_cast<std::uint64_t>(header.size());
      out.write(reinterpret_cast<char const*>(&length), sizeof length);
      out.write(header.data(), static_cast<std::streamsize>(header.size()));
      for (auto const* const current : order) {
        std::visit([&](auto const& values) { write_values(out, *current, values); },
                   current->second.source);
      }
    });
  }

 private:
  struct entry {
    dtype stored;
    std::vector<index_t> shape;
    std::uint64_t bytes;  // in the file
    std::variant<std::span<std::byte const>, matrix_view<std::int8_t const>,
                 matrix_view<float const>, matrix_view<double const>>
        source;
  };
  using named_entry = std::pair<std::string const, entry>;

  static auto holds(std::uint64_t bytes, dtype type, std::vector<index_t> const& shape) -> bool {
    auto expected = static_cast<std::uint64_t>(dtype_size(type));
    for (auto const extent : shape) {
      auto const factor = static_cast<std::uint64_t>(extent);
      if (extent < 0 ||
          (factor != 0 && expected > std::numeric_limits<std::uint64_t>::max() / factor)) {
        return false;
      }
      expected *= factor;
    }
    return expected == bytes;
  }

  static void check_text(std::string const& text) {
    if (find_invalid_utf8(text)) {
      throw format_error(
          message("safetensors_writer: ", detail::json_quoted(text), " is not valid UTF-8"), 0);
    }
  }

  template <class T>
  void add_vector(std::string name, std::span<T const> values, dtype stored) {
    auto const size = static_cast<index_t>(values.size());
    add_values(std::move(name), {size}, matrix_view<T const>(values.data(), 1, size), stored);
  }

  template <class T>
  void add_values(std::string name, std::vector<index_t> shape, matrix_view<T const> values,
                  dtype stored) {
    if (!is_convertible(stored)) {
      throw shape_error(message("safetensors_writer: tensor ", detail::json_quoted(name),
                                ": cannot store as ", stored, ", only F64, F32, F16 and BF16"));
    }
    auto const bytes = static_cast<std::uint64_t>(values.size() * dtype_size(stored));
    insert(std::move(name), {stored, std::move(shape), bytes, values});
  }

  void insert(std::string name, entry added) {
    check_text(name);
    if (name == "__metadata__") {
      throw shape_error("safetensors_writer: the format keeps the name __metadata__ for texts");
    }
    if (entries_.contains(name)) {
      throw shape_error(
          message("safetensors_writer: tensor ", detail::json_quoted(name), " was added before"));
    }
    entries_.emplace(std::move(name), std::move(added));
  }

  auto file_order() const -> std::vector<named_entry const*> {
    std::vector<named_entry const*> order;
    for (auto const& named : entries_) {
      order.push_back(&named);
    }
    std::ranges::stable_sort(order, std::ranges::greater{},
                             [](named_entry const* named) { return named->second.stored; });
    return order;
  }

  // Padded with spaces, so that the data begins at a multiple of 8. Not through message(): a global
  // locale would put separators into the numbers.
  auto header_text(std::vector<named_entry const*> const& order) const -> std::string {
    std::string text = "{";
    if (!metadata_.empty()) {
      append_key(text, "__metadata__");
      text += '{';
      for (auto const& [key, value] : metadata_) {
        append_key(text, key);
        text += json_string(value);
      }
      text += '}';
    }
    std::uint64_t begin = 0;
    for (auto const* const named : order) {
      auto const& [stored, shape, bytes, source] = named->second;
      append_key(text, named->first);
      text += "{\"dtype\":";
      text += json_string(dtype_name(stored));
      text += ",\"shape\":";
      append_list(text, shape);
      text += ",\"data_offsets\":";
      append_list(text, std::array{begin, begin + bytes});
      text += '}';
      begin += bytes;
    }
    text += '}';
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  }

  // A member of an object; its value follows.
  static void append_key(std::string& text, std::string_view key) {
    text += text.back() == '{' ? "" : ",";
    text += json_string(key);
    text += ':';
  }

  template <class List>
  static void append_list(std::string& text, List const& numbers) {
    char separator = '[';
    for (auto const number : numbers) {
      text += separator;
      text += std::to_string(number);
      separator = ',';
    }
    text += numbers.empty() ? "[]" : "]";
  }

  static void write_values(std::ostream& out, named_entry const&,
                           std::span<std::byte const> bytes) {
    out.write(reinterpret_cast<char const*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
  }

  static void write_values(std::ostream& out, named_entry const& named,
                           matrix_view<std::int8_t const> values) {
    for (index_t i = 0; i < values.rows; ++i) {
      write_values(out, named, std::as_bytes(values.row(i)));
    }
  }

  template <class T>
  static void write_values(std::ostream& out, named_entry const& named,
                           matrix_view<T const> values) {
    constexpr std::size_t block = 4096;  // elements
    std::array<std::byte, block * sizeof(double)> buffer;
    auto const stored = named.second.stored;
    for (index_t i = 0; i < values.rows; ++i) {
      auto const row = values.row(i);
      for (std::size_t j = 0; j < row.size(); j += block) {
        auto const part = row.subspan(j, std::min(block, row.size() - j));
        auto const bytes =
            std::span(buffer).first(part.size() * static_cast<std::size_t>(dtype_size(stored)));
        if (auto const beyond = encode(part, stored, bytes)) {
          throw numerical_error(
              message("safetensors_writer: tensor ", detail::json_quoted(named.first), ": value ",
                      part[*beyond], " at (", i, ", ", j + *beyond, ") is beyond the range of ",
                      stored),
              0);
        }
        write_values(out, named, bytes);
      }
    }
  }

  std::map<std::string, entry, std::less<>> entries_;  // by name
  std::map<std::string, std::string> metadata_;
};

}  // namespace v0
}  // namespace eckart
