#include "eckart/text/bpe_tokenizer.hpp"

#include "eckart/io/json.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "text_fixture.hpp"

using namespace eckart;
using nlohmann::json;
using ids = std::vector<std::int32_t>;
using text_test::has;
using text_test::refusal;

namespace {

std::filesystem::path const source_directory = ECKART_SOURCE_DIR;
auto const model_directory =
    source_directory / "examples/summarization/model/dialogue-summarizer-24m";

auto make(json const& document) -> bpe_tokenizer {
  text_test::temporary_directory const directory;
  return bpe_tokenizer::from_tokenizer_json(directory.put("tokenizer.json", document.dump()));
}

auto small() -> bpe_tokenizer const& {
  static auto const tokenizer = make(text_test::small_tokenizer());
  return tokenizer;
}

auto summarizer() -> bpe_tokenizer const& {
  static auto const tokenizer = bpe_tokenizer::from_directory(model_directory);
  return tokenizer;
}

auto golden(char const* name) -> json {
  std::ifstream in(source_directory / "tests/golden/tokenizer.json");
  return json::parse(in).at(name);
}

/// Checks the reference strings; those with `<mask>` only if the tokenizer treats it as the
/// reference did.
void check_golden(bpe_tokenizer const& tokenizer, char const* name, bool mask_too) {
  auto const entries = golden(name);
  CHECK(entries.size() >= 20);
  for (auto const& entry : entries) {
    auto const text = entry.at("text").get<std::string>();
    if (!mask_too && has(text, "<mask>")) {
      continue;
    }
    CAPTURE(text);
    auto const expected = entry.at("ids").get<ids>();
    CHECK(tokenizer.encode(text) == expected);
    CHECK(tokenizer.encode_plain(text) == entry.at("ids_plain").get<ids>());
    CHECK(tokenizer.decode(expected) == entry.at("decoded").get<std::string>());
  }
}

auto bart_directory() -> std::optional<std::filesystem::path> {
  auto const* const data = std::getenv("ECKART_DATA_DIR");
  auto const path = std::filesystem::path(data != nullptr ? data : "") / "golden/bart-tokenizer";
  if (data == nullptr || !std::filesystem::exists(path)) {
    MESSAGE("skipped: no golden/bart-tokenizer in ECKART_DATA_DIR");
    return std::nullopt;
  }
  return path;
}

}  // namespace

TEST_CASE("the summarizer's tokenizer.json gives the reference ids and texts") {
  check_golden(summarizer(), "summarizer", true);
}

TEST_CASE("the summarizer's vocab.json and merges.txt give the reference ids and texts") {
  auto const tokenizer =
      bpe_tokenizer::from_files(model_directory / "vocab.json", model_directory / "merges.txt");
  check_golden(tokenizer, "summarizer", false);
  // These files cannot say that this <mask> leaves the space before it alone; BART's takes it.
  auto const with_space = summarizer().encode("foo <mask> bar");
  auto const without = tokenizer.encode("foo <mask> bar");
  CHECK(without == summarizer().encode("foo<mask> bar"));
  CHECK(without.size() + 1 == with_space.size());
}

TEST_CASE("BART's tokenizer.json gives the reference ids and texts") {
  if (auto const directory = bart_directory()) {
    auto const tokenizer = bpe_tokenizer::from_directory(*directory);
    CHECK(tokenizer.vocabulary_size() == 50265);
    CHECK(tokenizer.encode_plain("Hello") == ids{31414});
    check_golden(tokenizer, "bart", true);
  }
}

TEST_CASE("BART's vocab.json and merges.txt give the reference ids and texts") {
  if (auto const directory = bart_directory()) {
    check_golden(bpe_tokenizer::from_files(*directory / "vocab.json", *directory / "merges.txt"),
                 "bart", true);
  }
}

