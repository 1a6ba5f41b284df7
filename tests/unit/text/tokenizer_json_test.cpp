#include "eckart/text/tokenizer_json.hpp"

#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text_fixture.hpp"

using namespace eckart;
using nlohmann::json;
using text_test::has;
using text_test::refusal;
using text_test::small_tokenizer;

namespace {

auto read(json const& document) -> tokenizer_definition {
  text_test::temporary_directory const directory;
  return read_tokenizer_json(directory.put("tokenizer.json", document.dump()));
}

/// What reading says when the entry at a JSON pointer of a good file has another value.
auto fault(char const* pointer, json const& value) -> std::string {
  auto document = small_tokenizer();
  document[json::json_pointer(pointer)] = value;
  auto const what = refusal<format_error>([&] { read(document); });
  CHECK(has(what, "tokenizer.json: "));
  return what;
}

auto pieces(sequence_template const& t) -> std::vector<std::int32_t> {
  return {t.pieces().begin(), t.pieces().end()};
}

auto template_processing() -> json {
  auto const special = [](char const* id) { return json{{"SpecialToken", {{"id", id}}}}; };
  auto const text = [](char const* id) { return json{{"Sequence", {{"id", id}}}}; };
  return {{"type", "TemplateProcessing"},
          {"single", {special("<s>"), text("A"), special("end")}},
          {"pair", {text("B"), special("end"), text("A")}},
          {"special_tokens",
           {{"<s>", {{"id", "<s>"}, {"ids", {0}}, {"tokens", {"<s>"}}}},
            {"end", {{"id", "end"}, {"ids", {2, 1}}, {"tokens", {"</s>", "<pad>"}}}}}}};
}

}  // namespace

TEST_CASE("merges are strings or pairs, a model without type is BPE, no decoder is needed") {
  auto document = small_tokenizer();
  auto const first = read(document);
  document["model"]["merges"] = {{"h", "e"}, "l l", {"he", "ll"}, {"\u0120", "hell"}};
  document["model"].erase("type");
  document.erase("decoder");
  document["truncation"] = "ignored";
  auto const second = read(document);
  REQUIRE(first.merges.size() == 4);
  REQUIRE(second.merges.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(first.merges[i].left == second.merges[i].left);
    CHECK(first.merges[i].right == second.merges[i].right);
    CHECK(first.merges[i].merged == second.merges[i].merged);
  }
}

TEST_CASE("added tokens keep their flags and may extend the vocabulary") {
  auto document = small_tokenizer();
  document["added_tokens"].push_back({{"id", 300},
                                      {"content", "<tag>"},
                                      {"special", false},
                                      {"single_word", true},
                                      {"rstrip", true}});
  auto const d = read(document);
  REQUIRE(d.added.size() == 6);
  CHECK(d.added[4].lstrip);
  CHECK(d.added[4].special);
  CHECK_FALSE(d.added[4].normalized);
  CHECK(d.added[5].id == 300);
  CHECK_FALSE(d.added[5].special);
  CHECK(d.added[5].single_word);
  CHECK(d.added[5].rstrip);
  CHECK(d.added[5].normalized);
  CHECK(d.words.find("<tag>") == 300);
  CHECK(d.words.size() == 301);
}

TEST_CASE("RobertaProcessing and TemplateProcessing say what stands around") {
  using t = sequence_template;
  auto document = small_tokenizer();
  CHECK(pieces(read(document).single) == std::vector<std::int32_t>{0, t::first, 2});
  CHECK(pieces(read(document).pair) == std::vector<std::int32_t>{0, t::first, 2, 2, t::second, 2});
  document["post_processor"] = template_processing();
  CHECK(pieces(read(document).single) == std::vector<std::int32_t>{0, t::first, 2, 1});
  CHECK(pieces(read(document).pair) == std::vector<std::int32_t>{t::second, 2, 1, t::first});
  for (auto const& none : {json(nullptr), json{{"type", "ByteLevel"}}}) {
    document["post_processor"] = none;
    CHECK(read(document).single.added() == 0);
  }
}

TEST_CASE("a component that is not understood is refused by its name") {
  CHECK(has(fault("/normalizer", {{"type", "NFC"}}), "normalizer \"NFC\" is not understood"));
  CHECK(has(fault("/pre_tokenizer", {{"type", "Metaspace"}}),
            "pre_tokenizer \"Metaspace\" is not understood, only ByteLevel"));
  CHECK(has(fault("/pre_tokenizer", nullptr), "pre_tokenizer null is not understood"));
  CHECK(has(fault("/pre_tokenizer/use_regex", false), "pre_tokenizer.use_regex false"));
  CHECK(has(fault("/decoder", {{"type", "WordPiece"}}), "decoder \"WordPiece\""));
  CHECK(has(fault("/post_processor", {{"type", "BertProcessing"}}),
            "post_processor \"BertProcessing\" is not understood"));
  CHECK(has(fault("/model/type", "Unigram"), "model type \"Unigram\" is not understood"));
  CHECK(has(fault("/model/byte_fallback", true), "model.byte_fallback true"));
  CHECK(has(fault("/model/ignore_merges", true), "model.ignore_merges true"));
  CHECK(has(fault("/model/fuse_unk", true), "model.fuse_unk true"));
  CHECK(has(fault("/model/end_of_word_suffix", "</w>"), "model.end_of_word_suffix"));
  CHECK(has(fault("/model/continuing_subword_prefix", "##"), "model.continuing_subword_prefix"));
  CHECK(has(fault("/model/dropout", 0.1), "model.dropout \"0.1\""));
}

