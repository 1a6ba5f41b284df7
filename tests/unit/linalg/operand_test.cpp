// Whatever a user holds a matrix in goes into every function, and gives what the matrix gives.
#include "eckart/factor/apply.hpp"
#include "eckart/factor/factorize.hpp"
#include "eckart/linalg/cholesky.hpp"
#include "eckart/linalg/eigh.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/pca.hpp"
#include "eckart/linalg/pinv.hpp"
#include "eckart/linalg/qr.hpp"
#include "eckart/linalg/rsvd.hpp"
#include "eckart/linalg/svd.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <vector>

using namespace eckart;
using support::identical;
using support::random_matrix;
using support::refusal;

namespace {

/// Calls f with the same 6 x 4 numbers in every kind of storage that a user may have.
template <class T, class F>
void for_each_storage(matrix<T> const& a, F&& f) {
  std::vector<T> numbers(a.begin(), a.end());
  auto larger = make_matrix<T>({9, 11});
  larger.fill(support::not_a_number<T>);
  auto const part = as_view(larger).block(2, 3, 6, 4);
  copy(as_view(a), part);
  matrix<T> const zero = a - a;

  f("xt::xtensor", a);
  f("xt::xarray", xt::xarray<T>(a));
  f("an adapted std::vector", xt::adapt(numbers, std::array<std::size_t, 2>{6, 4}));
  f("a raw pointer", matrix_view<T const>(numbers.data(), 6, 4));
  f("a view with a leading dimension", xt::view(larger, xt::range(2, 8), xt::range(3, 7)));
  f("a matrix_view with a leading dimension", part);
  f("a lazy sum", a + zero);
  f("a choice of rows", xt::view(a, xt::keep(0, 1, 2, 3, 4, 5), xt::all()));
}

}  // namespace

TEST_CASE_TEMPLATE("decompositions take every storage", T, float, double) {
  auto const a = random_matrix<T>(6, 4, 1);
  auto const f = svd(a);
  auto const q = qr(a).q;
  auto const pivots = pivoted_qr(a).columns;
  auto const s = rsvd(a, 2).factors.s;
  auto const w = factorize(a, at_rank{2});
  auto const inverse = pinv(a);
  auto const p = pca(a, 2);
  for_each_storage(a, [&](char const* storage, auto const& x) {
    CAPTURE(storage);
    CHECK(identical(svd(x).u, f.u));
    CHECK(identical(qr(x).q, q));
    CHECK(pivoted_qr(x).columns == pivots);
    CHECK(rsvd(x, 2).factors.s == s);
    CHECK(identical(pinv(x), inverse));
    CHECK(identical(least_squares(x, x).x, least_squares(a, a).x));
    CHECK(identical(pca(x, 2).components, p.components));
    CHECK(identical(project(p, x), project(p, a)));
    CHECK(identical(to_matrix(factorize(x, at_rank{2}).u()), to_matrix(w.u())));
  });
}

TEST_CASE_TEMPLATE("products take every storage on both sides", T, float, double) {
  auto const a = random_matrix<T>(6, 4, 2);
  auto const gram = matmul(op::transpose, a, op::none, a);
  auto const w = factorize(random_matrix<T>(5, 4, 3), at_rank{2});
  auto const y = apply(a, w);
  for_each_storage(a, [&](char const* storage, auto const& x) {
    CAPTURE(storage);
    CHECK(identical(matmul(op::transpose, x, op::none, a), gram));
    CHECK(identical(matmul(op::transpose, a, op::none, x), gram));
    CHECK(identical(apply(x, w), y));
  });
}

TEST_CASE_TEMPLATE("symmetric decompositions take lazy expressions", T, float, double) {
  auto const b = random_matrix<T>(5, 5, 4);
  matrix<T> const sum = b + xt::transpose(b);
  CHECK(identical(eigh(b + xt::transpose(b)).vectors, eigh(sum).vectors));
  CHECK(identical(eigh(b + xt::transpose(b), 2).vectors, eigh(sum, 2).vectors));
  matrix<T> const definite = sum + 20 * xt::eye<T>(5);
  CHECK(identical(cholesky(sum + 20 * xt::eye<T>(5)), cholesky(definite)));
}

