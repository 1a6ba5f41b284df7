#include "eckart/core/parallel.hpp"

#include "eckart/core/error.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

using namespace eckart;

TEST_CASE("every number below the count is called once") {
  for (index_t const count : {0, 1, 2, 3, 7, 100, 1000}) {
    CAPTURE(count);
    std::vector<int> calls(static_cast<std::size_t>(count), 0);
    parallel_for(count, [&](index_t i) { ++calls[static_cast<std::size_t>(i)]; });
    CHECK(std::ranges::count(calls, 1) == count);
  }
}

TEST_CASE("a count below 0 calls nothing") {
  bool called = false;
  parallel_for(-3, [&](index_t) { called = true; });
  CHECK(!called);
}

TEST_CASE("an exception of a call is thrown again, with its type, when all others have ended") {
  for (index_t const bad : {0, 17, 99}) {
    CAPTURE(bad);
    std::vector<int> calls(100, 0);
    std::string told;
    try {
      parallel_for(100, [&](index_t i) {
        if (i == bad) {
          throw shape_error(message("call ", i));
        }
        ++calls[static_cast<std::size_t>(i)];
      });
    } catch (shape_error const& e) {
      told = e.what();
    }
    CHECK(told == message("call ", bad));
    CHECK(std::ranges::count(calls, 1) == 99);
  }
}

TEST_CASE("of many exceptions one is thrown") {
  std::atomic<int> thrown = 0;
  int caught = -1;
  try {
    parallel_for(50, [&](index_t i) {
      ++thrown;
      throw static_cast<int>(i);
    });
  } catch (int i) {
    caught = i;
  }
  CHECK(thrown == 50);
  CHECK(caught >= 0);
  CHECK(caught < 50);
}

TEST_CASE("after an exception the next loop runs") {
  CHECK_THROWS_AS(parallel_for(4, [](index_t) { throw std::runtime_error("one"); }),
                  std::runtime_error);
  std::atomic<int> calls = 0;
  parallel_for(8, [&](index_t) { ++calls; });
  CHECK(calls == 8);
}

TEST_CASE("a loop inside a loop calls everything once") {
  std::vector<std::vector<int>> calls(6, std::vector<int>(9, 0));
  parallel_for(6, [&](index_t i) {
    parallel_for(
        9, [&](index_t j) { ++calls[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]; });
  });
  for (auto const& row : calls) {
    CHECK(std::ranges::count(row, 1) == 9);
  }
}

TEST_CASE("a function object is used, not copied") {
  struct counter {
    std::atomic<int> calls = 0;
    counter() = default;
    counter(counter const&) = delete;
    auto operator=(counter const&) -> counter& = delete;
    void operator()(index_t) { ++calls; }
  } count;
  parallel_for(5, count);
  CHECK(count.calls == 5);
}

TEST_CASE("pieces of rows are all rows once, and few numbers are one piece") {
  for (index_t const rows : {0, 1, 7, 1000, 100'000}) {
    for (index_t const cols : {0, 1, 300, 70'000}) {
      CAPTURE(rows);
      CAPTURE(cols);
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(rows));
      std::atomic<int> pieces = 0;
      parallel_rows(rows, cols, [&](index_t first, index_t last) {
        ++pieces;
        for (index_t i = first; i < last; ++i) {
          ++calls[static_cast<std::size_t>(i)];
        }
      });
      CHECK(std::ranges::all_of(calls, [](std::atomic<int> const& n) { return n == 1; }));
      if (rows * std::max<index_t>(cols, 1) <= 1 << 16) {
        CHECK(pieces == 1);
      }
    }
  }
}

TEST_CASE("each call knows its worker, and the workers of an inner loop are one") {
  auto const workers = worker_count();
  CHECK(workers >= 1);
  std::vector<std::atomic<int>> calls(200);
  std::atomic<int> wrong = 0;
  parallel_for_workers(200, [&](index_t i, index_t worker) {
    ++calls[static_cast<std::size_t>(i)];
    wrong += worker < 0 || worker >= workers;
    if (workers > 1) {
      wrong += worker_count() != 1;
    }
    parallel_for_workers(3, [&](index_t, index_t inner) { wrong += inner != 0 && workers > 1; });
  });
  CHECK(std::ranges::all_of(calls, [](std::atomic<int> const& n) { return n == 1; }));
  CHECK(wrong == 0);
}

TEST_CASE("pieces of whole groups are all rows once, cheap ones are one piece") {
  for (index_t const rows : {0, 1, 7, 8, 9, 1000, 50'265}) {
    for (index_t const cost : {1, 768}) {
      CAPTURE(rows);
      CAPTURE(cost);
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(rows));
      std::atomic<int> pieces = 0;
      std::atomic<int> wrong = 0;
      parallel_pieces(rows, 8, cost, [&](index_t first, index_t last) {
        ++pieces;
        wrong += first % 8 != 0 || (last % 8 != 0 && last != rows);
        for (index_t i = first; i < last; ++i) {
          ++calls[static_cast<std::size_t>(i)];
        }
      });
      CHECK(std::ranges::all_of(calls, [](std::atomic<int> const& n) { return n == 1; }));
      CHECK(wrong == 0);
      if (rows * cost <= 1 << 16 || worker_count() == 1) {
        CHECK(pieces == 1);
      } else {
        CHECK(pieces <= std::max(worker_count(), rows / (16 * 8) + 1));
      }
    }
  }
}

TEST_CASE("a second call begins when all threads have ended the first") {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> ended = 0;
    std::atomic<int> early = 0;
    std::atomic<int> calls = 0;
    index_t team = 0;
    parallel_in_turn(
        [&](index_t worker, index_t workers) {
          if (worker == 0) {
            team = workers;
          }
          ++ended;
        },
        [&](index_t worker, index_t workers) {
          early += ended == static_cast<int>(workers) && worker < workers ? 0 : 1;
          ++calls;
        });
    CHECK(early == 0);
    CHECK(calls == static_cast<int>(team));
  }
}

TEST_CASE("an exception of one thread does not keep the others from their second call") {
  std::atomic<int> calls = 0;
  std::atomic<int> team = 0;
  CHECK_THROWS_AS(parallel_in_turn(
                      [&](index_t worker, index_t workers) {
                        if (worker == 0) {
                          team = static_cast<int>(workers);
                          throw shape_error("the first");
                        }
                      },
                      [&](index_t, index_t) { ++calls; }),
                  shape_error);
  CHECK(calls == team);
}
