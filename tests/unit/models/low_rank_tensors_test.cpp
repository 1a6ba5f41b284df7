#include "eckart/models/low_rank_file.hpp"

#include "eckart/io/json.hpp"
#include "eckart/io/safetensors_archive.hpp"
#include "support/matrix_check.hpp"
#include "support/random_low_rank.hpp"
#include "support/temporary_directory.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using namespace eckart;
using support::has;
using support::refusal;
using support::temporary_directory;

namespace {

template <class W>
concept addable = requires(safetensors_writer& writer, W&& w) {
  add_low_rank(writer, "w", std::forward<W>(w));
};

template <class T>
auto random_factors(form f, shape2 w, index_t k, std::uint32_t seed) -> any_low_rank<T> {
  switch (f) {
    case form::full_core:
      return support::random_full_core<T>(w, k, seed);
    case form::diagonal_core:
      return support::random_diagonal_core<T>(w, k, seed);
    case form::pivoted:
      return support::random_pivoted<T>(w, k, seed);
    default:
      return support::random_two_factor<T>(w, k, seed);
  }
}

template <class T>
auto same_bits(matrix_view<T const> a, matrix_view<T const> b) -> bool {
  return a.shape() == b.shape() && a.ld == a.cols && b.ld == b.cols &&
         (a.size() == 0 ||
          std::memcmp(a.data, b.data, static_cast<std::size_t>(a.size()) * sizeof(T)) == 0);
}

template <class T, class Form>
auto same_bits(low_rank<T, Form> const& a, low_rank<T, Form> const& b) -> bool {
  if constexpr (std::same_as<Form, two_factor>) {
    return same_bits(a.left(), b.left()) && same_bits(a.right(), b.right());
  } else if constexpr (std::same_as<Form, pivoted>) {
    return same_bits(a.kept(), b.kept()) && same_bits(a.combinations(), b.combinations()) &&
           std::ranges::equal(a.rows(), b.rows());
  } else if constexpr (std::same_as<Form, full_core>) {
    return same_bits(a.u(), b.u()) && same_bits(a.core(), b.core()) && same_bits(a.vt(), b.vt());
  } else {
    return same_bits(a.u(), b.u()) && std::ranges::equal(a.s(), b.s()) && same_bits(a.vt(), b.vt());
  }
}

template <class T>
auto same_bits(any_low_rank<T> const& a, any_low_rank<T> const& b) -> bool {
  return a.index() == b.index() &&
         std::visit(
             [&](auto const& w) {
               return same_bits(w, std::get<std::remove_cvref_t<decltype(w)>>(b));
             },
             a);
}

// Bytes of a safetensors file behind its header.
auto data_bytes(std::filesystem::path const& path) -> std::uint64_t {
  std::uint64_t length = 0;
  mapped_file const file(path);
  std::memcpy(&length, file.bytes().data(), sizeof length);
  return file.bytes().size() - sizeof length - length;
}

// A file of float tensors of these names and shapes.
struct tensor {
  std::string name;
  std::vector<index_t> shape;
  dtype type = dtype::f32;
};

auto put_tensors(temporary_directory const& dir, std::vector<tensor> const& tensors)
    -> std::filesystem::path {
  std::vector<std::vector<std::byte>> data;
  safetensors_writer writer;
  for (auto const& t : tensors) {
    auto const elements =
        std::accumulate(t.shape.begin(), t.shape.end(), index_t{1}, std::multiplies{});
    data.emplace_back(static_cast<std::size_t>(elements * dtype_size(t.type)));
    writer.add_stored(t.name, t.type, t.shape, data.back());
  }
  writer.save(dir / "m");
  return dir / "m";
}

template <class F>
auto loading(F&& make) -> std::string {
  return refusal<format_error>([&] { load_low_rank<float>(make(), "w"); });
}

}  // namespace

