#include "eckart/core/page_pool.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

using eckart::page_pool;

namespace {

/// A block and the byte that it is filled with.
struct filled_block {
  std::size_t bytes;
  unsigned char* at;
  unsigned char value;

  filled_block(page_pool& pool, std::size_t size, unsigned char with)
      : bytes(size), at(static_cast<unsigned char*>(pool.take(size))), value(with) {
    std::memset(at, value, bytes);
  }
  auto is_intact() const -> bool {
    return std::all_of(at, at + bytes, [this](unsigned char x) { return x == value; });
  }
};

/// Takes and gives back at random; the number of blocks that were damaged meanwhile.
auto damaged_blocks(page_pool& pool, std::uint32_t seed, int operations) -> int {
  std::minstd_rand random(seed);
  std::vector<filled_block> blocks;
  int damaged = 0;
  auto const drop = [&](std::size_t i) {
    damaged += !blocks[i].is_intact();
    pool.give_back(blocks[i].at, blocks[i].bytes);
    blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(i));
  };
  for (int i = 0; i < operations; ++i) {
    if (blocks.empty() || (blocks.size() < 30 && random() % 2 == 0)) {
      blocks.emplace_back(pool, 1 + random() % (2U << 20U), static_cast<unsigned char>(i));
    } else {
      drop(random() % blocks.size());
    }
  }
  while (!blocks.empty()) {
    drop(0);
  }
  return damaged;
}

}  // namespace

TEST_CASE("blocks begin at a cache line and stand side by side") {
  page_pool pool;
  auto* const first = static_cast<char*>(pool.take(100));
  auto* const second = static_cast<char*>(pool.take(64));
  auto* const third = static_cast<char*>(pool.take(1));
  CHECK(reinterpret_cast<std::uintptr_t>(first) % page_pool::line == 0);
  CHECK(second == first + 128);
  CHECK(third == second + 64);
  CHECK(pool.chunks() == 1);
  pool.give_back(first, 100);
  pool.give_back(second, 64);
  pool.give_back(third, 1);
}

TEST_CASE("what was given back is taken again, holes side by side are one") {
  page_pool pool;
  constexpr auto quarter = page_pool::chunk_size / 4;
  std::vector<void*> blocks;
  for (int i = 0; i < 4; ++i) {
    blocks.push_back(pool.take(quarter));
  }
  CHECK(pool.chunks() == 1);
  for (auto const& [one, other] : {std::pair{1, 2}, {2, 1}}) {  // either may be the first
    pool.give_back(blocks[static_cast<std::size_t>(one)], quarter);
    pool.give_back(blocks[static_cast<std::size_t>(other)], quarter);
    auto* const both = pool.take(2 * quarter);
    CHECK(both == blocks[1]);
    CHECK(pool.chunks() == 1);
    pool.give_back(both, 2 * quarter);
    CHECK(pool.take(quarter) == blocks[1]);
    CHECK(pool.take(quarter) == blocks[2]);
  }
  for (auto* const block : blocks) {
    pool.give_back(block, quarter);
  }
}

TEST_CASE("of the chunks without blocks one is kept") {
  page_pool pool;
  std::vector<void*> blocks;
  for (int i = 0; i < 3; ++i) {
    blocks.push_back(pool.take(page_pool::chunk_size));
  }
  CHECK(pool.chunks() == 3);
  for (auto* const block : blocks) {
    pool.give_back(block, page_pool::chunk_size);
  }
  CHECK(pool.chunks() == 1);
  auto* const again = pool.take(5);
  CHECK(pool.chunks() == 1);
  pool.give_back(again, 5);
  CHECK(pool.chunks() == 1);
}

TEST_CASE("more than a chunk is refused, the pool stays usable") {
  page_pool pool;
  CHECK_THROWS_AS(pool.take(page_pool::chunk_size + 1), std::bad_alloc);
  auto* const block = pool.take(page_pool::chunk_size);
  CHECK(block != nullptr);
  pool.give_back(block, page_pool::chunk_size);
}

TEST_CASE("no block is touched by the others, and all memory comes together again") {
  page_pool pool;
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    CAPTURE(seed);
    CHECK(damaged_blocks(pool, seed, 1000) == 0);
    CHECK(pool.chunks() == 1);
  }
}

TEST_CASE("several threads may take and give back") {
  page_pool pool;
  std::vector<int> damaged(4, -1);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&pool, &damaged, t] { damaged[t] = damaged_blocks(pool, t + 1, 300); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(damaged == std::vector<int>(4, 0));
  CHECK(pool.chunks() == 1);
}
