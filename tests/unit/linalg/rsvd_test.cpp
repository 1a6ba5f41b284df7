#include "eckart/linalg/rsvd.hpp"

#include "eckart/linalg/eigh.hpp"
#include "support/made_matrix.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

namespace {

// The errors of the products, of q and of the small decomposition add up, each of them a few
// max(m, n) eps ||a|| as in the tests of svd and qr.
template <class T>
auto tolerance(shape2 a) -> double {
  return 20 * static_cast<double>(std::max(a.rows, a.cols)) * epsilon<T>;
}

// Random singular vectors, s_i = value(i) counted from 0.
template <class T, class F>
auto of_spectrum(shape2 shape, F value) -> matrix<T> {
  auto const k = std::min(shape.rows, shape.cols);
  auto const u = qr(random_matrix<double>(shape.rows, k, 3)).q;
  auto const v = qr(random_matrix<double>(shape.cols, k, 4)).q;
  auto us = u;
  for (index_t i = 0; i < shape.rows; ++i) {
    for (index_t j = 0; j < k; ++j) {
      as_view(us)(i, j) *= value(static_cast<double>(j));
    }
  }
  auto a = make_matrix<T>(shape);
  std::ranges::transform(support::product(op::none, us, op::transpose, v), a.begin(),
                         [](double x) { return static_cast<T>(x); });
  return a;
}

auto flat(double) -> double {
  return 1;
}
auto falling_fast(double i) -> double {
  return std::pow(0.8, i);
}
auto falling_slowly(double i) -> double {
  return 1 / std::sqrt(1 + i);
}

template <class T>
auto approximation(rsvd_result<T> const& f) -> matrix<double> {
  return support::layers<T>(as_view(f.factors.u), as_span(f.factors.s), as_view(f.factors.vt),
                            static_cast<index_t>(f.factors.s.size()));
}

// ||a - u diag(s) vt||_2.
template <class T>
auto error_of(matrix<T> const& a, rsvd_result<T> const& f) -> double {
  auto difference = support::in_double(a);
  auto const near = approximation(f);
  std::ranges::transform(difference, near, difference.begin(), std::minus{});
  return svd(difference).s(0);
}

// ||a - u diag(s) vt|| in the Frobenius norm, by the library's product: the matrix may be large.
template <class T>
auto frobenius_error(matrix<T> difference, rsvd_result<T> const& f) -> double {
  auto us = f.factors.u;
  openblas{}.scale_columns(as_span(f.factors.s), as_view(us));
  openblas{}.gemm(op::none, op::none, T{-1}, matrix_view<T const>(as_view(us)),
                  as_view(f.factors.vt), T{1}, as_view(difference));
  return frobenius_norm(difference);
}

template <class T>
auto normal_matrix(shape2 shape, std::uint64_t seed) -> matrix<T> {
  auto a = make_matrix<T>(shape);
  fill_normal(std::span<T>(a.data(), a.size()), seed);
  return a;
}

template <class T>
void check_form(matrix<T> const& a, rsvd_result<T> const& f, index_t k) {
  auto const shape = as_view(a).shape();
  auto const u = as_view(f.factors.u);
  REQUIRE(u.shape() == shape2{shape.rows, k});
  REQUIRE(as_view(f.factors.vt).shape() == shape2{k, shape.cols});
  REQUIRE(static_cast<index_t>(f.factors.s.size()) == k);
  CHECK(support::distance_from_orthonormal_columns(u) <= tolerance<T>(shape));
  CHECK(support::distance_from_orthonormal_rows(as_view(f.factors.vt)) <= tolerance<T>(shape));
  CHECK(std::ranges::is_sorted(as_span(f.factors.s), std::ranges::greater{}));
  CHECK(as_span(f.factors.s).back() >= 0);
  for (index_t j = 0; j < k; ++j) {
    T extreme = 0;
    for (index_t i = 0; i < u.rows; ++i) {
      extreme = std::abs(u(i, j)) > std::abs(extreme) ? u(i, j) : extreme;
    }
    CHECK(extreme > 0);
  }
}

template <class T>
auto same(rsvd_result<T> const& a, rsvd_result<T> const& b) -> bool {
  return identical(a.factors.u, b.factors.u) && identical(a.factors.vt, b.factors.vt) &&
         std::ranges::equal(as_span(a.factors.s), as_span(b.factors.s)) &&
         a.error_bound == b.error_bound;
}

struct thread_guard {
  int before = blas_info().threads;
  ~thread_guard() { set_threads(before); }
};

}  // namespace

