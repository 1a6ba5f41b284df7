#include "eckart/io/safetensors_writer.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io_fixture.hpp"

using namespace eckart;
using io_test::get;
using io_test::has;
using io_test::refusal;
using io_test::temporary_directory;

namespace {

template <class E>
concept addable = requires(safetensors_writer& writer, E&& values) {
  writer.add("x", std::forward<E>(values));
};

auto header_of(std::string const& file) -> std::string {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  return file.substr(8, length);
}

}  // namespace

TEST_CASE("a written file is the format's bytes: length, padded header, data") {
  temporary_directory const dir;
  std::vector<float> const values{1.0F, -2.0F};
  safetensors_writer writer;
  writer.metadata("format", "pt");
  writer.add("w", std::span<float const>(values));
  writer.save(dir / "m");
  auto const file = get(dir / "m");
  std::string const header =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  auto const padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  REQUIRE(header.size() % 8 != 0);  // or the padding would not be tested
  CHECK(file == io_test::file_of(padded, std::string_view("\0\0\x80\x3f\0\0\0\xc0", 8)));
  CHECK(dir.count_files() == 1);
}

TEST_CASE("the file does not depend on the order in which tensors were added") {
  temporary_directory const dir;
  std::array<float, 3> const a{1, 2, 3};
  std::array<double, 1> const b{4};
  auto const save = [&](bool reversed, char const* name) {
    safetensors_writer writer;
    for (int i = 0; i < 4; ++i) {
      switch (reversed ? 3 - i : i) {
        case 0:
          writer.add("half", std::span<float const>(a), dtype::f16);
          break;
        case 1:
          writer.add("b", std::span<float const>(a));
          break;
        case 2:
          writer.add("a", std::span<float const>(a));
          break;
        default:
          writer.add("z", std::span<double const>(b));
          break;
      }
    }
    writer.save(dir / name);
    return get(dir / name);
  };
  auto const file = save(false, "1");
  CHECK(file == save(true, "2"));
  // Wider elements first, which aligns each tensor; by name among equals.
  auto const header = header_of(file);
  CHECK(header.find("\"z\"") < header.find("\"a\""));
  CHECK(header.find("\"a\"") < header.find("\"b\""));
  CHECK(header.find("\"b\"") < header.find("\"half\""));
}

TEST_CASE("only the viewed part of a larger matrix is written") {
  temporary_directory const dir;
  auto m = make_matrix<float>({3, 4});
  for (std::size_t i = 0; i < m.size(); ++i) {
    m.data()[i] = static_cast<float>(i);
  }
  safetensors_writer writer;
  writer.add("part", as_view(m).block(1, 1, 2, 2));
  writer.save(dir / "m");
  auto const file = get(dir / "m");
  CHECK(has(header_of(file), R"("shape":[2,2],"data_offsets":[0,16])"));
  std::array<float, 4> data{};
  std::memcpy(data.data(), file.data() + file.size() - 16, 16);
  CHECK(data == std::array<float, 4>{5, 6, 9, 10});
}

TEST_CASE("containers are added with the shape and the type they have") {
  temporary_directory const dir;
  auto m = make_matrix<double>({2, 3});
  auto v = make_vector<float>(4);
  m.fill(1);
  v.fill(2);
  safetensors_writer writer;
  writer.add("m", m);
  writer.add("v", v);
  writer.add("v16", v, dtype::bf16);
  writer.save(dir / "m");
  auto const header = header_of(get(dir / "m"));
  CHECK(has(header, R"("m":{"dtype":"F64","shape":[2,3],)"));
  CHECK(has(header, R"("v":{"dtype":"F32","shape":[4],)"));
  CHECK(has(header, R"("v16":{"dtype":"BF16","shape":[4],)"));
}

TEST_CASE("a temporary container, whose view would dangle, does not compile") {
  CHECK(addable<matrix<float>&>);
  CHECK(addable<matrix<float> const&>);
  CHECK(addable<matrix_view<float>>);
  CHECK(addable<matrix_view<double const>>);
  CHECK(addable<std::vector<float> const&>);
  CHECK(!addable<matrix<float>>);
  CHECK(!addable<vector<double>>);
}

