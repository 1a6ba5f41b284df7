#include "eckart/text/added_tokens.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace eckart;

namespace {

/// The text with added tokens as {id} and the pieces between them in brackets.
auto split(std::vector<added_token> tokens, std::string_view text, bool split_special = false)
    -> std::string {
  std::string result;
  added_token_set(std::move(tokens))
      .split(
          text, split_special,
          [&](std::string_view piece) { result.append("[").append(piece).append("]"); },
          [&](added_token const& token) { result += "{" + std::to_string(token.id) + "}"; });
  return result;
}

}  // namespace

TEST_CASE("added tokens are found leftmost, then longest") {
  std::vector<added_token> const tokens{
      {.content = "<a", .id = 1}, {.content = "<ab>", .id = 2}, {.content = "b>c", .id = 3}};
  CHECK(split(tokens, "x<ab>c<a>b>c") == "[x]{2}[c]{1}[>]{3}");
  CHECK(split(tokens, "<ab") == "{1}[b]");
  CHECK(split(tokens, "") == "");
  CHECK(split({}, "as it is") == "[as it is]");
}

TEST_CASE("lstrip and rstrip take all white space of their side, but not twice") {
  std::vector<added_token> const tokens{{.content = "<l>", .id = 1, .lstrip = true},
                                        {.content = "<r>", .id = 2, .rstrip = true}};
  CHECK(split(tokens, "a \u3000\n<l> b") == "[a]{1}[ b]");
  CHECK(split(tokens, "a <r>\t \u0085b") == "[a ]{2}[b]");
  CHECK(split(tokens, "<r>  <l>") == "{2}{1}");
  CHECK(split(tokens, "  <l>") == "{1}");
  CHECK(split(tokens, "a\u200B<l>") == "[a\u200B]{1}");
  CHECK(split(tokens, "\xFF <l>\xFF") == "[\xFF]{1}[\xFF]");
  CHECK(split(tokens, "\x80\x85<l>") == "[\x80\x85]{1}");
}

TEST_CASE("a single word is not found inside of a word") {
  std::vector<added_token> const tokens{{.content = "cat", .id = 1, .single_word = true}};
  CHECK(split(tokens, "cat") == "{1}");
  CHECK(split(tokens, "a cat.") == "[a ]{1}[.]");
  for (std::string const text : {"cats", "a_cat", "écat", "cat1", "cat\u0301", "cat\u200D"}) {
    CAPTURE(text);
    CHECK(split(tokens, text) == "[" + text + "]");
  }
  CHECK(split(tokens,
              "\xFF"
              "cat\xFF") == "[\xFF]{1}[\xFF]");
}

TEST_CASE("normalized tokens are looked for in what the others leave") {
  std::vector<added_token> const tokens{{.content = "ab", .id = 1, .normalized = true},
                                        {.content = "bc", .id = 2}};
  CHECK(split(tokens, "abc ab") == "[a]{2}[ ]{1}");
}

TEST_CASE("special tokens can be made text like any other, the rest stays") {
  std::vector<added_token> const tokens{{.content = "<s>", .id = 1},
                                        {.content = "<tag>", .id = 2, .special = false}};
  CHECK(split(tokens, "<s><tag>x") == "{1}{2}[x]");
  CHECK(split(tokens, "<s><tag>x", true) == "[<s>]{2}[x]");
}
