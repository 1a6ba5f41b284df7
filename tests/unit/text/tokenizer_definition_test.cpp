#include "eckart/text/tokenizer_definition.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "text_fixture.hpp"

using namespace eckart;

TEST_CASE("a byte's symbol is its token, else the unknown token, else none") {
  tokenizer_definition d;
  d.words = vocabulary("v.json", 10);
  d.words.insert("\u0120", 4);
  d.words.insert("a", 5);
  d.words.insert("<unk>", 6);
  auto symbols = byte_symbols(d);
  CHECK(symbols[' '] == 4);
  CHECK(symbols['a'] == 5);
  CHECK(std::count(symbols.begin(), symbols.end(), byte_pair_encoding::no_symbol) == 254);
  d.unknown = 6;
  symbols = byte_symbols(d);
  CHECK(symbols['a'] == 5);
  CHECK(std::count(symbols.begin(), symbols.end(), 6) == 254);
}

TEST_CASE("a definition of nothing puts nothing around a text") {
  tokenizer_definition const d;
  CHECK(d.single.added() == 0);
  CHECK(d.pair.added() == 0);
  CHECK(d.pair.pieces().size() == 2);
}
