#include "eckart/text/vocab_merges.hpp"

#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "text_fixture.hpp"

using namespace eckart;
using text_test::has;
using text_test::refusal;

namespace {

auto read(std::string const& vocabulary_text, std::string_view merges) -> tokenizer_definition {
  text_test::temporary_directory const directory;
  return read_vocab_merges(directory.put("vocab.json", vocabulary_text),
                           directory.put("merges.txt", merges));
}

auto fault_of_files(std::string const& vocabulary_text, std::string_view merges) -> std::string {
  return refusal<format_error>([&] { read(vocabulary_text, merges); });
}

auto words() -> std::string {
  return text_test::small_vocabulary().dump();
}

}  // namespace

TEST_CASE("the two files give rules in their order and BART's special tokens") {
  auto const d = read(words(), text_test::small_merges);
  REQUIRE(d.merges.size() == 4);
  CHECK(d.merges[2].left == 261);
  CHECK(d.merges[2].right == 262);
  CHECK(d.merges[2].merged == 263);
  REQUIRE(d.added.size() == 5);
  for (auto const& token : d.added) {
    CHECK(token.special);
    CHECK(token.lstrip == (token.content == "<mask>"));
    CHECK(d.words.find(token.content) == token.id);
  }
  CHECK(d.unknown == 3);
  CHECK(d.single.added() == 2);
  CHECK(d.pair.added() == 4);
}

TEST_CASE("a vocabulary without BART's special tokens has none") {
  auto const d = read(R"({"a": 0, "b": 1, "ab": 2})", "a b\n");
  CHECK(d.added.empty());
  CHECK_FALSE(d.unknown);
  CHECK(d.single.added() == 0);
}

TEST_CASE("only lines that begin with #version are skipped") {
  auto const d =
      read(R"({"#": 0, "##": 1, "v": 2, "#v": 3})", "#version: 0.2\n# #\r\n#version again\n# v");
  REQUIRE(d.merges.size() == 2);
  CHECK(d.merges[0].merged == 1);
  CHECK(d.merges[1].merged == 3);
}

TEST_CASE("a bad merge is refused with its line, its byte and its parts") {
  auto const good = std::string(text_test::small_merges);
  CHECK(has(fault_of_files(words(), good + "h\n"), "merges.txt: line 6: \"h\" is not two parts"));
  CHECK(has(fault_of_files(words(), good + "h e l\n"), "line 6: \"h e l\" is not two parts"));
  CHECK(has(fault_of_files(words(), good + " h\n"), "line 6: \" h\" is not two parts"));
  CHECK(has(fault_of_files(words(), good + "h \n"), "line 6: \"h \" is not two parts"));
  CHECK(has(fault_of_files(words(), good + "\nh e\n"), "line 6: \"\" is not two parts"));
  CHECK(has(fault_of_files(words(), good + "hx e\n"),
            "line 6: the left part \"hx\" of merge \"hx\" \"e\" is not in the vocabulary"));
  CHECK(has(fault_of_files(words(), good + "e hx\n"), "the right part \"hx\""));
  CHECK(has(fault_of_files(words(), good + "e e\n"), "the result \"ee\" of merge \"e\" \"e\""));
  CHECK(
      has(fault_of_files(words(), good + "h e\n"), "merges.txt: merge \"h\" \"e\" is given twice"));
  try {
    read(words(), good + "h\n");
    FAIL("not refused");
  } catch (format_error const& e) {
    CHECK(e.offset == good.size());
  }
}

TEST_CASE("a bad vocabulary is refused with the token and its id") {
  CHECK(has(fault_of_files("[]", ""), "vocab.json: the document is empty or not an object"));
  CHECK(has(fault_of_files("7", ""), "the document is not an object"));
  CHECK(has(fault_of_files("{}", ""), "the document is empty"));
  CHECK(has(fault_of_files(R"({"a": "0"})", ""), "the id of \"a\" is string, not an integer"));
  CHECK(has(fault_of_files(R"({"a": 1.0})", ""), "the id of \"a\" is number, not an integer"));
  CHECK(has(fault_of_files(R"({"a": -1})", ""), "token \"a\" with id -1: ids must be"));
  CHECK(has(fault_of_files(R"({"a": 18446744073709551615})", ""),
            "18446744073709551615\", not an id"));
  CHECK(has(fault_of_files(R"({"a": 0, "b": 2147483648})", ""),
            "\"b\" with id 2147483648: ids must be"));
  CHECK(has(fault_of_files(R"({"a": 0, "b": 20})", ""), "at least 0 and below 20"));
  CHECK(has(fault_of_files(R"({"a": 0, "b": 0})", ""), "\"b\" with id 0: that is the id of \"a\""));
  CHECK(has(fault_of_files(R"({"a": 0, "a": 1})", ""), "vocab.json"));
  CHECK(has(fault_of_files(R"({"": 0})", ""), "the token is empty"));
  CHECK(has(fault_of_files("{", ""), "vocab.json"));
}

TEST_CASE("a missing file is an io_error that names it") {
  text_test::temporary_directory const directory;
  auto const vocab = directory.put("vocab.json", words());
  auto const what =
      refusal<io_error>([&] { read_vocab_merges(vocab, directory.path() / "merges.txt"); });
  CHECK(has(what, "merges.txt"));
}
