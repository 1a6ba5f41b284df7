#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

/// Short stand-ins for contents: 16 hexadecimal digits, the same on every machine. They find what
/// was changed by accident, not by an enemy.
namespace program {

/// FNV-1a of 64 bits, a byte after the other.
class fingerprint {
 public:
  void add_bytes(std::string_view bytes) {
    for (auto const c : bytes) {
      add_byte(static_cast<unsigned char>(c));
    }
  }
  void add(std::uint64_t number) {
    for (auto i = 0U; i < 64; i += 8) {
      add_byte((number >> i) & 0xFFU);
    }
  }
  /// With its length, so that no text can pass from one field to the next.
  void add(std::string_view text) {
    add(text.size());
    add_bytes(text);
  }
  auto text() const -> std::string;

 private:
  void add_byte(std::uint64_t byte) { value_ = (value_ ^ byte) * 0x100000001B3U; }

  std::uint64_t value_ = 0xCBF29CE484222325U;
};

auto fingerprint_of_text(std::string_view text) -> std::string;

/// Of a file's content. Throws eckart::io_error. A second or two for a gigabyte.
auto fingerprint_of_file(std::filesystem::path const& file) -> std::string;

}  // namespace program
