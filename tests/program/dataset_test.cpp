#include "dataset.hpp"

#include <eckart/core/error.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/temporary_directory.hpp"

using eckart::format_error;
using program::dataset;
using program::dataset_options;
using program::on_fault;
using program::read_dataset;

namespace {

using strings = std::vector<std::string>;

/// One data file, and the options to read it.
struct data_file {
  support::temporary_directory folder;
  dataset_options options;

  data_file(std::string_view name, std::string_view content) {
    options.file = folder.put(name, content);
  }

  auto read() const -> dataset { return read_dataset(options); }

  /// What skipping collects, without the folder.
  auto faults() -> strings {
    options.fault = on_fault::skip;
    auto all = read().faults;
    for (auto& one : all) {
      one = without_folder(one);
    }
    return all;
  }

  /// The message that refuses the file, without the folder.
  auto refusal() const -> std::string {
    try {
      read();
    } catch (format_error const& e) {
      return without_folder(e.what());
    }
    return "nothing thrown";
  }

  auto refused_offset() const -> std::uint64_t {
    try {
      read();
    } catch (format_error const& e) {
      return e.offset;
    }
    return ~std::uint64_t{0};
  }

 private:
  auto without_folder(std::string text) const -> std::string {
    auto const prefix = folder.path().string() + "/";
    for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
    return text;
  }
};

auto ids(dataset const& data) -> strings {
  strings result;
  for (auto const& one : data.examples) {
    result.push_back(one.id);
  }
  return result;
}

auto lines(dataset const& data) -> std::vector<std::size_t> {
  std::vector<std::size_t> result;
  for (auto const& one : data.examples) {
    result.push_back(one.line);
  }
  return result;
}

/// Rows r1 to rN.
auto numbered_rows(int n) -> std::string {
  std::string text;
  for (int i = 1; i <= n; ++i) {
    text += eckart::message(R"({"id":"r)", i, R"(","dialogue":"A: )", i, R"(","summary":"S )", i,
                            "\"}\n");
  }
  return text;
}

auto starts_with(std::string const& text, std::string_view prefix) -> bool {
  return text.compare(0, prefix.size(), prefix) == 0;
}

}  // namespace

TEST_CASE("the sample dialogues are 48 examples with ids in order and one reference each") {
  dataset_options options;
  options.file =
      std::filesystem::path(ECKART_SOURCE_DIR) / "examples/summarization/dialogues.jsonl";
  auto const data = read_dataset(options);
  REQUIRE(data.examples.size() == 48);
  CHECK(data.faults.empty());
  for (std::size_t i = 0; i < data.examples.size(); ++i) {
    auto const& one = data.examples[i];
    CHECK(one.id == eckart::message("d", i + 1 < 10 ? "0" : "", i + 1));
    CHECK(one.line == i + 1);
    CHECK(one.references.size() == 1);
    CHECK(std::count(one.dialogue.begin(), one.dialogue.end(), '\n') >= 3);
  }
}

TEST_CASE("JSON lines keep their order, their line numbers and every byte of their texts") {
  data_file const file("d.jsonl",
                       "{\"id\":\"b\",\"dialogue\":\" A: \\u00e9\\r\\nB: \",\"summary\":\"x \"}\r\n"
                       "\n"
                       "{\"summary\":\"y\",\"id\":\"a\",\"dialogue\":\"C: 🎂\"}");
  auto const data = file.read();
  CHECK(ids(data) == strings{"b", "a"});
  CHECK(lines(data) == std::vector<std::size_t>{1, 3});
  CHECK(data.examples[0].dialogue == " A: \xC3\xA9\r\nB: ");
  CHECK(data.examples[0].references == strings{"x "});
  CHECK(data.examples[1].dialogue == "C: 🎂");
}

TEST_CASE("an array of summaries gives several references") {
  data_file const file("d.jsonl", R"({"dialogue":"A: 1","summary":["x","y"]})");
  CHECK(file.read().examples.at(0).references == strings{"x", "y"});
}

