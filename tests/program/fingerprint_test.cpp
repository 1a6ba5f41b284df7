#include "fingerprint.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <set>
#include <string>

#include "support/temporary_directory.hpp"

using program::fingerprint_of_file;
using program::fingerprint_of_text;

TEST_CASE("every changed bit and every length has another fingerprint") {
  std::string const text = "{\"rank\": 64, \"loss\": 2.077}";
  std::set<std::string> seen{fingerprint_of_text(text)};
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (auto bit = 0; bit < 8; ++bit) {
      auto other = text;
      other[i] = static_cast<char>(other[i] ^ (1 << bit));
      seen.insert(fingerprint_of_text(other));
    }
    seen.insert(fingerprint_of_text(text.substr(0, i)));
  }
  CHECK(seen.size() == 1 + 9 * text.size());
  std::set<std::string> zeros;
  for (std::size_t length = 0; length < 40; ++length) {
    zeros.insert(fingerprint_of_text(std::string(length, '\0')));
  }
  CHECK(zeros.size() == 40);
}

TEST_CASE("the same flip in two words does not cancel") {
  std::string text(32, 'a');
  auto const before = fingerprint_of_text(text);
  text[7] = static_cast<char>(text[7] ^ 0x80);
  text[15] = static_cast<char>(text[15] ^ 0x80);
  CHECK(fingerprint_of_text(text) != before);
}

TEST_CASE("a file has the fingerprint of its text") {
  support::temporary_directory const folder;
  std::string const text("a\0b\r\n", 5);
  CHECK(fingerprint_of_file(folder.put("file", text)) == fingerprint_of_text(text));
  CHECK(fingerprint_of_file(folder.put("empty", "")) == fingerprint_of_text(""));
  CHECK(fingerprint_of_text(text).size() == 16);
}
