#include "eckart/text/utf8.hpp"

#include <doctest/doctest.h>

using namespace eckart;

TEST_CASE("white space is Unicode's property and nothing that only looks like it") {
  int count = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    count += is_white_space(c) ? 1 : 0;
  }
  CHECK(count == 25);
  for (char32_t const c : U"\t\n\v\f\r \u0085\u00A0\u2003\u2028\u202F\u205F\u3000") {
    CHECK((c == 0 || is_white_space(c)));
  }
  for (char32_t const c : {0x180EU, 0x200BU, 0x2060U, 0xFEFFU, 0x1CU, 0x1FU}) {
    CHECK_FALSE(is_white_space(c));
  }
}

TEST_CASE("a text is blank if every character is white space") {
  CHECK(is_blank(""));
  CHECK(is_blank(" \t\r\n"));
  CHECK(is_blank("\u00A0\u3000 \u2028"));  // no-break, ideographic, line separator
  CHECK_FALSE(is_blank("\u200B"));         // a space of no width is none
  CHECK_FALSE(is_blank("  x"));
}
