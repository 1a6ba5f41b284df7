#include "eckart/nn/embedding.hpp"

#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <memory>
#include <vector>

using namespace eckart;
using nn_test::has;
using nn_test::random_source;
using nn_test::same;
using support::refusal;

namespace {

constexpr index_t vocabulary = 7;
constexpr index_t width = 3;
constexpr index_t longest = 5;
constexpr index_t offset = 2;

template <class T>
auto table() -> shared_matrix<T> {
  return std::make_shared<matrix<T> const>(random_source(1).matrix<T>(vocabulary, width));
}

template <class T>
auto places() -> matrix<T> {
  return random_source(2).matrix<T>(offset + longest, width);
}

}  // namespace

TEST_CASE_TEMPLATE("a row is scale times the token plus the position two rows on", T, float,
                   double) {
  auto const tokens = table<T>();
  auto const positions = places<T>();
  for (auto const scale : {T{1}, T{4}}) {  // powers of two: no rounding but that of the sum
    embedding<T> const embed(tokens, positions, offset, scale);
    for (index_t const first : {0, 3}) {
      std::vector<token_id> const ids{6, 0};
      auto y = make_matrix<T>({2, width});
      embed(ids, first, as_view(y));
      for (index_t t = 0; t < 2; ++t) {
        for (index_t j = 0; j < width; ++j) {
          CHECK(y(t, j) == scale * (*tokens)(ids[static_cast<std::size_t>(t)], j) +
                               positions(offset + first + t, j));
        }
      }
    }
  }
}

TEST_CASE("an embedding knows its sizes and shares its table") {
  auto const tokens = table<float>();
  embedding<float> const embed(tokens, places<float>(), offset, 1.0F);
  CHECK(embed.vocabulary() == vocabulary);
  CHECK(embed.width() == width);
  CHECK(embed.max_positions() == longest);
  CHECK(embed.tokens().get() == tokens.get());
  CHECK(embed.positions().shape() == shape2{offset + longest, width});
}

TEST_CASE("the last token and the last position are in reach, a window is filled") {
  embedding<double> const embed(table<double>(), places<double>(), offset, 1.0);
  auto y = random_source(3).matrix<double>(1, width + 2);
  auto const before = y;
  embed(std::vector<token_id>{vocabulary - 1}, longest - 1, as_view(y).col_range(1, width));
  CHECK(y(0, 0) == before(0, 0));
  CHECK(y(0, width + 1) == before(0, width + 1));
  CHECK(y(0, 1) ==
        (*embed.tokens())(vocabulary - 1, 0) + embed.positions()(offset + longest - 1, 0));
}

TEST_CASE("what lies outside of the tables is refused with both numbers, nothing is written") {
  embedding<double> const embed(table<double>(), places<double>(), offset, 1.0);
  auto y = random_source(4).matrix<double>(3, width);
  auto const before = y;
  auto const told = [&](std::vector<token_id> const& ids, index_t first) {
    auto const what = refusal<shape_error>([&] { embed(ids, first, as_view(y)); });
    CHECK(same(as_view(y), as_view(before)));
    return what;
  };
  CHECK(has(told({0, 1, 7}, 0), "token id 7 is outside the vocabulary of 7"));
  CHECK(has(told({0, -1, 1}, 0), "token id -1 is outside the vocabulary of 7"));
  CHECK(has(told({0, 1, std::numeric_limits<token_id>::min()}, 0), "-2147483648"));
  CHECK(has(told({0, 1, 2}, 3), "positions 3 to 5 exceed the table of 5"));
  CHECK(has(told({0, 1, 2}, -1), "positions -1 to 1"));
  CHECK(has(told({0, 1}, 0), "2 tokens of width 3 into 3 x 3"));
  CHECK(has(told({0, 1, 2, 3}, 0), "4 tokens"));
  auto wide = make_matrix<double>({1, width + 1});
  CHECK_THROWS_AS(embed(std::vector<token_id>{0}, 0, as_view(wide)), shape_error);
}

TEST_CASE("tables that do not fit together are refused") {
  auto const narrow = [] { return random_source(5).matrix<float>(4, width - 1); };
  CHECK(has(refusal<shape_error>([&] { embedding<float>(table<float>(), narrow(), 2, 1.0F); }),
            "tokens 7 x 3, positions 4 x 2"));
  CHECK_THROWS_AS(embedding<float>(table<float>(), places<float>(), offset + longest, 1.0F),
                  shape_error);
  CHECK_THROWS_AS(embedding<float>(table<float>(), places<float>(), -1, 1.0F), shape_error);
}