TEST_CASE("entries of the wrong kind are refused with their path") {
  CHECK(has(fault("", json::array()), "the document is array, not an object"));
  CHECK(has(fault("/model", nullptr), "model is null, not an object"));
  CHECK(has(fault("/model/type", 3), "model.type is number, not a string"));
  CHECK(has(fault("/model/vocab", nullptr), "model.vocab is empty or not an object"));
  CHECK(has(fault("/model/vocab/he", "x"), "model.vocab: the id of \"he\" is string"));
  CHECK(has(fault("/model/vocab/he", 4000), "token \"he\" with id 4000: ids must be"));
  CHECK(has(fault("/model/vocab/he", -3), "token \"he\" with id -3: ids must be"));
  CHECK(has(fault("/model/vocab/he", 5), "that is the id of"));
  CHECK(has(fault("/model/merges", "h e"), "model.merges is string, not an array"));
  CHECK(has(fault("/model/merges/1", 7), "model.merges[1] is neither a string nor a pair"));
  CHECK(has(fault("/model/merges/1", {"a", "b", "c"}), "model.merges[1] is neither"));
  CHECK(has(fault("/model/merges/1", "ll"), "model.merges[1]: \"ll\" is not two parts"));
  CHECK(has(fault("/model/merges/1", {"q", "q"}),
            "model.merges[1]: the result \"qq\" of merge \"q\" \"q\" is not in the vocabulary"));
  CHECK(has(fault("/model/merges/1", {"", "he"}), "the left part \"\""));
  CHECK(has(fault("/model/merges/1", "h e"), "merge \"h\" \"e\" is given twice"));
  CHECK(has(fault("/model/unk_token", "<none>"), "model.unk_token \"<none>\" is not in the"));
  CHECK(has(fault("/pre_tokenizer/add_prefix_space", 1),
            "pre_tokenizer.add_prefix_space is number, not true or false"));
}

TEST_CASE("bad added tokens are refused with their place in the list") {
  CHECK(has(fault("/added_tokens", 1), "added_tokens is number, not an array"));
  CHECK(has(fault("/added_tokens/1", "x"), "added_tokens[1] is string, not an object"));
  CHECK(has(fault("/added_tokens/1/content", nullptr), "added_tokens[1].content is null"));
  CHECK(has(fault("/added_tokens/1/content", "<s>"), "added_tokens[1]: \"<s>\" is given twice"));
  CHECK(has(fault("/added_tokens/1/content", "<new>"), "token \"<new>\" with id 1: that is the"));
  CHECK(has(fault("/added_tokens/1/content", ""), "the token is empty"));
  CHECK(has(fault("/added_tokens/1/id", 9),
            "added_tokens[1]: \"<pad>\" has id 9, but 1 in the vocabulary"));
  CHECK(has(fault("/added_tokens/1/id", 1.5), "added_tokens[1].id is \"1.5\", not an id"));
  CHECK(has(fault("/added_tokens/1/lstrip", "yes"), "added_tokens[1].lstrip is string"));
}

TEST_CASE("a post-processor whose tokens are not the vocabulary's is refused") {
  CHECK(has(fault("/post_processor/cls", "<s>"), "post_processor.cls is not a token and its id"));
  CHECK(has(fault("/post_processor/cls", {"<s>", 7}),
            "post_processor.cls: \"<s>\" has id \"7\", but 0 in the vocabulary"));
  CHECK(has(fault("/post_processor/sep", {"<none>", 7}), "but none in the vocabulary"));
  auto const with = [](char const* pointer, json const& value) {
    auto processor = template_processing();
    processor[json::json_pointer(pointer)] = value;
    return fault("/post_processor", processor);
  };
  CHECK(has(with("/special_tokens/end/ids", {2}), "\"end\" has 1 ids for 2 tokens"));
  CHECK(has(with("/special_tokens/end/ids", {2, 5}), "\"<pad>\" has id \"5\", but 1"));
  CHECK(has(with("/special_tokens", json::object()), "\"<s>\" is null, not an object"));
  CHECK(has(with("/single/1/Sequence/id", "B"), "post_processor.single must hold each"));
  CHECK(has(with("/pair/0/Sequence/id", "A"), "post_processor.pair must hold each"));
  CHECK(has(with("/pair/0/Sequence/id", "C"), "Sequence \"C\" is neither A nor B"));
  CHECK(has(with("/single", nullptr), "post_processor.single is null, not an array"));
}
