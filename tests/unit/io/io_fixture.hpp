#pragma once

#include "support/refusal.hpp"
#include "support/temporary_directory.hpp"

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

using support::has;
using support::put;
using support::refusal;
using support::temporary_directory;

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

}  // namespace io_test
