#include "eckart/factor/break_even.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace eckart;
using cost::flop_count;

namespace {

constexpr std::array both_counts{flop_count::multiply_add, flop_count::textbook};

struct tally {
  std::uint64_t operations = 0;

  // A (rows x inner) times (inner x columns) product, operation by operation.
  void product(index_t rows, index_t inner, index_t columns, flop_count count) {
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < columns; ++j) {
        for (index_t l = 0; l < inner; ++l) {
          ++operations;                                                      // multiplied
          operations += l > 0 || count == flop_count::multiply_add ? 1 : 0;  // and added
        }
      }
    }
  }
};

// W X for p columns of X, with the factors one after another.
auto count_operations(form f, shape2 w, index_t k, index_t p, flop_count count) -> std::uint64_t {
  tally t;
  switch (f) {
    case form::dense:
    case form::int8:
      t.product(w.rows, w.cols, p, count);
      break;
    case form::full_core:
      t.product(k, w.cols, p, count);
      t.product(k, k, p, count);
      t.product(w.rows, k, p, count);
      break;
    case form::diagonal_core:
      t.product(k, w.cols, p, count);
      t.operations += static_cast<std::uint64_t>(k * p);
      t.product(w.rows, k, p, count);
      break;
    case form::two_factor:
      t.product(k, w.cols, p, count);
      t.product(w.rows, k, p, count);
      break;
    case form::pivoted:
      t.product(k, w.cols, p, count);
      t.product(w.rows - k, k, p, count);
      break;
  }
  return t.operations;
}

// The same by closed formulas, so that all shapes can be searched: checked against the loops below.
auto operations(form f, shape2 w, index_t k, index_t p, flop_count count) -> std::int64_t {
  auto const once = [&](index_t rows, index_t inner) {
    auto const sum = count == flop_count::textbook ? 2 * inner - 1 : 2 * inner;
    return inner == 0 ? 0 : rows * sum * p;
  };
  auto const [m, n] = w;
  auto const first = once(k, n);
  return f == form::dense           ? once(m, n)
         : f == form::full_core     ? first + once(k, k) + once(m, k)
         : f == form::diagonal_core ? first + k * p + once(m, k)
         : f == form::two_factor    ? first + once(m, k)
                                    : first + once(m - k, k);
}

// The last rank with fewer operations than dense, by trying all; -1 if the savings have a gap.
auto search(form f, shape2 w, index_t p, flop_count count) -> index_t {
  auto const dense = operations(form::dense, w, 0, p, count);
  index_t last = 0;
  for (index_t k = 1; k <= std::min(w.rows, w.cols); ++k) {
    if (operations(f, w, k, p, count) < dense) {
      last = last == k - 1 ? k : -1;
    }
  }
  return last;
}

auto search_storage(form f, shape2 w) -> index_t {
  auto const [m, n] = w;
  index_t last = 0;
  for (index_t k = 1; k <= std::min(m, n); ++k) {
    auto const stored = f == form::full_core       ? m * k + k * k + k * n
                        : f == form::diagonal_core ? m * k + k + k * n
                        : f == form::two_factor    ? m * k + k * n
                                                   : k * n + (m - k) * k;
    last = stored < m * n ? k : last;
  }
  return last;
}

template <class F>
void for_all_shapes(F&& f) {
  for (index_t m = 1; m <= 60; ++m) {
    for (index_t n = 1; n <= 60; ++n) {
      f(shape2{m, n});
    }
  }
}

}  // namespace