TEST_CASE("values beyond the range of the stored type are refused by name and nothing is left") {
  temporary_directory const dir;
  auto m = make_matrix<float>({2, 5000});
  m.fill(65504.0F);
  m(1, 4321) = 65520.0F;
  safetensors_writer writer;
  writer.add("fc1.weight", m, dtype::f16);
  auto const text = refusal<numerical_error>([&] { writer.save(dir / "m"); });
  CHECK(text ==
        "safetensors_writer: tensor \"fc1.weight\": value 65520 at (1, 4321) is beyond the range "
        "of F16");
  CHECK(dir.count_files() == 0);
  m(1, 4321) = std::numeric_limits<float>::infinity();  // infinity is a value of F16
  CHECK_NOTHROW(writer.save(dir / "m"));
}

TEST_CASE("names are refused that were used, that are the format's or that are not UTF-8") {
  std::vector<float> const values{1};
  auto const span = std::span<float const>(values);
  safetensors_writer writer;
  writer.add("w", span);
  CHECK(has(refusal<shape_error>([&] { writer.add("w", span); }), "tensor \"w\" was added before"));
  CHECK(has(refusal<shape_error>([&] { writer.add("__metadata__", span); }), "__metadata__"));
  CHECK(has(refusal<format_error>([&] { writer.add("\xff", span); }), "is not valid UTF-8"));
  CHECK(has(refusal<format_error>([&] { writer.metadata("k", "\xff"); }), "is not valid UTF-8"));
  CHECK(has(refusal<shape_error>([&] { writer.add("i", span, dtype::i8); }),
            "tensor \"i\": cannot store as I8"));
}

TEST_CASE("a writer contains the names that were added and none that was refused") {
  std::vector<float> const values{1};
  auto const span = std::span<float const>(values);
  safetensors_writer writer;
  CHECK_FALSE(writer.contains("w"));
  writer.add("w", span);
  writer.add_stored("ids", dtype::i32, {1}, std::as_bytes(span));
  CHECK_THROWS_AS(writer.add("i", span, dtype::i8), shape_error);
  CHECK(writer.contains("w"));
  CHECK(writer.contains("ids"));
  CHECK_FALSE(writer.contains("i"));
  CHECK_FALSE(writer.contains("w2"));
}

TEST_CASE("stored bytes are written as they are if their number is right") {
  temporary_directory const dir;
  std::array<std::byte, 6> const bytes{std::byte{1}, std::byte{2}, std::byte{3},
                                       std::byte{4}, std::byte{5}, std::byte{6}};
  safetensors_writer writer;
  writer.add_stored("ids", dtype::i16, {3, 1}, bytes);
  CHECK(has(refusal<shape_error>([&] { writer.add_stored("x", dtype::i16, {4}, bytes); }),
            "6 bytes for shape [4] of I16"));
  eckart::index_t const huge = eckart::index_t{1} << 62;
  CHECK_THROWS_AS(writer.add_stored("x", dtype::u8, {huge, 4, 4}, {}), shape_error);
  CHECK_THROWS_AS(writer.add_stored("x", dtype::u8, {-2, -3}, bytes), shape_error);
  writer.save(dir / "m");
  auto const file = get(dir / "m");
  CHECK(has(header_of(file), R"("ids":{"dtype":"I16","shape":[3,1],"data_offsets":[0,6]})"));
  CHECK(file.substr(file.size() - 6) == "\1\2\3\4\5\6");
}

TEST_CASE("a directory that is missing is reported and a failed save keeps the old file") {
  temporary_directory const dir;
  std::vector<double> const values{1e300};
  safetensors_writer writer;
  writer.add("w", std::span<double const>(values), dtype::f32);
  CHECK_THROWS_AS(writer.save(dir / "no/m"), io_error);
  io_test::put(dir / "m", "old");
  CHECK_THROWS_AS(writer.save(dir / "m"), numerical_error);
  CHECK(get(dir / "m") == "old");
  CHECK(dir.count_files() == 1);
}
