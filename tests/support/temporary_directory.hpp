#pragma once

#include <stdlib.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace support {

/// Writes a file.
inline void put(std::filesystem::path const& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!out.flush()) {
    throw std::runtime_error("write " + path.string());
  }
}

/// A new directory under the system's temporary one, removed with its content.
class temporary_directory {
 public:
  temporary_directory() {
    auto name = (std::filesystem::temp_directory_path() / "eckart-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("mkdtemp " + name);
    }
    path_ = name;
  }
  temporary_directory(temporary_directory const&) = delete;
  auto operator=(temporary_directory const&) -> temporary_directory& = delete;
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  auto path() const -> std::filesystem::path const& { return path_; }
  auto operator/(std::string_view name) const -> std::filesystem::path { return path_ / name; }

  /// Writes a file and answers its path.
  auto put(std::string_view name, std::string_view content) const -> std::filesystem::path {
    support::put(path_ / name, content);
    return path_ / name;
  }

  auto count_files() const -> std::ptrdiff_t {
    return std::distance(std::filesystem::directory_iterator(path_),
                         std::filesystem::directory_iterator());
  }

 private:
  std::filesystem::path path_;
};

}  // namespace support
