#include "eckart/io/safetensors_parser.hpp"

#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include "io_fixture.hpp"

using namespace eckart;
using io_test::bytes_of;
using io_test::file_of;
using io_test::has;
using io_test::refusal;

namespace {

auto parse(std::string const& file) -> safetensors_header {
  return parse_safetensors(bytes_of(file), "m.safetensors");
}

// What is said about a header that is followed by that many bytes of data.
auto fault_of_header(std::string_view header, std::size_t data = 0) -> std::string {
  auto const file = file_of(header, std::string(data, 'd'));
  return refusal<format_error>([&] { parse(file); });
}

// The same for the entry of one tensor "w".
auto tensor_fault(std::string const& dtype, std::string const& shape, std::string const& offsets,
                  std::size_t data) -> std::string {
  return fault_of_header(
      R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}",
      data);
}

auto with_length(std::uint64_t length, std::string_view rest) -> std::string {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file.append(rest);
}

}  // namespace

TEST_CASE("a header gives type, shape and the place in the file of each tensor") {
  std::string const header =
      R"({"b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},"__metadata__":{"format":"pt"},)"
      R"("a":{"dtype":"I32","shape":[],"data_offsets":[0,4]},)"
      R"("none":{"dtype":"F64","shape":[5,0],"data_offsets":[4,4]}}   )";
  auto const result = parse(file_of(header, std::string(16, 'd')));
  REQUIRE(result.tensors.size() == 3);
  auto const& b = result.tensors.at("b");
  CHECK(b.type == dtype::f16);
  CHECK(b.shape == std::vector<eckart::index_t>{2, 3});
  CHECK(b.begin == 8 + header.size() + 4);
  CHECK(b.end == 8 + header.size() + 16);
  CHECK(b.elements() == 6);
  CHECK(result.tensors.at("a").elements() == 1);
  CHECK(result.tensors.at("none").elements() == 0);
  CHECK(result.metadata == std::map<std::string, std::string>{{"format", "pt"}});
}

TEST_CASE("the empty header is a file without tensors") {
  CHECK(parse(file_of("{}", "")).tensors.empty());
}

TEST_CASE("the bytes of each type are taken from the format") {
  for (int i = 0; i < 15; ++i) {
    auto const type = static_cast<dtype>(i);
    auto const size = static_cast<std::size_t>(3 * dtype_size(type));
    auto const quoted = message('"', type, '"');
    auto const range = message("[0,", size, "]");
    CHECK(tensor_fault(quoted, "[3]", range, size) == "nothing thrown");
    CHECK(has(tensor_fault(quoted, "[4]", range, size), message("takes ", size / 3 * 4)));
  }
}

TEST_CASE("a header length that does not fit is refused") {
  CHECK(refusal<format_error>([] { parse("1234567"); }) ==
        "m.safetensors: byte 0: a safetensors file begins with 8 bytes of header length, this one "
        "has 7 bytes");
  CHECK(has(refusal<format_error>([] { parse(""); }), "has 0 bytes"));
  CHECK(has(refusal<format_error>([] { parse(with_length(~0ULL, "{}")); }),
            "header length 18446744073709551615 exceeds the limit of 100000000 bytes"));
  CHECK(has(refusal<format_error>([] { parse(with_length(100'000'001, "{}")); }), "the limit"));
  CHECK(has(refusal<format_error>([] { parse(with_length(3, "{}")); }),
            "byte 0: header length 3 exceeds the 2 bytes that follow it"));
  CHECK(has(refusal<format_error>([] { parse(with_length(0, "{}")); }), "header length is 0"));
}

