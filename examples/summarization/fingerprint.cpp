#include "fingerprint.hpp"

#include <eckart/io/file.hpp>

#include <fmt/format.h>

namespace program {

auto fingerprint::text() const -> std::string {
  return fmt::format("{:016x}", value_);
}

auto fingerprint_of_text(std::string_view text) -> std::string {
  fingerprint hash;
  hash.add(text);
  return hash.text();
}

auto fingerprint_of_file(std::filesystem::path const& file) -> std::string {
  eckart::mapped_file const content(file);
  auto const bytes = content.bytes();
  return fingerprint_of_text({reinterpret_cast<char const*>(bytes.data()), bytes.size()});
}

}  // namespace program
