#include "eckart/eval/rouge_tokenizer.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace eckart;

namespace {

using words = std::vector<std::string>;

}  // namespace

TEST_CASE("words are runs of ASCII letters and digits in lower case") {
  CHECK(rouge_tokens("Don't stop: 3.14 x-ray_2!") ==
        words{"don", "t", "stop", "3", "14", "x", "ray", "2"});
  CHECK(rouge_tokens("@[`{/:AZaz09") == words{"azaz09"});
  CHECK(rouge_tokens("").empty());
  CHECK(rouge_tokens(" .,;\n\t").empty());
  CHECK(rouge_tokens(std::string_view("a\0b", 3)) == words{"a", "b"});
}

TEST_CASE("letters beyond ASCII separate, but for the two with an ASCII lower case") {
  CHECK(rouge_tokens("café naïve ÀB ＡＢ 東京") == words{"caf", "na", "ve", "b"});
  CHECK(rouge_tokens("300\u212A o\u212Ay") == words{"300k", "oky"});
  CHECK(rouge_tokens("\u0130x x\u0130 \u0130\u0130") == words{"i", "x", "xi", "i", "i"});
  // Neighbours of the two, and their first bytes alone.
  CHECK(rouge_tokens("a\u0131b\u012Fc\u212Bd\u2129e") == words{"a", "b", "c", "d", "e"});
  CHECK(rouge_tokens("a\xC4") == words{"a"});
  CHECK(rouge_tokens("a\xE2\x84") == words{"a"});
  CHECK(rouge_tokens("a\xE2\x84z\xC4z\xFFz") == words{"a", "z", "z", "z"});
}

TEST_CASE("only words of more than three letters are stemmed") {
  CHECK(rouge_tokens("Was used cats dies running", {.stem = true}) ==
        words{"was", "use", "cat", "die", "run"});
  CHECK(rouge_tokens("gas gases ups its", {.stem = true}) == words{"gas", "gase", "ups", "its"});
  CHECK(rouge_tokens("gas gases", {.stem = false}) == words{"gas", "gases"});
}
