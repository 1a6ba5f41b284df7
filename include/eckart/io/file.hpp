#pragma once

#include "eckart/core/error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <ios>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

/// Whole files: mapped for reading, read as text, and written so that nobody ever sees half of one.
namespace eckart {
inline namespace v0 {
namespace detail {

// "PATH: cannot open: No such file or directory"
[[noreturn]] inline void throw_io(std::filesystem::path const& path, std::string_view action,
                                  int status) {
  throw io_error(
      message(path.string(), ": cannot ", action, ": ", std::generic_category().message(status)),
      status);
}

/// Owner of a POSIX file descriptor.
class file_descriptor {
 public:
  explicit file_descriptor(int number) : number_(number) {}
  file_descriptor(file_descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  auto operator=(file_descriptor&& other) noexcept -> file_descriptor& {
    std::swap(number_, other.number_);
    return *this;
  }
  ~file_descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  auto number() const -> int { return number_; }

 private:
  int number_;
};

/// A new empty file beside `target`, removed again unless it was moved into place.
class temporary_file {
 public:
  explicit temporary_file(std::filesystem::path const& target) : target_(target) {
    static std::atomic<unsigned> serial{0};
    do {
      path_ = target;
      path_ += message(".tmp-", ::getpid(), "-", serial++);
      // 0666 is narrowed by the umask, as for every other file that the user creates.
      file_descriptor const created(
          ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (created.number() >= 0) {
        return;
      }
    } while (errno == EEXIST);
    throw_io(target_, "create a temporary file beside it", errno);
  }
  temporary_file(temporary_file const&) = delete;
  auto operator=(temporary_file const&) -> temporary_file& = delete;
  ~temporary_file() {
    if (!moved_) {
      ::unlink(path_.c_str());
    }
  }

  auto path() const -> std::filesystem::path const& { return path_; }

  void move_into_place() {
    if (::rename(path_.c_str(), target_.c_str()) != 0) {
      throw_io(target_, "rename the finished file to it", errno);
    }
    moved_ = true;
  }

 private:
  std::filesystem::path target_;
  std::filesystem::path path_;
  bool moved_ = false;
};

// The file that a write to `path` replaces. A link is followed, so that it stays a link; a
// directory or device is refused, because rename() would put a regular file in its place.
inline auto replaceable_file(std::filesystem::path const& path) -> std::filesystem::path {
  std::error_code ignored;
  auto const status = std::filesystem::status(path, ignored);
  if (!std::filesystem::exists(status)) {
    return path;
  }
  if (std::filesystem::is_directory(status)) {
    throw_io(path, "write", EISDIR);
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw io_error(message(path.string(), ": cannot write: not a regular file"), EINVAL);
  }
  auto const real = std::filesystem::canonical(path, ignored);
  return ignored ? path : real;
}

}  // namespace detail

/// A whole regular file, mapped for reading and open for reading into other memory. Pages of the
/// map are loaded when they are first touched; a file that another process shortens meanwhile
/// raises SIGBUS there, as with every map, and an io_error in read_at.
class mapped_file {
 public:
  /// Maps `path`; an empty file gives an empty span. Throws io_error if it is missing, unreadable
  /// or not a regular file.
  explicit mapped_file(std::filesystem::path path)
      : path_(std::move(path)),
        // O_NONBLOCK: opening a pipe must not wait for its writer, only to be refused below.
        file_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct ::stat status {};
    if (file_.number() < 0 || ::fstat(file_.number(), &status) != 0) {
      detail::throw_io(path_, "open", errno);
    }
    if (S_ISDIR(status.st_mode)) {
      detail::throw_io(path_, "map", EISDIR);
    }
    if (!S_ISREG(status.st_mode)) {
      throw io_error(message(path_.string(), ": cannot map: not a regular file"), EINVAL);
    }
    if (status.st_size == 0) {
      return;  // mmap refuses a length of 0
    }
    auto const size = static_cast<std::size_t>(status.st_size);
    void* const start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file_.number(), 0);
    if (start == MAP_FAILED) {
      detail::throw_io(path_, "map", errno);
    }
    bytes_ = {static_cast<std::byte const*>(start), size};
  }

  mapped_file(mapped_file&& other) noexcept
      : path_(std::move(other.path_)),
        file_(std::move(other.file_)),
        bytes_(std::exchange(other.bytes_, {})) {}
  auto operator=(mapped_file&& other) noexcept -> mapped_file& {
    std::swap(path_, other.path_);
    std::swap(file_, other.file_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~mapped_file() {
    if (!bytes_.empty()) {
      ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
  }

  /// The content, valid as long as this object or the one that it was moved to. O(1).
  auto bytes() const -> std::span<std::byte const> { return bytes_; }
  /// The path that was given to the constructor.
  auto path() const -> std::filesystem::path const& { return path_; }

  /// Fills `out` with the bytes of the file from `offset` on, without touching the map: faster
  /// where each byte is read once, and its pages never count as memory of the process. Any number
  /// of threads may call it. Throws io_error if reading fails or the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      auto const count =
          ::pread(file_.number(), out.data(), out.size(), static_cast<::off_t>(offset));
      if (count == 0) {
        throw io_error(message(path_.string(), ": cannot read: the file ends at byte ", offset,
                               ", it has been shortened since it was opened"),
                       EIO);
      }
      if (count > 0) {
        offset += static_cast<std::uint64_t>(count);
        out = out.subspan(static_cast<std::size_t>(count));
      } else if (errno != EINTR) {
        detail::throw_io(path_, "read", errno);
      }
    }
  }

 private:
  std::filesystem::path path_;
  detail::file_descriptor file_;
  std::span<std::byte const> bytes_;
};

/// The content of a file or pipe, byte for byte. Throws io_error.
inline auto read_text(std::filesystem::path const& path) -> std::string {
  detail::file_descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) {
    detail::throw_io(path, "open", errno);
  }
  std::string text;
  std::array<char, std::size_t{1} << 16> buffer;
  for (;;) {
    auto const count = ::read(file.number(), buffer.data(), buffer.size());
    if (count == 0) {
      return text;
    }
    if (count > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      detail::throw_io(path, "read", errno);
    }
  }
}

/// Calls `write(stream)` on a temporary file in the directory of `path` and renames it to `path`
/// when all is written: a reader sees the old file or the new one, nothing between. The stream
/// throws as soon as a write fails. On any exception the temporary file is removed and `path` is
/// untouched. Throws io_error (missing directory, full disk, not a regular file) and whatever
/// `write` throws. Not synced to the disk: a power failure may lose the new file.
template <std::invocable<std::ostream&> F>
void write_atomically(std::filesystem::path const& path, F&& write) {
  detail::temporary_file temporary(detail::replaceable_file(path));
  errno = 0;
  std::ofstream out(temporary.path(), std::ios::binary);
  try {
    out.exceptions(std::ios::failbit | std::ios::badbit);
    std::invoke(std::forward<F>(write), static_cast<std::ostream&>(out));
    out.close();
  } catch (std::ios_base::failure const&) {
    if (!out.fail()) {
      throw;  // of another stream, that `write` was using
    }
    detail::throw_io(path, "write", errno != 0 ? errno : EIO);
  }
  temporary.move_into_place();
}

}  // namespace v0
}  // namespace eckart