TEST_CASE("ids are strings or numbers, and line numbers where there are none") {
  data_file const file("d.jsonl",
                       "\n"
                       "{\"dialogue\":\"A\",\"summary\":\"x\"}\n"
                       "{\"id\":17,\"dialogue\":\"A\",\"summary\":\"x\"}\n"
                       "{\"id\":\"17a\",\"dialogue\":\"A\",\"summary\":\"x\"}\n"
                       "{\"id\":2.5,\"dialogue\":\"A\",\"summary\":\"x\"}\n");
  CHECK(ids(file.read()) == strings{"2", "17", "17a", "2.5"});
}

TEST_CASE("other fields are read on demand, and an id that was asked for by name must be there") {
  data_file file("d.jsonl", R"({"fname":"t1","text":"A","summary1":"x","dialogue":7})");
  file.options.text_field = "text";
  file.options.summary_field = "summary1";
  CHECK(ids(file.read()) == strings{"1"});
  file.options.id_field = "fname";
  CHECK(ids(file.read()) == strings{"t1"});
  file.options.id_field = "name";
  CHECK(file.refusal() == "d.jsonl:1: key \"name\" is missing");
}

TEST_CASE("each fault of a JSON line is named with file and line, refused or skipped") {
  struct bad_row {
    std::string row;
    std::string fault;
  };
  auto const rows = std::array{
      bad_row{R"({"dialogue":"A","text":"x"})", "d.jsonl:2: key \"summary\" is missing"},
      bad_row{R"({"summary":"x"})", "d.jsonl:2: key \"dialogue\" is missing"},
      bad_row{R"({"dialogue":["A"],"summary":"x"})",
              "d.jsonl:2: key \"dialogue\": expected string, got array of 1"},
      bad_row{R"({"dialogue":"A","summary":3})",
              "d.jsonl:2: key \"summary\": expected string, got integer 3"},
      bad_row{R"({"dialogue":"A","summary":["x",null]})",
              "d.jsonl:2: key \"summary[1]\": expected string, got null"},
      bad_row{R"({"dialogue":"A","summary":[]})", "d.jsonl:2: the field 'summary' is empty"},
      bad_row{R"({"dialogue":"A","summary":["x","\t"]})",
              "d.jsonl:2: the field 'summary' is empty"},
      bad_row{R"({"dialogue":" \n\u00a0\u3000","summary":"x"})",
              "d.jsonl:2: the field 'dialogue' is empty"},
      bad_row{R"({"id":" ","dialogue":"A","summary":"x"})", "d.jsonl:2: the field 'id' is empty"},
      bad_row{R"({"id":null,"dialogue":"A","summary":"x"})",
              "d.jsonl:2: key \"id\": expected string, got null"},
      bad_row{R"({"id":"a","dialogue":"A","summary":"x"})",
              "d.jsonl:2: the id 'a' stands already in line 1"},
      bad_row{R"(["A","x"])",
              "d.jsonl:2: key \"dialogue\": looked for in an object, got array of 2"},
      bad_row{R"({"dialogue":"A","dialogue":"B","summary":"x"})",
              "d.jsonl:2: byte 56: key \"dialogue\" appears twice in one object"},
      bad_row{R"({"dialogue":"A","summary":)", "d.jsonl:2: byte 66: "},
      bad_row{"{\"dialogue\":\"\xFF\",\"summary\":\"x\"}", "d.jsonl:2: byte 53: not valid UTF-8"}};
  std::string const first = "{\"id\":\"a\",\"dialogue\":\"A\",\"summary\":\"x\"}\n";
  REQUIRE(first.size() == 40);
  for (auto const& one : rows) {
    auto const& row = one.row;
    auto const& fault = one.fault;
    CAPTURE(row);
    data_file file("d.jsonl",
                   eckart::message(first, row, "\n", R"({"dialogue":"B","summary":"y"})"));
    CHECK(starts_with(file.refusal(), fault));
    CHECK(file.refused_offset() >= 40);
    auto const faults = file.faults();
    REQUIRE(faults.size() == 1);
    CHECK(starts_with(faults[0], fault));
    CHECK(ids(file.read()) == strings{"a", "3"});
  }
}