TEST_CASE_TEMPLATE("a matrix of rank k or less is approximated to rounding", T, float, double) {
  for (auto const shape : {shape2{30, 30}, shape2{20, 60}, shape2{60, 20}}) {
    for (auto const k : {index_t{4}, index_t{7}, index_t{20}}) {
      for (auto const powers : {0, 2}) {
        CAPTURE(shape);
        CAPTURE(k);
        CAPTURE(powers);
        auto const a = support::of_rank<T>(shape, 4, 1, 2);
        auto const f = rsvd(a, k, {.oversample = 3, .power_iterations = powers});
        check_form(a, f, k);
        auto const noise = tolerance<T>(shape) * frobenius_norm(a);
        CHECK(support::distance(a, approximation(f)) <= noise);
        CHECK(f.error_bound <= 10 * noise);  // 10 sqrt(2 / pi) times the noise of a random vector
      }
    }
  }
}

TEST_CASE_TEMPLATE("the factors have the form of a truncated singular value decomposition", T,
                   float, double) {
  for (auto const shape :
       {shape2{1, 1}, shape2{1, 9}, shape2{9, 1}, shape2{40, 45}, shape2{70, 20}}) {
    auto const full = std::min(shape.rows, shape.cols);
    for (auto const k : {index_t{1}, (full + 1) / 2, full}) {
      for (auto const oversample : {index_t{0}, index_t{5}, index_t{1000}}) {
        CAPTURE(shape);
        CAPTURE(k);
        CAPTURE(oversample);
        auto const a = random_matrix<T>(shape.rows, shape.cols, 5);
        check_form(a, rsvd(a, k, {.oversample = oversample}), k);
      }
    }
  }
}

TEST_CASE_TEMPLATE("with the full rank it is the singular value decomposition", T, float, double) {
  for (auto const shape : {shape2{25, 25}, shape2{15, 40}, shape2{40, 15}}) {
    CAPTURE(shape);
    auto const a = random_matrix<T>(shape.rows, shape.cols, 6);
    auto const f = rsvd(a, std::min(shape.rows, shape.cols));
    auto const exact = svd(a);
    auto const noise = tolerance<T>(shape) * frobenius_norm(a);
    CHECK(support::distance(a, approximation(f)) <= noise);
    for (std::size_t i = 0; i < exact.s.size(); ++i) {
      CHECK(std::abs(static_cast<double>(f.factors.s(i)) - static_cast<double>(exact.s(i))) <=
            noise);
    }
  }
}

TEST_CASE_TEMPLATE("the same seed gives the same result, another seed another", T, float, double) {
  auto const a = of_spectrum<T>({50, 40}, flat);
  CHECK(same(rsvd(a, 5, {.seed = 7}), rsvd(a, 5, {.seed = 7})));
  // Of equal singular values every 5 of the directions are as good: chance decides.
  auto const one = rsvd(a, 5, {.seed = 7});
  auto const other = rsvd(a, 5, {.seed = 8});
  CHECK(support::distance(approximation(one), approximation(other)) > 0.1);
}

TEST_CASE_TEMPLATE("where the spectrum falls the error is near the smallest one", T, float,
                   double) {
  for (auto const shape : {shape2{50, 50}, shape2{40, 90}, shape2{90, 40}}) {
    for (auto const k : {index_t{1}, index_t{5}, index_t{15}}) {
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        CAPTURE(shape);
        CAPTURE(k);
        CAPTURE(seed);
        auto const optimum = falling_fast(static_cast<double>(k));
        auto const a = of_spectrum<T>(shape, falling_fast);
        auto const error = error_of(a, rsvd(a, k, {.seed = seed}));
        auto const noise = tolerance<T>(shape) * frobenius_norm(a);
        CHECK(error <= 1.5 * optimum + noise);
        CHECK(error >= optimum - noise);  // Eckart and Young 1936
        CHECK(error_of(a, rsvd(a, k, {.oversample = 0, .seed = seed})) <= 3 * optimum + noise);
      }
    }
  }
}

TEST_CASE_TEMPLATE("power iterations and oversampling help where the spectrum falls slowly", T,
                   float, double) {
  auto const a = of_spectrum<T>({60, 80}, falling_slowly);
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    auto const error = [&](index_t oversample, int powers) {
      return error_of(
          a, rsvd(a, 8, {.oversample = oversample, .power_iterations = powers, .seed = seed}));
    };
    CHECK(error(5, 2) < error(5, 0));
    CHECK(error(20, 0) < error(0, 0));
  }
}

