#include "eckart/text/vocabulary.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "text_fixture.hpp"

using namespace eckart;
using text_test::has;
using text_test::refusal;

TEST_CASE("tokens and ids lead to each other, holes lead nowhere") {
  vocabulary words("v.json", 3);
  words.insert("a", 0);
  words.insert("bb", 7);
  CHECK(words.size() == 8);
  CHECK(words.find("bb") == 7);
  CHECK_FALSE(words.find("b"));
  CHECK(words.token(7) == "bb");
  CHECK(has(refusal<shape_error>([&] { words.token(8); }), "id 8 is not in 0 to 7"));
  CHECK(has(refusal<shape_error>([&] { words.token(-1); }), "id -1 is not in 0 to 7"));
  CHECK(has(refusal<shape_error>([&] { words.token(3); }), "id 3 below 8 names no token"));
}

TEST_CASE("a token that cannot be added is refused with its file, name, id and reason") {
  vocabulary words("v.json", 2);
  words.insert("a", 0);
  auto const fault = [&](std::string const& token, std::int64_t id) {
    return refusal<format_error>([&] { words.insert(token, id); });
  };
  CHECK(has(fault("b", -1), "v.json: token \"b\" with id -1: ids must be at least 0 and below 20"));
  CHECK(has(fault("b", 20), "below 20"));
  CHECK(has(fault("b", std::int64_t{1} << 40), "with id 1099511627776: ids must be"));
  CHECK(has(fault("b", 0), "with id 0: that is the id of \"a\""));
  CHECK(has(fault("a", 1), "with id 1: it has id 0 already"));
  CHECK(has(fault("", 1), "the token is empty"));
  CHECK(words.size() == 1);
  words.insert("b", 19);
  CHECK(words.size() == 20);
}

TEST_CASE("tokens in messages are short and printable") {
  vocabulary words("v.json", 1);
  auto const what =
      refusal<format_error>([&] { words.insert("\x1B[2J" + std::string(100, 'x'), -1); });
  CHECK(has(what, "\"\\x1b[2Jxxx"));
  CHECK(has(what, "xxx...\""));
  CHECK(what.size() < 160);
}
