#include "eckart/core/fill_rows.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace eckart;

TEST_CASE("every row becomes the given one, what is beside stays") {
  std::vector<double> const row{1, 2, 3};
  for (index_t const rows : {0, 1, 5, 70'000}) {
    auto y = make_matrix<double>({rows, 4});
    y.fill(9);
    fill_rows(std::span<double const>(row), as_view(y).col_range(1, 3));
    bool is_right = true;
    for (index_t i = 0; i < rows; ++i) {
      is_right = is_right && as_view(y)(i, 0) == 9 &&
                 std::ranges::equal(as_view(y).row(i).subspan(1), row);
    }
    CHECK(is_right);
  }
  auto y = make_matrix<double>({2, 4});
  CHECK_THROWS_AS(fill_rows(std::span<double const>(row), as_view(y)), shape_error);
}
