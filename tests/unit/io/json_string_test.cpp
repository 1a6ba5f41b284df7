#include "eckart/io/json_string.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "unit/text/text_fixture.hpp"

using namespace eckart;

namespace {

// What another library writes for the same text.
auto expected(std::string const& text) -> std::string {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

TEST_CASE("every ASCII character is written as a JSON library writes it") {
  for (int c = 0; c < 128; ++c) {
    std::string const text(2, static_cast<char>(c));
    CAPTURE(c);
    CHECK(json_string(text) == expected(text));
  }
  CHECK(json_string("a\"\\\x01\n") == R"("a\"\\\u0001\n")");
}

TEST_CASE("a valid text comes back from its JSON string") {
  std::mt19937 random(7);
  for (int n = 0; n < 200; ++n) {
    auto const text = replace_invalid_utf8(text_test::random_text(random, 20) +
                                           text_test::random_bytes(random, 20));
    CHECK(json_string(text) == expected(text));
    CHECK(nlohmann::json::parse(json_string(text)) == text);
  }
}

TEST_CASE("a quoted text is cut to 200 bytes, and what is no UTF-8 is replaced") {
  CHECK(detail::json_quoted("a\xFF"
                            "b") == "\"a\uFFFDb\"");
  CHECK(detail::json_quoted(std::string(200, 'x')) == '"' + std::string(200, 'x') + '"');
  CHECK(detail::json_quoted(std::string(201, 'x')) == '"' + std::string(200, 'x') + "...\"");
  std::mt19937 random(11);
  for (int n = 0; n < 200; ++n) {
    auto const bytes = text_test::random_bytes(random, 30);
    CHECK(detail::json_quoted(bytes) == expected(bytes));
  }
}
