#include "eckart/gpu/device_engine.hpp"

#include "eckart/compress/whiten.hpp"
#include "gpu/gpu_fixture.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace gpu;
using eckart::as_view;
using eckart::matrix_view;
using eckart::output_metric;
using eckart::shape2;
using support::refusal;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

auto engine() -> eckart::device_engine {
  return eckart::device_engine(backend());
}

auto product(op p, matrix<double> const& a, op q, matrix<double> const& b) -> matrix<double> {
  return eckart::matmul(p, a, q, b);
}

/// x^T x / rows of random rows: definite if there are enough of them, else singular.
auto covariance(index_t n, index_t rows, unsigned seed) -> matrix<double> {
  auto const x = support::random_matrix<double>(rows, n, seed);
  auto c = product(op::transpose, x, op::none, x);
  for (auto& value : c) {
    value /= static_cast<double>(rows);
  }
  return c;
}

auto diagonal(index_t m) -> output_metric {
  output_metric metric;
  metric.diagonal = eckart::make_vector<double>(m);
  for (index_t i = 0; i < m; ++i) {
    (*metric.diagonal)(static_cast<std::size_t>(i)) = i == 1 ? 0 : 0.5 + static_cast<double>(i % 7);
  }
  return metric;
}

auto in_blocks(index_t m, index_t order) -> output_metric {
  output_metric metric;
  for (index_t first = 0; first < m; first += order) {
    auto const n = std::min(order, m - first);
    metric.blocks.push_back(covariance(n, 3 * n, static_cast<unsigned>(5 + first)));
  }
  return metric;
}

/// P a of a metric, by the host.
auto weighed(output_metric const& metric, matrix<double> const& a) -> matrix<double> {
  return eckart::detail::metric_root(metric, as_view(a).rows).times(a);
}

/// tr(e c e^T) of an error that is weighed already.
auto loss_of(matrix<double> const& e, matrix<double> const& c) -> double {
  auto const ec = eckart::matmul(e, c);
  double sum = 0;
  for (std::size_t i = 0; i < e.size(); ++i) {
    sum += e.data()[i] * ec.data()[i];
  }
  return sum;
}

struct sample {
  shape2 shape;
  index_t rows;  // of the inputs
  output_metric metric;
};

auto samples() -> std::vector<sample> {
  return {{{1, 1}, 4, {}},
          {{24, 40}, 200, {}},
          {{40, 24}, 200, diagonal(40)},
          {{64, 64}, 30, in_blocks(64, 16)},  // a singular covariance
          {{90, 33}, 20, in_blocks(90, 40)},
          {{33, 90}, 500, in_blocks(33, 33)},
          {{128, 128}, 400, diagonal(128)}};
}

}  // namespace

TEST_CASE("factors on a device lose of every rank what they say, and the host's say the same") {
  for (auto const& [shape, rows, metric] : samples()) {
    CAPTURE(shape);
    auto const a = support::random_matrix<double>(shape.rows, shape.cols, 11);
    auto const c = covariance(shape.cols, rows, 12);
    auto const found = engine().factors(a, c, metric);
    auto const host = eckart::host_engine().factors(a, c, metric);
    auto const pa = weighed(metric, a);
    // Every step (P a, its product with c, eigenvectors, U^T P a, P^-1 U, and back) is exact for
    // operands that are off by a small multiple of n eps of their norm; what P^-1 enlarges P brings
    // back.
    auto const n = static_cast<double>(shape.rows + shape.cols);
    auto const size = eckart::frobenius_norm(pa);
    auto const bound = 20 * n * eps * size * size * eckart::frobenius_norm(c);
    auto const r = std::min(shape.rows, shape.cols);
    REQUIRE(static_cast<index_t>(found.losses.size()) == r);
    double tail = 0;
    for (index_t k = r; k >= 0; --k) {
      auto error = pa;
      if (k > 0) {
        auto const left = eckart::to_matrix(as_view(found.left).col_range(0, k));
        auto const right = eckart::to_matrix(as_view(found.right).row_range(0, k));
        error = weighed(metric, eckart::matmul(left, right));
        error = pa - error;
      }
      CAPTURE(k);
      CHECK(std::abs(loss_of(error, c) - tail) <= bound);
      if (k > 0) {
        auto const at = static_cast<std::size_t>(k - 1);
        CHECK(std::abs(found.losses(at) - host.losses(at)) <= bound);
        CHECK((at == 0 || found.losses(at) <= found.losses(at - 1)));
        CHECK(found.losses(at) >= 0);
        tail += found.losses(at);
      }
    }
  }
}

