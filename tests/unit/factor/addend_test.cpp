#include "eckart/factor/addend.hpp"

#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace eckart;
using support::distance;
using support::epsilon;
using support::not_a_number;
using support::random_matrix;

TEST_CASE_TEMPLATE("nothing, a multiple of y, or a row is added to a product", T, float, double) {
  for (index_t const rows : {1, 3, 40}) {
    auto const x = random_matrix<T>(rows, 21, 1);
    auto const w = random_matrix<T>(34, 21, 2);
    auto const row = random_matrix<T>(1, 34, 3);
    auto const before = random_matrix<T>(rows, 34, 4);
    auto const product_plus = [&](auto const& backend, addend<T> more, matrix<T> y) {
      detail::add_to_product(as_view(x), as_view(w), more, as_view(y), backend);
      return y;
    };
    // Sums of 21 terms, an addition, in either order.
    auto const bound =
        23 * epsilon<T> * (frobenius_norm(x) * frobenius_norm(w) + frobenius_norm(before));
    auto const check = [&](auto const& backend) {
      auto expected = make_matrix<T>({rows, 34});
      reference{}.gemm(op::none, op::transpose, T{1}, as_view(x), as_view(w), T{0},
                       as_view(expected));
      matrix<T> nothing = before;
      nothing.fill(not_a_number<T>);
      CHECK(distance(product_plus(backend, {}, nothing), expected) <= bound);
      CHECK(distance(product_plus(backend, T{1}, before), matrix<T>(expected + before)) <= bound);
      for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < 34; ++j) {
          as_view(expected)(i, j) += as_view(row)(0, j);
        }
      }
      CHECK(distance(product_plus(backend, addend<T>(as_view(row).row(0)), nothing), expected) <=
            bound * std::sqrt(static_cast<double>(rows)));
    };
    check(reference{});
    check(openblas{});
  }
}
