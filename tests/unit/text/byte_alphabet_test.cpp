#include "eckart/text/byte_alphabet.hpp"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>

#include "text_fixture.hpp"

using namespace eckart;

static_assert(byte_to_code_point(' ') == 0x120);
static_assert(byte_to_code_point('\n') == 0x10A);
static_assert(byte_to_code_point('a') == 'a');
static_assert(byte_to_code_point(0) == 0x100);
static_assert(byte_to_code_point(0x7F) == 0x121);
static_assert(byte_to_code_point(0xA0) == 0x142);
static_assert(byte_to_code_point(0xAD) == 0x143);
static_assert(byte_to_code_point(0xFF) == 0xFF);

TEST_CASE("the 256 bytes have 256 code points that lead back to them") {
  std::set<char32_t> seen;
  for (int b = 0; b < 256; ++b) {
    auto const byte = static_cast<unsigned char>(b);
    auto const c = byte_to_code_point(byte);
    seen.insert(c);
    CHECK(code_point_to_byte(c) == byte);
  }
  CHECK(seen.size() == 256);
}

TEST_CASE("a code point of no byte is not of the alphabet") {
  for (char32_t const c : {0x20U, 0x0AU, 0x7FU, 0x80U, 0xA0U, 0xADU, 0x144U, 0x3B1U, 0x10FFFFU}) {
    CHECK_FALSE(code_point_to_byte(c));
  }
  CHECK_FALSE(from_byte_alphabet("a b"));
  CHECK_FALSE(from_byte_alphabet("caf\xE9"));
  CHECK(from_byte_alphabet("") == std::string());
}

TEST_CASE("any bytes come back from the alphabet") {
  CHECK(to_byte_alphabet(" Hello\n") == "\u0120Hello\u010A");
  CHECK(to_byte_alphabet("é") == "\u00C3\u00A9");
  std::mt19937 random(2);
  for (int i = 0; i < 500; ++i) {
    auto const bytes = text_test::random_bytes(random, 40);
    CHECK(from_byte_alphabet(to_byte_alphabet(bytes)) == bytes);
  }
}

TEST_CASE("nothing is appended of a text that is not of the alphabet") {
  std::string bytes = "kept";
  CHECK_FALSE(append_from_byte_alphabet(bytes, "abc def"));
  CHECK(bytes == "kept");
  CHECK(append_from_byte_alphabet(bytes, "\u0120it"));
  CHECK(bytes == "kept it");
}