TEST_CASE_TEMPLATE("what is loaded has the form and every bit of what was saved", T, float,
                   double) {
  temporary_directory const dir;
  std::mt19937 bits(11);
  for (auto const f : all_factor_forms) {
    for (std::uint32_t round = 0; round < 24; ++round) {
      auto const up_to = [&](index_t most) { return 1 + static_cast<index_t>(bits()) % most; };
      auto const shape = shape2{up_to(40), up_to(40)};
      // Full rank in each fourth round: a pivoted matrix has no combinations then.
      auto const full = std::min(shape.rows, shape.cols);
      auto const k = round % 4 == 0 ? full : up_to(full);
      CAPTURE(message(name_of(f), ", ", shape, ", rank ", k));
      auto const w = random_factors<T>(f, shape, k, round);
      save_low_rank(dir / "m", w);
      CHECK(same_bits(load_low_rank<T>(dir / "m"), w));
      auto const numbers = cost::parameters(f, shape, k) * sizeof(T);
      auto const places =
          f == form::pivoted ? static_cast<std::uint64_t>(shape.rows) * sizeof(index_t) : 0;
      CHECK(data_bytes(dir / "m") == numbers + places);
    }
  }
  CHECK(dir.count_files() == 1);
}

TEST_CASE("several matrices share a file, each read in its form or in that which is asked for") {
  temporary_directory const dir;
  auto const a = support::random_two_factor<float>({7, 5}, 2, 1);
  auto const b = support::random_diagonal_core<double>({4, 6}, 3, 2);
  auto const c = support::random_full_core<float>({4, 6}, 3, 3);
  auto const d = support::random_pivoted<double>({8, 3}, 2, 4);
  safetensors_writer writer;
  add_low_rank(writer, "layer.a", a);
  add_low_rank(writer, "layer.b", b);
  add_low_rank(writer, "layer.c", c);
  add_low_rank(writer, "layer.d", d);
  writer.save(dir / "model.safetensors");
  safetensors_archive const archive(dir.path());
  CHECK(archive.names().size() == 2 + 3 + 3 + 3);
  CHECK(stored_form(archive, "layer.a") == form::two_factor);
  CHECK(stored_form(archive, "layer.b") == form::diagonal_core);
  CHECK(stored_form(archive, "layer.c") == form::full_core);
  CHECK(stored_form(archive, "layer.d") == form::pivoted);
  CHECK(same_bits(read_low_rank<float, two_factor>(archive, "layer.a"), a));
  CHECK(same_bits(read_low_rank<double, diagonal_core>(archive, "layer.b"), b));
  CHECK(same_bits(read_low_rank<float, full_core>(archive, "layer.c"), c));
  CHECK(same_bits(read_low_rank<double, pivoted>(archive, "layer.d"), d));
  CHECK(has(refusal<format_error>([&] { read_low_rank<float, two_factor>(archive, "layer.b"); }),
            "has no tensor \"layer.b.left\""));
  CHECK(has(refusal<format_error>([&] { read_low_rank<double, full_core>(archive, "layer.b"); }),
            "has no tensor \"layer.b.core\""));
}

TEST_CASE("numbers are stored and read in another type to nearest") {
  temporary_directory const dir;
  auto const w = support::random_two_factor<double>({6, 4}, 3, 5);
  safetensors_writer writer;
  add_low_rank(writer, "w", w, dtype::bf16);
  writer.save(dir / "m");
  CHECK(data_bytes(dir / "m") == 2 * cost::parameters(form::two_factor, {6, 4}, 3));
  auto const read = read_low_rank<float, two_factor>(safetensors_reader(dir / "m"), "w");
  for (index_t i = 0; i < 6; ++i) {
    for (index_t j = 0; j < 3; ++j) {
      CHECK(read.left()(i, j) == bf16_to_float(to_bf16(w.left()(i, j))));
    }
  }
  safetensors_writer integers;
  CHECK_THROWS_AS(add_low_rank(integers, "w", w, dtype::i32), shape_error);
  CHECK_FALSE(integers.contains("w.left"));
}

TEST_CASE("places of rows are read from 32 bits as from 64") {
  temporary_directory const dir;
  auto const w = support::random_pivoted<float>({9, 4}, 3, 6);
  std::vector<std::int32_t> const narrow(w.rows().begin(), w.rows().end());
  safetensors_writer writer;
  writer.add("w.kept", w.kept());
  writer.add("w.combinations", w.combinations());
  writer.add_stored("w.rows", dtype::i32, {9}, std::as_bytes(std::span(narrow)));
  writer.save(dir / "m");
  CHECK(same_bits(read_low_rank<float, pivoted>(safetensors_reader(dir / "m"), "w"), w));
}

