// Every decomposition by LAPACK's own measures (its testing guide, LAPACK Working Note 41): a
// residual in units of n ||a|| eps has to stay below 30, the threshold of LAPACK's test suite.
// All of it is computed by plain loops in double.
#include "eckart/linalg/cholesky.hpp"
#include "eckart/linalg/eigh.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/qr.hpp"
#include "eckart/linalg/svd.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"
#include "support/random_shapes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

using namespace eckart;
using support::property_shapes;

namespace {

constexpr double threshold = 30;

using numbers = matrix<std::complex<double>>;

template <class T>
auto wide(matrix_view<T> a) -> numbers {
  auto result = make_matrix<std::complex<double>>(a.shape());
  for (index_t i = 0; i < a.rows; ++i) {
    for (index_t j = 0; j < a.cols; ++j) {
      as_view(result)(i, j) = std::complex<double>(a(i, j));
    }
  }
  return result;
}

template <dense_matrix A>
auto wide(A const& a) -> numbers {
  return wide(as_view(a));
}

auto product(op p, numbers const& a, op q, numbers const& b) -> numbers {
  return matmul(p, a, q, b, reference{});
}

/// The largest sum of magnitudes of a column.
auto one_norm(numbers const& a) -> double {
  double largest = 0;
  for (index_t j = 0; j < as_view(a).cols; ++j) {
    double sum = 0;
    for (index_t i = 0; i < as_view(a).rows; ++i) {
      sum += std::abs(as_view(a)(i, j));
    }
    largest = std::max(largest, sum);
  }
  return largest;
}

/// ||a - b|| / (n ||a|| eps) of LAPACK's xBDT01, xQRT01, xPOT01 and xSYT21; n the larger side.
template <class T>
auto residual(numbers const& a, numbers const& b) -> double {
  numbers const difference = a - b;
  auto const shape = as_view(a).shape();
  auto const scale = static_cast<double>(std::max(shape.rows, shape.cols)) * support::epsilon<T>;
  auto const norm = one_norm(a);
  return norm == 0 ? (one_norm(difference) == 0 ? 0 : 1 / scale)
                   : one_norm(difference) / norm / scale;
}

/// ||1 - q^H q|| / (n eps) of LAPACK's xORT01 for the columns of q.
template <class T>
auto departure_of_columns(numbers const& q) -> double {
  auto gram = product(op::adjoint, q, op::none, q);
  for (index_t i = 0; i < as_view(gram).rows; ++i) {
    as_view(gram)(i, i) -= 1;
  }
  return one_norm(gram) / (static_cast<double>(as_view(q).rows) * support::epsilon<T>);
}

template <class T>
auto departure_of_rows(numbers const& q) -> double {
  auto gram = product(op::none, q, op::adjoint, q);
  for (index_t i = 0; i < as_view(gram).rows; ++i) {
    as_view(gram)(i, i) -= 1;
  }
  return one_norm(gram) / (static_cast<double>(as_view(q).cols) * support::epsilon<T>);
}

template <class R>
auto diagonal(vector<R> const& s) -> numbers {
  auto const n = static_cast<index_t>(s.size());
  auto result = make_matrix<std::complex<double>>({n, n});
  result.fill(0);
  for (index_t i = 0; i < n; ++i) {
    as_view(result)(i, i) = static_cast<double>(s(static_cast<std::size_t>(i)));
  }
  return result;
}

/// Uniform entries; for a complex T in both parts.
template <class T>
auto any_matrix(shape2 a, std::uint32_t seed) -> matrix<T> {
  if constexpr (real<T>) {
    return support::random_matrix<T>(a.rows, a.cols, seed);
  } else {
    auto const re = support::random_matrix<real_of<T>>(a.rows, a.cols, seed);
    auto const im = support::random_matrix<real_of<T>>(a.rows, a.cols, seed + 1000);
    auto result = make_matrix<T>(a);
    for (std::size_t i = 0; i < result.size(); ++i) {
      result.data()[i] = T(re.data()[i], im.data()[i]);
    }
    return result;
  }
}

/// b b^T + 1 of order n: its smallest eigenvalue is at least 1.
template <class T>
auto definite_matrix(index_t n, std::uint32_t seed) -> matrix<T> {
  auto const b = support::random_matrix<T>(n, n, seed);
  auto a = matmul(op::none, b, op::transpose, b, reference{});
  for (index_t i = 0; i < n; ++i) {
    as_view(a)(i, i) += 1;
  }
  return a;
}

}  // namespace

TEST_CASE_TEMPLATE("the SVD stays under LAPACK's threshold", T, float, double, std::complex<float>,
                   std::complex<double>) {
  using R = real_of<T>;
  for (auto const shape : property_shapes(20, 60, 1)) {
    CAPTURE(shape);
    auto const a = any_matrix<T>(shape, static_cast<std::uint32_t>(shape.rows + 64 * shape.cols));
    for (auto const method : {svd_method::divide_and_conquer, svd_method::qr_iteration}) {
      auto const f = svd(a, {.method = method});
      auto const u = wide(f.u);
      auto const vt = wide(f.vt);
      auto const layers =
          product(op::none, product(op::none, u, op::none, diagonal(f.s)), op::none, vt);
      CHECK(residual<R>(wide(a), layers) < threshold);
      CHECK(departure_of_columns<R>(u) < threshold);
      CHECK(departure_of_rows<R>(vt) < threshold);
      CHECK(std::ranges::is_sorted(f.s, std::ranges::greater{}));
      CHECK(f.s(f.s.size() - 1) >= 0);
    }
  }
}