TEST_CASE("a directory is read from tokenizer.json, else from vocab.json and merges.txt") {
  text_test::temporary_directory const directory;
  CHECK(has(refusal<io_error>([&] { bpe_tokenizer::from_directory(directory.path()); }),
            "vocab.json"));
  directory.put("vocab.json", text_test::small_vocabulary().dump());
  directory.put("merges.txt", text_test::small_merges);
  auto const older = bpe_tokenizer::from_directory(directory.path());
  CHECK(older.encode("hell hell") == ids{0, 263, 264, 2});
  auto document = text_test::small_tokenizer();
  document["post_processor"] = nullptr;
  directory.put("tokenizer.json", document.dump());
  CHECK(bpe_tokenizer::from_directory(directory.path()).encode("hell hell") == ids{263, 264});
}

TEST_CASE("any bytes come back from their ids") {
  std::mt19937 random(5);
  for (int i = 0; i < 1500; ++i) {
    auto const text = random() % 2 == 0 ? text_test::random_bytes(random, 60)
                                        : text_test::random_text(random, 30);
    CHECK(summarizer().decode_bytes(summarizer().encode_plain(text)) == text);
    CHECK(summarizer().decode(summarizer().encode(text)) == replace_invalid_utf8(text));
  }
  std::string every;
  for (int b = 0; b < 256; ++b) {
    every += static_cast<char>(b);
  }
  CHECK(small().decode_bytes(small().encode_plain(every)) == every);
}

TEST_CASE("invalid bytes become the tokens of the bytes") {
  CHECK(small().encode_plain("\xFF\xC3 \xE2\x82") ==
        ids{5 + 0xFF, 5 + 0xC3, 5 + 0x20, 5 + 0xE2, 5 + 0x82});
}

TEST_CASE("bytes of a character in several tokens are joined before they are read as UTF-8") {
  ids const cake{5 + 0xF0, 5 + 0x9F, 5 + 0x8E, 5 + 0x82};
  CHECK(small().decode(cake) == "🎂");
  CHECK(small().decode(ids(cake.begin(), cake.begin() + 3)) == "\uFFFD");
  CHECK(small().decode_bytes(ids(cake.begin(), cake.begin() + 3)) == "\xF0\x9F\x8E");
  // A special token in between is left out first.
  CHECK(small().decode(ids{5 + 0xC3, 0, 5 + 0xA9}) == "é");
  CHECK(small().decode(ids{5 + 0xC3, 0, 5 + 0xA9}, {.skip_special_tokens = false}) ==
        "\uFFFD<s>\uFFFD");
}

TEST_CASE("special tokens in a text are one id each, or plain text if that is wanted") {
  CHECK(small().encode("<s>he</s><pad>") == ids{0, 0, 261, 2, 1, 2});
  auto const plain = small().encode("<s>he", {.split_special_tokens = true});
  CHECK(plain == ids{0, 5 + '<', 5 + 's', 5 + '>', 261, 2});
  CHECK(small().decode(plain) == "<s>he");
  CHECK(small().decode(small().encode("<s>he")) == "he");
  CHECK(small().decode(small().encode("<s>he"), {.skip_special_tokens = false}) == "<s><s>he</s>");
}

TEST_CASE("<mask> takes the white space before it and leaves that after it") {
  CHECK(small().encode_plain("he \n<mask> he") == ids{261, 4, 5 + ' ', 261});
  CHECK(small().decode_bytes(small().encode_plain("he \n<mask> he")) == "he<mask> he");
}

