#include "eckart/text/byte_pair_encoding.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text_fixture.hpp"

using namespace eckart;
using ids = std::vector<std::int32_t>;
using text_test::has;
using text_test::refusal;

namespace {

/// Symbols are strings here, as in the paper.
struct rule_set {
  std::vector<std::string> names;  // by symbol
  std::vector<merge_rule> rules;
};

auto byte_symbols() -> std::array<std::int32_t, 256> {
  std::array<std::int32_t, 256> symbols{};
  for (std::size_t b = 0; b < symbols.size(); ++b) {
    symbols[b] = static_cast<std::int32_t>(b);
  }
  return symbols;
}

/// Random rules over the letters a to c. With `in_order` both parts of a rule exist before it, as
/// in every trained list; without, the rules are shuffled.
auto random_rules(std::mt19937& random, std::size_t count, bool in_order) -> rule_set {
  rule_set result;
  for (int b = 0; b < 256; ++b) {
    result.names.emplace_back(1, static_cast<char>(b));
  }
  std::vector<std::int32_t> known{'a', 'b', 'c'};
  std::set<std::pair<std::int32_t, std::int32_t>> pairs;
  std::map<std::string, std::int32_t> by_name{{"a", 'a'}, {"b", 'b'}, {"c", 'c'}};
  while (result.rules.size() < count) {
    auto const left = known[random() % known.size()];
    auto const right = known[random() % known.size()];
    auto const name = result.names[static_cast<std::size_t>(left)] +
                      result.names[static_cast<std::size_t>(right)];
    if (name.size() > 12 || !pairs.emplace(left, right).second) {
      continue;
    }
    auto const [at, fresh] = by_name.emplace(name, static_cast<std::int32_t>(result.names.size()));
    if (fresh) {
      result.names.push_back(name);
      known.push_back(at->second);
    }
    result.rules.push_back({left, right, at->second});
  }
  if (!in_order) {
    std::shuffle(result.rules.begin(), result.rules.end(), random);
  }
  return result;
}

/// The definition: find the pair of lowest rank, merge it everywhere from left to right, repeat.
auto encode_naively(std::string_view word, std::vector<merge_rule> const& rules) -> ids {
  ids symbols;
  for (char const c : word) {
    symbols.push_back(static_cast<unsigned char>(c));
  }
  for (;;) {
    auto const fits = [&](merge_rule const& rule) {
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        if (symbols[i] == rule.left && symbols[i + 1] == rule.right) {
          return true;
        }
      }
      return false;
    };
    auto const rule = std::find_if(rules.begin(), rules.end(), fits);
    if (rule == rules.end()) {
      return symbols;
    }
    ids merged;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      if (i + 1 < symbols.size() && symbols[i] == rule->left && symbols[i + 1] == rule->right) {
        merged.push_back(rule->merged);
        ++i;
      } else {
        merged.push_back(symbols[i]);
      }
    }
    symbols = std::move(merged);
  }
}

auto encode(byte_pair_encoding const& encoding, std::string_view word) -> ids {
  ids result;
  byte_pair_encoding::scratch scratch;
  encoding.append(word, result, scratch);
  return result;
}

}  // namespace

TEST_CASE("the queue gives what the definition gives, for trained and for shuffled rules") {
  std::mt19937 random(4);
  for (int round = 0; round < 200; ++round) {
    auto const set = random_rules(random, 1 + random() % 60, round % 2 == 0);
    byte_pair_encoding const encoding(byte_symbols(), set.rules);
    ids result;
    byte_pair_encoding::scratch scratch;  // used again from word to word
    for (int i = 0; i < 50; ++i) {
      std::string word(random() % 40, 'a');
      for (auto& c : word) {
        c = static_cast<char>('a' + random() % 3);
      }
      result.clear();
      encoding.append(word, result, scratch);
      CAPTURE(word);
      CHECK(result == encode_naively(word, set.rules));
    }
  }
}

TEST_CASE("overlapping places are merged from the left") {
  std::vector<merge_rule> const rules{{'a', 'a', 256}};
  byte_pair_encoding const encoding(byte_symbols(), rules);
  CHECK(encode(encoding, "aaaaa") == ids{256, 256, 'a'});
  CHECK(encode(encoding, "baaab") == ids{'b', 256, 'a', 'b'});
}

TEST_CASE("a rule is applied everywhere before a pair that it makes, whatever the ranks") {
  // (ab, c) has the lower rank, but exists only once (a, b) has been applied to both places.
  std::vector<merge_rule> const rules{{256, 'a', 258}, {'a', 'b', 256}, {'a', 'c', 257}};
  byte_pair_encoding const encoding(byte_symbols(), rules);
  CHECK(encode(encoding, "abab") == ids{256, 256});
  CHECK(encode(encoding, "abac") == ids{258, 'c'});
}

TEST_CASE("ids are appended and the empty word appends none") {
  byte_pair_encoding const encoding(byte_symbols(), {});
  ids result{1, 2};
  byte_pair_encoding::scratch scratch;
  encoding.append("", result, scratch);
  encoding.append("x", result, scratch);
  encoding.append("yz", result, scratch);
  CHECK(result == ids{1, 2, 'x', 'y', 'z'});
}

TEST_CASE("a long word takes time in proportion to its length") {
  std::vector<merge_rule> rules{{'a', 'a', 256}};
  for (std::int32_t symbol = 256; symbol < 270; ++symbol) {
    rules.push_back({symbol, symbol, symbol + 1});
  }
  byte_pair_encoding const encoding(byte_symbols(), rules);
  // 2^20 letters: the quadratic algorithm would need 10^11 steps and more.
  CHECK(encode(encoding, std::string(1U << 20U, 'a')) == ids(32, 270));
}

TEST_CASE("a byte without symbol is an error that names it") {
  auto symbols = byte_symbols();
  symbols[0xE9] = byte_pair_encoding::no_symbol;
  byte_pair_encoding const encoding(symbols, {});
  CHECK(encode(encoding, "cafe").size() == 4);
  for (std::string_view const word : {"caf\xE9", "\xE9"}) {
    auto const what = refusal<error>([&] { encode(encoding, word); });
    CHECK(has(what, "encode: byte 233 at "));
    CHECK(has(what, "has no token"));
  }
}

TEST_CASE("two rules for one pair and negative symbols are refused") {
  std::vector<merge_rule> const twice{{1, 2, 3}, {1, 3, 4}, {1, 2, 5}};
  CHECK(has(refusal<shape_error>([&] { byte_pair_encoding(byte_symbols(), twice); }),
            "rules 0 and 2 are for the same pair"));
  std::vector<merge_rule> const negative{{1, 2, 3}, {-1, 3, 4}};
  CHECK(has(refusal<shape_error>([&] { byte_pair_encoding(byte_symbols(), negative); }),
            "rule 1 has a negative symbol"));
}
