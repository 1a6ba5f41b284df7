#include "eckart/backend/packed_rows.hpp"

#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace eckart;
using support::not_a_number;
using support::random_matrix;

TEST_CASE("packed rows are multiplied like the textbook, all numbers of rows, the last tile") {
  for (index_t const rows : {1, 4, 5, 8, 9, 15, 16, 17, 31, 32}) {
    for (index_t const n : {8, 9, 15, 16, 41, 700}) {
      for (index_t const k : {0, 1, 7, 16, 33, 300}) {
        if (!detail::can_pack_rows(rows, n)) {
          return;  // not with this processor
        }
        auto const x = random_matrix<float>(rows, k + 3, 1);
        auto const w = random_matrix<float>(n, k + 5, 2);
        auto const left = as_view(x).col_range(1, k);
        auto const right = as_view(w).col_range(2, k);
        auto const bound = support::product(op::none, support::magnitudes(left), op::transpose,
                                            support::magnitudes(right));
        for (float const beta : {0.0F, -0.75F}) {
          CAPTURE(rows);
          CAPTURE(n);
          CAPTURE(k);
          CAPTURE(beta);
          auto const before = random_matrix<float>(rows, n + 2, 3);
          auto got = before;
          auto expected = before;
          auto const result = as_view(got).col_range(1, n);
          if (beta == 0) {
            for (index_t i = 0; i < rows; ++i) {
              std::ranges::fill(result.row(i), not_a_number<float>);
            }
          }
          detail::packed_rows_product(-0.5F, left, right, beta, result);
          reference{}.gemm(op::none, op::transpose, -0.5F, matrix_view<float const>(left),
                           matrix_view<float const>(right), beta,
                           as_view(expected).col_range(1, n));
          int wrong = 0;
          for (index_t i = 0; i < rows; ++i) {
            wrong += as_view(got)(i, 0) != as_view(before)(i, 0);
            wrong += as_view(got)(i, n + 1) != as_view(before)(i, n + 1);
            for (index_t j = 0; j < n; ++j) {
              // k + 3 roundings each, of at most |alpha| |x| |w| + |beta| |y|.
              auto const size = 0.5 * as_view(bound)(i, j) +
                                std::abs(static_cast<double>(beta * as_view(before)(i, j + 1)));
              auto const error = std::abs(
                  static_cast<double>(as_view(got)(i, j + 1) - as_view(expected)(i, j + 1)));
              wrong += !(error <= (static_cast<double>(k) + 4) * support::epsilon<float> * size);
            }
          }
          REQUIRE(wrong == 0);
        }
      }
    }
  }
}

TEST_CASE("what is left in the packed memory by a larger product does not count") {
  if (!detail::can_pack_rows(32, 8)) {
    return;
  }
  auto const large = random_matrix<float>(32, 50, 1);
  auto const w = random_matrix<float>(8, 50, 2);
  auto y = make_matrix<float>({32, 8});
  detail::packed_rows_product(1, as_view(large), as_view(w), 0, as_view(y));
  auto const small = as_view(large).row_range(0, 17);
  auto again = make_matrix<float>({17, 8});
  detail::packed_rows_product(1, small, as_view(w), 0, as_view(again));
  for (index_t i = 0; i < 17; ++i) {
    CHECK(std::ranges::equal(as_view(again).row(i), as_view(y).row(i)));
  }
}
