#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/xtensor.hpp"
#include "eckart/io/safetensors_archive.hpp"
#include "eckart/io/tensor_reads.hpp"

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Matrices and vectors of an archive, read in one go by all threads, to be taken out one by one.
/// Values are converted as by decode.
template <real T>
class tensor_batch {
 public:
  tensor_batch() = default;

  /// Reads those of the named tensors that are of rank 1 or 2 and of a floating-point type; the
  /// others are left to whoever asks for them. Throws format_error for a name that the archive
  /// lacks, and io_error as mapped_file::read_at.
  tensor_batch(safetensors_archive const& archive, std::span<std::string const> names) {
    for (auto const& name : names) {
      auto const& info = archive.info(name);
      auto const rank = info.shape.size();
      if (!is_convertible(info.type) || rank < 1 || rank > 2) {
        continue;
      }
      tensors_.try_emplace(name, rank == 2 ? stored(archive.matrix_for<T>(name))
                                           : stored(archive.vector_for<T>(name)));
    }
    std::vector<tensor_read<T>> reads;
    reads.reserve(tensors_.size());
    for (auto& [name, tensor] : tensors_) {
      reads.push_back(std::visit(
          [&, &tensor_name = name](auto& values) {
            return archive.read_of(tensor_name, std::span<T>(values.data(), values.size()));
          },
          tensor));
    }
    read_tensors(std::span<tensor_read<T> const>(reads));
  }

  /// A tensor of rank 2, which the batch then holds no longer; nothing if it holds none.
  auto take_matrix(std::string_view name) -> std::optional<matrix<T>> {
    return take<matrix<T>>(name);
  }
  /// The same for rank 1.
  auto take_vector(std::string_view name) -> std::optional<vector<T>> {
    return take<vector<T>>(name);
  }

 private:
  using stored = std::variant<matrix<T>, vector<T>>;

  template <class Values>
  auto take(std::string_view name) -> std::optional<Values> {
    auto const found = tensors_.find(name);
    auto* const values = found == tensors_.end() ? nullptr : std::get_if<Values>(&found->second);
    if (values == nullptr) {
      return std::nullopt;
    }
    std::optional<Values> result(std::move(*values));
    tensors_.erase(found);
    return result;
  }

  std::map<std::string, stored, std::less<>> tensors_;
};

}  // namespace v0
}  // namespace eckart
