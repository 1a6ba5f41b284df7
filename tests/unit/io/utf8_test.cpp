#include "eckart/io/utf8.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "unit/text/text_fixture.hpp"

using namespace eckart;

namespace {

auto units(std::string_view text) -> std::u32string {
  std::u32string result;
  for (std::size_t i = 0; i < text.size();) {
    auto const unit = decode_utf8(text, i);
    result += unit.code_point;
    i += unit.length;
  }
  return result;
}

}  // namespace

TEST_CASE("every scalar value survives encoding and decoding") {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) {
      continue;
    }
    std::string text;
    append_utf8(text, c);
    auto const unit = decode_utf8(text, 0);
    if (!(unit.valid && unit.code_point == c && unit.length == text.size())) {
      FAIL("code point ", static_cast<std::uint32_t>(c));
    }
  }
  CHECK(units("aé日🎂") == U"aé日🎂");
}

TEST_CASE("overlong forms, surrogates and values above U+10FFFF are invalid") {
  for (std::string_view const text :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\x80"}) {
    CAPTURE(text);
    CHECK(find_invalid_utf8(text) == std::optional<std::size_t>(0));
    CHECK(decode_utf8(text, 0).length == 1);
  }
  for (std::string_view const text : {"\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                                      "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    CAPTURE(text);
    CHECK_FALSE(find_invalid_utf8(text));
  }
}

TEST_CASE("the first invalid byte is found wherever it stands") {
  for (std::size_t before = 0; before < 40; ++before) {
    for (std::size_t after = 0; after < 10; ++after) {
      std::string const good(before, 'x');
      CHECK(find_invalid_utf8(good + "\xFF" + std::string(after, 'y')) == before);
      CHECK(find_invalid_utf8(good + "é\xE2\x82" + std::string(after, 'y')) == before + 2);
      CHECK_FALSE(find_invalid_utf8(good + "€" + std::string(after, 'y')));
    }
  }
  CHECK_FALSE(find_invalid_utf8(""));
  CHECK(find_invalid_utf8("\xFF ok \xFE", 1) == std::optional<std::size_t>(5));
}

TEST_CASE("each maximal subpart of an ill-formed sequence becomes one U+FFFD") {
  // Table 3-8 of the Unicode standard, and its neighbours.
  CHECK(replace_invalid_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64") ==
        "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
  CHECK(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") ==
        "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  CHECK(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") ==
        "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  CHECK(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") ==
        "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB");
  CHECK(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") ==
        "\uFFFD\uFFFD\uFFFD\uFFFDA");
  CHECK(replace_invalid_utf8("\xE2\x82") == "\uFFFD");
  CHECK(replace_invalid_utf8("\xF0\x9F\x8E") == "\uFFFD");
  CHECK(replace_invalid_utf8("good") == "good");
}

TEST_CASE("runs alternate, are the whole text, and are what they are said to be") {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    auto text = text_test::random_bytes(random, 12);
    text += text_test::random_text(random, 6);
    text += text_test::random_bytes(random, 6);
    std::string joined;
    std::optional<bool> last;
    for_each_utf8_run(text, [&](std::string_view run, bool valid) {
      CHECK_FALSE(run.empty());
      CHECK(last != valid);
      CHECK(find_invalid_utf8(run).has_value() == !valid);
      joined += run;
      last = valid;
    });
    CHECK(joined == text);
    CHECK_FALSE(find_invalid_utf8(replace_invalid_utf8(text)));
  }
}
