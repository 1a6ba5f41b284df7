#pragma once

#include "eckart/text/byte_alphabet.hpp"
#include "eckart/text/utf8.hpp"
#include "support/refusal.hpp"
#include "support/temporary_directory.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>

// What the tests of text share: files made by hand, a small tokenizer, random texts.
namespace text_test {

using support::has;
using support::refusal;
using support::temporary_directory;

/// `<s> <pad> </s> <unk> <mask>`, then the 256 bytes (byte b is 5 + b), then "he", "ll", "hell" and
/// "Ġhell" as ids 261 to 264.
inline auto small_vocabulary() -> nlohmann::json {
  nlohmann::json words = {{"<s>", 0}, {"<pad>", 1}, {"</s>", 2}, {"<unk>", 3}, {"<mask>", 4}};
  for (int b = 0; b < 256; ++b) {
    words[eckart::to_byte_alphabet(std::string(1, static_cast<char>(b)))] = 5 + b;
  }
  words["he"] = 261;
  words["ll"] = 262;
  words["hell"] = 263;
  words["\u0120hell"] = 264;
  return words;
}

inline constexpr char const* small_merges =
    "#version: 0.2\n"
    "h e\n"
    "l l\n"
    "he ll\n"
    "\u0120 hell\n";

/// The same as a tokenizer.json; `<mask>` takes the white space before it.
inline auto small_tokenizer() -> nlohmann::json {
  auto added = nlohmann::json::array();
  int id = 0;
  for (auto const* content : {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}) {
    added.push_back({{"id", id}, {"content", content}, {"special", true}, {"lstrip", id == 4}});
    ++id;
  }
  return {{"truncation", {{"max_length", 3}}},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor",
           {{"type", "RobertaProcessing"}, {"sep", {"</s>", 2}}, {"cls", {"<s>", 0}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", nullptr},
            {"vocab", small_vocabulary()},
            {"merges", {"h e", "l l", "he ll", "\u0120 hell"}}}}};
}

/// Up to `length` bytes, any.
inline auto random_bytes(std::mt19937& random, std::size_t length) -> std::string {
  std::string text(random() % (length + 1), '\0');
  for (auto& c : text) {
    c = static_cast<char>(random() & 0xFFU);
  }
  return text;
}

/// Up to `length` characters, half of them ASCII, the others from all of Unicode.
inline auto random_text(std::mt19937& random, std::size_t length) -> std::string {
  std::string text;
  for (auto n = random() % (length + 1); n > 0; --n) {
    auto c = static_cast<char32_t>(random() % 2 == 0 ? random() % 128 : random() % 0x110000);
    eckart::append_utf8(text, c >= 0xD800 && c < 0xE000 ? char32_t{' '} : c);
  }
  return text;
}

}  // namespace text_test
