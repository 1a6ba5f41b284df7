#include "eckart/backend/few_rows.hpp"

#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace eckart;
using support::identical;
using support::not_a_number;
using support::random_matrix;

namespace {

/// The instruction sets that this processor has kernels for.
auto levels() -> std::vector<simd_level> {
  std::vector<simd_level> result{simd_level::sse};
  auto const best = detail::processor_level().value_or(simd_level::sse);
  for (auto const level : {simd_level::avx2, simd_level::avx512}) {
    if (level <= best) {
      result.push_back(level);
    }
  }
  return result;
}

struct operands {
  matrix<float> x;  // with columns beside those that count
  matrix<float> w;
  matrix<float> y;

  operands(index_t rows, index_t n, index_t k)
      : x(random_matrix<float>(rows, k + 3, 1)),
        w(random_matrix<float>(n, k + 5, 2)),
        y(random_matrix<float>(rows, n + 2, 3)) {}

  auto left(index_t k) const -> matrix_view<float const> { return as_view(x).col_range(1, k); }
  auto right(index_t k) const -> matrix_view<float const> { return as_view(w).col_range(2, k); }
};

/// Entries that are further from the textbook's loops than both may be from the exact sum: k + 3
/// roundings each, of at most |alpha| |x| |w| + |beta| |y|.
auto count_wrong(simd_level level, operands const& from, index_t k, float alpha, float beta)
    -> int {
  auto got = from.y;
  auto expected = from.y;
  auto const n = as_view(from.w).rows;
  auto const rows = as_view(from.x).rows;
  auto const result = as_view(got).col_range(1, n);
  if (beta == 0) {
    for (index_t i = 0; i < rows; ++i) {
      std::ranges::fill(result.row(i), not_a_number<float>);
    }
  }
  detail::few_rows_product(detail::kernels_of(level), alpha, from.left(k), from.right(k), beta,
                           result);
  reference{}.gemm(op::none, op::transpose, alpha, from.left(k), from.right(k), beta,
                   as_view(expected).col_range(1, n));
  auto const bound = support::product(op::none, support::magnitudes(from.left(k)), op::transpose,
                                      support::magnitudes(from.right(k)));
  int wrong = 0;
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < n + 2; ++j) {
      auto const value = as_view(got)(i, j);
      if (j == 0 || j == n + 1) {
        wrong += value != as_view(from.y)(i, j);
        continue;
      }
      auto const size = std::abs(static_cast<double>(alpha)) * as_view(bound)(i, j - 1) +
                        std::abs(static_cast<double>(beta * as_view(from.y)(i, j)));
      auto const error = std::abs(static_cast<double>(value - as_view(expected)(i, j)));
      wrong += !(error <= (static_cast<double>(k) + 4) * support::epsilon<float> * size);
    }
  }
  return wrong;
}

}  // namespace

TEST_CASE("every kernel multiplies like the textbook, all numbers of rows, tails, beside nothing") {
  for (auto const level : levels()) {
    for (index_t const rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17}) {
      for (index_t const n : {0, 1, 2, 3, 4, 5, 7, 8, 41}) {
        for (index_t const k : {0, 1, 7, 8, 9, 15, 16, 17, 64, 100}) {
          CAPTURE(static_cast<int>(level));
          CAPTURE(rows);
          CAPTURE(n);
          CAPTURE(k);
          operands const from(rows, n, k);
          REQUIRE(count_wrong(level, from, k, 1, 0) == 0);
          REQUIRE(count_wrong(level, from, k, -0.5F, 1) == 0);
          REQUIRE(count_wrong(level, from, k, 2, -0.75F) == 0);
        }
      }
    }
  }
}

TEST_CASE("weights for several threads are multiplied like the textbook") {
  for (auto const level : levels()) {
    operands const from(6, 1003, 260);
    CHECK(count_wrong(level, from, 260, 1, 0) == 0);
  }
}

TEST_CASE("a row's answer does not depend on the rows beside it") {
  constexpr index_t k = 77;
  constexpr index_t n = 30;
  operands const from(9, n, k);
  for (auto const level : levels()) {
    CAPTURE(static_cast<int>(level));
    auto const kernels = detail::kernels_of(level);
    auto together = make_matrix<float>({9, n});
    detail::few_rows_product(kernels, 1, from.left(k), from.right(k), 0, as_view(together));
    for (index_t i = 0; i < 9; ++i) {
      auto alone = make_matrix<float>({1, n});
      detail::few_rows_product(kernels, 1, from.left(k).row_range(i, 1), from.right(k), 0,
                               as_view(alone));
      CHECK(std::ranges::equal(as_view(alone).row(0), as_view(together).row(i)));
    }
  }
}

TEST_CASE("small integers are multiplied exactly by all kernels") {
  auto x = make_matrix<float>({5, 33});
  auto w = make_matrix<float>({9, 33});
  float next = 0;
  for (auto& value : x) {
    value = next = next < 7 ? next + 1 : -8;
  }
  for (auto& value : w) {
    value = next = next < 5 ? next + 1 : -6;
  }
  auto expected = make_matrix<float>({5, 9});
  reference{}.gemm(op::none, op::transpose, 1.0F, matrix_view<float const>(as_view(x)),
                   matrix_view<float const>(as_view(w)), 0.0F, as_view(expected));
  for (auto const level : levels()) {
    auto got = make_matrix<float>({5, 9});
    detail::few_rows_product(detail::kernels_of(level), 1, as_view(x), as_view(w), 0, as_view(got));
    CHECK(identical(got, expected));
  }
}