TEST_CASE_TEMPLATE(
    "rank 128 of a 1024 x 1024 matrix with one power iteration is within 5 % of the "
    "optimum",
    T, float, double) {
  constexpr index_t n = 1024;
  constexpr index_t k = 128;
  constexpr rsvd_options once{.oversample = 10, .power_iterations = 1};
  SUBCASE("random left vectors times the spectrum 1 / sqrt(i)") {
    auto a = qr(normal_matrix<T>({n, n}, 1)).q;
    auto s = make_vector<T>(n);
    double tail = 0;
    for (index_t i = 0; i < n; ++i) {
      auto const value = falling_slowly(static_cast<double>(i));
      s(static_cast<std::size_t>(i)) = static_cast<T>(value);
      tail += i < k ? 0 : value * value;
    }
    openblas{}.scale_columns(std::span<T const>(as_span(s)), as_view(a));
    auto const error = frobenius_error(a, rsvd(a, k, once));
    CHECK(error <= 1.05 * std::sqrt(tail));
    CHECK(error >= (1 - tolerance<T>({n, n})) * std::sqrt(tail));  // Eckart and Young 1936
  }
  SUBCASE("independent normal entries") {
    auto const a = normal_matrix<T>({n, n}, 3);
    // The squares of the k largest singular values are eigenvalues of a a^T.
    auto const leading = eigh(matmul(op::none, a, op::transpose, a), k).values;
    auto const norm = frobenius_norm(a);
    double tail = norm * norm;
    for (T const value : leading) {
      tail -= static_cast<double>(value);
    }
    auto const error = frobenius_error(a, rsvd(a, k, once));
    CHECK(error <= 1.05 * std::sqrt(tail));
    CHECK(error >= (1 - tolerance<T>({n, n})) * std::sqrt(tail));
  }
}

TEST_CASE_TEMPLATE("error_bound is above the error and not far", T, float, double) {
  for (auto const spectrum : {flat, falling_slowly, falling_fast}) {
    for (auto const shape : {shape2{40, 60}, shape2{60, 40}}) {
      auto const a = of_spectrum<T>(shape, spectrum);
      for (auto const oversample : {index_t{0}, index_t{10}}) {
        for (auto const powers : {0, 2}) {
          for (std::uint64_t seed = 0; seed < 6; ++seed) {
            CAPTURE(shape);
            CAPTURE(oversample);
            CAPTURE(powers);
            CAPTURE(seed);
            auto const f =
                rsvd(a, 6, {.oversample = oversample, .power_iterations = powers, .seed = seed});
            auto const error = error_of(a, f);
            CHECK(f.error_bound >= error);
            // 8 ||rest w||, and ||rest w|| is near ||rest||_F <= sqrt(40) ||rest||_2.
            CHECK(f.error_bound <= 100 * error);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("one thread and two give the same to rounding", T, float, double) {
  thread_guard const guard;
  // Large enough for OpenBLAS to share the work; neighbouring values differ by a fifth.
  auto const a = of_spectrum<T>({150, 130}, falling_fast);
  set_threads(1);
  auto const one = rsvd(a, 6);
  set_threads(2);
  auto const two = rsvd(a, 6);
  auto const noise = tolerance<T>({150, 130}) * frobenius_norm(a);
  CHECK(support::distance(approximation(one), approximation(two)) <= noise);
  CHECK(std::abs(one.error_bound - two.error_bound) <= 10 * noise);
}

TEST_CASE_TEMPLATE("a part of a matrix is approximated like its copy", T, float, double) {
  auto const around = of_spectrum<T>({60, 70}, falling_fast);
  auto const part = as_view(around).block(3, 5, 30, 45);
  auto const copied = to_matrix(part);
  auto const f = rsvd(part, 5);
  check_form(copied, f, 5);
  CHECK(support::distance(approximation(f), approximation(rsvd(copied, 5))) <=
        tolerance<T>({30, 45}) * frobenius_norm(copied));
}

TEST_CASE_TEMPLATE("an entry that is not finite is refused by its place and value", T, float,
                   double) {
  auto a = random_matrix<T>(4, 3, 8);
  a(2, 1) = not_a_number<T>;
  CHECK(refusal<numerical_error>([&] { rsvd(a, 2); }) ==
        "rsvd: element (2, 1) of the 4 x 3 matrix is nan");
  a(1, 2) = -std::numeric_limits<T>::infinity();
  CHECK(refusal<numerical_error>([&] { rsvd(a, 2); }) ==
        "rsvd: element (1, 2) of the 4 x 3 matrix is -inf");
}

TEST_CASE("ranks that the matrix does not have and negative options are refused by name") {
  auto const a = random_matrix<double>(4, 3, 9);
  auto const attempt = [&](index_t k, rsvd_options options) {
    return refusal<shape_error>([&] { rsvd(a, k, options); });
  };
  CHECK(attempt(0, {}) == "rsvd: rank 0, oversample 10, 2 power iterations for a 4 x 3 matrix");
  CHECK(attempt(4, {}) == "rsvd: rank 4, oversample 10, 2 power iterations for a 4 x 3 matrix");
  CHECK(attempt(-1, {}) == "rsvd: rank -1, oversample 10, 2 power iterations for a 4 x 3 matrix");
  CHECK(attempt(2, {.oversample = -1}) ==
        "rsvd: rank 2, oversample -1, 2 power iterations for a 4 x 3 matrix");
  CHECK(attempt(2, {.power_iterations = -1}) ==
        "rsvd: rank 2, oversample 10, -1 power iterations for a 4 x 3 matrix");
  CHECK(attempt(3, {}) == "nothing thrown");
  CHECK(refusal<shape_error>([] {
          rsvd(make_matrix<double>({0, 3}), 1);
        }) == "rsvd: rank 1, oversample 10, 2 power iterations for a 0 x 3 matrix");
}
