#include "eckart/backend/few_rows.hpp"

#include "eckart/backend/reference.hpp"
#include "support/framed_product.hpp"
#include "support/matrix_check.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace eckart;
using support::count_wrong;
using support::framed_operands;
using support::identical;

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

/// A kernel of this instruction set, as count_wrong takes it.
auto by_level(simd_level level) {
  return [level](float alpha, matrix_view<float const> x, matrix_view<float const> w, float beta,
                 matrix_view<float> y) {
    detail::few_rows_product(detail::kernels_of(level), alpha, x, w, beta, y);
  };
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
          framed_operands const from(rows, n, k);
          REQUIRE(count_wrong(from, 1, 0, by_level(level)) == 0);
          REQUIRE(count_wrong(from, -0.5F, 1, by_level(level)) == 0);
          REQUIRE(count_wrong(from, 2, -0.75F, by_level(level)) == 0);
        }
      }
    }
  }
}

TEST_CASE("weights for several threads are multiplied like the textbook") {
  for (auto const level : levels()) {
    framed_operands const from(6, 1003, 260);
    CHECK(count_wrong(from, 1, 0, by_level(level)) == 0);
  }
}

TEST_CASE("a row's answer does not depend on the rows beside it") {
  constexpr index_t k = 77;
  constexpr index_t n = 30;
  framed_operands const from(9, n, k);
  for (auto const level : levels()) {
    CAPTURE(static_cast<int>(level));
    auto const kernels = detail::kernels_of(level);
    auto together = make_matrix<float>({9, n});
    detail::few_rows_product(kernels, 1, from.left(), from.right(), 0, as_view(together));
    for (index_t i = 0; i < 9; ++i) {
      auto alone = make_matrix<float>({1, n});
      detail::few_rows_product(kernels, 1, from.left().row_range(i, 1), from.right(), 0,
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
