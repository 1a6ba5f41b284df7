#include "eckart/io/tensor_reads.hpp"

#include "eckart/io/json.hpp"
#include "eckart/io/tensor_batch.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "io_fixture.hpp"

using namespace eckart;
using io_test::file_of;
using io_test::has;
using io_test::put;
using io_test::refusal;
using io_test::temporary_directory;

namespace {

constexpr dtype types[] = {dtype::f64, dtype::f32, dtype::f16, dtype::bf16};

// Any pattern, NaN and infinities included.
auto random_bytes(std::size_t count) -> std::string {
  std::mt19937_64 engine(count + 1);
  std::string bytes(count, '\0');
  for (auto& byte : bytes) {
    byte = static_cast<char>(engine() >> 56);
  }
  return bytes;
}

auto width_of(dtype type) -> std::size_t {
  return static_cast<std::size_t>(dtype_size(type));
}

// What is not written keeps this, and one element before and behind the tensor must.
template <class T>
auto untouched(std::size_t count) -> std::vector<T> {
  return std::vector<T>(count + 2, T{-7.25});
}

template <class T>
auto same_bits(std::vector<T> const& a, std::vector<T> const& b) -> bool {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
auto inner(std::vector<T>& v) -> std::span<T> {
  return std::span(v).subspan(1, v.size() - 2);
}

// Whether the numbers at byte `begin` of the file are read as decode converts them, alone and in
// the middle of others.
template <class T>
auto reads_as_decoded(mapped_file const& file, dtype type, std::size_t begin, std::size_t count)
    -> bool {
  auto expected = untouched<T>(count);
  decode(type, file.bytes().subspan(begin, count * width_of(type)), inner(expected));
  auto alone = untouched<T>(count);
  read_tensor(tensor_read<T>{&file, type, begin, inner(alone)});
  auto first = untouched<T>(count);
  auto second = untouched<T>(count);
  std::vector<tensor_read<T>> const reads{{&file, type, begin, inner(first)},
                                          {&file, type, begin, {}},
                                          {&file, type, begin, inner(second)}};
  read_tensors(std::span<tensor_read<T> const>(reads));
  return same_bits(alone, expected) && same_bits(first, expected) && same_bits(second, expected);
}

}  // namespace

TEST_CASE_TEMPLATE("pieces on all threads give what decode gives", T, float, double) {
  constexpr auto piece = detail::read_piece;
  constexpr auto buffer = detail::read_buffer;
  temporary_directory const dir;
  put(dir / "x", random_bytes(3 * piece * sizeof(double) + 64));
  mapped_file const file(dir / "x");
  for (auto const type : types) {
    auto const block = buffer / width_of(type);
    for (std::size_t const count :
         {std::size_t{0}, std::size_t{1}, std::size_t{31}, block - 1, block, block + 1, piece - 1,
          piece, piece + 1, 2 * piece, 2 * piece + block + 1}) {
      for (std::size_t const begin : {0U, 1U, 3U, 8U, 61U}) {
        CAPTURE(dtype_name(type));
        CAPTURE(count);
        CAPTURE(begin);
        CHECK(reads_as_decoded<T>(file, type, begin, count));
      }
    }
  }
}

TEST_CASE("no tensors, and tensors without elements, read nothing") {
  temporary_directory const dir;
  put(dir / "x", "");
  mapped_file const file(dir / "x");
  CHECK_NOTHROW(read_tensors(std::span<tensor_read<float> const>()));
  CHECK_NOTHROW(read_tensor(tensor_read<float>{&file, dtype::f16, 0, {}}));
}

TEST_CASE("a file that is shortened after it was opened is refused, with the byte where it ends") {
  temporary_directory const dir;
  constexpr auto count = 2 * detail::read_piece;
  put(dir / "x", random_bytes(count * sizeof(float)));
  mapped_file const file(dir / "x");
  std::filesystem::resize_file(dir / "x", 10'000);
  std::vector<float> values(count);
  for (auto const type : {dtype::f32, dtype::bf16}) {
    auto const n = count * sizeof(float) / width_of(type);
    values.resize(n);
    try {
      read_tensor(tensor_read<float>{&file, type, 0, values});
      FAIL("no exception");
    } catch (io_error const& fault) {
      CHECK(fault.status == EIO);
      CHECK(has(fault.what(), (dir / "x").string() + ": cannot read: the file ends at byte "));
    }
  }
  // What is still there can be read.
  CHECK_NOTHROW(read_tensor(tensor_read<float>{&file, dtype::f32, 0, std::span(values).first(9)}));
}

TEST_CASE("read_at gives the bytes of the file, also of one that was moved") {
  temporary_directory const dir;
  put(dir / "x", "0123456789");
  mapped_file first(dir / "x");
  mapped_file const second(std::move(first));
  std::string text(4, ' ');
  second.read_at(3, std::as_writable_bytes(std::span(text)));
  CHECK(text == "3456");
  second.read_at(10, {});
  auto const error =
      refusal<io_error>([&] { second.read_at(8, std::as_writable_bytes(std::span(text))); });
  CHECK(has(error, "x: cannot read: the file ends at byte 10"));
}

TEST_CASE_TEMPLATE("a batch holds matrices and vectors, each to be taken once", T, float, double) {
  temporary_directory const dir;
  auto const data = random_bytes(2 * 3 * 4 + 5 * 2 + 8 + 8);
  put(dir / "m", file_of(R"({"m":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                         R"("v":{"dtype":"BF16","shape":[5],"data_offsets":[24,34]},)"
                         R"("i":{"dtype":"I64","shape":[1],"data_offsets":[34,42]},)"
                         R"("c":{"dtype":"F64","shape":[1,1,1],"data_offsets":[42,50]}})",
                         data));
  safetensors_archive const archive(dir / "m");
  // Named twice, as where two published names lead to one stored tensor.
  std::vector<std::string> const names{"m", "v", "i", "c", "m"};
  tensor_batch<T> batch(archive, names);
  CHECK(!batch.take_vector("m"));  // of another rank: stays
  auto const m = batch.take_matrix("m");
  REQUIRE(m.has_value());
  auto const expected = archive.matrix<T>("m");
  REQUIRE(as_view(*m).shape() == shape2{2, 3});
  CHECK(std::memcmp(m->data(), expected.data(), 6 * sizeof(T)) == 0);
  CHECK(!batch.take_matrix("m"));
  auto const v = batch.take_vector("v");
  REQUIRE(v.has_value());
  CHECK(std::memcmp(v->data(), archive.vector<T>("v").data(), 5 * sizeof(T)) == 0);
  CHECK(!batch.take_vector("i"));
  CHECK(!batch.take_matrix("c"));
  CHECK(!batch.take_matrix("none"));
  std::vector<std::string> const missing{"m", "no"};
  CHECK(has(refusal<format_error>([&] { tensor_batch<T>(archive, missing); }), "has no tensor"));
}
