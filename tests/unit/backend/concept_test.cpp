#include "eckart/backend/concept.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/openblas.hpp"
#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"

#include <doctest/doctest.h>

#include <array>
#include <complex>
#include <type_traits>

using namespace eckart;
using support::refusal;

namespace {

struct without_memory {
  void gemm(op, op, double, matrix_view<double const>, matrix_view<double const>, double,
            matrix_view<double>) const {}
  void scale_columns(std::span<double const>, matrix_view<double>) const {}
};
struct without_scaling {
  using memory = host_memory;
  void gemm(op, op, double, matrix_view<double const>, matrix_view<double const>, double,
            matrix_view<double>) const {}
};
struct complete : without_memory {
  using memory = host_memory;
};

static_assert(blas_backend<openblas, float> && blas_backend<openblas, double>);
static_assert(blas_backend<reference, float> && blas_backend<reference, double>);
static_assert(blas_backend<openblas, std::complex<float>>);
static_assert(blas_backend<reference, std::complex<double>>);
static_assert(blas_backend<counting<reference>, float> && blas_backend<counting<openblas>, double>);
static_assert(blas_backend<counting<counting<reference>>, double>);
static_assert(blas_backend<complete, double> && !blas_backend<complete, float>);
static_assert(!blas_backend<int, double> && !blas_backend<openblas, int>);
static_assert(!blas_backend<without_memory, double> && !blas_backend<without_scaling, double>);
static_assert(std::is_same_v<counting<openblas>::memory, host_memory>);

}  // namespace

TEST_CASE("a transposed matrix changes rows and columns") {
  CHECK(shape_of(op::none, {2, 3}) == shape2{2, 3});
  CHECK(shape_of(op::transpose, {2, 3}) == shape2{3, 2});
  CHECK(shape_of(op::adjoint, {2, 3}) == shape2{3, 2});
}

TEST_CASE("a product has the inner dimension of its factors") {
  std::array<double, 12> numbers{};
  auto const view = [&](index_t rows, index_t cols) {
    return matrix_view<double>(numbers.data(), rows, cols);
  };
  auto const inner = [&](op p, op q, matrix_view<double const> a, matrix_view<double const> b,
                         matrix_view<double> c) { return check_product(p, q, a, b, c); };
  constexpr auto none = op::none;
  constexpr auto transpose = op::transpose;
  CHECK(inner(none, none, view(2, 3), view(3, 4), view(2, 4)) == 3);
  CHECK(inner(transpose, none, view(3, 2), view(3, 4), view(2, 4)) == 3);
  CHECK(inner(none, transpose, view(2, 3), view(4, 3), view(2, 4)) == 3);
  CHECK(inner(transpose, transpose, view(3, 2), view(4, 3), view(2, 4)) == 3);
  CHECK(inner(none, none, view(2, 0), view(0, 4), view(2, 4)) == 0);
  // Inner dimension, rows of the result, columns of the result.
  CHECK(refusal<shape_error>([&] { inner(none, none, view(2, 3), view(2, 4), view(2, 4)); }) ==
        "gemm: (2 x 3) times (2 x 4) into (2 x 4)");
  CHECK(refusal<shape_error>([&] { inner(none, none, view(2, 3), view(3, 4), view(3, 4)); }) ==
        "gemm: (2 x 3) times (3 x 4) into (3 x 4)");
  CHECK(refusal<shape_error>([&] { inner(none, transpose, view(2, 3), view(4, 3), view(2, 3)); }) ==
        "gemm: (2 x 3) times (3 x 4) into (2 x 3)");
}

TEST_CASE("column factors must be as many as the columns") {
  std::array<double, 6> numbers{};
  auto const c = matrix_view<double>(numbers.data(), 2, 3);
  CHECK(refusal<shape_error>([&] {
          check_scale_columns(std::span<double const>(numbers).first(2), c);
        }) == "scale_columns: 2 factors for 3 columns");
  CHECK_NOTHROW(check_scale_columns(std::span<double const>(numbers).first(3), c));
}
