#include "eckart/factor/cost.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "eckart/factor/apply.hpp"
#include "factor_fixture.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

using namespace eckart;

namespace {

// Numbers in the factors, counted factor by factor and not with the formulas of the library.
auto count_elements(form f, index_t m, index_t n, index_t k) -> index_t {
  switch (f) {
    case form::full_core:
      return m * k + k * k + k * n;
    case form::diagonal_core:
      return m * k + k + k * n;
    case form::two_factor:
      return m * k + k * n;
    case form::pivoted:
      return k * n + (m - k) * k;  // k rows, and k coefficients for each of the others
    case form::dense:
    case form::int8:
      break;
  }
  return m * n;
}

// The last rank that has fewer numbers than the matrix, by trying all of them.
auto search_last_saving_rank(form f, index_t m, index_t n) -> index_t {
  index_t last = 0;
  for (index_t k = 1; k <= std::min(m, n); ++k) {
    if (count_elements(f, m, n, k) < m * n) {
      last = k;
    }
  }
  return last;
}

template <class F>
void for_all_shapes(F&& f) {
  for (index_t m = 1; m <= 40; ++m) {
    for (index_t n = 1; n <= 40; ++n) {
      f(m, n);
    }
  }
}

}  // namespace

TEST_CASE("the figures of the thesis: 1000 x 1000 at rank 50 and 500") {
  CHECK(cost::parameters(form::dense, {1000, 1000}, 0) == 1'000'000);
  CHECK(cost::parameters(form::full_core, {1000, 1000}, 50) == 102'500);
  CHECK(cost::parameters(form::full_core, {1000, 1000}, 500) == 1'250'000);
  CHECK(cost::last_saving_rank(form::full_core, {768, 768}) == 318);
  CHECK(cost::last_saving_rank(form::full_core, {1024, 1024}) == 424);
}

TEST_CASE("parameters are the numbers in the factors: all shapes up to 40 x 40, all ranks") {
  int wrong = 0;
  for_all_shapes([&](index_t m, index_t n) {
    wrong += cost::parameters(form::dense, {m, n}, 7) != static_cast<std::uint64_t>(m * n);
    for (index_t k = 0; k <= std::min(m, n); ++k) {
      for (auto const f : all_factor_forms) {
        auto const expected = static_cast<std::uint64_t>(count_elements(f, m, n, k));
        wrong += cost::parameters(f, {m, n}, k) != expected;
      }
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("the last saving rank is the one that trying all ranks finds: all shapes up to 40 x 40") {
  for (auto const f : all_factor_forms) {
    CAPTURE(name_of(f));
    int wrong = 0;
    for_all_shapes([&](index_t m, index_t n) {
      wrong += cost::last_saving_rank(f, {m, n}) != search_last_saving_rank(f, m, n);
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("a full core saves below the positive root of k^2 + (m+n) k - m n: all shapes") {
  int wrong = 0;
  int whole_roots = 0;
  for_all_shapes([&](index_t m, index_t n) {
    // Squares below 2^53 have exact roots in double, so that whole roots are recognized.
    auto const sum = static_cast<double>(m + n);
    auto const root = (std::sqrt(static_cast<double>(4 * m * n) + sum * sum) - sum) / 2;
    auto const rank = cost::last_saving_rank(form::full_core, {m, n});
    bool const whole = root == std::floor(root);
    // At a whole root both store the same: nothing is saved there.
    wrong += rank != static_cast<index_t>(std::floor(root)) - (whole ? 1 : 0);
    whole_roots += whole;
  });
  CHECK(wrong == 0);
  CHECK(whole_roots > 0);
  CHECK(cost::last_saving_rank(form::full_core, {2, 3}) == 0);  // 1 (2 + 1 + 3) = 2 * 3
}

TEST_CASE("two factors save below m n / (m+n), pivots below the full rank: all shapes") {
  int wrong = 0;
  for_all_shapes([&](index_t m, index_t n) {
    wrong += cost::last_saving_rank(form::two_factor, {m, n}) != (m * n - 1) / (m + n);
    wrong += cost::last_saving_rank(form::diagonal_core, {m, n}) != (m * n - 1) / (m + n + 1);
    wrong += cost::last_saving_rank(form::pivoted, {m, n}) != std::min(m, n) - 1;
  });
  CHECK(wrong == 0);
}

TEST_CASE("the dense form saves nothing and an empty matrix has no rank") {
  CHECK(cost::last_saving_rank(form::dense, {10, 10}) == 0);
  for (auto const f : all_factor_forms) {
    CHECK(cost::last_saving_rank(f, {0, 10}) == 0);
    CHECK(cost::last_saving_rank(f, {10, 0}) == 0);
  }
}

TEST_CASE("the largest rank within a budget fits and the next one does not") {
  for (auto const f : all_factor_forms) {
    CAPTURE(name_of(f));
    int wrong = 0;
    for (auto const w : {shape2{1, 1}, shape2{7, 12}, shape2{12, 7}, shape2{20, 20}}) {
      auto const full = std::min(w.rows, w.cols);
      for (std::uint64_t budget = 0; budget < 1300; ++budget) {
        auto const rank = cost::largest_rank_within(f, w, budget);
        wrong += rank < 0 || rank > full;
        wrong += rank > 0 && cost::parameters(f, w, rank) > budget;
        wrong += rank < full && cost::parameters(f, w, rank + 1) <= budget;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("an unlimited budget gives the full rank") {
  constexpr auto unlimited = std::numeric_limits<std::uint64_t>::max();
  for (auto const f : all_factor_forms) {
    CHECK(cost::largest_rank_within(f, {50265, 768}, unlimited) == 768);
  }
}

TEST_CASE("sizes that 32 bits cannot count are counted") {
  CHECK(cost::parameters(form::dense, {100'000, 100'000}, 0) == 10'000'000'000U);
  CHECK(cost::product_flops(100'000, 100'000, 100'000) == 2'000'000'000'000'000U);
  CHECK(cost::flops(form::dense, {50265, 1024}, 0, 1024) == 2ULL * 50265 * 1024 * 1024);
}

TEST_CASE("FLOPs are those worked by hand") {
  // 4 x 3 at rank 2, five rows of x.
  CHECK(cost::flops(form::dense, {4, 3}, 0, 5) == 2 * 12 * 5);
  CHECK(cost::flops(form::full_core, {4, 3}, 2, 5) == (2 * 6 + 2 * 4 + 2 * 8) * 5);
  CHECK(cost::flops(form::diagonal_core, {4, 3}, 2, 5) == (2 * 6 + 2 + 2 * 8) * 5);
  CHECK(cost::flops(form::two_factor, {4, 3}, 2, 5) == (2 * 6 + 2 * 8) * 5);
  CHECK(cost::product_flops(4, 3, 5) == 120);
}

TEST_CASE_TEMPLATE("FLOPs of every form are those that a counting backend sees: random shapes", T,
                   float, double) {
  std::mt19937 bits(1);
  auto const size = [&](index_t most) { return 1 + static_cast<index_t>(bits()) % most; };
  for (int round = 0; round < 60; ++round) {
    auto const w = shape2{size(24), size(24)};
    auto const k = size(std::min(w.rows, w.cols));
    auto const rows = size(9);
    CAPTURE(w);
    CAPTURE(k);
    CAPTURE(rows);
    auto const x = support::random_matrix<T>(rows, w.cols, 2);
    fixture::in_all_forms<T>(w, k, 3, [&](auto const& factors) {
      counting<reference> const backend;
      apply(x, factors, backend);
      CHECK(backend.flops == cost::flops(factors.stored_as, w, k, rows));
    });
  }
}

TEST_CASE_TEMPLATE("storage of every form is what an empty product reads: random shapes", T, float,
                   double) {
  // Without a row of x nothing but the factors is touched, each once.
  fixture::for_all<T>([](auto const& factors) {
    counting<reference> const backend;
    apply(make_matrix<T>({0, factors.shape().cols}), factors, backend);
    CHECK(backend.flops == 0);
    CHECK(backend.bytes == sizeof(T) * parameters(factors));
    CHECK(backend.bytes ==
          sizeof(T) * cost::parameters(factors.stored_as, factors.shape(), factors.rank()));
  });
}

TEST_CASE("forms have the names that programs and files use") {
  CHECK(name_of(form::dense) == "dense");
  CHECK(name_of(form::full_core) == "full-core");
  CHECK(name_of(form::diagonal_core) == "diagonal-core");
  CHECK(name_of(form::two_factor) == "two-factor");
  CHECK(name_of(form::pivoted) == "pivoted");
}