TEST_CASE("the first of two faults refuses, both are collected in the order of the file") {
  data_file file("d.jsonl", "{}\n{\"dialogue\":\"A\",\"summary\":\"x\"}\n3\n");
  CHECK(starts_with(file.refusal(), "d.jsonl:1:"));
  auto const faults = file.faults();
  REQUIRE(faults.size() == 2);
  CHECK(starts_with(faults[0], "d.jsonl:1:"));
  CHECK(starts_with(faults[1], "d.jsonl:3:"));
}

TEST_CASE("a row that was skipped does not take its id away from a later one") {
  data_file file("d.jsonl",
                 "{\"id\":1,\"dialogue\":\"\",\"summary\":\"x\"}\n"
                 "{\"id\":1,\"dialogue\":\"A\",\"summary\":\"x\"}\n");
  CHECK(file.faults().size() == 1);
  CHECK(lines(file.read()) == std::vector<std::size_t>{2});
}

TEST_CASE("a file without a usable row is refused even if faults are skipped") {
  for (std::string const name : {"d.jsonl", "d.json", "d.csv", "d.tsv"}) {
    CHECK(data_file(name, "").refusal() == eckart::message(name, ": no usable row"));
    CHECK(data_file(name, "\n \n").refusal() != "nothing thrown");
  }
  data_file file("d.jsonl", "{}\n{}\n");
  file.options.fault = on_fault::skip;
  CHECK(file.refusal() ==
        "d.jsonl: no usable row; of 2 faults the first: d.jsonl:1: key \"dialogue\" is missing");
  CHECK(data_file("d.json", "[]").refusal() == "d.json: no usable row");
  CHECK(data_file("d.csv", "dialogue,summary\r\n").refusal() == "d.csv: no usable row");
}

TEST_CASE("a file whose name does not tell its format is refused, a missing one named") {
  CHECK(data_file("d.txt", "{}").refusal() ==
        "d.txt: neither .jsonl, .json, .csv nor .tsv by its name");
  dataset_options options;
  options.file = "no-such-file.jsonl";
  CHECK_THROWS_AS(read_dataset(options), eckart::io_error);
}

TEST_CASE("a JSON array gives the examples and line numbers of its objects") {
  data_file file("d.json",
                 "[\n"
                 "  {\"id\": \"a\", \"dialogue\": \"A: [1], {2} \\\"\\\\\", \"summary\": [\"x\",\n"
                 "    \"y\"], \"more\": {\"k\": [1, [2]]}},\n"
                 "\n"
                 "  {\"dialogue\": \"B\", \"summary\": \"z\"}, {\"id\": 6,\n"
                 "   \"dialogue\": \"C\", \"summary\": \"w\"},\n"
                 "  [1, 2], \"three\",\n"
                 "  {\"id\": \"a\", \"dialogue\": \"D\", \"summary\": \"v\"}\n"
                 "]\n");
  CHECK(starts_with(file.refusal(), "d.json:7: "));
  auto const faults = file.faults();
  REQUIRE(faults.size() == 3);
  CHECK(starts_with(faults[0], "d.json:7: "));
  CHECK(starts_with(faults[1], "d.json:7: "));
  CHECK(faults[2] == "d.json:8: the id 'a' stands already in line 2");
  auto const data = file.read();
  CHECK(ids(data) == strings{"a", "5", "6"});
  CHECK(lines(data) == std::vector<std::size_t>{2, 5, 5});
  CHECK(data.examples[0].dialogue == "A: [1], {2} \"\\");
  CHECK(data.examples[0].references == strings{"x", "y"});
}

TEST_CASE("a .json file of one object a line is read as JSON lines") {
  data_file const file("d.json", numbered_rows(2));
  CHECK(ids(file.read()) == strings{"r1", "r2"});
}

TEST_CASE("a JSON array with bad syntax is refused whole, also if faults are skipped") {
  data_file file("d.json", "[{\"dialogue\":\"A\",\"summary\":\"x\"},{\"dialogue\":\"A\"]");
  file.options.fault = on_fault::skip;
  CHECK(starts_with(file.refusal(), "d.json: byte 47: "));
}