TEST_CASE("a name is used for one matrix only, and what is refused leaves nothing behind") {
  auto const two = support::random_two_factor<float>({5, 4}, 2, 7);
  auto const diagonal = support::random_diagonal_core<float>({5, 4}, 2, 8);
  safetensors_writer writer;
  add_low_rank(writer, "w", two);
  CHECK(refusal<shape_error>([&] { add_low_rank(writer, "w", diagonal); }) ==
        "add_low_rank: tensor \"w.left\" was added before");
  for (auto const* part : {".u", ".s", ".vt"}) {
    CHECK_FALSE(writer.contains(std::string("w") + part));
  }
  auto const values = support::random_matrix<float>(2, 4, 9);
  writer.add("v.vt", values);
  CHECK(refusal<shape_error>([&] { add_low_rank(writer, "v", diagonal); }) ==
        "add_low_rank: tensor \"v.vt\" was added before");
  CHECK_FALSE(writer.contains("v.u"));
}

TEST_CASE("a temporary, whose views would dangle, is not added") {
  using factors = low_rank<float, two_factor>;
  CHECK(addable<factors&>);
  CHECK(addable<factors const&>);
  CHECK(addable<any_low_rank<float> const&>);
  CHECK_FALSE(addable<factors>);
  CHECK_FALSE(addable<any_low_rank<float>>);
}

TEST_CASE("a failed save leaves no file, or the old one") {
  temporary_directory const dir;
  auto const w = support::random_two_factor<float>({5, 4}, 2, 10);
  CHECK_THROWS_AS(save_low_rank(dir / "no/m", w), io_error);
  CHECK(dir.count_files() == 0);
  dir.put("m", "old");
  auto huge = to_matrix(w.left());
  huge.fill(1e30F);
  low_rank<float, two_factor> const beyond(huge, to_matrix(w.right()));
  safetensors_writer writer;
  add_low_rank(writer, "w", beyond, dtype::f16);
  CHECK(has(refusal<numerical_error>([&] { writer.save(dir / "m"); }), "tensor \"w.left\""));
  CHECK(read_text(dir / "m") == "old");
  CHECK(dir.count_files() == 1);
  CHECK_THROWS_AS(load_low_rank<float>(dir / "none"), io_error);
}

TEST_CASE("a missing part is named, and parts of two forms are refused") {
  temporary_directory const dir;
  auto const told = [&](std::vector<tensor> const& tensors) {
    return loading([&] { return put_tensors(dir, tensors); });
  };
  auto const file = (dir / "m").string();
  CHECK(told({{"v.left", {3, 2}}, {"v.right", {2, 4}}}) ==
        file +
            ": low-rank matrix \"w\": no tensor of it exists, full-core lacks w.u w.core w.vt "
            "or diagonal-core lacks w.u w.s w.vt or two-factor lacks w.left w.right or pivoted "
            "lacks w.kept w.combinations w.rows");
  CHECK(has(told({{"w.left", {3, 2}}}), "\"w\": tensors are missing, two-factor lacks w.right"));
  CHECK(has(told({{"w.right", {2, 4}}}), "two-factor lacks w.left"));
  CHECK(has(told({{"w.u", {3, 2}}, {"w.vt", {2, 4}}}),
            "full-core lacks w.core or diagonal-core lacks w.s"));
  CHECK(has(told({{"w.u", {3, 2}}, {"w.s", {2}}}), "missing, diagonal-core lacks w.vt"));
  CHECK(has(told({{"w.core", {2, 2}}, {"w.vt", {2, 4}}}), "missing, full-core lacks w.u"));
  CHECK(has(told({{"w.kept", {2, 4}}, {"w.rows", {3}, dtype::i64}}),
            "missing, pivoted lacks w.combinations"));
  CHECK(has(told({{"w.u", {3, 2}}, {"w.s", {2}}, {"w.core", {2, 2}}, {"w.vt", {2, 4}}}),
            "tensors of more than one form exist: w.u w.s w.core w.vt"));
  CHECK(has(told({{"w.left", {3, 2}}, {"w.right", {2, 4}}, {"w.rows", {3}, dtype::i64}}),
            "tensors of more than one form exist: w.left w.right w.rows"));
}

