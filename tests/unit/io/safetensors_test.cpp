#include "eckart/io/safetensors.hpp"

#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "io_fixture.hpp"

using namespace eckart;
using io_test::get;
using io_test::temporary_directory;

namespace {

// A value is stored to half a unit of the last place, or half of the smallest subnormal.
auto rounding_of(dtype type, double value) -> double {
  switch (type) {
    case dtype::f16:
      return std::max(std::abs(value) * 0x1p-11, 0x1p-25);
    case dtype::bf16:
      return std::abs(value) * 0x1p-8;
    case dtype::f32:
      return std::abs(value) * 0x1p-24;
    default:
      return 0.0;
  }
}

void check_rewritten(std::filesystem::path const& path) {
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no file " << path.string());
    return;
  }
  temporary_directory const dir;
  safetensors_reader const reader(path);
  safetensors_writer writer;
  for (auto const& [key, value] : reader.metadata()) {
    writer.metadata(key, value);
  }
  for (auto const& name : reader.names()) {
    auto const& info = reader.info(name);
    writer.add_stored(name, info.type, info.shape, reader.bytes(name));
  }
  writer.save(dir / "copy");
  CHECK(get(dir / "copy") == get(path));
}

}  // namespace

TEST_CASE_TEMPLATE("what is written is read back, to the rounding of the stored type", T, float,
                   double) {
  temporary_directory const dir;
  std::mt19937 random(5);
  std::normal_distribution<T> normal;
  auto m = make_matrix<T>({37, 131});
  for (auto& value : m) {
    value = normal(random) * static_cast<T>(std::exp2(static_cast<double>(random() % 30) - 20.0));
  }
  for (auto const type : {dtype::f64, dtype::f32, dtype::f16, dtype::bf16}) {
    CAPTURE(dtype_name(type));
    safetensors_writer writer;
    writer.add("m", m, type);
    writer.add("v", as_view(m).row(3), type);
    writer.metadata("key", "value \"quoted\" \xc3\xa9");
    writer.save(dir / "m");
    safetensors_reader const reader(dir / "m");
    CHECK(reader.info("m").type == type);
    CHECK(reader.metadata().at("key") == "value \"quoted\" \xc3\xa9");
    auto const again = reader.template matrix<T>("m");
    REQUIRE(as_view(again).shape() == shape2{37, 131});
    int wrong = 0;
    for (std::size_t i = 0; i < m.size(); ++i) {
      auto const value = static_cast<double>(m.data()[i]);
      auto const difference = std::abs(static_cast<double>(again.data()[i]) - value);
      wrong += static_cast<int>(!(difference <= rounding_of(type, value)));
    }
    CHECK(wrong == 0);
    auto const row = reader.template vector<T>("v");
    REQUIRE(row.size() == 131);
    CHECK(row(7) == again(3, 7));
  }
}

TEST_CASE("what was rounded once is stored without another change") {
  temporary_directory const dir;
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  auto m = make_matrix<float>({5, 7});
  for (auto& value : m) {
    value = normal(random);
  }
  safetensors_writer writer;
  writer.add("m", m, dtype::bf16);
  writer.save(dir / "1");
  auto const rounded = safetensors_reader(dir / "1").matrix<float>("m");
  safetensors_writer second;
  second.add("m", rounded, dtype::bf16);
  second.save(dir / "2");
  CHECK(get(dir / "1") == get(dir / "2"));
  CHECK(rounded != m);
}

TEST_CASE("a file of the reference implementation, read and written again, is the same file") {
  std::filesystem::path const root = ECKART_SOURCE_DIR;
  for (char const* const name :
       {"tiny_gelu", "tiny_gelu_new", "tiny_bf16", "tiny_bartmodel_prefixless"}) {
    check_rewritten(root / "tests/golden" / name / "model.safetensors");
  }
  check_rewritten(root / "examples/summarization/model/dialogue-summarizer-24m/model.safetensors");
}

TEST_CASE("the tensors of the tiny model have the shapes that its configuration states") {
  auto const path = std::filesystem::path(ECKART_SOURCE_DIR) / "tests/golden/tiny_gelu";
  if (!std::filesystem::exists(path / "model.safetensors")) {
    MESSAGE("skipped: no file " << path.string());
    return;
  }
  safetensors_archive const archive(path);
  CHECK(archive.metadata().at("format") == "pt");
  CHECK(archive.info("final_logits_bias").shape == std::vector<eckart::index_t>{1, 97});
  auto const embedding = archive.matrix<float>("model.shared.weight");
  CHECK(as_view(embedding).shape() == shape2{97, 32});
  for (auto const& name : archive.names()) {
    std::vector<float> values(static_cast<std::size_t>(archive.info(name).elements()));
    archive.read<float>(name, values);
    CAPTURE(name);
    CHECK(std::all_of(values.begin(), values.end(), [](float v) { return std::abs(v) < 10.0F; }));
  }
}
