#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/xtensor.hpp"
#include "eckart/io/file.hpp"
#include "eckart/io/json_fwd.hpp"
#include "eckart/io/json_parser.hpp"
#include "eckart/io/json_string.hpp"
#include "eckart/io/json_value.hpp"
#include "eckart/io/safetensors_format.hpp"
#include "eckart/io/safetensors_reader.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {
namespace detail {

// PyTorch's own files: a pickle, alone or in a zip.
inline auto is_pickle_name(std::filesystem::path const& file) -> bool {
  auto const name = file.filename().string();
  auto const extension = file.extension();
  return extension == ".pt" || extension == ".pth" || extension == ".ckpt" || extension == ".pkl" ||
         (name.starts_with("pytorch_model") &&
          (extension == ".bin" || name.ends_with(".bin.index.json")));
}

[[noreturn]] inline void refuse_pickle(std::filesystem::path const& file,
                                       std::filesystem::path const& directory) {
  throw format_error(
      message(file.string(),
              ": a pickle file runs the code that it contains when it is loaded, so it is not "
              "read. Convert it once in Python, where you trust it:\n"
              "  from transformers import AutoModelForSeq2SeqLM\n"
              "  AutoModelForSeq2SeqLM.from_pretrained(\"",
              directory.string(), "\").save_pretrained(\"OUT\", safe_serialization=True)"),
      0);
}

// A shard's name comes from a file: it must not reach outside of its directory.
inline auto is_plain_file_name(std::string_view name) -> bool {
  return !name.empty() && name != "." && name.find("..") == std::string_view::npos &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

}  // namespace detail

/// The tensors of a model: one safetensors file, or the shards that an index names. Reads like a
/// safetensors_reader, whatever the number of files.
class safetensors_archive {
 public:
  /// Opens a .safetensors file, or a directory with model.safetensors or, in its absence,
  /// model.safetensors.index.json. All files are checked whole. Tensors of a shard that the index
  /// does not name are not seen, as in other loaders. Throws io_error; format_error for a faulty
  /// file or index and for a model that exists only as a pickle (.bin, .pt, .pth, .ckpt, .pkl).
  template <class Json = nlohmann::json>
  explicit safetensors_archive(std::filesystem::path const& path) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(path, ignored)) {
      if (std::filesystem::exists(path, ignored) &&
          (detail::is_pickle_name(path) || path.extension() == ".bin")) {
        detail::refuse_pickle(path, path.has_parent_path() ? path.parent_path() : ".");
      }
      open_single<Json>(path);
    } else if (std::filesystem::exists(path / single_name, ignored)) {
      open_single<Json>(path / single_name);
    } else if (std::filesystem::exists(path / index_name, ignored)) {
      open_sharded<Json>(path);
    } else {
      refuse_directory(path);
    }
  }

  /// The names of all tensors, sorted.
  auto names() const -> std::vector<std::string> {
    std::vector<std::string> result;
    result.reserve(owners_.size());
    for (auto const& [name, shard] : owners_) {
      result.push_back(name);
    }
    return result;
  }

  /// Whether there is a tensor of that name.
  auto contains(std::string_view name) const -> bool { return owners_.contains(name); }

  /// Type, shape and place (in its shard) of a tensor. Throws format_error if there is none.
  auto info(std::string_view name) const -> tensor_info const& { return shard(name).info(name); }

  /// The stored bytes of a tensor. Throws format_error as info.
  auto bytes(std::string_view name) const -> std::span<std::byte const> {
    return shard(name).bytes(name);
  }

  /// The `__metadata__` texts of all files; the first file wins where two use the same key.
  auto metadata() const -> std::map<std::string, std::string> const& { return metadata_; }

  /// The .safetensors file or the index.
  auto path() const -> std::filesystem::path const& { return path_; }

  /// The file that holds a tensor. Throws format_error as info.
  auto shard(std::string_view name) const -> safetensors_reader const& {
    auto const found = owners_.find(name);
    if (found == owners_.end()) {
      throw format_error(message(path_.string(), ": has no tensor ", detail::json_quoted(name)), 0);
    }
    return shards_[found->second];
  }

  /// As safetensors_reader::read.
  template <real T>
  void read(std::string_view name, std::span<T> out) const {
    shard(name).read(name, out);
  }
  /// As safetensors_reader::read_of, matrix_for and vector_for.
  template <real T>
  auto read_of(std::string_view name, std::span<T> out) const -> tensor_read<T> {
    return shard(name).read_of(name, out);
  }
  template <real T>
  auto matrix_for(std::string_view name) const -> eckart::matrix<T> {
    return shard(name).template matrix_for<T>(name);
  }
  template <real T>
  auto vector_for(std::string_view name) const -> eckart::vector<T> {
    return shard(name).template vector_for<T>(name);
  }
  /// As safetensors_reader::matrix.
  template <real T>
  auto matrix(std::string_view name) const -> eckart::matrix<T> {
    return shard(name).template matrix<T>(name);
  }
  /// As safetensors_reader::vector.
  template <real T>
  auto vector(std::string_view name) const -> eckart::vector<T> {
    return shard(name).template vector<T>(name);
  }

 private:
  static constexpr char const* single_name = "model.safetensors";
  static constexpr char const* index_name = "model.safetensors.index.json";

  template <class Json>
  void open_single(std::filesystem::path const& file) {
    path_ = file;
    open_shard<Json>(file);
    for (auto& name : shards_.front().names()) {
      owners_.emplace_hint(owners_.end(), std::move(name), std::size_t{0});
    }
  }

  template <class Json>
  void open_sharded(std::filesystem::path const& directory) {
    path_ = directory / index_name;
    auto const text = read_text(path_);
    auto const json = detail::json_builder<Json>(text, path_.string(), 8, 0).build();
    auto const map = json.value.find("weight_map");
    if (!json.value.is_object() || map == json.value.end() || !map->is_object()) {
      throw format_error(message(path_.string(), ": byte 0: has no object weight_map"), 0);
    }
    auto const at = json.key_offsets.find("weight_map")->second;
    std::map<std::string, std::size_t> numbers;  // of the shards opened so far
    for (auto const& [name, file] : map->items()) {
      auto const fault = [&, &tensor = name](auto const&... parts) {
        throw format_error(message(path_.string(), ": byte ", at, ": weight_map: tensor ",
                                   detail::json_quoted(tensor), ": ", parts...),
                           at);
      };
      if (!file.is_string()) {
        fault("expected string, got ", detail::describe_json(file));
      }
      auto const& file_name = file.template get_ref<std::string const&>();
      if (!detail::is_plain_file_name(file_name)) {
        fault("shard ", detail::json_quoted(file_name), " is not a plain file name");
      }
      auto const [number, is_new] = numbers.emplace(file_name, shards_.size());
      if (is_new) {
        open_shard<Json>(directory / file_name);
      }
      if (!shards_[number->second].contains(name)) {
        fault("is not in shard ", detail::json_quoted(file_name));
      }
      owners_.emplace(name, number->second);
    }
  }

  template <class Json>
  void open_shard(std::filesystem::path const& file) {
    shards_.push_back(safetensors_reader::open<Json>(file));
    auto const& texts = shards_.back().metadata();
    metadata_.insert(texts.begin(), texts.end());
  }

  [[noreturn]] static void refuse_directory(std::filesystem::path const& directory) {
    std::error_code status;
    for (std::filesystem::directory_iterator file(directory, status), end; !status && file != end;
         file.increment(status)) {
      if (detail::is_pickle_name(file->path())) {
        detail::refuse_pickle(file->path(), directory);
      }
    }
    if (status) {
      detail::throw_io(directory, "list", status.value());
    }
    throw io_error(message(directory.string(), ": has neither ", single_name, " nor ", index_name),
                   ENOENT);
  }

  std::filesystem::path path_;
  std::vector<safetensors_reader> shards_;
  std::map<std::string, std::size_t, std::less<>> owners_;  // tensor name to its shard
  std::map<std::string, std::string> metadata_;
};

}  // namespace v0
}  // namespace eckart