TEST_CASE("CSV holds quoted newlines, doubled quotes, delimiters and spaces as they are") {
  data_file const file("d.csv",
                       "id,dialogue,summary,topic\r\n"
                       "a,\"A: \"\"hi\"\", there\r\nB: ok\n\",\" x \",t\r\n"
                       "\r\n"
                       "b, B ,y,\r\n"
                       "c,C,z,\"\"");
  auto const data = file.read();
  CHECK(ids(data) == strings{"a", "b", "c"});
  CHECK(lines(data) == std::vector<std::size_t>{2, 6, 7});
  CHECK(data.examples[0].dialogue == "A: \"hi\", there\r\nB: ok\n");
  CHECK(data.examples[0].references == strings{" x "});
  CHECK(data.examples[1].dialogue == " B ");
}

TEST_CASE("CSV columns stand in any order, and without an id the line number is taken") {
  data_file const file("d.CSV", "summary,\"dialogue\"\nx,\"A\n\nA\"\ny,B\n");
  auto const data = file.read();
  CHECK(ids(data) == strings{"2", "5"});
  CHECK(data.examples[0].dialogue == "A\n\nA");
  CHECK(data.examples[1].references == strings{"y"});
}

TEST_CASE("tab separated values follow the same rules") {
  data_file const file("d.tsv", "id\tdialogue\tsummary\na\tA, a\t\"x\ty\"\n");
  auto const data = file.read();
  CHECK(data.examples.at(0).dialogue == "A, a");
  CHECK(data.examples[0].references == strings{"x\ty"});
}

TEST_CASE("a byte order mark is no part of the first field") {
  auto const ids_of = [](std::string_view name, std::string_view content) {
    return ids(data_file(name, eckart::message("\xEF\xBB\xBF", content)).read());
  };
  CHECK(ids_of("d.csv", "id,dialogue,summary\na,A,x\n") == strings{"a"});
  CHECK(ids_of("d.csv", "\"id\",dialogue,summary\na,A,x\n") == strings{"a"});
  CHECK(ids_of("d.jsonl", R"({"id":"a","dialogue":"A","summary":"x"})") == strings{"a"});
  CHECK(ids_of("d.json", R"([{"id":"a","dialogue":"A","summary":"x"}])") == strings{"a"});
}

TEST_CASE("each fault of a CSV row is named with the line where the row begins") {
  struct bad_row {
    std::string row;
    std::string fault;
  };
  auto const rows =
      std::array{bad_row{"b,\"B\nB\"", "d.csv:3: 2 columns, the header has 3"},
                 bad_row{"b,\"B\nB\",x,y", "d.csv:3: 4 columns, the header has 3"},
                 bad_row{"b,\"\n \",x", "d.csv:3: the field 'dialogue' is empty"},
                 bad_row{"b,\"B\nB\",", "d.csv:3: the field 'summary' is empty"},
                 bad_row{",\"B\nB\",x", "d.csv:3: the field 'id' is empty"},
                 bad_row{"a,\"B\nB\",x", "d.csv:3: the id 'a' stands already in line 2"},
                 bad_row{"b,\"B\n\xC3\",x", "d.csv:3: byte 31: not valid UTF-8"}};
  for (auto const& one : rows) {
    auto const& row = one.row;
    auto const& fault = one.fault;
    CAPTURE(row);
    data_file file("d.csv", eckart::message("id,dialogue,summary\na,A,x\n", row, "\nc,C,z\n"));
    CHECK(file.refusal() == fault);
    CHECK(file.refused_offset() >= 26);
    CHECK(file.faults() == strings{fault});
    auto const data = file.read();
    CHECK(ids(data) == strings{"a", "c"});
    CHECK(lines(data) == std::vector<std::size_t>{2, 5});
  }
}

