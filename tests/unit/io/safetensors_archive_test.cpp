#include "eckart/io/safetensors_archive.hpp"

#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <filesystem>
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

// A file with two tensors, the first of them [1, -2.5], the second [[1, -2]].
auto shard_with(std::string const& first, std::string const& second, char const* text)
    -> std::string {
  return file_of(R"({"__metadata__":{"who":")" + std::string(text) + R"("},")" + first +
                     R"(":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},")" + second +
                     R"(":{"dtype":"F16","shape":[1,2],"data_offsets":[4,8]}})",
                 "\x80\x3f\x20\xc0" + std::string("\x00\x3c\x00\xc0", 4));
}

void put_sharded(temporary_directory const& dir, std::string const& weight_map) {
  put(dir / "model-1.safetensors", shard_with("a", "b", "one"));
  put(dir / "model-2.safetensors", shard_with("c", "unlisted", "two"));
  put(dir / "model.safetensors.index.json",
      R"({"metadata":{"total_size":16},"weight_map":)" + weight_map + "}");
}

auto index_fault(std::string const& weight_map) -> std::string {
  temporary_directory const dir;
  put_sharded(dir, weight_map);
  return refusal<format_error>([&] { safetensors_archive archive(dir.path()); });
}

}  // namespace

TEST_CASE("an archive is a file, or the model.safetensors of a directory") {
  temporary_directory const dir;
  put(dir / "model.safetensors", shard_with("a", "b", "one"));
  for (auto const& path : {dir.path(), dir / "model.safetensors"}) {
    safetensors_archive const archive(path);
    CHECK(archive.names() == std::vector<std::string>{"a", "b"});
    CHECK(archive.path() == dir / "model.safetensors");
    CHECK(archive.metadata().at("who") == "one");
    CHECK(archive.info("b").type == dtype::f16);
    CHECK(archive.vector<float>("a")(1) == -2.5F);
    CHECK(archive.matrix<double>("b")(0, 1) == -2.0);
  }
}

TEST_CASE("an index joins its shards into one archive and hides what it does not name") {
  temporary_directory const dir;
  put_sharded(dir, R"({"a":"model-1.safetensors","b":"model-1.safetensors",)"
                   R"("c":"model-2.safetensors"})");
  safetensors_archive const archive(dir.path());
  CHECK(archive.names() == std::vector<std::string>{"a", "b", "c"});
  CHECK(archive.contains("c"));
  CHECK(!archive.contains("unlisted"));
  CHECK(archive.path() == dir / "model.safetensors.index.json");
  CHECK(archive.shard("c").path() == dir / "model-2.safetensors");
  CHECK(archive.bytes("c").size() == 4);
  CHECK(archive.metadata().at("who") == "one");
  std::vector<float> values(2);
  archive.read<float>("c", values);
  CHECK(values == std::vector<float>{1.0F, -2.5F});
  CHECK(has(refusal<format_error>([&] { archive.vector<float>("unlisted"); }),
            (dir / "model.safetensors.index.json").string() + R"(: has no tensor "unlisted")"));
}

TEST_CASE("a directory with both is read from the single file") {
  temporary_directory const dir;
  put_sharded(dir, R"({"a":"model-1.safetensors"})");
  put(dir / "model.safetensors", shard_with("x", "y", "single"));
  CHECK(safetensors_archive(dir.path()).metadata().at("who") == "single");
}

TEST_CASE("an index that is faulty or reaches out of its directory is refused") {
  CHECK(has(index_fault("[]"), "has no object weight_map"));
  CHECK(has(index_fault(R"({"a":1})"),
            R"(byte 30: weight_map: tensor "a": expected string, got integer 1)"));
  CHECK(has(index_fault(R"({"c":"model-1.safetensors"})"),
            R"(weight_map: tensor "c": is not in shard "model-1.safetensors")"));
  CHECK(has(index_fault(R"({"a":"model-1.safetensors","a":"model-1.safetensors"})"), "twice"));
  for (std::string const name : {"../model-1.safetensors", "/etc/passwd", "sub/x", "", ".", "..",
                                 "a\\\\b", "model-1.safetensors\\u0000x"}) {
    CAPTURE(name);
    CHECK(has(index_fault(R"({"a":")" + name + R"("})"), "is not a plain file name"));
  }
}

TEST_CASE("a shard that is missing or damaged is refused by its path") {
  temporary_directory const dir;
  put_sharded(dir, R"({"a":"model-3.safetensors"})");
  CHECK(has(refusal<io_error>([&] { safetensors_archive archive(dir.path()); }),
            (dir / "model-3.safetensors").string() + ": cannot open"));
  put(dir / "model-3.safetensors", "short");
  CHECK(has(refusal<format_error>([&] { safetensors_archive archive(dir.path()); }),
            (dir / "model-3.safetensors").string() + ": byte 0"));
}

TEST_CASE("a model that exists only as a pickle is refused with the way to convert it") {
  for (char const* const name :
       {"pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin",
        "model.pt", "last.ckpt", "weights.pth"}) {
    CAPTURE(name);
    temporary_directory const dir;
    put(dir / name, "PK");
    for (auto const& path : {dir.path(), dir / name}) {
      auto const text = refusal<format_error>([&] { safetensors_archive archive(path); });
      CHECK(has(text, (dir / name).string() + ": a pickle file runs the code"));
      CHECK(has(text, "from transformers import AutoModelForSeq2SeqLM"));
      CHECK(has(text, "AutoModelForSeq2SeqLM.from_pretrained(\"" + dir.path().string() +
                          "\").save_pretrained(\"OUT\", safe_serialization=True)"));
    }
  }
}

TEST_CASE("a pickle beside a safetensors file does not matter") {
  temporary_directory const dir;
  put(dir / "pytorch_model.bin", "PK");
  put(dir / "model.safetensors", shard_with("a", "b", "one"));
  CHECK(safetensors_archive(dir.path()).contains("a"));
}

TEST_CASE("where there is no model, what was looked for is said") {
  temporary_directory const dir;
  put(dir / "config.json", "{}");
  CHECK(refusal<io_error>([&] { safetensors_archive archive(dir.path()); }) ==
        dir.path().string() + ": has neither model.safetensors nor model.safetensors.index.json");
  CHECK(has(refusal<io_error>([&] { safetensors_archive archive(dir / "no"); }),
            "no: cannot open: No such file"));
  CHECK(has(refusal<io_error>([&] { safetensors_archive archive(dir / "no.bin"); }),
            "no.bin: cannot open: No such file"));
}