TEST_CASE("FLOPs by either count are those that loops make, operation by operation") {
  for (auto const count : both_counts) {
    int wrong = 0;
    for (index_t m = 1; m <= 7; ++m) {
      for (index_t n = 1; n <= 7; ++n) {
        for (index_t k = 0; k <= std::min(m, n); ++k) {
          for (index_t const p : {0, 1, 3}) {
            for (auto const f : {form::dense, form::full_core, form::diagonal_core,
                                 form::two_factor, form::pivoted}) {
              auto const made = count_operations(f, {m, n}, k, p, count);
              wrong += cost::flops(f, {m, n}, k, p, count) != made;
              wrong += operations(f, {m, n}, k, p, count) != static_cast<std::int64_t>(made);
            }
          }
        }
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("the textbook's count of a matrix-vector product is (2n - 1) m") {
  CHECK(cost::textbook_product_flops(1000, 1000, 1) == 1'999'000);
  CHECK(cost::textbook_product_flops(3, 4, 5) == 7 * 3 * 5);
  CHECK(cost::textbook_product_flops(3, 0, 5) == 0);
  // U_50 (S_50 (V_50^T x)): (2 * 1000 - 1) 50, (2 * 50 - 1) 50 and (2 * 50 - 1) 1000.
  CHECK(cost::textbook_flops(form::full_core, {1000, 1000}, 50, 1) == 99'950 + 4'950 + 99'000);
}

TEST_CASE("the last ranks that save are those that trying all ranks finds: all shapes to 60 x 60") {
  constexpr std::array<index_t, 4> columns{1, 2, 7, 512};
  for (auto const f : all_factor_forms) {
    CAPTURE(name_of(f));
    for (auto const count : both_counts) {
      int wrong = 0;
      for_all_shapes([&](shape2 w) {
        for (auto const p : columns) {
          auto const expected = search(f, w, p, count);
          auto const found = break_even(w, {p, count})[f];
          wrong += found.matrix_matrix != expected;
          wrong += found.matrix_vector != expected;  // the threshold does not depend on p
          wrong += cost::last_rank_saving_flops(f, w, p, count) != expected;
        }
        wrong += break_even(w)[f].storage != search_storage(f, w);
      });
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("FLOPs by the textbook's count break even where the closed forms say: all shapes") {
  int wrong = 0;
  for_all_shapes([&](shape2 w) {
    auto const [m, n] = w;
    auto const last = [&](form f) {
      return cost::last_rank_saving_flops(f, w, 1, flop_count::textbook);
    };
    auto const full = std::min(m, n);
    auto const k = last(form::full_core);
    wrong += k > 0 && !(k * (m + n + k - 1) < m * n);
    wrong += k < full && (k + 1) * (m + n + k) < m * n;
    wrong += last(form::diagonal_core) != std::min(full, (m * n - 1) / (m + n));
    wrong += last(form::two_factor) != std::min(full, (2 * m * n - 1) / (2 * (m + n) - 1));
    wrong += last(form::pivoted) != full - 1;
  });
  CHECK(wrong == 0);
}

TEST_CASE("the two counts and storage break even at most one rank apart: all shapes") {
  int far = 0;
  int apart = 0;
  for_all_shapes([&](shape2 w) {
    for (auto const f : all_factor_forms) {
      auto const storage = cost::last_saving_rank(f, w);
      for (auto const count : both_counts) {
        auto const difference = cost::last_rank_saving_flops(f, w, 1, count) - storage;
        far += difference < 0 || difference > 1;
        apart += difference != 0;
      }
    }
  });
  CHECK(far == 0);
  CHECK(apart > 0);  // they are not the same
}

TEST_CASE("nothing saves without a matrix, a column or factors") {
  for (auto const count : both_counts) {
    for (auto const f : all_factor_forms) {
      CHECK(break_even({0, 10}, {1, count})[f] == break_even_ranks{0, 0, 0});
      CHECK(break_even({10, 0}, {1, count})[f] == break_even_ranks{0, 0, 0});
      CHECK(break_even({1, 1}, {1, count})[f].all() == 0);
      CHECK(break_even({20, 20}, {0, count})[f].matrix_matrix == 0);
      CHECK(break_even({20, 20}, {0, count})[f].matrix_vector > 0);
    }
    CHECK(break_even({20, 20}, {1, count})[form::dense] == break_even_ranks{0, 0, 0});
    CHECK(cost::last_rank_saving_flops(form::dense, {20, 20}, 1, count) == 0);
  }
}

TEST_CASE("what saves all three is the smallest of the three") {
  CHECK(break_even_ranks{3, 2, 5}.all() == 2);
  CHECK(break_even_ranks{3, 4, 5}.all() == 3);
  CHECK(break_even_ranks{3, 4, 0}.all() == 0);
}

TEST_CASE("a table has a row for each shape, in their order, also at compile time") {
  constexpr std::array<shape2, 3> shapes{{{768, 768}, {3072, 768}, {1000, 1000}}};
  static_assert(break_even_table(shapes).size() == 3);
  static_assert(break_even_table(shapes)[1][form::full_core].storage == 538);
  auto const table = break_even_table(shapes);
  REQUIRE(table.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(table[i].shape == shapes[i]);
    CHECK(table[i].dense_parameters == cost::parameters(form::dense, shapes[i], 0));
    for (auto const f : all_factor_forms) {
      CHECK(table[i][f] == break_even(shapes[i])[f]);
    }
  }
  CHECK(break_even_table({}).empty());
  CHECK(break_even_table(shapes, {0, flop_count::textbook})[0][form::two_factor] ==
        break_even_ranks{383, 384, 0});
}

TEST_CASE("sizes that 32 bits cannot count are compared exactly") {
  constexpr shape2 large{3'000'000, 3'000'000};
  CHECK(break_even(large)[form::pivoted].all() == 2'999'999);
  CHECK(break_even(large, {1, flop_count::textbook})[form::two_factor] ==
        break_even_ranks{1'499'999, 1'500'000, 1'500'000});
  CHECK(break_even(large)[form::full_core].all() == 1'242'640);  // 3e6 (sqrt(2) - 1)
}

namespace {

// Cells of a row of a Markdown table, without the blanks around them.
auto cells(std::string const& line) -> std::vector<std::string> {
  std::vector<std::string> result;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) {
    auto const first = cell.find_first_not_of(' ');
    auto const last = cell.find_last_not_of(' ');
    result.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
  }
  return result;
}

auto form_named(std::string name) -> form {
  std::erase(name, '`');
  std::ranges::replace(name, '_', '-');
  for (auto const f : all_factor_forms) {
    if (name == name_of(f)) {
      return f;
    }
  }
  return form::dense;
}

// "768 x 768" as a shape.
auto shape_in(std::string const& cell) -> std::optional<shape2> {
  std::istringstream in(cell);
  shape2 w;
  std::string times;
  if (in >> w.rows >> times >> w.cols && times == "x") {
    return w;
  }
  return std::nullopt;
}

struct documented {
  std::string measure;  // title of the second column
  form stored_as;
  shape2 shape;
  index_t rank;
};

// Every rank in those tables of the page that have columns of shapes.
auto documented_ranks(std::string const& page) -> std::vector<documented> {
  std::vector<documented> result;
  std::vector<std::string> head;
  std::ifstream in(std::string(ECKART_SOURCE_DIR) + "/" + page);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("| ")) {
      head = line.starts_with("|--") ? head : std::vector<std::string>{};
      continue;
    }
    auto const row = cells(line);
    if (head.empty()) {
      head = row;
      continue;
    }
    for (std::size_t j = 0; j < std::min(row.size(), head.size()); ++j) {
      if (auto const shape = shape_in(head[j])) {
        result.push_back({head[1], form_named(row[0]), *shape, std::stoll(row[j])});
      }
    }
  }
  return result;
}

}  // namespace

TEST_CASE("every break-even rank of docs/low-rank.md is the one that is computed") {
  auto const found = documented_ranks("docs/low-rank.md");
  std::size_t flops = 0;
  for (auto const& d : found) {
    CAPTURE(d.measure);
    CAPTURE(d.shape);
    CAPTURE(name_of(d.stored_as));
    REQUIRE(d.stored_as != form::dense);
    std::array const shape{d.shape};
    if (d.measure.starts_with("FLOPs by hand")) {
      ++flops;
      auto const ranks = break_even_table(shape, {1, flop_count::textbook})[0][d.stored_as];
      CHECK(ranks.matrix_vector == d.rank);
    } else {
      auto const ranks = break_even_table(shape)[0][d.stored_as];
      CHECK(ranks.storage == d.rank);
      CHECK(ranks.all() == d.rank);
    }
  }
  CHECK(found.size() == 24);  // 4 forms, 3 shapes, 2 tables
  CHECK(flops == 12);
}
