#include "eckart/nn/kv_cache.hpp"

#include "support/allocation_counter.hpp"
#include "unit/nn/nn_fixture.hpp"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

using namespace eckart;
using nn_test::has;
using nn_test::random_source;
using support::refusal;

namespace {

/// Rows as lists of (key, value), copied about without any care.
template <class T>
class plain_cache {
 public:
  using token = std::pair<std::vector<T>, std::vector<T>>;

  void reset(index_t rows) { rows_.assign(static_cast<std::size_t>(rows), {}); }

  void append(matrix_view<T const> keys, matrix_view<T const> values) {
    auto const steps = keys.rows / static_cast<index_t>(rows_.size());
    index_t from = 0;
    for (auto& row : rows_) {
      for (index_t s = 0; s < steps; ++s, ++from) {
        row.push_back({{keys.row(from).begin(), keys.row(from).end()},
                       {values.row(from).begin(), values.row(from).end()}});
      }
    }
  }

  void reorder(std::vector<index_t> const& parents) {
    std::vector<std::vector<token>> next;
    for (auto const parent : parents) {
      next.push_back(rows_.at(static_cast<std::size_t>(parent)));
    }
    rows_ = std::move(next);
  }

  auto equals(kv_cache<T> const& cache) const -> bool {
    if (cache.rows() != static_cast<index_t>(rows_.size())) {
      return false;
    }
    for (index_t r = 0; r < cache.rows(); ++r) {
      for (index_t h = 0; h < cache.heads(); ++h) {
        if (!head_equals(cache, r, h)) {
          return false;
        }
      }
    }
    return true;
  }

 private:
  auto head_equals(kv_cache<T> const& cache, index_t r, index_t h) const -> bool {
    auto const& row = rows_[static_cast<std::size_t>(r)];
    auto const d = static_cast<std::size_t>(cache.head_width());
    auto const keys = cache.keys(r, h);
    auto const values = cache.values(r, h);
    shape2 const expected{static_cast<index_t>(row.size()), cache.head_width()};
    if (keys.shape() != expected || values.shape() != expected) {
      return false;
    }
    auto const block_of = [&](std::vector<T> const& all) {
      return std::span(all).subspan(static_cast<std::size_t>(h) * d, d);
    };
    for (index_t t = 0; t < keys.rows; ++t) {
      auto const& [key, value] = row[static_cast<std::size_t>(t)];
      if (!std::ranges::equal(keys.row(t), block_of(key)) ||
          !std::ranges::equal(values.row(t), block_of(value))) {
        return false;
      }
    }
    return true;
  }

  std::vector<std::vector<token>> rows_;
};

template <class T>
void append_random(random_source& random, index_t steps, kv_cache<T>& cache,
                   plain_cache<T>* plain = nullptr) {
  auto const k = random.matrix<T>(cache.rows() * steps, cache.width());
  auto const v = random.matrix<T>(cache.rows() * steps, cache.width());
  cache.append(as_view(k), as_view(v));
  if (plain != nullptr) {
    plain->append(as_view(k), as_view(v));
  }
}

}  // namespace

TEST_CASE("appended tokens stand behind the earlier ones of their row") {
  kv_cache<float> cache(1, 1);
  cache.reset(2, 3);
  CHECK(cache.length() == 0);
  CHECK(cache.capacity() == 3);
  std::vector<float> const keys{1, 2, 3, 4};
  std::vector<float> const values{5, 6, 7, 8};
  cache.append({keys.data(), 4, 1}, {values.data(), 4, 1});  // two steps: 1 2 | 3 4
  cache.append({keys.data(), 2, 1}, {values.data(), 2, 1});  // one step: 1 | 2
  CHECK(cache.length() == 3);
  auto const column = [](matrix_view<float const> m) {
    return std::vector<float>{m(0, 0), m(1, 0), m(2, 0)};
  };
  CHECK(column(cache.keys(0, 0)) == std::vector<float>{1, 2, 1});
  CHECK(column(cache.keys(1, 0)) == std::vector<float>{3, 4, 2});
  CHECK(column(cache.values(0, 0)) == std::vector<float>{5, 6, 5});
  CHECK(column(cache.values(1, 0)) == std::vector<float>{7, 8, 6});
}

TEST_CASE("the tokens of a head follow each other in memory") {
  random_source random(7);
  kv_cache<float> cache(3, 5);
  cache.reset(2, 6);
  append_random(random, 4, cache);
  for (index_t h = 0; h < 3; ++h) {
    CHECK(cache.keys(1, h).ld == 5);
    CHECK(cache.values(1, h).ld == 5);
  }
  CHECK(cache.keys(1, 2).data - cache.keys(1, 1).data == 6 * 5);
}

TEST_CASE_TEMPLATE("any sequence of operations equals a model that copies lists", T, float,
                   double) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    random_source random(seed);
    kv_cache<T> cache(random.integer(1, 3), random.integer(1, 4));
    plain_cache<T> plain;
    auto const restart = [&] {
      auto const rows = random.integer(1, 6);
      cache.reset(rows, random.integer(1, 4));
      plain.reset(rows);
    };
    restart();
    for (int operation = 0; operation < 40; ++operation) {
      auto const choice = random.integer(0, 19);
      if (choice == 0) {
        restart();
      } else if (choice < 11) {
        append_random(random, random.integer(0, 3), cache, &plain);
      } else {
        // Some repeat and permute, some drop the last rows, some drop others.
        std::vector<index_t> parents;
        auto const count = random.integer(1, choice < 15 ? 7 : cache.rows());
        for (index_t r = 0; r < count; ++r) {
          parents.push_back(choice < 17 ? random.integer(0, cache.rows() - 1) : r);
        }
        cache.reorder(parents);
        plain.reorder(parents);
      }
      REQUIRE(plain.equals(cache));
      CHECK(cache.capacity() >= cache.length());
    }
  }
}

