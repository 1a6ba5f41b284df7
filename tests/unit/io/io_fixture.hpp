#pragma once

#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

// What the tests of io share: a directory that removes itself, files made by hand.
namespace io_test {

/// A new directory under the system's temporary one, removed with its content.
class temporary_directory {
 public:
  temporary_directory() {
    auto name = (std::filesystem::temp_directory_path() / "eckart-io-XXXXXX").string();
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

  auto count_files() const -> std::ptrdiff_t {
    return std::distance(std::filesystem::directory_iterator(path_),
                         std::filesystem::directory_iterator());
  }

 private:
  std::filesystem::path path_;
};

inline void put(std::filesystem::path const& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!out.flush()) {
    throw std::runtime_error("write " + path.string());
  }
}

/// The content, by other means than the library's.
inline auto get(std::filesystem::path const& path) -> std::string {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A safetensors file from its header and data.
inline auto file_of(std::string_view header, std::string_view data) -> std::string {
  std::uint64_t const length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file.append(header).append(data);
}

inline auto bytes_of(std::string_view text) -> std::span<std::byte const> {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// What the Error that `f` throws says; a note if it throws none. Other exceptions pass.
template <class Error, class F>
auto refusal(F&& f) -> std::string {
  try {
    f();
  } catch (Error const& fault) {
    return fault.what();
  }
  return "(nothing was thrown)";
}

inline auto has(std::string const& text, std::string_view part) -> bool {
  return text.find(part) != std::string::npos;
}

}  // namespace io_test