TEST_CASE("shapes that do not fit each other are refused by the tensor's name and place") {
  temporary_directory const dir;
  auto const told = [&](std::vector<tensor> const& tensors) {
    return loading([&] { return put_tensors(dir, tensors); });
  };
  CHECK(has(told({{"w.left", {3, 2}}, {"w.right", {3, 4}}}),
            "tensor \"w.right\": F32 of shape [3, 4], expected [2, any]"));
  CHECK(has(told({{"w.left", {6}}, {"w.right", {2, 4}}}),
            "tensor \"w.left\": F32 of shape [6], expected [any, any]"));
  CHECK(has(told({{"w.left", {3, 0}}, {"w.right", {0, 4}}}),
            "tensor \"w.left\": F32 of shape [3, 0], a rank of 0 is none"));
  CHECK(has(told({{"w.u", {3, 2}}, {"w.s", {3}}, {"w.vt", {2, 4}}}),
            "tensor \"w.s\": F32 of shape [3], expected [2]"));
  CHECK(has(told({{"w.u", {3, 2}}, {"w.s", {2, 1}}, {"w.vt", {2, 4}}}),
            "tensor \"w.s\": F32 of shape [2, 1], expected [2]"));
  CHECK(has(told({{"w.u", {3, 2}}, {"w.core", {2, 3}}, {"w.vt", {2, 4}}}),
            "tensor \"w.core\": F32 of shape [2, 3], expected [2, 2]"));
  CHECK(has(told({{"w.u", {3, 2}}, {"w.core", {2, 2}}, {"w.vt", {1, 4}}}),
            "tensor \"w.vt\": F32 of shape [1, 4], expected [2, any]"));
  CHECK(has(told({{"w.kept", {2, 4}}, {"w.combinations", {1, 3}}, {"w.rows", {3}, dtype::i64}}),
            "tensor \"w.combinations\": F32 of shape [1, 3], expected [any, 2]"));
  CHECK(has(told({{"w.kept", {2, 4}}, {"w.combinations", {1, 2}}, {"w.rows", {4}, dtype::i64}}),
            "tensor \"w.rows\": I64 of shape [4], expected [3]"));
  // The place: the data of w.right begin behind the 6 floats of w.left.
  try {
    load_low_rank<float>(put_tensors(dir, {{"w.left", {3, 2}}, {"w.right", {3, 4}}}), "w");
    FAIL_CHECK("nothing thrown");
  } catch (format_error const& fault) {
    CHECK(fault.offset == std::filesystem::file_size(dir / "m") - 12 * sizeof(float));
    CHECK(has(fault.what(), message("m: byte ", fault.offset, ": tensor")));
  }
}

TEST_CASE("element types that cannot be meant are refused by the tensor's name") {
  temporary_directory const dir;
  auto const told = [&](std::vector<tensor> const& tensors) {
    return loading([&] { return put_tensors(dir, tensors); });
  };
  CHECK(has(told({{"w.left", {3, 2}}, {"w.right", {2, 4}, dtype::i32}}),
            "tensor \"w.right\": I32 of shape [2, 4], only F64, F32, F16 and BF16"));
  CHECK(has(told({{"w.kept", {1, 4}}, {"w.combinations", {1, 1}}, {"w.rows", {2}, dtype::f64}}),
            "tensor \"w.rows\": F64 of shape [2], expected I64 or I32"));
}

TEST_CASE("places of rows that are no permutation are refused by the entry") {
  temporary_directory const dir;
  auto const w = support::random_pivoted<float>({4, 5}, 2, 12);
  auto const told = [&](std::vector<index_t> const& rows) {
    return loading([&] {
      safetensors_writer writer;
      writer.add("w.kept", w.kept());
      writer.add("w.combinations", w.combinations());
      writer.add_stored("w.rows", dtype::i64, {4}, std::as_bytes(std::span(rows)));
      writer.save(dir / "m");
      return dir / "m";
    });
  };
  CHECK(told({3, 1, 0, 2}) == "nothing thrown");
  CHECK(
      has(told({3, 1, 3, 2}),
          "tensor \"w.rows\": I64 of shape [4], entry 2 is 3, so it is no permutation of 0 to 3"));
  CHECK(has(told({0, 1, 2, 4}), "entry 3 is 4, so it is no permutation of 0 to 3"));
  CHECK(has(told({-1, 1, 2, 3}), "entry 0 is -1,"));
}
