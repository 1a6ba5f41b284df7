#include "eckart/text/pre_tokenizer.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "text_fixture.hpp"

using namespace eckart;
using words = std::vector<std::string>;

namespace {

auto split(std::string_view text) -> words {
  static pre_tokenizer const tokenizer;
  words result;
  tokenizer.split(text, [&](std::string_view word) { result.emplace_back(word); });
  return result;
}

}  // namespace

TEST_CASE("words take one space before them, contractions and punctuation stand alone") {
  CHECK(split("Hello world") == words{"Hello", " world"});
  CHECK(split("it's we'll they'd I'm you've we're don't") ==
        words{"it", "'s", " we", "'ll", " they", "'d", " I", "'m", " you", "'ve", " we", "'re",
              " don", "'t"});
  CHECK(split("IT'S 'quoted'") == words{"IT", "'", "S", " '", "quoted", "'"});
  CHECK(split("C++20 3.14 !!!???") == words{"C", "++", "20", " 3", ".", "14", " !!!???"});
  CHECK(split("").empty());
}

TEST_CASE("white space leaves its last character to the next word") {
  CHECK(split("a  b") == words{"a", " ", " b"});
  CHECK(split("a   ") == words{"a", "   "});
  CHECK(split("a \n\n b") == words{"a", " \n\n", " b"});
  CHECK(split("a\nb") == words{"a", "\n", "b"});
  CHECK(split("a\n\nb") == words{"a", "\n", "\n", "b"});
  CHECK(split(" ") == words{" "});
}

TEST_CASE("white space is Unicode's, not PCRE2's") {
  CHECK(split("a\u0085\u00A0\u2028\u3000b") == words{"a", "\u0085\u00A0\u2028", "\u3000", "b"});
  CHECK(split("a\u180E\u200B\uFEFFb") == words{"a", "\u180E\u200B\uFEFF", "b"});
  CHECK(split("a\x1C b") == words{"a", "\x1C", " b"});
}

TEST_CASE("letters and numbers are Unicode's, combining marks are neither") {
  CHECK(split("日本語テキスト") == words{"日本語テキスト"});
  CHECK(split("Привет мир") == words{"Привет", " мир"});
  CHECK(split("x\u0301y") == words{"x", "\u0301", "y"});
  CHECK(split("²½Ⅷ٠") == words{"²½Ⅷ٠"});
}

TEST_CASE("invalid bytes are words of their own and end the text around them") {
  CHECK(split("ab\xFF\x80"
              "cd") == words{"ab", "\xFF\x80", "cd"});
  CHECK(split("a  \xC3 b") == words{"a", "  ", "\xC3", " b"});
  CHECK(split("\xE2\x82") == words{"\xE2\x82"});
}

TEST_CASE("the words of any bytes are the bytes") {
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    auto text = text_test::random_text(random, 20);
    text += text_test::random_bytes(random, 5);
    std::string joined;
    for (auto const& word : split(text)) {
      CHECK_FALSE(word.empty());
      joined += word;
    }
    CHECK(joined == text);
  }
}

TEST_CASE("a megabyte of one kind is one word") {
  for (std::string_view const unit : {" ", "\n", "x", "7", "-", "é", "\u3000", "日", "\xFF"}) {
    std::string text;
    while (text.size() < 1'000'000) {
      text += unit;
    }
    CAPTURE(unit);
    CHECK(split(text) == words{text});
    if (unit == " ") {
      CHECK(split(text + "a").size() == 2);
    }
  }
}
