#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/xtensor.hpp"
#include "eckart/io/safetensors_archive.hpp"
#include "eckart/io/tensor_reads.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
      if (rank == 2) {
        matrices_.push_back({name, archive.matrix_for<T>(name)});
      } else {
        vectors_.push_back({name, archive.vector_for<T>(name)});
      }
    }
    std::vector<tensor_read<T>> reads;
    reads.reserve(matrices_.size() + vectors_.size());
    auto const add_reads = [&](auto& tensors) {
      for (auto& [name, values] : tensors) {
        reads.push_back(archive.read_of(name, std::span<T>(values.data(), values.size())));
      }
    };
    add_reads(matrices_);
    add_reads(vectors_);
    read_tensors(std::span<tensor_read<T> const>(reads));
  }

  /// A tensor of rank 2, which the batch then holds no longer; nothing if it holds none.
  auto take_matrix(std::string_view name) -> std::optional<matrix<T>> {
    return take(matrices_, name);
  }
  /// The same for rank 1.
  auto take_vector(std::string_view name) -> std::optional<vector<T>> {
    return take(vectors_, name);
  }

 private:
  template <class Values>
  struct named {
    std::string name;
    Values values;
  };

  template <class Values>
  static auto take(std::vector<named<Values>>& tensors, std::string_view name)
      -> std::optional<Values> {
    auto const found = std::ranges::find(tensors, name, &named<Values>::name);
    if (found == tensors.end()) {
      return std::nullopt;
    }
    std::optional<Values> result(std::move(found->values));
    tensors.erase(found);
    return result;
  }

  std::vector<named<matrix<T>>> matrices_;
  std::vector<named<vector<T>>> vectors_;
};

}  // namespace v0
}  // namespace eckart
