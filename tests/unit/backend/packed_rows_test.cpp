#include "eckart/backend/packed_rows.hpp"

#include "support/framed_product.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace eckart;
using support::count_wrong;
using support::framed_operands;
using support::random_matrix;

TEST_CASE("packed rows are multiplied like the textbook, all numbers of rows, the last tile") {
  for (index_t const rows : {1, 4, 5, 8, 9, 15, 16, 17, 31, 32}) {
    for (index_t const n : {8, 9, 15, 16, 41, 700}) {
      for (index_t const k : {0, 1, 7, 16, 33, 300}) {
        if (!detail::can_pack_rows(rows, n)) {
          return;  // not with this processor
        }
        CAPTURE(rows);
        CAPTURE(n);
        CAPTURE(k);
        framed_operands const from(rows, n, k);
        REQUIRE(count_wrong(from, -0.5F, 0, detail::packed_rows_product) == 0);
        REQUIRE(count_wrong(from, -0.5F, -0.75F, detail::packed_rows_product) == 0);
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