TEST_CASE("a full cache doubles and keeps what it holds") {
  random_source random(1);
  kv_cache<double> cache(3, 2);
  plain_cache<double> plain;
  cache.reset(4, 2);
  plain.reset(4);
  std::vector<index_t> capacities;
  for (int step = 0; step < 9; ++step) {
    append_random(random, 1, cache, &plain);
    CHECK(plain.equals(cache));
    capacities.push_back(cache.capacity());
  }
  CHECK(capacities == std::vector<index_t>{2, 2, 4, 4, 8, 8, 8, 8, 16});
  append_random(random, 30, cache, &plain);
  CHECK(plain.equals(cache));
  CHECK(cache.capacity() == 39);
}

TEST_CASE("only the second row that continues another is copied") {
  random_source random(2);
  kv_cache<float> cache(1, 4);
  cache.reset(5, 8);
  append_random(random, 3, cache);
  auto const* const keys = cache.keys(0, 0).data;
  auto const* const values = cache.values(2, 0).data;
  cache.reorder(std::vector<index_t>{0, 1, 2});
  CHECK(cache.rows() == 3);
  CHECK(cache.keys(0, 0).data == keys);
  CHECK(cache.values(2, 0).data == values);
  cache.reorder(std::vector<index_t>{2, 0, 2});
  CHECK(cache.keys(1, 0).data == keys);
  CHECK(cache.values(0, 0).data == values);
  CHECK(cache.values(2, 0).data != values);
  CHECK(std::ranges::equal(cache.values(2, 0).row(1), cache.values(0, 0).row(1)));
}

TEST_CASE("within its capacity a cache appends and reorders without allocating") {
  random_source random(6);
  kv_cache<float> cache(4, 2);
  cache.reset(4, 10);
  auto const tokens = random.matrix<float>(4, 8);
  auto const half = random.matrix<float>(2, 8);
  std::vector<index_t> const swapped{1, 0, 3, 3};
  std::vector<index_t> const dropped{3, 1};
  auto const within = support::allocations_in([&] {
    for (int step = 0; step < 5; ++step) {
      cache.append(as_view(tokens), as_view(tokens));
      cache.reorder(swapped);
    }
    cache.reorder(dropped);
    for (int step = 0; step < 5; ++step) {
      cache.append(as_view(half), as_view(half));
    }
  });
  CHECK(within == 0);
  auto const beyond = support::allocations_in([&] {
    cache.reset(4, 10);
    for (int step = 0; step < 11; ++step) {
      cache.append(as_view(tokens), as_view(tokens));
    }
  });
  CHECK(beyond > 0);
}

TEST_CASE("reset empties the cache and keeps the larger capacity") {
  random_source random(3);
  kv_cache<float> cache(2, 1);
  cache.reset(2, 10);
  append_random(random, 4, cache);
  cache.reset(3, 5);
  CHECK(cache.length() == 0);
  CHECK(cache.rows() == 3);
  CHECK(cache.capacity() == 10);
}

TEST_CASE("a copy is a copy") {
  random_source random(4);
  kv_cache<float> cache(2, 1);
  plain_cache<float> plain;
  cache.reset(2, 2);
  plain.reset(2);
  append_random(random, 1, cache, &plain);
  auto const copied = cache;
  append_random(random, 1, cache);
  cache.reorder(std::vector<index_t>{1, 0});
  CHECK(plain.equals(copied));
}

TEST_CASE("what does not fit is refused with the numbers, the cache stays") {
  random_source random(5);
  kv_cache<float> cache(2, 1);
  auto const four = random.matrix<float>(4, 2);
  auto const wide = random.matrix<float>(4, 3);
  auto const odd = random.matrix<float>(3, 2);
  CHECK(has(refusal<shape_error>([&] { cache.append(as_view(four), as_view(four)); }),
            "for 0 rows of width 2"));
  CHECK(has(refusal<shape_error>([&] { cache.reset(0, 4); }), "0 rows of capacity 4"));
  CHECK(has(refusal<shape_error>([&] { cache.reset(2, 0); }), "2 rows of capacity 0"));
  plain_cache<float> plain;
  cache.reset(2, 4);
  plain.reset(2);
  append_random(random, 2, cache, &plain);
  CHECK(has(refusal<shape_error>([&] { cache.append(as_view(wide), as_view(wide)); }),
            "keys 4 x 3 and values 4 x 3 for 2 rows of width 2"));
  CHECK_THROWS_AS(cache.append(as_view(four), as_view(odd)), shape_error);
  CHECK_THROWS_AS(cache.append(as_view(odd), as_view(odd)), shape_error);
  CHECK(has(refusal<shape_error>([&] {
              cache.reorder(std::vector<index_t>{0, 2});
            }),
            "row 1 from row 2 of 2"));
  CHECK_THROWS_AS(cache.reorder(std::vector<index_t>{-1}), shape_error);
  CHECK(has(refusal<shape_error>([&] { cache.keys(2, 0); }), "head 0 of 2 of row 2 of 2"));
  CHECK_THROWS_AS(cache.values(-1, 0), shape_error);
  CHECK(has(refusal<shape_error>([&] { cache.keys(1, 2); }), "head 2 of 2 of row 1 of 2"));
  CHECK_THROWS_AS(cache.values(1, -1), shape_error);
  CHECK(plain.equals(cache));
}
