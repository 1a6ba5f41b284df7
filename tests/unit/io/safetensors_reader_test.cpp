#include "eckart/io/safetensors_reader.hpp"

#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "io_fixture.hpp"

using namespace eckart;
using io_test::file_of;
using io_test::get;
using io_test::has;
using io_test::put;
using io_test::refusal;
using io_test::temporary_directory;

namespace {

template <class T>
auto stored(std::vector<T> const& values) -> std::string {
  return {reinterpret_cast<char const*>(values.data()), values.size() * sizeof(T)};
}

// One byte first, so that everything behind it is unaligned.
auto sample() -> std::string {
  std::string const data = stored<std::uint8_t>({7}) + stored<float>({1.5F, -2.0F, 3.25F}) +
                           stored<std::uint16_t>({0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000, 0x3555}) +
                           stored<std::uint16_t>({0x3f80, 0xc020}) + stored<double>({0.1});
  return file_of(R"({"__metadata__":{"format":"pt","from":"test"},)"
                 R"("u8":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                 R"("f32":{"dtype":"F32","shape":[3],"data_offsets":[1,13]},)"
                 R"("f16":{"dtype":"F16","shape":[2,3],"data_offsets":[13,25]},)"
                 R"("bf16":{"dtype":"BF16","shape":[1,2,1],"data_offsets":[25,29]},)"
                 R"("f64":{"dtype":"F64","shape":[],"data_offsets":[29,37]}})",
                 data);
}

}  // namespace

TEST_CASE("a reader shows names, types, texts and bytes of its file") {
  temporary_directory const dir;
  put(dir / "m", sample());
  safetensors_reader const reader(dir / "m");
  CHECK(reader.names() == std::vector<std::string>{"bf16", "f16", "f32", "f64", "u8"});
  CHECK(reader.contains("f16"));
  CHECK(!reader.contains("f1"));
  CHECK(reader.info("f16").shape == std::vector<eckart::index_t>{2, 3});
  CHECK(reader.metadata().at("from") == "test");
  CHECK(reader.path() == dir / "m");
  REQUIRE(reader.bytes("u8").size() == 1);
  CHECK(reader.bytes("u8")[0] == std::byte{7});
}

TEST_CASE_TEMPLATE("stored values are converted whatever their alignment", T, float, double) {
  temporary_directory const dir;
  put(dir / "m", sample());
  safetensors_reader const reader(dir / "m");
  auto const v = reader.vector<T>("f32");
  REQUIRE(v.size() == 3);
  CHECK(v(0) == T{1.5});
  CHECK(v(2) == T{3.25});
  auto const m = reader.matrix<T>("f16");
  REQUIRE(as_view(m).shape() == shape2{2, 3});
  CHECK(m(0, 0) == T{1});
  CHECK(m(0, 1) == T{-2});
  CHECK(m(0, 2) == T{0x1p-24});
  CHECK(m(1, 0) == T{65504});
  CHECK((m(1, 1) == T{0} && std::signbit(m(1, 1))));
  std::vector<T> two(2);
  reader.read<T>("bf16", two);
  CHECK(two == std::vector<T>{T{1}, T{-2.5}});
  std::vector<T> scalar(1);
  reader.read<T>("f64", scalar);
  CHECK(scalar[0] == static_cast<T>(0.1));
}

TEST_CASE("float NaN keep their payload from file to vector") {
  temporary_directory const dir;
  std::vector<std::uint32_t> const bits{0x7f80'0001U, 0xffc1'2345U, 0x7fff'ffffU};
  put(dir / "m",
      file_of(R"({"n":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})", stored(bits)));
  auto const v = safetensors_reader(dir / "m").vector<float>("n");
  CHECK(std::memcmp(v.data(), bits.data(), 12) == 0);
}

TEST_CASE("a tensor that is missing or not what was asked for is refused by name") {
  temporary_directory const dir;
  put(dir / "m", sample());
  safetensors_reader const reader(dir / "m");
  auto const path = (dir / "m").string();
  auto text = refusal<format_error>([&] { reader.matrix<float>("no"); });
  CHECK(text == path + R"(: has no tensor "no")");
  CHECK(has(refusal<format_error>([&] { reader.bytes("no"); }), "has no tensor"));
  text = refusal<format_error>([&] { reader.matrix<float>("f32"); });
  CHECK(has(text, R"(tensor "f32": F32 of shape [3], a matrix was asked for)"));
  CHECK(has(text, message(path, ": byte ", reader.info("f32").begin, ": ")));
  text = refusal<format_error>([&] { reader.vector<float>("f16"); });
  CHECK(has(text, R"("f16": F16 of shape [2, 3], a vector was asked for)"));
  text = refusal<format_error>([&] { reader.vector<float>("u8"); });
  CHECK(has(text, R"("u8": U8 of shape [1], only F64, F32, F16 and BF16 convert)"));
  std::vector<float> five(5);
  text = refusal<format_error>([&] { reader.read<float>("f16", five); });
  CHECK(has(text, "5 elements were asked for"));
}

TEST_CASE("a moved reader reads on") {
  temporary_directory const dir;
  put(dir / "m", sample());
  safetensors_reader first(dir / "m");
  auto const bytes = first.bytes("f32");
  safetensors_reader const second(std::move(first));
  CHECK(second.bytes("f32").data() == bytes.data());
  CHECK(second.vector<float>("f32")(1) == -2.0F);
}

TEST_CASE("a matrix without elements is read as one") {
  temporary_directory const dir;
  put(dir / "m", file_of(R"({"e":{"dtype":"F16","shape":[0,4],"data_offsets":[0,0]}})", ""));
  auto const m = safetensors_reader(dir / "m").matrix<float>("e");
  CHECK(as_view(m).shape() == shape2{0, 4});
}

TEST_CASE("missing, empty and foreign files are refused with their path") {
  temporary_directory const dir;
  CHECK_THROWS_AS(safetensors_reader(dir / "no"), io_error);
  CHECK_THROWS_AS(safetensors_reader(dir.path()), io_error);
  put(dir / "empty", "");
  auto text = refusal<format_error>([&] { safetensors_reader reader(dir / "empty"); });
  CHECK(has(text, (dir / "empty").string() + ": byte 0: "));
  put(dir / "zip", std::string("PK\3\4\0\0\0\0\0\0\0\0\0\0", 14));
  text = refusal<format_error>([&] { safetensors_reader reader(dir / "zip"); });
  CHECK(has(text, "header length 67324752 exceeds the 6 bytes"));
}

TEST_CASE("a file with changed bytes is read or refused with an error of the library") {
  temporary_directory const dir;
  auto const good = sample();
  std::mt19937 random(4);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    auto file = good;
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      file[random() % file.size()] = static_cast<char>(random());
    }
    put(dir / "m", file);
    try {
      safetensors_reader const reader(dir / "m");
      for (auto const& name : reader.names()) {
        auto const& info = reader.info(name);
        if (is_convertible(info.type)) {
          std::vector<float> values(static_cast<std::size_t>(info.elements()));
          reader.read<float>(name, values);
        }
      }
    } catch (error const&) {
      ++refused;
    }
  }
  CHECK(refused > 1000);
  CHECK(refused < 2000);
}

TEST_CASE("a file cut at every byte is refused") {
  temporary_directory const dir;
  auto const good = sample();
  for (std::size_t size = 0; size < good.size(); ++size) {
    put(dir / "m", std::string_view(good).substr(0, size));
    CAPTURE(size);
    CHECK_THROWS_AS(safetensors_reader(dir / "m"), format_error);
  }
}
