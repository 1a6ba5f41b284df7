#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/io/dtype.hpp"
#include "eckart/io/json_string.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

/// What stands in the header of a safetensors file.
/// Format: https://github.com/huggingface/safetensors#format
namespace eckart {
inline namespace v0 {

/// One tensor of a file.
struct tensor_info {
  dtype type = dtype::f32;
  std::vector<index_t> shape;  ///< empty for a scalar
  std::uint64_t begin = 0;     ///< its first byte in the file
  std::uint64_t end = 0;       ///< one past its last byte in the file

  /// Number of elements: the product of the shape.
  auto elements() const -> index_t {
    index_t count = 1;
    for (auto const extent : shape) {
      count *= extent;
    }
    return count;
  }
};

/// What the header says, after all of it was checked.
struct safetensors_header {
  std::map<std::string, tensor_info, std::less<>> tensors;
  std::map<std::string, std::string> metadata;
};

/// The longest header that the format allows, in bytes.
inline constexpr std::uint64_t safetensors_header_limit = 100'000'000;

namespace detail {

// "[3, 4]"
inline auto shape_text(std::vector<index_t> const& shape) -> std::string {
  std::string text = "[";
  for (auto const extent : shape) {
    text += text.size() > 1 ? ", " : "";
    text += std::to_string(extent);
  }
  return shortened(text) + "]";
}

}  // namespace detail

}  // namespace v0
}  // namespace eckart
