#include "eckart/core/error.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

using namespace eckart;

TEST_CASE("a message is its parts one after another") {
  CHECK(message("rank ", 900, " exceeds ", std::string("min"), '(', 768L, ')') ==
        "rank 900 exceeds min(768)");
  CHECK(message("ratio ", 0.25, " and ", -1.5F) == "ratio 0.25 and -1.5");
  CHECK(message("alone") == "alone");
}

TEST_CASE("a message keeps all digits of a 64-bit number") {
  CHECK(message(std::uint64_t{18446744073709551615U}) == "18446744073709551615");
}

TEST_CASE("every error is caught as eckart's and as the standard's") {
  static_assert(std::is_base_of_v<std::runtime_error, error>);
  auto const caught_as_error = [](auto const& thrown) -> std::string {
    try {
      throw thrown;
    } catch (error const& e) {
      return e.what();
    }
  };
  CHECK(caught_as_error(shape_error("shape")) == "shape");
  CHECK(caught_as_error(numerical_error("number", 1)) == "number");
  CHECK(caught_as_error(format_error("format", 1)) == "format");
  CHECK(caught_as_error(io_error("io", 1)) == "io");
  CHECK(caught_as_error(backend_error("backend", 1)) == "backend");
}

TEST_CASE("an error carries the number that its source gave") {
  CHECK(numerical_error("", -4).info == -4);
  CHECK(format_error("", std::uint64_t{1} << 40).offset == std::uint64_t{1} << 40);
  CHECK(io_error("", 2).status == 2);
  CHECK(backend_error("", 13).status == 13);
}