TEST_CASE("the columns of a device's factors have the host's signs where a value stands alone") {
  auto const a = support::random_matrix<double>(30, 50, 3);
  auto const c = covariance(50, 300, 4);
  auto const found = engine().factors(a, c, {});
  auto const host = eckart::host_engine().factors(a, c, {});
  // A vector turns by the error of the matrix over the gap to its neighbours (Davis and Kahan).
  auto const size = eckart::frobenius_norm(a);
  auto const error = 20 * 80 * eps * size * size * eckart::frobenius_norm(c);
  for (index_t j = 1; j + 1 < 30; ++j) {
    auto const at = static_cast<std::size_t>(j);
    auto const gap =
        std::min(host.losses(at - 1) - host.losses(at), host.losses(at) - host.losses(at + 1));
    auto const bound = 4 * error / gap;
    if (bound < 0.01) {
      for (index_t i = 0; i < 30; ++i) {
        CHECK(std::abs(as_view(found.left)(i, j) - as_view(host.left)(i, j)) <= bound);
      }
    }
  }
}

TEST_CASE("a metric that is not definite is lifted as on the host, one of wrong order refused") {
  auto const a = support::random_matrix<double>(6, 4, 1);
  auto const c = covariance(4, 40, 2);
  output_metric zero;
  zero.blocks.push_back(eckart::make_matrix<double>({6, 6}));
  zero.blocks.back().fill(0);
  CHECK_NOTHROW(engine().factors(a, c, zero));
  auto indefinite = zero;
  as_view(indefinite.blocks[0])(0, 0) = 1;
  as_view(indefinite.blocks[0])(3, 3) = -1;
  auto const host = eckart::host_engine();
  for (auto const& metric : {indefinite, in_blocks(8, 4), diagonal(7)}) {
    auto const told = refusal<eckart::error>([&] { engine().factors(a, c, metric); });
    CHECK(told != "nothing thrown");
    CHECK(told == refusal<eckart::error>([&] { host.factors(a, c, metric); }));
  }
}

TEST_CASE("weights and covariances that are not finite are refused") {
  auto const nan = std::numeric_limits<double>::quiet_NaN();
  for (auto const shape : {shape2{8, 5}, shape2{5, 8}}) {
    auto a = support::random_matrix<double>(shape.rows, shape.cols, 1);
    auto c = covariance(shape.cols, 40, 2);
    auto bad = c;
    bad(1, 1) = nan;
    CHECK_THROWS_AS(engine().factors(a, bad, {}), eckart::numerical_error);
    a(2, 2) = nan;
    CHECK_THROWS_AS(engine().factors(a, c, {}), eckart::numerical_error);
  }
}

TEST_CASE("rows are solved for a definite matrix, and another is refused as on the host") {
  for (index_t const n : {1, 30, 200}) {
    auto const c = covariance(n, 3 * n, 7);
    auto const b = support::random_matrix<double>(17, n, 8);
    auto x = b;
    engine().solve(c, as_view(x));
    auto const rest = eckart::matrix<double>(eckart::matmul(x, c) - b);
    // Backward stable: (c + e) x = b with |e| <= n eps |c| (Higham, theorem 10.4), n times for
    // sums.
    auto const order = static_cast<double>(n);
    CHECK(eckart::frobenius_norm(rest) <=
          4 * order * order * eps * eckart::frobenius_norm(x) * eckart::frobenius_norm(c));
  }
  auto singular = eckart::make_matrix<double>({3, 3});
  singular.fill(0);
  singular(0, 0) = 1;
  singular(1, 1) = -1;
  auto rows = support::random_matrix<double>(2, 3, 1);
  auto const told =
      refusal<eckart::not_positive_definite>([&] { engine().solve(singular, as_view(rows)); });
  CHECK(told == refusal<eckart::not_positive_definite>(
                    [&] { eckart::host_engine().solve(singular, as_view(rows)); }));
}

