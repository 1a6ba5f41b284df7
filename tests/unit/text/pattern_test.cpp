#include "eckart/text/pattern.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "text_fixture.hpp"

using namespace eckart;
using text_test::has;
using text_test::refusal;

TEST_CASE("a pattern matches where it is asked to and not further on") {
  pattern const letters(R"(\p{L}+)");
  pattern::matcher matcher(letters);
  CHECK(matcher.match_length("..élan..", 0) == 0);
  CHECK(matcher.match_length("..élan..", 2) == 5);
  CHECK(matcher.match_length("..élan..", 7) == 0);
}

TEST_CASE("an expression that PCRE2 refuses is an error with the reason and the place") {
  auto const what = refusal<error>([] { pattern("a(b"); });
  CHECK(has(what, "pattern: missing closing parenthesis at byte 3 of a(b"));
}

TEST_CASE("a matcher outlives the pattern that it was made from") {
  auto copy = [] {
    pattern const original("ab");
    return pattern::matcher(original);
  }();
  CHECK(copy.match_length("abc", 0) == 2);
  pattern first("x");
  pattern const second = std::move(first);
  CHECK(pattern::matcher(second).match_length("x", 0) == 1);
}
