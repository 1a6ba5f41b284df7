#include "eckart/backend/counting.hpp"

#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <array>
#include <complex>

using namespace eckart;
using support::identical;
using support::random_matrix;

TEST_CASE_TEMPLATE("a product of 2 x 3 and 3 x 4 is counted as by hand", T, float, double) {
  auto const a = random_matrix<T>(2, 3, 1);
  auto const b = random_matrix<T>(3, 4, 2);
  auto c = random_matrix<T>(2, 4, 3);
  counting<reference> const backend;
  backend.gemm(op::none, op::none, T{1}, as_view(a), as_view(b), T{0}, as_view(c));
  CHECK(backend.flops == 48);                        // 8 results of 3 multiplications and additions
  CHECK(backend.bytes == (6 + 12 + 8) * sizeof(T));  // c is only written
  backend.gemm(op::none, op::none, T{1}, as_view(a), as_view(b), T{1}, as_view(c));
  CHECK(backend.flops == 48 + 48);
  CHECK(backend.bytes == (6 + 12 + 8 + 6 + 12 + 16) * sizeof(T));  // c is read too
}

TEST_CASE_TEMPLATE("a transposed product counts like the same one written plainly", T, float,
                   double) {
  auto const a = random_matrix<T>(3, 2, 1);
  auto const b = random_matrix<T>(4, 3, 2);
  auto c = random_matrix<T>(2, 4, 3);
  counting<reference> const backend;
  backend.gemm(op::transpose, op::transpose, T{1}, as_view(a), as_view(b), T{0}, as_view(c));
  CHECK(backend.flops == 48);
  CHECK(backend.bytes == 26 * sizeof(T));
}

TEST_CASE_TEMPLATE("scaling 2 x 3 is six multiplications", T, float, double) {
  auto c = random_matrix<T>(2, 3, 1);
  std::array<T, 3> const d{1, 2, 3};
  counting<reference> const backend;
  backend.scale_columns(std::span<T const>(d), as_view(c));
  CHECK(backend.flops == 6);
  CHECK(backend.bytes == (3 + 6 + 6) * sizeof(T));
}

TEST_CASE_TEMPLATE("counting changes no result", T, float, double) {
  auto const a = random_matrix<T>(5, 7, 1);
  auto const b = random_matrix<T>(7, 6, 2);
  auto counted = random_matrix<T>(5, 6, 3);
  auto plain = counted;
  std::array<T, 6> const d{1, 2, 3, 4, 5, 6};
  auto const compute = [&](auto const& backend, matrix<T>& c) {
    backend.gemm(op::none, op::none, T{2}, as_view(a), as_view(b), T{3}, as_view(c));
    backend.scale_columns(std::span<T const>(d), as_view(c));
  };
  compute(counting<reference>{}, counted);
  compute(reference{}, plain);
  CHECK(identical(counted, plain));
}

TEST_CASE("what is refused is not counted") {
  auto const a = random_matrix<double>(2, 3, 1);
  auto c = random_matrix<double>(2, 2, 2);
  std::array<double, 3> const d{};
  counting<reference> const backend;
  CHECK_THROWS_AS(backend.gemm(op::none, op::none, 1.0, as_view(a), as_view(a), 0.0, as_view(c)),
                  shape_error);
  CHECK_THROWS_AS(backend.scale_columns(std::span<double const>(d), as_view(c)), shape_error);
  CHECK(backend.flops == 0);
  CHECK(backend.bytes == 0);
}

TEST_CASE("after a reset counting begins anew") {
  auto const a = random_matrix<double>(2, 2, 1);
  auto c = random_matrix<double>(2, 2, 2);
  counting<reference> const backend;
  auto const multiply = [&] {
    backend.gemm(op::none, op::none, 1.0, as_view(a), as_view(a), 0.0, as_view(c));
  };
  multiply();
  backend.reset();
  CHECK(backend.flops == 0);
  CHECK(backend.bytes == 0);
  multiply();
  CHECK(backend.flops == 16);
}

TEST_CASE("a complex multiply-add is four products and four sums") {
  using C = std::complex<double>;
  matrix<C> const a{{C(1, 1), C(2, 0)}};
  matrix<C> const b{{C(1, 0)}, {C(0, 1)}};
  auto c = make_matrix<C>({1, 1});
  counting<reference> const backend;
  backend.gemm(op::none, op::none, C(1), as_view(a), as_view(b), C(0), as_view(c));
  CHECK(c(0, 0) == C(1, 3));
  CHECK(backend.flops == 16);
  CHECK(backend.bytes == 5 * sizeof(C));
}