TEST_CASE("a text over max_length is cut at its end and keeps its special tokens") {
  auto const all = small().encode("hell hell hell");
  CHECK(all == ids{0, 263, 264, 264, 2});
  auto const at_most = [](eckart::index_t n) {
    return small().encode_truncated("hell hell hell", {.max_length = n});
  };
  CHECK(at_most(0).ids == all);
  CHECK_FALSE(at_most(0).truncated);
  CHECK(at_most(5).ids == all);
  CHECK_FALSE(at_most(5).truncated);
  CHECK(at_most(4).ids == ids{0, 263, 264, 2});
  CHECK(at_most(4).truncated);
  CHECK(at_most(2).ids == ids{0, 2});
  CHECK(at_most(2).truncated);
  CHECK(has(refusal<shape_error>([&] { at_most(1); }),
            "max_length 1 has no room for 2 special tokens"));
  CHECK(has(refusal<shape_error>([&] { at_most(-4); }), "max_length -4"));
  auto const plain = [](eckart::index_t n) {
    return small().encode_truncated("hell hell hell",
                                    {.add_special_tokens = false, .max_length = n});
  };
  CHECK_FALSE(plain(3).truncated);
  CHECK(plain(2).truncated);
  CHECK(plain(2).ids == ids{263, 264});
  CHECK(small().encode("", {.max_length = 2}) == ids{0, 2});
  CHECK_FALSE(small().encode_truncated("", {.max_length = 2}).truncated);
}

TEST_CASE("truncation gives a prefix of the whole, at every length") {
  std::mt19937 random(6);
  for (int i = 0; i < 300; ++i) {
    auto const text = text_test::random_text(random, 20) + (i % 3 == 0 ? "<mask><s>hello" : "");
    auto const all = summarizer().encode_plain(text);
    auto const n = static_cast<eckart::index_t>(1 + random() % 30);
    auto const cut =
        summarizer().encode_truncated(text, {.add_special_tokens = false, .max_length = n});
    auto const kept = std::min(all.size(), static_cast<std::size_t>(n));
    CHECK(cut.ids == ids(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept)));
    CHECK(cut.truncated == (all.size() > kept));
  }
}

TEST_CASE("two texts stand in BART's frame, and the longer one is cut first") {
  CHECK(small().encode_pair("he", "hell").ids == ids{0, 261, 2, 2, 263, 2});
  CHECK(small().encode_pair("", "").ids == ids{0, 2, 2, 2});
  CHECK(small().encode_pair("he", "hell", {.add_special_tokens = false}).ids == ids{261, 263});
  auto const sizes = [](std::string const& a, std::string const& b, eckart::index_t room) {
    auto const pair = small().encode_pair(a, b, {.max_length = room + 4});
    auto const& whole = pair.ids;
    auto const first = std::find(whole.begin(), whole.end(), 2) - whole.begin() - 1;
    return std::pair(first, static_cast<std::ptrdiff_t>(whole.size()) - first - 4);
  };
  using both = std::pair<std::ptrdiff_t, std::ptrdiff_t>;
  std::string const two = "ab";
  std::string const four = "abcd";
  std::string const nine = " a b c d e f g h i";  // 18 ids in 9 words
  CHECK(sizes(two, four, 7) == both{2, 4});
  CHECK(sizes(two, nine, 7) == both{2, 5});
  CHECK(sizes(nine, two, 7) == both{5, 2});
  CHECK(sizes(four, four, 7) == both{3, 4});
  CHECK(sizes(four, nine, 7) == both{3, 4});
  CHECK(sizes(nine, four, 7) == both{4, 3});
  CHECK(sizes("", nine, 7) == both{0, 7});
  CHECK(sizes(nine, "", 0) == both{0, 0});
  CHECK(small().encode_pair(two, nine, {.max_length = 11}).truncated);
  CHECK_FALSE(small().encode_pair(two, four, {.max_length = 10}).truncated);
  CHECK(has(refusal<shape_error>([&] { small().encode_pair(two, two, {.max_length = 3}); }),
            "max_length 3 has no room for 4 special tokens"));
}

TEST_CASE("add_prefix_space puts a space before each piece that has none") {
  auto document = text_test::small_tokenizer();
  document["pre_tokenizer"]["add_prefix_space"] = true;
  auto const tokenizer = make(document);
  CHECK(tokenizer.encode("hell") == ids{0, 264, 2});
  CHECK(tokenizer.encode(" hell") == ids{0, 264, 2});
  CHECK(tokenizer.encode("hell<s>hell") == ids{0, 264, 0, 264, 2});
  CHECK(tokenizer.encode("") == ids{0, 2});
}