TEST_CASE_TEMPLATE("QR stays under LAPACK's threshold", T, float, double) {
  for (auto const shape : property_shapes(20, 60, 2)) {
    CAPTURE(shape);
    auto const a = any_matrix<T>(shape, static_cast<std::uint32_t>(shape.rows + 64 * shape.cols));
    auto const f = qr(a);
    CHECK(residual<T>(wide(a), product(op::none, wide(f.q), op::none, wide(f.r))) < threshold);
    CHECK(departure_of_columns<T>(wide(f.q)) < threshold);
  }
}

TEST_CASE_TEMPLATE("QR with pivoting stays under LAPACK's threshold", T, float, double) {
  for (auto const shape : property_shapes(20, 60, 3)) {
    CAPTURE(shape);
    auto const a = any_matrix<T>(shape, static_cast<std::uint32_t>(shape.rows + 64 * shape.cols));
    auto const f = pivoted_qr(a);
    auto permuted = make_matrix<T>(shape);
    for (index_t i = 0; i < shape.rows; ++i) {
      for (index_t j = 0; j < shape.cols; ++j) {
        as_view(permuted)(i, j) = as_view(a)(i, f.columns[static_cast<std::size_t>(j)]);
      }
    }
    CHECK(residual<T>(wide(permuted), product(op::none, wide(f.q), op::none, wide(f.r))) <
          threshold);
    CHECK(departure_of_columns<T>(wide(f.q)) < threshold);
  }
}

TEST_CASE_TEMPLATE("Cholesky stays under LAPACK's threshold", T, float, double) {
  for (auto const shape : property_shapes(20, 60, 4)) {
    CAPTURE(shape.rows);
    auto const a = definite_matrix<T>(shape.rows, static_cast<std::uint32_t>(shape.cols));
    auto const l = wide(cholesky(a));
    CHECK(residual<T>(wide(a), product(op::none, l, op::adjoint, l)) < threshold);
  }
}

TEST_CASE_TEMPLATE("the eigen-decomposition stays under LAPACK's threshold", T, float, double) {
  for (auto const shape : property_shapes(20, 60, 5)) {
    CAPTURE(shape.rows);
    auto const b =
        support::random_matrix<T>(shape.rows, shape.rows, static_cast<std::uint32_t>(shape.cols));
    matrix<T> const a = b + xt::transpose(b);
    auto const f = eigh(a);
    auto const v = wide(f.vectors);
    auto const again =
        product(op::none, product(op::none, v, op::none, diagonal(f.values)), op::adjoint, v);
    CHECK(residual<T>(wide(a), again) < threshold);
    CHECK(departure_of_columns<T>(v) < threshold);
  }
}

TEST_CASE_TEMPLATE("the largest entry of each left vector of a complex SVD is real and positive", T,
                   std::complex<float>, std::complex<double>) {
  auto const f = svd(any_matrix<T>({12, 9}, 7));
  for (index_t j = 0; j < 9; ++j) {
    index_t extreme = 0;
    for (index_t i = 1; i < 12; ++i) {
      extreme = std::abs(as_view(f.u)(i, j)) > std::abs(as_view(f.u)(extreme, j)) ? i : extreme;
    }
    CHECK(as_view(f.u)(extreme, j).imag() == 0);
    CHECK(as_view(f.u)(extreme, j).real() > 0);
  }
}

TEST_CASE_TEMPLATE("the SVD of a Hermitian matrix worked by hand", T, std::complex<float>,
                   std::complex<double>) {
  // [[2, i], [-i, 2]] has the eigenvalues 3 and 1.
  matrix<T> const a{{T(2, 0), T(0, 1)}, {T(0, -1), T(2, 0)}};
  auto const s = svd(a).s;
  auto const eps = support::epsilon<real_of<T>>;
  CHECK(std::abs(static_cast<double>(s(0)) - 3) <= 8 * eps);
  CHECK(std::abs(static_cast<double>(s(1)) - 1) <= 8 * eps);
}

TEST_CASE_TEMPLATE("the complex product is that of plain loops for every pair of operations", T,
                   std::complex<float>, std::complex<double>) {
  constexpr std::array operations{op::none, op::transpose, op::adjoint};
  for (auto const shape : property_shapes(20, 40, 6)) {
    auto const inner = 1 + (shape.rows * 7 + shape.cols) % 33;
    CAPTURE(shape);
    CAPTURE(inner);
    for (auto const p : operations) {
      for (auto const q : operations) {
        auto const a = any_matrix<T>(shape_of(p, {shape.rows, inner}), 8);
        auto const b = any_matrix<T>(shape_of(q, {inner, shape.cols}), 9);
        auto const c = wide(matmul(p, a, q, b));
        auto const expected = product(p, wide(a), q, wide(b));
        numbers const difference = c - expected;
        // Each entry sums 4 inner products of at most 1.
        auto const bound = 4 * static_cast<double>(inner * inner) * support::epsilon<real_of<T>>;
        CHECK(max_abs(as_view(difference)) <= bound);
      }
    }
  }
}

TEST_CASE("(1 + i)(2 - i) and its adjoint, worked by hand") {
  using C = std::complex<double>;
  matrix<C> const a{{C(1, 1)}};
  matrix<C> const b{{C(2, -1)}};
  for (auto const& c : {matmul(a, b), matmul(a, b, reference{})}) {
    CHECK(c(0, 0) == C(3, 1));
  }
  CHECK(matmul(op::adjoint, a, op::none, b)(0, 0) == C(1, -3));
  CHECK(matmul(op::transpose, a, op::adjoint, b, reference{})(0, 0) == C(1, 3));
}
