#include "eckart/backend/openblas.hpp"

#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

using namespace eckart;
using support::identical;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

namespace {

// A matrix in the middle of a larger one, so that every access beside it shows.
template <class T>
struct embedded {
  matrix<T> around;
  index_t rows;
  index_t cols;

  embedded(index_t rows_, index_t cols_, std::uint32_t seed)
      : around(random_matrix<T>(rows_ + 3, cols_ + 5, seed)), rows(rows_), cols(cols_) {}

  auto view() -> matrix_view<T> { return as_view(around).block(1, 2, rows, cols); }
};

template <class T>
struct coefficients {
  T alpha;
  T beta;
};

// Elements of c that are further from the oracle's result than allowed. Each of the two products
// makes k multiplications, k - 1 additions and at most 3 more operations with alpha and beta. Its
// error is at most (k + 3) eps / 2 (|alpha| |a| |b| + |beta| |c|) plus terms of order eps^2 (one
// more eps / 2 covers them), so that two of them differ by at most (k + 4) eps times that.
template <class T>
auto count_wrong(op p, op q, coefficients<T> with, embedded<T>& a, embedded<T>& b,
                 embedded<T> const& before) -> int {
  auto got = before;
  auto expected = before;
  auto const bound =
      support::product(p, support::magnitudes(a.view()), q, support::magnitudes(b.view()));
  if (with.beta == 0) {
    for (index_t i = 0; i < got.rows; ++i) {
      std::ranges::fill(got.view().row(i), not_a_number<T>);
    }
  }
  auto const start = got;
  openblas{}.gemm(p, q, with.alpha, matrix_view<T const>(a.view()), matrix_view<T const>(b.view()),
                  with.beta, got.view());
  reference{}.gemm(p, q, with.alpha, matrix_view<T const>(a.view()), matrix_view<T const>(b.view()),
                   with.beta, expected.view());
  auto const k = static_cast<double>(shape_of(p, a.view().shape()).cols);
  auto const whole = as_view(got.around);
  int wrong = 0;
  for (index_t i = 0; i < whole.rows; ++i) {
    for (index_t j = 0; j < whole.cols; ++j) {
      bool const inside = i >= 1 && i < 1 + got.rows && j >= 2 && j < 2 + got.cols;
      if (!inside) {
        wrong += whole(i, j) != as_view(start.around)(i, j);
        continue;
      }
      auto const old = static_cast<double>(as_view(before.around)(i, j));
      auto const size = std::abs(static_cast<double>(with.alpha)) * as_view(bound)(i - 1, j - 2) +
                        std::abs(static_cast<double>(with.beta) * old);
      auto const error = std::abs(static_cast<double>(whole(i, j)) -
                                  static_cast<double>(as_view(expected.around)(i, j)));
      wrong += !(error <= (k + 4) * support::epsilon<T> * size);
    }
  }
  return wrong;
}

}  // namespace