TEST_CASE("a broken quote is named by line and byte and ends the usable rows of a CSV") {
  struct bad_rest {
    std::string rest;
    std::string fault;
  };
  auto const rests = std::array{
      bad_rest{"b,\"B,y\nc,C,z\n", "d.csv:3: byte 26: a quoted field has no closing quote"},
      bad_rest{"b,\"B\n\"b,y\nc,C,z\n",
               "d.csv:3: byte 32: text after the closing quote of a field"},
      bad_rest{"b,5\",y\nc,C,z\n", "d.csv:3: byte 29: a quote in a field that is not quoted"},
      bad_rest{"b, \"B\",y\nc,C,z\n", "d.csv:3: byte 29: a quote in a field that is not quoted"},
      bad_rest{"b,\"B\" ,y\nc,C,z\n", "d.csv:3: byte 31: text after the closing quote of a field"}};
  for (auto const& one : rests) {
    auto const& rest = one.rest;
    auto const& fault = one.fault;
    CAPTURE(rest);
    data_file file("d.csv", eckart::message("id,dialogue,summary\na,A,x\n", rest));
    CHECK(file.refusal() == fault);
    CHECK(file.faults() ==
          strings{eckart::message(fault,
                                  "; the rows after it are left out, because its end is unknown")});
    CHECK(ids(file.read()) == strings{"a"});
  }
}

TEST_CASE("a CSV header without the columns, or with one twice, is refused in any case") {
  for (auto const fault : {on_fault::refuse, on_fault::skip}) {
    auto const refusal = [&](std::string_view header) {
      data_file file("d.csv", eckart::message(header, "\na,A,x\n"));
      file.options.fault = fault;
      return file.refusal();
    };
    CHECK(refusal("id,text,summary") ==
          "d.csv:1: no column 'dialogue'; the header is id, text, summary");
    CHECK(refusal("\n\nid,dialogue,topic,topic") ==
          "d.csv:3: no column 'summary'; the header is id, dialogue, topic, topic");
    CHECK(refusal("summary,dialogue,summary") ==
          "d.csv:1: more than one column 'summary'; the header is summary, dialogue, summary");
    CHECK(refusal("id,dialogue,\"summary") ==
          "d.csv:1: byte 0: a quoted field has no closing quote");
    CHECK(refusal("id\xFF,dialogue,summary") == "d.csv:1: byte 2: not valid UTF-8");
  }
  data_file file("d.csv", "dialogue,summary\nA,x\n");
  file.options.id_field = "name";
  CHECK(file.refusal() == "d.csv:1: no column 'name'; the header is dialogue, summary");
}

TEST_CASE("the same examples have the same fingerprint in every format") {
  data_file const lines("d.jsonl",
                        "{\"id\":\"a\",\"dialogue\":\"A\\nB\",\"summary\":\"x\"}\n"
                        "{\"id\":\"b\",\"dialogue\":\"C\",\"summary\":[\"y\"]}\n");
  data_file const array("d.json",
                        "[{\"id\":\"a\",\"dialogue\":\"A\\nB\",\"summary\":\"x\"},"
                        "{\"id\":\"b\",\"dialogue\":\"C\",\"summary\":\"y\"}]");
  data_file const csv("d.csv", "id,dialogue,summary\na,\"A\nB\",x\nb,C,y\n");
  // Computed apart from this program.
  CHECK(lines.read().fingerprint == "efda531e8586c21b");
  CHECK(array.read().fingerprint == lines.read().fingerprint);
  CHECK(csv.read().fingerprint == lines.read().fingerprint);
}

TEST_CASE("the fingerprint tells ids, texts, references, their borders and their order apart") {
  std::set<std::string> seen;
  auto const contents = std::array<std::string_view, 8>{
      R"({"id":"a","dialogue":"A","summary":["x","y"]})",
      R"({"id":"b","dialogue":"A","summary":["x","y"]})",
      R"({"id":"a","dialogue":"AB","summary":["x","y"]})",
      R"({"id":"aA","dialogue":"B","summary":["x","y"]})",
      R"({"id":"a","dialogue":"A","summary":["xy"]})",
      R"({"id":"a","dialogue":"A","summary":["y","x"]})",
      "{\"id\":1,\"dialogue\":\"A\",\"summary\":\"x\"}\n{\"id\":2,\"dialogue\":\"A\",\"summary\":"
      "\"x\"}",
      "{\"id\":2,\"dialogue\":\"A\",\"summary\":\"x\"}\n{\"id\":1,\"dialogue\":\"A\",\"summary\":"
      "\"x\"}"};
  for (auto const content : contents) {
    seen.insert(data_file("d.jsonl", content).read().fingerprint);
  }
  CHECK(seen.size() == contents.size());
}

