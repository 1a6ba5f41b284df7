#include "eckart/io/json_value.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "io_fixture.hpp"

using namespace eckart;
using io_test::has;
using io_test::refusal;

namespace {

auto const config = nlohmann::json::parse(R"({
  "d_model": 768, "dropout": 0.1, "act": "gelu", "tie": true, "none": null, "half": 1.5,
  "whole": 2.0, "minus": -1, "huge": 18446744073709551615, "big": 1e300,
  "ids": [3, 4, 5], "mixed": [1, "x"], "map": {"a": 1}})");

template <class T>
auto fault_of_key(char const* key) -> std::string {
  return refusal<format_error>([&] { json_value<T>(config, key, "c.json"); });
}

}  // namespace

TEST_CASE("a member is read as the type it has") {
  CHECK(json_value<int>(config, "d_model", "c") == 768);
  CHECK(json_value<double>(config, "dropout", "c") == 0.1);
  CHECK(json_value<float>(config, "d_model", "c") == 768.0F);
  CHECK(json_value<std::string>(config, "act", "c") == "gelu");
  CHECK(json_value<bool>(config, "tie", "c"));
  CHECK(json_value<std::uint64_t>(config, "huge", "c") == 18446744073709551615U);
  CHECK(json_value<std::vector<int>>(config, "ids", "c") == std::vector{3, 4, 5});
  CHECK(json_value<std::optional<int>>(config, "none", "c") == std::nullopt);
  CHECK(json_value<std::optional<int>>(config, "minus", "c") == -1);
  CHECK(json_value<nlohmann::json>(config, "map", "c").at("a") == 1);
}

TEST_CASE("a missing member is refused with file and key") {
  CHECK(fault_of_key<int>("n_head") == R"(c.json: key "n_head" is missing)");
}

TEST_CASE("no type passes for another") {
  CHECK(fault_of_key<int>("act") == R"(c.json: key "act": expected integer, got string "gelu")");
  CHECK(has(fault_of_key<int>("half"), "expected integer, got floating-point number 1.5"));
  CHECK(has(fault_of_key<int>("whole"), "expected integer, got floating-point number 2.0"));
  CHECK(has(fault_of_key<int>("tie"), "expected integer, got boolean true"));
  CHECK(has(fault_of_key<int>("none"), "expected integer, got null"));
  CHECK(has(fault_of_key<bool>("d_model"), "expected boolean, got integer 768"));
  CHECK(has(fault_of_key<double>("tie"), "expected number, got boolean true"));
  CHECK(has(fault_of_key<std::string>("d_model"), "expected string, got integer 768"));
  CHECK(has(fault_of_key<std::string>("map"), "expected string, got object of 1"));
  CHECK(has(fault_of_key<std::vector<int>>("d_model"), "expected array, got integer 768"));
  CHECK(has(fault_of_key<std::optional<int>>("half"), "expected integer"));
}

TEST_CASE("a number that the type cannot hold is refused with the range") {
  CHECK(has(fault_of_key<std::int8_t>("d_model"),
            "expected integer from -128 to 127, got integer 768"));
  CHECK(has(fault_of_key<std::int64_t>("huge"),
            "to 9223372036854775807, got integer 1844674407370955"));
  CHECK(has(fault_of_key<unsigned>("minus"),
            "expected integer from 0 to 4294967295, got integer -1"));
  CHECK(has(fault_of_key<float>("big"), "expected number within 3.40282e+38, got"));
  CHECK(json_value<double>(config, "big", "c") == 1e300);
}

TEST_CASE("a faulty element of a list is named by its position") {
  CHECK(has(fault_of_key<std::vector<int>>("mixed"),
            R"(key "mixed[1]": expected integer, got string "x")"));
}

TEST_CASE("the default stands for a missing member and for null, not for a wrong type") {
  CHECK(json_value_or<int>(config, "absent", 7, "c") == 7);
  CHECK(json_value_or<int>(config, "none", 7, "c") == 7);
  CHECK(json_value_or<int>(config, "d_model", 7, "c") == 768);
  CHECK(json_value_or<std::string>(config, "absent", "x", "c") == "x");
  CHECK(json_value_or<std::optional<int>>(config, "none", std::nullopt, "c") == std::nullopt);
  CHECK(has(refusal<format_error>([] { json_value_or<int>(config, "act", 7, "c.json"); }),
            R"(c.json: key "act": expected integer)"));
}

TEST_CASE("members are looked for in objects alone") {
  auto const list = nlohmann::json::parse("[1]");
  auto const text = refusal<format_error>([&] { json_value_or<int>(list, "a", 1, "c.json"); });
  CHECK(text == R"(c.json: key "a": looked for in an object, got array of 1)");
}