TEST_CASE_TEMPLATE("products of the rows are sums of products", T, float, double) {
  for (auto const [rows, m, n] : {std::array<index_t, 3>{1, 1, 1}, std::array<index_t, 3>{2, 5, 9},
                                  std::array<index_t, 3>{700, 64, 33}}) {
    auto const x = support::random_matrix<T>(rows, m, 1);
    auto const y = support::random_matrix<T>(rows, n, 2);
    auto both = eckart::make_matrix<T>({m, n});
    auto gram = eckart::make_matrix<T>({m, m});
    engine().product_of_transpose(matrix_view<T const>(as_view(x)), as_view(y), as_view(both));
    engine().upper_gram(matrix_view<T const>(as_view(x)), as_view(gram));
    auto const check = [&](matrix<T> const& other, matrix<T> const& got, index_t i, index_t j) {
      double sum = 0;
      double sizes = 0;
      for (index_t k = 0; k < rows; ++k) {
        auto const one = static_cast<double>(x(k, i)) * static_cast<double>(other(k, j));
        sum += one;
        sizes += std::abs(one);
      }
      auto const roundings = static_cast<double>(rows + 1) * 2 * unit<T>() * sizes;
      CHECK(std::abs(static_cast<double>(got(i, j)) - sum) <= roundings);
    };
    for (index_t i = 0; i < m; ++i) {
      for (index_t j = 0; j < n; ++j) {
        check(y, both, i, j);
      }
      for (index_t j = i; j < m; ++j) {
        check(x, gram, i, j);
      }
    }
  }
}

TEST_CASE("a thin svd by an engine is that of the device") {
  auto const a = support::random_matrix<float>(20, 50, 1);
  auto const found = engine().decompose(a);
  auto const expected =
      eckart::to_host(eckart::svd(eckart::to_device(a, backend()), backend()), backend());
  CHECK(support::identical(found.u, expected.u));
  CHECK(support::identical(found.vt, expected.vt));
  CHECK(eckart::to_matrix(matrix_view<float const>(found.s.data(), 1, 20)) ==
        eckart::to_matrix(matrix_view<float const>(expected.s.data(), 1, 20)));
}

TEST_CASE("moments with a device's products and fits by its factors are the host's") {
  auto const x = support::random_matrix<float>(3000, 48, 21);
  auto const w = support::random_matrix<float>(32, 48, 22);
  std::vector<float> const bias(32, 0.5F);
  eckart::input_moments host(48);
  eckart::input_moments device(48);
  host.add(x);
  device.add(x, engine());
  CHECK(device.count() == 3000);
  auto const a = host.covariance();
  auto const b = device.covariance();
  for (index_t i = 0; i < 48; ++i) {
    for (index_t j = 0; j < 48; ++j) {
      // Each sums up to 2048 products in float; by Cauchy and Schwarz those of i and j.
      auto const sizes = std::sqrt(a(i, i) * a(j, j));
      CHECK(std::abs(a(i, j) - b(i, j)) <= 2 * 2049 * 2 * unit<float>() * sizes);
    }
  }
  auto const by_host = eckart::fit(w, std::span<float const>(bias), host);
  auto const by_device = eckart::fit(w, std::span<float const>(bias), host, {}, {}, engine());
  auto const size = eckart::frobenius_norm(w);
  auto const bound = 20 * 80 * eps * size * size * eckart::frobenius_norm(a);
  for (std::size_t k = 0; k < by_host.losses.size(); ++k) {
    CHECK(std::abs(by_host.losses(k) - by_device.losses(k)) <= bound);
  }
  CHECK(by_host.at_origin == by_device.at_origin);
  CHECK(by_host.mean == by_device.mean);
}
