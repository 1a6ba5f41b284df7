#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/view.hpp"
#include "eckart/core/xtensor.hpp"
#include "eckart/io/dtype.hpp"
#include "eckart/io/file.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_string.hpp"
#include "eckart/io/safetensors_format.hpp"
#include "eckart/io/safetensors_parser.hpp"
#include "eckart/io/tensor_reads.hpp"

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// A safetensors file, mapped into memory and checked whole by the constructor. Movable; the spans
/// that bytes() gives stay valid as long as the reader or the one that it was moved to.
class safetensors_reader {
 public:
  /// Opens and checks a file. Throws io_error, and format_error as parse_safetensors.
  template <class Json = nlohmann::json>
  explicit safetensors_reader(std::filesystem::path path)
      : safetensors_reader(open<Json>(std::move(path))) {}

  /// The same for a caller that is itself a template over Json (io/json_fwd.hpp).
  template <class Json>
  static auto open(std::filesystem::path path) -> safetensors_reader {
    mapped_file file(std::move(path));
    auto header = parse_safetensors<Json>(file.bytes(), file.path().string());
    return {std::move(file), std::move(header)};
  }

  /// The names of all tensors, sorted.
  auto names() const -> std::vector<std::string> {
    std::vector<std::string> result;
    result.reserve(header_.tensors.size());
    for (auto const& [name, info] : header_.tensors) {
      result.push_back(name);
    }
    return result;
  }

  /// Whether there is a tensor of that name.
  auto contains(std::string_view name) const -> bool { return header_.tensors.contains(name); }

  /// Type, shape and place of a tensor. Throws format_error if there is none of that name.
  auto info(std::string_view name) const -> tensor_info const& {
    auto const found = header_.tensors.find(name);
    if (found == header_.tensors.end()) {
      throw format_error(message(path().string(), ": has no tensor ", detail::json_quoted(name)),
                         0);
    }
    return found->second;
  }

  /// The stored bytes of a tensor, at any alignment. Throws format_error as info.
  auto bytes(std::string_view name) const -> std::span<std::byte const> {
    auto const& tensor = info(name);
    return file_.bytes().subspan(tensor.begin, tensor.end - tensor.begin);
  }

  /// The texts of the `__metadata__` entry.
  auto metadata() const -> std::map<std::string, std::string> const& { return header_.metadata; }

  /// The path of the file.
  auto path() const -> std::filesystem::path const& { return file_.path(); }

  /// The values of a tensor of any rank in row-major order, converted into `out`, by all threads
  /// where there are many; see decode for the rounding. Throws format_error if the tensor is
  /// missing, has another number of elements or is not of a floating-point type (F64, F32, F16,
  /// BF16), and io_error if the file has been shortened. Allocates nothing.
  template <real T>
  void read(std::string_view name, std::span<T> out) const {
    read_tensor(read_of(name, out));
  }

  /// The same, checked but not read yet: read_tensors reads many at once.
  template <real T>
  auto read_of(std::string_view name, std::span<T> out) const -> tensor_read<T> {
    auto const& tensor = info(name);
    if (tensor.elements() != static_cast<index_t>(out.size())) {
      refuse(name, tensor, message(out.size(), " elements were asked for"));
    }
    check_convertible(name, tensor);
    return {&file_, tensor.type, tensor.begin, out};
  }

  /// A tensor of rank 2 as an owning matrix. Throws format_error for another rank, and as read.
  template <real T>
  auto matrix(std::string_view name) const -> eckart::matrix<T> {
    auto result = matrix_for<T>(name);
    read(name, std::span<T>(result.data(), result.size()));
    return result;
  }

  /// A tensor of rank 1 as an owning vector. Throws format_error for another rank, and as read.
  template <real T>
  auto vector(std::string_view name) const -> eckart::vector<T> {
    auto result = vector_for<T>(name);
    read(name, std::span<T>(result.data(), result.size()));
    return result;
  }

  /// The matrix without its values, which are uninitialized. Throws as matrix.
  template <real T>
  auto matrix_for(std::string_view name) const -> eckart::matrix<T> {
    auto const& tensor = info(name);
    if (tensor.shape.size() != 2) {
      refuse(name, tensor, "a matrix was asked for");
    }
    check_convertible(name, tensor);
    return make_matrix<T>({tensor.shape[0], tensor.shape[1]});
  }

  /// The vector without its values, which are uninitialized. Throws as vector.
  template <real T>
  auto vector_for(std::string_view name) const -> eckart::vector<T> {
    auto const& tensor = info(name);
    if (tensor.shape.size() != 1) {
      refuse(name, tensor, "a vector was asked for");
    }
    check_convertible(name, tensor);
    return make_vector<T>(tensor.shape[0]);
  }

 private:
  safetensors_reader(mapped_file file, safetensors_header header)
      : file_(std::move(file)), header_(std::move(header)) {}

  [[noreturn]] void refuse(std::string_view name, tensor_info const& tensor,
                           std::string_view wanted) const {
    throw format_error(
        message(path().string(), ": byte ", tensor.begin, ": tensor ", detail::json_quoted(name),
                ": ", tensor.type, " of shape ", detail::shape_text(tensor.shape), ", ", wanted),
        tensor.begin);
  }
  void check_convertible(std::string_view name, tensor_info const& tensor) const {
    if (!is_convertible(tensor.type)) {
      refuse(name, tensor, "only F64, F32, F16 and BF16 convert to floating-point numbers");
    }
  }

  mapped_file file_;
  safetensors_header header_;
};

}  // namespace v0
}  // namespace eckart
