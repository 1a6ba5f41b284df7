#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "io_fixture.hpp"

using namespace eckart;
using io_test::has;
using io_test::refusal;

namespace {

auto fault_in_text(std::string_view text, int max_depth = 64, std::uint64_t base = 0)
    -> std::string {
  return refusal<format_error>([&] { parse_json(text, "f.json", max_depth, base); });
}

auto fault_offset(std::string_view text, std::uint64_t base = 0) -> std::uint64_t {
  try {
    parse_json(text, "f.json", 64, base);
  } catch (format_error const& error) {
    return error.offset;
  }
  return ~std::uint64_t{0};
}

}  // namespace

TEST_CASE("a strict parse builds the value that nlohmann's own parser builds") {
  for (std::string const text :
       {R"({"a":[1,-2,3.5,true,false,null,"x\n\u00e9\ud83d\ude00"],"b":{"c":{},"d":[]},"":0})",
        R"([[[]],[{"k":[{}]}],[1,[2,[3]]]])", "7", "\"x\"", " [ ] \n", "null",
        "[18446744073709551615,-9223372036854775808,18446744073709551616,1e-3,-0.0]"}) {
    CAPTURE(text);
    CHECK(parse_json(text, "x") == nlohmann::json::parse(text));
  }
}

TEST_CASE("text that is not JSON is refused with the name and the byte of the fault") {
  CHECK(has(fault_in_text("{\"a\": nope}"), "f.json: byte 7: parse error at line 1, column 8"));
  CHECK(fault_offset("") == 0);
  CHECK(fault_offset("[1,2") == 4);
  CHECK(fault_offset("[1,]") == 3);
  CHECK(fault_offset("[1] x") == 4);
  CHECK(fault_offset("{} {}") == 3);
  CHECK(fault_offset("[1] x", 1000) == 1004);
  CHECK(has(fault_in_text("[1] x", 64, 1000), "f.json: byte 1004: "));
  for (std::string const text :
       {"[01]", "[+1]", "[.5]", "[NaN]", "[Infinity]", "[1e999]", "{'a':1}", "{\"a\":1,}",
        "[1 // one\n]", "[\"\t\"]", "[\"\\x\"]", "[\"\xff\"]", "[\"\xc0\x80\"]",
        "[\"\xed\xa0\x80\"]", "[\"\\ud800\"]", "{1:2}"}) {
    CAPTURE(text);
    CHECK(has(fault_in_text(text), "f.json: byte "));
  }
}

TEST_CASE("a NUL byte does not hide what follows it") {
  using namespace std::string_view_literals;
  CHECK(has(fault_in_text("{}\0garbage"sv), "f.json: byte 2: a NUL byte is not JSON"));
  CHECK(has(fault_in_text("[\"\0\"]"sv), "f.json: byte 2: "));
}

TEST_CASE("a key that appears twice in one object is refused where it stands again") {
  CHECK(fault_in_text(R"({"a":1,"b":2,"a":3})") ==
        R"(f.json: byte 13: key "a" appears twice in one object)");
  CHECK(has(fault_in_text(R"({"x":[{"k":1,"k":1}]})"), "byte 13"));
  // The same key, spelled in another way.
  CHECK(has(fault_in_text(R"({"a":1, "\u0061":2})"), R"(byte 8: key "a")"));
  CHECK(has(fault_in_text(R"({"q\"\\":1,"q\"\\":2})"), "byte 11: "));
  CHECK(parse_json(R"({"a":{"a":1},"b":{"a":2}})", "x").size() == 2);
}

TEST_CASE("nesting is refused at the bracket that is one too many") {
  CHECK(parse_json("[[[]]]", "x", 3).size() == 1);
  CHECK(fault_in_text("[[[]]]", 2) == "f.json: byte 2: nested deeper than 2 levels");
  CHECK(has(fault_in_text(R"({"a":[{}]})", 2), "byte 6: nested"));
  CHECK(has(fault_in_text("{}", 0), "byte 0: nested deeper than 0 levels"));
  CHECK(parse_json("[[],[],[{}],[]]", "x", 3).size() == 4);
}

TEST_CASE("a hundred thousand brackets overflow nothing") {
  std::string const deep(100'000, '[');
  CHECK(has(fault_in_text(deep), "byte 64: nested deeper than 64 levels"));
  CHECK(has(fault_in_text(deep, 1'000'000), "byte 100000: "));  // only the end is missing
  std::string objects;
  for (int i = 0; i < 100'000; ++i) {
    objects += "{\"a\":";
  }
  CHECK(has(fault_in_text(objects), "nested deeper"));
}

TEST_CASE("messages about hostile text stay short and free of control characters") {
  auto const text = fault_in_text("[\"" + std::string(1'000'000, 'x'));
  CHECK(text.size() < 600);
  CHECK(has(text, "f.json: byte 1000002: "));
  auto const key = fault_in_text("{\"\\u001b[2J\":1,\"\\u001b[2J\":1}");
  CHECK(key.find('\x1b') == std::string::npos);
}

TEST_CASE("read_json names the file in both kinds of error") {
  io_test::temporary_directory const dir;
  io_test::put(dir / "good.json", "{\"a\": [1, 2]}\n");
  io_test::put(dir / "bad.json", "{\"a\": [1, 2}\n");
  CHECK(read_json(dir / "good.json")["a"][1] == 2);
  CHECK(has(refusal<format_error>([&] { read_json(dir / "bad.json"); }),
            (dir / "bad.json").string() + ": byte 11: "));
  CHECK(has(refusal<io_error>([&] { read_json(dir / "no.json"); }), "no.json: cannot open"));
}