// 0 and 1 take paths of their own; 17 and 40 are no multiples of a vector or a kernel's tile.
TEST_CASE_TEMPLATE("OpenBLAS multiplies like the textbook: all shapes, transpositions, blocks", T,
                   float, double) {
  constexpr std::array<index_t, 7> sizes{0, 1, 2, 5, 16, 17, 40};
  constexpr std::array<coefficients<T>, 3> scalings{{{1, 0}, {T(-0.5), 1}, {2, T(-0.75)}}};
  std::uint32_t seed = 0;
  for (auto const m : sizes) {
    for (auto const n : sizes) {
      for (auto const k : sizes) {
        for (auto const p : {op::none, op::transpose}) {
          for (auto const q : {op::none, op::transpose}) {
            auto const left = shape_of(p, {m, k});
            auto const right = shape_of(q, {k, n});
            embedded<T> a(left.rows, left.cols, ++seed);
            embedded<T> b(right.rows, right.cols, ++seed);
            embedded<T> const c(m, n, ++seed);
            for (auto const with : scalings) {
              CAPTURE(m);
              CAPTURE(n);
              CAPTURE(k);
              CAPTURE(static_cast<int>(p));
              CAPTURE(static_cast<int>(q));
              CAPTURE(with.beta);
              REQUIRE(count_wrong(p, q, with, a, b, c) == 0);
            }
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("OpenBLAS multiplies matrices of several kernel blocks like the textbook", T,
                   float, double) {
  for (auto const p : {op::none, op::transpose}) {
    for (auto const q : {op::none, op::transpose}) {
      auto const left = shape_of(p, {131, 203});
      auto const right = shape_of(q, {203, 97});
      embedded<T> a(left.rows, left.cols, 1);
      embedded<T> b(right.rows, right.cols, 2);
      embedded<T> const c(131, 97, 3);
      CHECK(count_wrong<T>(p, q, {1, 0}, a, b, c) == 0);
      CHECK(count_wrong<T>(p, q, {1, 1}, a, b, c) == 0);
    }
  }
}

TEST_CASE_TEMPLATE("the upper triangle of x^T x is the product's, and the lower is not touched", T,
                   float, double) {
  for (index_t const n : {0, 1, 2, 17, 200}) {
    for (index_t const rows : {0, 1, 3, 131}) {
      CAPTURE(n);
      CAPTURE(rows);
      embedded<T> x(rows, n, 5);
      auto result = make_matrix<T>({n, n});
      result.fill(T{7});
      openblas{}.upper_gram(matrix_view<T const>(x.view()), as_view(result));
      auto expected = make_matrix<T>({n, n});
      reference{}.gemm(op::transpose, op::none, T{1}, matrix_view<T const>(x.view()),
                       matrix_view<T const>(x.view()), T{0}, as_view(expected));
      int wrong = 0;
      for (index_t i = 0; i < n; ++i) {
        for (index_t j = 0; j < n; ++j) {
          // No entry of the sum is larger than the root of two entries of the diagonal.
          auto const size = std::sqrt(static_cast<double>(as_view(expected)(i, i)) *
                                      static_cast<double>(as_view(expected)(j, j)));
          auto const error = std::abs(static_cast<double>(as_view(result)(i, j)) -
                                      static_cast<double>(as_view(expected)(i, j)));
          wrong += j < i
                       ? as_view(result)(i, j) != T{7}
                       : !(error <= 2 * static_cast<double>(rows + 4) * support::epsilon<T> * size);
        }
      }
      CHECK(wrong == 0);
    }
  }
  auto small = make_matrix<T>({2, 2});
  embedded<T> x(3, 3, 5);
  CHECK_THROWS_AS(openblas{}.upper_gram(matrix_view<T const>(x.view()), as_view(small)),
                  shape_error);
}

TEST_CASE_TEMPLATE("small integers are multiplied exactly", T, float, double) {
  matrix<T> const a{{1, 2, 3}, {4, 5, 6}};
  matrix<T> const b{{1, 0}, {2, -1}, {0, 3}};
  matrix<T> c{{1, -1}, {10, 0}};
  openblas{}.gemm(op::none, op::none, T{2}, as_view(a), as_view(b), T{-3}, as_view(c));
  CHECK(identical(c, matrix<T>{{7, 17}, {-2, 26}}));
}

TEST_CASE_TEMPLATE("a refused product writes nothing", T, float, double) {
  auto const a = random_matrix<T>(2, 3, 1);
  for (auto const shape : {shape2{2, 2}, shape2{1, 3}, shape2{2, 1}}) {
    auto c = random_matrix<T>(shape.rows, shape.cols, 2);
    auto const before = c;
    CHECK(refusal<shape_error>([&] {
            openblas{}.gemm(op::none, op::none, T{1}, as_view(a), as_view(a), T{0}, as_view(c));
          }) == message("gemm: (2 x 3) times (2 x 3) into (", shape, ")"));
    CHECK(identical(c, before));
  }
}

TEST_CASE_TEMPLATE("a leading dimension beyond 32 bits is refused and nothing is written", T, float,
                   double) {
  constexpr index_t far = index_t{1} << 31;
  std::array<T, 6> numbers{1, 2, 3, 4, 5, 6};
  std::array<T, 4> result{7, 7, 7, 7};
  auto const row = matrix_view<T const>(numbers.data(), 1, 2, far);
  auto const product = [&](op p, op q, matrix_view<T const> a, matrix_view<T const> b,
                           matrix_view<T> c) {
    return refusal<shape_error>([&] { openblas{}.gemm(p, q, T{1}, a, b, T{0}, c); });
  };
  constexpr auto expected = "BLAS counts with 32 bits: 2147483648 does not fit";
  auto const scalar = matrix_view<T const>(numbers.data(), 1, 1);
  auto const row_out = matrix_view<T>(result.data(), 1, 2);
  auto const column_out = matrix_view<T>(result.data(), 2, 1);
  auto const square_out = matrix_view<T>(result.data(), 2, 2);
  if constexpr (std::same_as<T, double>) {  // of floats no BLAS is asked
    CHECK(product(op::none, op::none, scalar, row, row_out) == expected);
  }
  CHECK(product(op::transpose, op::none, row, scalar, column_out) == expected);
  CHECK(product(op::transpose, op::none, row, row, square_out) == expected);
  for (auto const x : result) {
    CHECK(x == 7);
  }
}

TEST_CASE("a size beyond 32 bits is refused by name") {
  CHECK(to_blas_int(0) == 0);
  CHECK(to_blas_int((index_t{1} << 31) - 1) == 2147483647);
  CHECK(refusal<shape_error>([] { to_blas_int(index_t{1} << 31); }) ==
        "BLAS counts with 32 bits: 2147483648 does not fit");
  CHECK(refusal<shape_error>([] { to_blas_int((index_t{1} << 32) + 5); }) ==
        "BLAS counts with 32 bits: 4294967301 does not fit");
  CHECK_THROWS_AS(to_blas_int(-1), shape_error);
}

TEST_CASE_TEMPLATE("scaling columns is one rounding an entry, as in the textbook", T, float,
                   double) {
  embedded<T> got(9, 21, 1);
  auto expected = got;
  auto const d = random_matrix<T>(1, 21, 2);
  auto const factors = as_view(d).row(0);
  openblas{}.scale_columns(factors, got.view());
  reference{}.scale_columns(factors, expected.view());
  CHECK(identical(got.around, expected.around));
  auto const before = got.around;
  CHECK_THROWS_AS(openblas{}.scale_columns(factors.first(20), got.view()), shape_error);
  CHECK(identical(got.around, before));
}

// gesdd needs 3 n^2 + 7 n elements for n x n (its documentation: max(m, 3 k^2 + 4 k) + 3 k). The
// query answers in T, and a float holds such numbers only up to rounding.
TEST_CASE_TEMPLATE("the answered workspace is never rounded below LAPACK's minimum", T, float,
                   double) {
  auto const minimum = [](index_t n) { return 3 * n * n + 7 * n; };
  for (index_t n = 4090; n < 4110; ++n) {
    CAPTURE(n);
    auto const integers =
        8 * n * static_cast<index_t>(sizeof(int)) / static_cast<index_t>(sizeof(T));
    auto const size = openblas{}.svd_worksize<T>(svd_method::divide_and_conquer, shape2{n, n});
    CHECK(size - integers >= minimum(n));
  }
}

TEST_CASE_TEMPLATE("LAPACK's own interface decomposes a diagonal matrix", T, float, double) {
  matrix<T> const input{{0, 3, 0}, {-2, 0, 0}};
  for (auto const method : {svd_method::divide_and_conquer, svd_method::qr_iteration}) {
    auto a = input;
    auto s = make_vector<T>(2);
    auto u = make_matrix<T>({2, 2});
    auto vt = make_matrix<T>({2, 3});
    auto work = make_vector<T>(openblas{}.svd_worksize<T>(method, shape2{2, 3}));
    CHECK(openblas{}.svd(method, as_view(a), as_span(s), as_view(u), as_view(vt), as_span(work)) ==
          0);
    // c n eps ||a|| with c = 10, n = 3 and ||a|| <= 4.
    auto const bound = 10 * 3 * support::epsilon<T> * 4;
    CHECK(std::abs(static_cast<double>(s(0)) - 3) <= bound);
    CHECK(std::abs(static_cast<double>(s(1)) - 2) <= bound);
    auto const product = support::layers<T>(as_view(std::as_const(u)), as_span(std::as_const(s)),
                                            as_view(std::as_const(vt)), 2);
    CHECK(support::distance(product, input) <= bound);
  }
}