TEST_CASE("a limit takes the first usable rows and does not look at what follows") {
  data_file file("d.jsonl", eckart::message("{}\n", numbered_rows(5), "{\n"));
  file.options.limit = 3;
  file.options.fault = on_fault::skip;
  auto const data = file.read();
  CHECK(ids(data) == strings{"r1", "r2", "r3"});
  CHECK(data.faults.size() == 1);
  file.options.limit = 9;
  CHECK(file.read().examples.size() == 5);
  CHECK(file.read().faults.size() == 2);

  data_file csv("d.csv", "id,dialogue,summary\na,A,x\nb,B,y\nc,\"C,z\n");
  csv.options.limit = 2;
  CHECK(ids(csv.read()) == strings{"a", "b"});
}

TEST_CASE("a sample holds that many rows in the order of the file, the same for the same seed") {
  data_file file("d.jsonl", numbered_rows(9));
  file.options.limit = 4;
  file.options.sample_seed = 2026;
  auto const data = file.read();
  CHECK(ids(data) == strings{"r2", "r3", "r6", "r7"});  // computed apart from this program
  CHECK(ids(file.read()) == ids(data));
  CHECK(data.fingerprint == file.read().fingerprint);
  auto const places = lines(data);
  CHECK(std::is_sorted(places.begin(), places.end()));
  file.options.sample_seed = 2027;
  CHECK(file.read().fingerprint != data.fingerprint);
  file.options.limit = 9;
  CHECK(file.read().examples.size() == 9);
  file.options.limit = 10;
  CHECK(file.read().examples.size() == 9);
}

TEST_CASE("over many seeds every row is sampled equally often") {
  data_file file("d.jsonl", numbered_rows(6));
  file.options.limit = 2;
  std::array<int, 6> counts{};
  for (std::uint64_t seed = 0; seed < 900; ++seed) {
    file.options.sample_seed = seed;
    auto const data = file.read();
    REQUIRE(data.examples.size() == 2);
    for (auto const& one : data.examples) {
      ++counts.at(one.line - 1);
    }
  }
  // Binomial: mean 300, standard deviation 14.1.
  for (auto const count : counts) {
    CHECK(std::abs(count - 300) < 5 * 15);
  }
}

TEST_CASE("the command line fills the options") {
  support::temporary_directory const folder;
  auto const path = folder.put("d.csv", "").string();
  CLI::App app;
  dataset_options options;
  options.add_to(app);
  auto arguments = strings{"--skip-faulty", "7", "--sample-seed",   "5", "--limit",      "u",
                           "--id-field",    "s", "--summary-field", "t", "--text-field", path,
                           "--data"};  // CLI11 takes them from the back
  app.parse(arguments);
  CHECK(options.file == path);
  CHECK(options.text_field == "t");
  CHECK(options.summary_field == "s");
  CHECK(options.id_field == "u");
  CHECK(options.limit == std::size_t{5});
  CHECK(options.sample_seed == std::uint64_t{7});
  CHECK(options.fault == on_fault::skip);
}

TEST_CASE("the command line wants a file, a limit above 0 and no seed without a limit") {
  support::temporary_directory const folder;
  auto const path = folder.put("d.csv", "").string();
  for (auto arguments :
       {strings{}, strings{"no-such-file.csv", "--data"}, strings{"0", "--limit", path, "--data"},
        strings{"1", "--sample-seed", path, "--data"}}) {
    CLI::App app;
    dataset_options options;
    options.add_to(app);
    CHECK_THROWS_AS(app.parse(arguments), CLI::ParseError);
  }
}
