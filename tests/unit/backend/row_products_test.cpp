#include "eckart/backend/row_products.hpp"

#include "eckart/backend/openblas.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <span>

using namespace eckart;
using support::identical;
using support::not_a_number;
using support::random_matrix;

namespace {

constexpr index_t inputs = 83;

auto filled(shape2 shape) -> matrix<float> {
  auto y = make_matrix<float>(shape);
  y.fill(not_a_number<float>);
  return y;
}

/// inner and y of two products by gemm, one after the other.
struct products {
  matrix<float> inner;
  matrix<float> y;
};

auto one_by_one(matrix<float> const& x, matrix<float> const& right, matrix<float> const& left,
                float beta, std::span<float const> row, matrix<float> y) -> products {
  openblas const blas;
  auto inner = filled({as_view(x).rows, as_view(right).rows});
  blas.gemm<float>(op::none, op::transpose, 1, as_view(x), as_view(right), 0, as_view(inner));
  if (!row.empty()) {
    fill_rows(row, as_view(y));
    beta = 1;
  }
  blas.gemm<float>(op::none, op::transpose, 1, as_view(inner), as_view(left), beta, as_view(y));
  return {inner, y};
}

}  // namespace

TEST_CASE("a product through two factors is the two products, to the last bit") {
  auto const threads = worker_count();
  for (int const count : {1, static_cast<int>(threads)}) {
    set_threads(count);
    for (index_t const rows : {0, 1, 2, 4, 5, 8, 16, 17, 32, 33, 70}) {
      for (index_t const k : {1, 7, 64}) {
        for (index_t const m : {1, 5, 300}) {
          CAPTURE(count);
          CAPTURE(rows);
          CAPTURE(k);
          CAPTURE(m);
          auto const x = random_matrix<float>(rows, inputs, 1);
          auto const right = random_matrix<float>(k, inputs, 2);
          auto const left = random_matrix<float>(m, k, 3);
          auto const added = random_matrix<float>(1, m, 4);
          auto const before = random_matrix<float>(rows, m, 5);
          auto const check = [&](float beta, std::span<float const> row, matrix<float> y) {
            auto const expected = one_by_one(x, right, left, beta, row, y);
            auto inner = filled({rows, k});
            openblas{}.product_through<float>(as_view(x), as_view(right), as_view(inner),
                                              as_view(left), beta, row, as_view(y));
            CHECK(identical(inner, expected.inner));
            CHECK(identical(y, expected.y));
          };
          check(0, {}, filled({rows, m}));
          check(-2, {}, before);
          check(0, as_view(added).row(0), filled({rows, m}));
        }
      }
    }
  }
  set_threads(static_cast<int>(threads));
}

TEST_CASE("the parts of all threads are the whole product, each column once") {
  auto const x = random_matrix<float>(9, inputs, 1);
  auto const w = random_matrix<float>(100, inputs, 2);
  auto whole = filled({9, 100});
  detail::row_product(1, as_view(x), as_view(w), 0, nullptr, as_view(whole))(0, 100);
  for (index_t const workers : {1, 2, 3, 50}) {
    auto parts = filled({9, 100});
    detail::row_product const product(1, as_view(x), as_view(w), 0, nullptr, as_view(parts));
    for (index_t worker = 0; worker < workers; ++worker) {
      product.part(worker, workers);
    }
    CHECK(identical(parts, whole));
  }
}

TEST_CASE("a product through two factors that do not fit is refused and nothing is written") {
  auto const x = random_matrix<float>(3, 6, 1);
  auto const right = random_matrix<float>(2, 6, 2);
  auto const left = random_matrix<float>(5, 2, 3);
  auto inner = make_matrix<float>({3, 2});
  auto y = make_matrix<float>({3, 5});
  auto wrong = make_matrix<float>({3, 4});
  std::vector<float> const row(4);
  inner.fill(7);
  y.fill(7);
  auto const refuses = [&](auto const& l, std::span<float const> added, auto& to) {
    CHECK_THROWS_AS(openblas{}.product_through<float>(as_view(x), as_view(right), as_view(inner),
                                                      as_view(l), 0, added, as_view(to)),
                    shape_error);
  };
  refuses(left, {}, wrong);
  refuses(right, {}, y);
  refuses(left, row, y);
  CHECK(std::ranges::count(y, 7.0F) == 15);
  CHECK(std::ranges::count(inner, 7.0F) == 6);
}
