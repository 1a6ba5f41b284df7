#include "eckart/gpu/decompositions.hpp"
#include "gpu/gpu_fixture.hpp"
#include "support/made_matrix.hpp"

#include <doctest/doctest.h>

#include <array>
#include <span>

using namespace gpu;

namespace {

constexpr std::array methods{eckart::svd_method::divide_and_conquer,
                             eckart::svd_method::qr_iteration};

template <class T>
void check_svd(matrix<T> const& a, eckart::svd_method method) {
  auto const shape = eckart::as_view(a).shape();
  auto const device = eckart::to_device(a, backend());
  auto const found = eckart::to_host(eckart::svd(device, {.method = method}, backend()), backend());
  auto const size = eckart::frobenius_norm(a);
  auto const bound = support::backward_tolerance<T>(shape);
  auto const k = std::min(shape.rows, shape.cols);
  CAPTURE(shape);
  CAPTURE(static_cast<int>(method));
  eckart::matrix_view<T const> const u = eckart::as_view(found.u);
  eckart::matrix_view<T const> const vt = eckart::as_view(found.vt);
  CHECK(u.shape() == eckart::shape2{shape.rows, k});
  CHECK(vt.shape() == eckart::shape2{k, shape.cols});
  CHECK(support::distance_from_orthonormal_columns(u) <= bound);
  CHECK(support::distance_from_orthonormal_rows(vt) <= bound);
  CHECK(support::distance(support::layers(u, eckart::as_span(found.s), vt, k),
                          support::in_double(a)) <= bound * size);
  // Weyl: values are as near as the matrices; the host's have an error of their own.
  auto const host = eckart::svd(support::in_double(a));
  for (std::size_t i = 0; i < found.s.size(); ++i) {
    CHECK(std::abs(static_cast<double>(found.s(i)) - host.s(i)) <= bound * size);
    CHECK(found.s(i) >= 0);
    CHECK((i == 0 || found.s(i) <= found.s(i - 1)));
  }
  for (index_t j = 0; j < k; ++j) {
    T extreme = 0;
    for (index_t i = 0; i < shape.rows; ++i) {
      extreme = std::abs(u(i, j)) > std::abs(extreme) ? u(i, j) : extreme;
    }
    CHECK(extreme > 0);
  }
  CHECK(support::identical(eckart::to_host(device, backend()), a));
}

}  // namespace

TEST_CASE_TEMPLATE("svd: wide, tall and square matrices by both methods", T, float, double) {
  for (auto const method : methods) {
    for (auto const [m, n] :
         {eckart::shape2{1, 1}, eckart::shape2{1, 9}, eckart::shape2{9, 1}, eckart::shape2{40, 40},
          eckart::shape2{33, 100}, eckart::shape2{300, 70}, eckart::shape2{256, 256}}) {
      check_svd(support::random_matrix<T>(m, n, 1), method);
    }
  }
}

TEST_CASE_TEMPLATE("svd: singular, equal and steeply falling values by both methods", T, float,
                   double) {
  for (auto const method : methods) {
    check_svd(matrix<T>(xt::zeros<T>({12, 7})), method);
    check_svd(matrix<T>(xt::ones<T>({30, 50})), method);
    check_svd(matrix<T>(xt::eye<T>(24)), method);
    auto const low = support::product(support::random_matrix<double>(90, 5, 2),
                                      support::random_matrix<double>(5, 60, 3));
    check_svd(matrix<T>(xt::cast<T>(low)), method);
    auto hilbert = eckart::make_matrix<T>({64, 64});
    for (std::size_t i = 0; i < 64; ++i) {
      for (std::size_t j = 0; j < 64; ++j) {
        hilbert(i, j) = T{1} / static_cast<T>(1 + i + j);
      }
    }
    check_svd(hilbert, method);
  }
}

TEST_CASE("svd: blocks of larger matrices") {
  auto const a = eckart::to_device(support::random_matrix<double>(50, 60, 4), backend());
  auto const part = a.view().block(2, 3, 20, 31);
  auto const host = eckart::svd(in_double(part));
  auto const found = eckart::to_host(eckart::svd(part, backend()), backend());
  CHECK(support::distance(found.u, host.u) <= 1e-9);  // separated values: the same vectors
  CHECK(support::distance(found.vt, host.vt) <= 1e-9);
}