TEST_CASE("a header that is not one strict JSON object is refused") {
  CHECK(has(fault_of_header(" {}"), "byte 8: the header must begin with '{', got byte value 32"));
  CHECK(has(fault_of_header("[]"), "byte 8: the header must begin"));
  CHECK(has(fault_of_header("{} x"), "byte 11: parse error"));
  CHECK(has(fault_of_header("{\"a\":"), "byte 13: parse error"));
  CHECK(has(fault_of_header(std::string_view("{}\0\0", 4)), "byte 10: a NUL byte"));
  CHECK(has(fault_of_header("{\"w\":" + std::string(100'000, '[')), "nested deeper than 8 levels"));
  auto const entry = std::string(R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})");
  CHECK(has(fault_of_header("{" + entry + "," + entry + "}", 1), R"(key "w" appears twice)"));
  CHECK(has(
      fault_of_header(R"({"w":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1),
      R"(byte 27: key "dtype" appears twice)"));
}

TEST_CASE("a fault of a tensor is reported with its name and the place of its entry") {
  CHECK(tensor_fault("\"F31\"", "[1]", "[0,4]", 4) ==
        R"(m.safetensors: byte 9: tensor "w": unknown dtype "F31")");
  CHECK(has(tensor_fault("3", "[1]", "[0,4]", 4), "dtype: expected string, got integer 3"));
  CHECK(has(tensor_fault("\"F32\"", "4", "[0,4]", 4), "shape: expected array, got integer 4"));
  CHECK(has(tensor_fault("\"F32\"", "[1,-1]", "[0,4]", 4), "shape[1]: expected non-negative"));
  CHECK(has(tensor_fault("\"F32\"", "[1.0]", "[0,4]", 4), "got floating-point number 1.0"));
  CHECK(has(tensor_fault("\"F32\"", "[true]", "[0,4]", 4), "got boolean true"));
  CHECK(has(tensor_fault("\"F32\"", "[9223372036854775808]", "[0,4]", 4), "shape[0]: expected"));
  CHECK(has(tensor_fault("\"F32\"", "[1]", "[0]", 4), "expected two non-negative integers"));
  CHECK(has(tensor_fault("\"F32\"", "[1]", "[0,4,8]", 4), "expected two non-negative integers"));
  CHECK(has(tensor_fault("\"F32\"", "[1]", "[0,4.0]", 4), "expected two non-negative integers"));
  CHECK(has(tensor_fault("\"F32\"", "[1]", "[-4,0]", 4), "expected two non-negative integers"));
  CHECK(has(tensor_fault("\"F32\"", "[1]", "{}", 4), "expected two non-negative integers"));
  CHECK(has(fault_of_header(R"({"w":7})"), "tensor \"w\": expected object, got integer 7"));
  CHECK(has(fault_of_header(R"({"w":{"dtype":"F32","shape":[1]}})", 4),
            "tensor \"w\": has no data_offsets"));
  CHECK(has(fault_of_header(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1),
            "has 4 members"));
  // The second entry's own place.
  CHECK(has(fault_of_header(R"({"v":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":1})", 1),
            "byte 61: "));
}

TEST_CASE("a range that is reversed, too long or of another size is refused with the numbers") {
  CHECK(has(tensor_fault("\"F32\"", "[1]", "[4,0]", 4), "data_offsets [4, 0] run backwards"));
  CHECK(has(tensor_fault("\"F32\"", "[2]", "[0,8]", 4),
            "data_offsets [0, 8] leave the 4 bytes of data"));
  CHECK(has(tensor_fault("\"F32\"", "[1]", "[18446744073709551612,18446744073709551615]", 4),
            "leave the 4 bytes"));
  CHECK(has(tensor_fault("\"F32\"", "[3,1]", "[0,8]", 8),
            "shape [3, 1] of F32 takes 12 bytes, data_offsets [0, 8] hold 8"));
  CHECK(has(tensor_fault("\"F32\"", "[0]", "[0,4]", 4), "takes 0 bytes"));
}

TEST_CASE("a product of extents beyond 64 bits is refused, not wrapped") {
  // Wrapped, each of these would be 0 or 4 bytes.
  CHECK(has(tensor_fault("\"F32\"", "[4294967296,4294967296]", "[0,0]", 0),
            "shape [4294967296, 4294967296] of F32 overflows 64 bits"));
  CHECK(has(tensor_fault("\"F32\"", "[4611686018427387905]", "[0,4]", 4), "overflows 64 bits"));
  CHECK(has(tensor_fault("\"U8\"", "[4611686018427387904,4]", "[0,0]", 0), "overflows 64 bits"));
}

TEST_CASE("tensors that overlap, leave a hole or leave bytes over are refused") {
  auto const two = [](std::string const& first, std::string const& second, std::size_t data) {
    return fault_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
                               R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}",
                           data);
  };
  CHECK(two("[0,4]", "[4,8]", 8) == "nothing thrown");
  CHECK(two("[4,8]", "[0,4]", 8) == "nothing thrown");
  auto const text = two("[0,4]", "[2,6]", 6);
  CHECK(has(text, R"(tensor "b": overlaps tensor "a", which ends at byte )"));
  CHECK(has(two("[0,4]", "[0,4]", 4), "overlaps"));
  CHECK(has(two("[0,4]", "[6,10]", 10), R"(hole of 2 bytes before tensor "b")"));
  CHECK(has(two("[1,5]", "[5,9]", 9), R"(hole of 1 bytes before tensor "a")"));
  CHECK(has(two("[0,4]", "[4,8]", 11), "3 bytes at the end of the file belong to no tensor"));
  CHECK(has(fault_of_header("{}", 1), "1 bytes at the end"));
  // An empty tensor inside of another one.
  CHECK(has(fault_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                            R"("b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
                            4),
            "overlaps"));
}

TEST_CASE("metadata other than texts is refused") {
  CHECK(has(fault_of_header(R"({"__metadata__":[]})"), "byte 9: __metadata__: expected object"));
  CHECK(has(fault_of_header(R"({"__metadata__":{"a":1}})"),
            R"(__metadata__: "a": expected string, got)"));
  CHECK(has(fault_of_header(R"({"__metadata__":{"a":"b","a":"c"}})"), R"(key "a" appears twice)"));
}

TEST_CASE("a file cut anywhere is refused") {
  auto const file = file_of(R"({"__metadata__":{"format":"pt"},)"
                            R"("w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})",
                            std::string(16, 'd'));
  CHECK(parse(file).tensors.size() == 1);
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    // A copy of its own, so that a read behind the end is seen by the address sanitizer.
    std::vector<std::byte> const cut(bytes_of(file).begin(),
                                     bytes_of(file).begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_THROWS_AS(parse_safetensors(cut, "cut"), format_error);
  }
}

TEST_CASE("changed bytes are accepted or refused with a format_error, nothing else") {
  auto const good = file_of(R"({"__metadata__":{"format":"pt"},)"
                            R"("v":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]},)"
                            R"("w":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]}} )",
                            std::string(24, 'd'));
  std::mt19937 random(3);
  std::string_view const digits = "0123456789,[]{}\":-.eE \\\0\xff";
  int refused = 0;
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    auto file = good;
    auto const changes = 1 + random() % 3;
    for (unsigned c = 0; c < changes; ++c) {
      auto const at = random() % file.size();
      file[at] = round % 2 == 0 ? digits[random() % digits.size()]
                                : static_cast<char>(file[at] ^ (1 << random() % 8));
    }
    try {
      auto const header = parse(file);
      ++accepted;
      for (auto const& [name, info] : header.tensors) {
        REQUIRE(info.begin <= info.end);
        REQUIRE(info.end <= file.size());
        REQUIRE(static_cast<std::uint64_t>(info.elements() * dtype_size(info.type)) ==
                info.end - info.begin);
      }
    } catch (format_error const&) {
      ++refused;
    }
  }
  CHECK(refused > 2000);
  CHECK(accepted > 200);  // changes of the data and of letters in names
}
