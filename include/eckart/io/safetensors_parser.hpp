#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/io/dtype.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_parser.hpp"
#include "eckart/io/json_string.hpp"
#include "eckart/io/json_value.hpp"
#include "eckart/io/safetensors_format.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

/// Reads the header of a safetensors file: 8 bytes little-endian length, JSON of that length, data.
namespace eckart {
inline namespace v0 {
namespace detail {

/// Checks the header of one file and collects what it says.
template <class Json>
class safetensors_parser {
 public:
  safetensors_parser(std::span<std::byte const> file, std::string_view name)
      : file_(file), name_(name) {}

  auto parse() -> safetensors_header {
    auto const length = header_length();
    data_begin_ = length_bytes + length;
    data_size_ = file_.size() - data_begin_;
    auto const* const text = reinterpret_cast<char const*>(file_.data()) + length_bytes;
    // The tensor's shape is the deepest list there is: level 3. Some more for better messages.
    auto const json =
        json_builder<Json>({text, static_cast<std::size_t>(length)}, name_, 8, length_bytes)
            .build();
    for (auto const& [key, value] : json.value.items()) {
      at_ = json.key_offsets.find(key)->second;
      tensor_ = key;
      if (key == "__metadata__") {
        read_metadata(value);
      } else {
        header_.tensors.emplace(key, read_tensor(value));
      }
    }
    check_layout();
    return std::move(header_);
  }

 private:
  static constexpr std::uint64_t length_bytes = 8;

  template <class... Parts>
  [[noreturn]] void fail(std::uint64_t at, Parts const&... parts) const {
    throw format_error(message(name_, ": byte ", at, ": ", parts...), at);
  }
  // A fault of the tensor whose entry is being read.
  template <class... Parts>
  [[noreturn]] void fault(Parts const&... parts) const {
    fail(at_, "tensor ", json_quoted(tensor_), ": ", parts...);
  }

  // Also checks that the header lies in the file and is an object.
  auto header_length() const -> std::uint64_t {
    if (file_.size() < length_bytes) {
      fail(0, "a safetensors file begins with 8 bytes of header length, this one has ",
           file_.size(), " bytes");
    }
    std::uint64_t length = 0;
    std::memcpy(&length, file_.data(), sizeof length);
    if (length > safetensors_header_limit) {
      fail(0, "header length ", length, " exceeds the limit of ", safetensors_header_limit,
           " bytes");
    }
    if (length > file_.size() - length_bytes) {
      fail(0, "header length ", length, " exceeds the ", file_.size() - length_bytes,
           " bytes that follow it");
    }
    if (length == 0) {
      fail(0, "header length is 0, the shortest header is {}");
    }
    if (auto const first = std::to_integer<unsigned>(file_[length_bytes]); first != '{') {
      fail(length_bytes, "the header must begin with '{', got byte value ", first);
    }
    return length;
  }

  void read_metadata(Json const& value) {
    if (!value.is_object()) {
      fail(at_, "__metadata__: expected object, got ", describe_json(value));
    }
    for (auto const& [key, text] : value.items()) {
      if (!text.is_string()) {
        fail(at_, "__metadata__: ", json_quoted(key), ": expected string, got ",
             describe_json(text));
      }
      header_.metadata.emplace(key, text.template get<std::string>());
    }
  }

  auto member(Json const& entry, char const* key) const -> Json const& {
    auto const found = entry.find(key);
    if (found == entry.end()) {
      fault("has no ", key);
    }
    return *found;
  }

  auto read_tensor(Json const& entry) const -> tensor_info {
    if (!entry.is_object()) {
      fault("expected object, got ", describe_json(entry));
    }
    tensor_info info;
    info.type = read_dtype(member(entry, "dtype"));
    info.shape = read_shape(member(entry, "shape"));
    std::tie(info.begin, info.end) = read_range(member(entry, "data_offsets"));
    if (entry.size() != 3) {
      fault("has ", entry.size(), " members, expected dtype, shape and data_offsets alone");
    }
    auto const bytes = byte_count(info);
    if (bytes != info.end - info.begin) {
      fault("shape ", shape_text(info.shape), " of ", info.type, " takes ", bytes,
            " bytes, data_offsets [", info.begin, ", ", info.end, "] hold ", info.end - info.begin);
    }
    info.begin += data_begin_;
    info.end += data_begin_;
    return info;
  }

  auto read_dtype(Json const& value) const -> dtype {
    if (!value.is_string()) {
      fault("dtype: expected string, got ", describe_json(value));
    }
    auto const type = find_dtype(value.template get_ref<std::string const&>());
    if (!type) {
      fault("unknown dtype ", json_quoted(value.template get_ref<std::string const&>()));
    }
    return *type;
  }

  auto read_shape(Json const& value) const -> std::vector<index_t> {
    if (!value.is_array()) {
      fault("shape: expected array, got ", describe_json(value));
    }
    std::vector<index_t> shape;
    shape.reserve(value.size());
    for (auto const& extent : value) {
      if (!extent.is_number_unsigned() ||
          !std::in_range<index_t>(extent.template get<std::uint64_t>())) {
        fault("shape[", shape.size(), "]: expected non-negative 64-bit integer, got ",
              describe_json(extent));
      }
      shape.push_back(extent.template get<index_t>());
    }
    return shape;
  }

  // Still relative to the start of the data, as the file has them.
  auto read_range(Json const& value) const -> std::pair<std::uint64_t, std::uint64_t> {
    if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() ||
        !value[1].is_number_unsigned()) {
      fault("data_offsets: expected two non-negative integers, got ", shortened(value.dump(), 60));
    }
    auto const begin = value[0].template get<std::uint64_t>();
    auto const end = value[1].template get<std::uint64_t>();
    if (begin > end) {
      fault("data_offsets [", begin, ", ", end, "] run backwards");
    }
    if (end > data_size_) {
      fault("data_offsets [", begin, ", ", end, "] leave the ", data_size_, " bytes of data");
    }
    return {begin, end};
  }

  auto byte_count(tensor_info const& info) const -> std::uint64_t {
    auto bytes = static_cast<std::uint64_t>(dtype_size(info.type));
    for (auto const extent : info.shape) {
      auto const factor = static_cast<std::uint64_t>(extent);
      if (factor != 0 && bytes > std::numeric_limits<std::uint64_t>::max() / factor) {
        fault("shape ", shape_text(info.shape), " of ", info.type, " overflows 64 bits");
      }
      bytes *= factor;
    }
    return bytes;
  }

  // The tensors must cover the data from its first byte to its last, each byte once.
  void check_layout() const {
    using entry = std::pair<std::string const, tensor_info> const*;
    std::vector<entry> order;
    for (auto const& tensor : header_.tensors) {
      order.push_back(&tensor);
    }
    std::ranges::sort(order, {}, [](entry e) { return std::pair(e->second.begin, e->second.end); });
    auto covered = data_begin_;
    entry last = nullptr;
    for (auto const* const current : order) {
      auto const begin = current->second.begin;
      auto const shown = json_quoted(current->first);
      if (begin < covered) {
        fail(begin, "tensor ", shown, ": overlaps tensor ", json_quoted(last->first),
             ", which ends at byte ", covered);
      }
      if (begin > covered) {
        fail(covered, "hole of ", begin - covered, " bytes before tensor ", shown);
      }
      covered = current->second.end;
      last = current;
    }
    if (covered != file_.size()) {
      fail(covered, file_.size() - covered, " bytes at the end of the file belong to no tensor");
    }
  }

  std::span<std::byte const> file_;
  std::string_view name_;
  std::uint64_t data_begin_ = 0;  // bytes before the data
  std::uint64_t data_size_ = 0;
  std::uint64_t at_ = 0;  // where the entry that is being read stands in the file
  std::string tensor_;    // and its name
  safetensors_header header_;
};

}  // namespace detail

/// Checks a whole safetensors file and answers what its header says. Refused: a header that leaves
/// the file or the format's limit or is not strict JSON; an unknown dtype; a shape whose product
/// overflows or does not match its bytes; ranges that leave the data, overlap or leave a hole;
/// metadata other than strings. Throws format_error "NAME: byte OFFSET: ..." naming the tensor.
/// Does not touch the data. O(header).
template <class Json = nlohmann::json>
auto parse_safetensors(std::span<std::byte const> file, std::string_view name)
    -> safetensors_header {
  return detail::safetensors_parser<Json>(file, name).parse();
}

}  // namespace v0
}  // namespace eckart