TEST_CASE_TEMPLATE("a lazy expression is evaluated once, element by element", T, float, double) {
  auto const a = random_matrix<T>(6, 4, 5);
  int evaluations = 0;
  auto const counted = xt::make_lambda_xfunction(
      [&evaluations](T x) {
        ++evaluations;
        return x;
      },
      a);
  auto const f = svd(counted);
  CHECK(evaluations == 24);
  CHECK(identical(f.u, svd(a).u));
  evaluations = 0;
  static_cast<void>(matmul(op::transpose, counted, op::none, a));
  CHECK(evaluations == 24);
}

TEST_CASE_TEMPLATE("column-major and strided storage is refused by name, in every function", T,
                   float, double) {
  auto const column_major = xt::xtensor<T, 2, xt::layout_type::column_major>::from_shape({4, 3});
  auto const even_columns = random_matrix<T>(4, 6, 6);
  auto const strided = xt::view(even_columns, xt::all(), xt::range(0, 6, 2));
  auto const a = random_matrix<T>(4, 3, 7);
  auto const check = [&](auto const& x, char const* text) {
    CHECK(refusal<shape_error>([&] { svd(x); }) == text);
    CHECK(refusal<shape_error>([&] { qr(x); }) == text);
    CHECK(refusal<shape_error>([&] { pivoted_qr(x); }) == text);
    CHECK(refusal<shape_error>([&] { rsvd(x, 1); }) == text);
    CHECK(refusal<shape_error>([&] { eigh(x); }) == text);
    CHECK(refusal<shape_error>([&] { pca(x, 1); }) == text);
    CHECK(refusal<shape_error>([&] { pinv(x); }) == text);
    CHECK(refusal<shape_error>([&] { least_squares(a, x); }) == text);
    CHECK(refusal<shape_error>([&] { cholesky(x); }) == text);
    CHECK(refusal<shape_error>([&] { factorize(x, at_rank{1}); }) == text);
    CHECK(refusal<shape_error>([&] { matmul(op::transpose, a, op::none, x); }) == text);
    CHECK(refusal<shape_error>([&] { apply(x, factorize(a, at_rank{1})); }) == text);
  };
  check(column_major, "as_view: needs row-major storage, got strides (1, 4) for 4 x 3");
  check(strided, "as_view: needs row-major storage, got strides (6, 2) for 4 x 3");
}

TEST_CASE_TEMPLATE("an array or an expression of another rank than two is refused", T, float,
                   double) {
  auto const flat = xt::xarray<T>::from_shape({6});
  auto const deep = xt::xarray<T>::from_shape({2, 3, 4});
  CHECK(refusal<shape_error>([&] { svd(flat); }) == "as_view: needs 2 dimensions, got 1");
  CHECK(refusal<shape_error>([&] { svd(deep + deep); }) == "evaluated: needs 2 dimensions, got 3");
}

TEST_CASE("a product beyond the BLAS integer is refused and nothing is touched") {
  // Views that nobody may read or write: the memory behind them does not exist.
  auto* const nowhere = reinterpret_cast<float*>(std::uintptr_t{64});
  constexpr index_t many = index_t{1} << 31;
  using view = matrix_view<float>;
  for (auto const& [a, b, c] :
       {std::array{view(nowhere, many, 2), view(nowhere, 2, 3), view(nowhere, many, 3)},
        std::array{view(nowhere, 2, many), view(nowhere, many, 3), view(nowhere, 2, 3)},
        std::array{view(nowhere, 3, 2), view(nowhere, 2, many), view(nowhere, 3, many)},
        std::array{view(nowhere, 1, many), view(nowhere, many, 1), view(nowhere, 1, 1)},
        std::array{view(nowhere, 20, 2, many), view(nowhere, 2, 3), view(nowhere, 20, 3)}}) {
    CHECK(refusal<shape_error>([&, a = a, b = b, c = c] { matmul(a, b, c); }) ==
          "BLAS counts with 32 bits: 2147483648 does not fit");
  }
  CHECK(refusal<shape_error>([&] { svd(view(nowhere, many, 2)); }) ==
        "BLAS counts with 32 bits: 2147483648 does not fit");
}

TEST_CASE("a matrix whose bytes an index cannot count is refused") {
  constexpr index_t side = index_t{1} << 31;
  CHECK(refusal<shape_error>([&] {
          make_matrix<double>({side, side});
        }) == "make_matrix: 2147483648 x 2147483648");
}