TEST_CASE("a byte without token is the unknown token, or an error if there is none") {
  auto document = text_test::small_tokenizer();
  document["model"]["vocab"].erase("z");
  CHECK(has(refusal<error>([&] { make(document).encode("buzz"); }),
            "encode: byte 122 at 2 of a word of 4 bytes has no token"));
  CHECK(make(document).encode_plain("he") == ids{261});
  document["model"]["unk_token"] = "<unk>";
  CHECK(make(document).encode_plain("zhe") == ids{3, 261});
}

TEST_CASE("clean-up takes the space before punctuation and contractions, only if wanted") {
  CHECK(clean_up_spaces("a . b ? c ! d , e ' f do n't I 'm it 's we 've they 're .") ==
        "a. b? c! d, e'f don't I'm it's we've they're.");
  CHECK(clean_up_spaces("a  .") == "a .");
  CHECK(clean_up_spaces("I 'll 'd") == "I 'll 'd");
  auto const line = summarizer().encode("Well , it 's fine .");
  CHECK(summarizer().decode(line) == "Well , it 's fine .");
  CHECK(summarizer().decode(line, {.clean_up_tokenization_spaces = true}) == "Well, it's fine.");
}

TEST_CASE("an id beyond the vocabulary is refused with the id and the range") {
  CHECK(small().vocabulary_size() == 265);
  for (std::int32_t const id : {265, -1, 2147483647}) {
    auto const what = refusal<shape_error>([&] { small().decode(ids{261, id}); });
    CHECK(has(what, message("id ", id, " is not in 0 to 264")));
    CHECK(has(refusal<shape_error>([&] { small().decode_bytes(ids{id}); }), "is not in 0 to"));
    CHECK_THROWS_AS(small().id_to_token(id), shape_error);
  }
}

TEST_CASE("tokens and special ids can be asked for") {
  CHECK(small().token_to_id("\u0120hell") == 264);
  CHECK_FALSE(small().token_to_id(" hell"));
  CHECK(small().id_to_token(4) == "<mask>");
  auto const special = small().special_ids();
  CHECK(ids(special.begin(), special.end()) == ids{0, 1, 2, 3, 4});
}

TEST_CASE("added tokens that are not ASCII come back as they are") {
  auto document = text_test::small_tokenizer();
  document["added_tokens"].push_back({{"id", 265}, {"content", "<café>"}, {"special", false}});
  auto const tokenizer = make(document);
  CHECK(tokenizer.encode_plain("he<café>") == ids{261, 265});
  CHECK(tokenizer.decode(ids{261, 265}) == "he<café>");
}

TEST_CASE("a megabyte of anything is encoded and comes back") {
  std::string mixed;
  std::mt19937 random(7);
  while (mixed.size() < 1'000'000) {
    mixed += text_test::random_text(random, 30) + " and the next one's ";
  }
  for (auto const& text : {std::string(1'000'000, ' '), std::string(1'000'000, 'a'),
                           std::string(1'000'000, '\xFF'), mixed}) {
    CHECK(summarizer().decode_bytes(summarizer().encode_plain(text)) == text);
  }
}

TEST_CASE("a tokenizer may be moved and copied, and used by threads at once") {
  auto first = make(text_test::small_tokenizer());
  auto const copy = first;
  auto const moved = std::move(first);
  CHECK(copy.encode("hell") == ids{0, 263, 2});
  CHECK(moved.encode("hell") == ids{0, 263, 2});
  auto const text = golden("summarizer").back().at("text").get<std::string>();
  auto const expected = summarizer().encode(text);
  std::vector<int> failures(4, 0);
  std::vector<std::thread> threads;
  for (auto& count : failures) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        auto const found = summarizer().encode(text);
        count += found == expected && summarizer().decode(found) == text ? 0 : 1;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(std::count(failures.begin(), failures.end(), 0) == 4);
}
