#pragma once

#include "eckart/io/file.hpp"
#include "eckart/io/safetensors_writer.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>

/// Directories with a config.json and a model.safetensors, written so that nobody sees half of one.
namespace eckart {
inline namespace v0 {
namespace detail {

/// A new empty directory beside `target`, removed with its content unless it was moved into place.
class temporary_folder {
 public:
  explicit temporary_folder(std::filesystem::path const& target) : target_(target) {
    static std::atomic<unsigned> serial{0};
    std::error_code fault;
    do {
      path_ = target;
      path_ += message(".tmp-", ::getpid(), "-", serial++);
    } while (!std::filesystem::create_directory(path_, fault) && !fault);
    if (fault) {
      throw_io(target_, "create a temporary directory beside it", fault.value());
    }
  }
  temporary_folder(temporary_folder const&) = delete;
  auto operator=(temporary_folder const&) -> temporary_folder& = delete;
  ~temporary_folder() {
    if (!moved_) {
      std::error_code ignored;
      std::filesystem::remove_all(path_, ignored);
    }
  }

  auto path() const -> std::filesystem::path const& { return path_; }

  void move_into_place() {
    std::error_code fault;
    std::filesystem::rename(path_, target_, fault);
    if (fault) {
      throw_io(target_, "rename the finished directory to it", fault.value());
    }
    moved_ = true;
  }

 private:
  std::filesystem::path target_;
  std::filesystem::path path_;
  bool moved_ = false;
};

/// config.json is last: with the old one the new tensors are refused, not misread, as long as the
/// forms differ.
inline void write_checkpoint_files(std::filesystem::path const& directory,
                                   safetensors_writer const& tensors, std::string_view config) {
  tensors.save(directory / "model.safetensors");
  write_atomically(directory / "config.json", [&](std::ostream& out) { out << config << '\n'; });
}

/// Writes both files. A directory that is not there yet appears when it is complete; in one that is
/// there each file is replaced as a whole. Throws io_error, and as safetensors_writer::save.
inline void write_checkpoint(std::filesystem::path directory, safetensors_writer const& tensors,
                             std::string_view config) {
  directory = directory.lexically_normal();
  if (!directory.has_filename()) {  // "model/"
    directory = directory.parent_path();
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(directory, ignored)) {
    write_checkpoint_files(directory, tensors, config);
    return;
  }
  if (std::filesystem::exists(std::filesystem::symlink_status(directory, ignored))) {
    throw_io(directory, "write a model into it", ENOTDIR);
  }
  temporary_folder temporary(directory);
  write_checkpoint_files(temporary.path(), tensors, config);
  temporary.move_into_place();
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