TEST_CASE_TEMPLATE("svd and rsvd: what is empty or not finite is refused by name", T, float,
                   double) {
  device_matrix<T> const empty({0, 5});
  CHECK_THROWS_AS(eckart::svd(empty, backend()), eckart::shape_error);
  auto a = support::random_matrix<T>(20, 30, 5);
  a(19, 29) = support::not_a_number<T>;
  CHECK_THROWS_AS(eckart::svd(eckart::to_device(a, backend()), backend()), eckart::numerical_error);
  a(19, 29) = std::numeric_limits<T>::infinity();
  CHECK_THROWS_AS(eckart::rsvd(eckart::to_device(a, backend()), 3, {}, backend()),
                  eckart::numerical_error);
  auto const good = random<T>(20, 30, 6);
  CHECK_THROWS_AS(eckart::rsvd(good, 21, {}, backend()), eckart::shape_error);
  CHECK_THROWS_AS(eckart::rsvd(good, 0, {}, backend()), eckart::shape_error);
  CHECK_THROWS_AS(eckart::rsvd(good, 2, {.oversample = -1}, backend()), eckart::shape_error);
}

TEST_CASE_TEMPLATE("rsvd: the same factors as on the host, and the bound holds", T, float, double) {
  // Values fall by 0.8 a step: each is well separated, and the sketch sees all that matter.
  for (auto const [m, n] : {eckart::shape2{120, 80}, eckart::shape2{60, 200}}) {
    auto const small = std::min(m, n);
    auto u = eckart::svd(support::random_matrix<double>(m, small, 7)).u;
    auto const vt = eckart::svd(support::random_matrix<double>(small, n, 8)).vt;
    for (index_t j = 0; j < small; ++j) {
      for (index_t i = 0; i < m; ++i) {
        eckart::as_view(u)(i, j) *= std::pow(0.8, static_cast<double>(j));
      }
    }
    auto const a = matrix<T>(xt::cast<T>(support::product(u, vt)));
    constexpr index_t k = 10;
    auto const found = eckart::rsvd(eckart::to_device(a, backend()), k, {.seed = 3}, backend());
    auto const factors = eckart::to_host(found.factors, backend());
    auto const host = eckart::rsvd(a, k, {.seed = 3});
    // The gap between neighbours is 0.2 * 0.8^9 and more, so vectors move by at most the error of
    // the matrix divided by it (Wedin), on either side.
    auto const gap = 0.2 * std::pow(0.8, 9.0);
    auto const moved = 4 * std::sqrt(2.0 * k) * support::backward_tolerance<T>({m, n}) *
                       eckart::frobenius_norm(a) / gap;
    CHECK(support::distance(factors.u, host.factors.u) <= moved);
    CHECK(support::distance(factors.vt, host.factors.vt) <= moved);
    auto const rest =
        support::in_double(a) - support::layers(eckart::as_view(std::as_const(factors.u)),
                                                eckart::as_span(std::as_const(factors.s)),
                                                eckart::as_view(std::as_const(factors.vt)), k);
    CHECK(eckart::svd(matrix<double>(rest)).s(0) <= found.error_bound);
    // Both bounds are the same sum of norms.
    CHECK(std::abs(found.error_bound - host.error_bound) <=
          support::backward_tolerance<T>({m, n}) * 10 * eckart::frobenius_norm(a));
  }
}

TEST_CASE_TEMPLATE("rsvd: a matrix of its rank is found whole", T, float, double) {
  auto const low = support::product(support::random_matrix<double>(70, 6, 9),
                                    support::random_matrix<double>(6, 90, 10));
  auto const a = matrix<T>(xt::cast<T>(low));
  auto const found = eckart::to_host(
      eckart::rsvd(eckart::to_device(a, backend()), 6, {}, backend()).factors, backend());
  CHECK(support::distance(support::layers(eckart::as_view(std::as_const(found.u)),
                                          eckart::as_span(std::as_const(found.s)),
                                          eckart::as_view(std::as_const(found.vt)), 6),
                          low) <=
        support::backward_tolerance<T>({70, 90}) * eckart::frobenius_norm(low));
}
