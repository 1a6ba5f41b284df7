#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

/// Short stand-ins for contents: 16 hexadecimal digits, the same on every machine. They find what
/// was changed by accident, not by an enemy.
namespace program {

auto fingerprint_of_text(std::string_view text) -> std::string;

/// Of a file's content. Throws eckart::io_error. Less than a second for a gigabyte.
auto fingerprint_of_file(std::filesystem::path const& file) -> std::string;

}  // namespace program
