#include "fingerprint.hpp"

#include <eckart/io/file.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <span>

namespace program {

namespace {

/// The first eight bytes as a number, the same whatever the order of bytes in memory.
auto first_word(std::span<std::byte const> bytes) -> std::uint64_t {
  std::uint64_t word = 0;
  for (auto i = 0U; i < 8; ++i) {
    word |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  }
  return word;
}

/// The multiplication carries a change upwards, the shift carries it down again.
auto mixed(std::uint64_t hash, std::uint64_t word) -> std::uint64_t {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
  return hash ^ (hash >> 32U);
}

auto fingerprint_of_bytes(std::span<std::byte const> bytes) -> std::string {
  auto hash = mixed(0, bytes.size());
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    hash = mixed(hash, first_word(bytes));
  }
  for (auto const byte : bytes) {
    hash = mixed(hash, static_cast<std::uint64_t>(byte));
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace

auto fingerprint_of_text(std::string_view text) -> std::string {
  return fingerprint_of_bytes(std::as_bytes(std::span(text.data(), text.size())));
}

auto fingerprint_of_file(std::filesystem::path const& file) -> std::string {
  return fingerprint_of_bytes(eckart::mapped_file(file).bytes());
}

}  // namespace program
