#include "eckart/compress/whiten.hpp"

#include "unit/compress/fit_fixture.hpp"

#include "eckart/linalg/qr.hpp"
#include "eckart/linalg/svd.hpp"
#include "support/made_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace eckart;
using namespace fit_test;
using support::distance;
using support::not_a_number;
using support::refusal;

namespace {

// (m, n) of a layer: square, wide, tall, one output, one input.
constexpr shape2 layers[] = {{6, 6}, {4, 9}, {11, 5}, {1, 7}, {8, 1}, {1, 1}, {3, 3}, {30, 20}};

template <class T>
struct problem {
  matrix<T> w;
  vector<T> b;
  matrix<double> x;
  matrix<double> t;  // the outputs of the layer, in double
  double scale;      // E|t|² + |W|² E|x|²: what cancels in the losses
};

template <class T>
auto problem_of(shape2 shape, index_t rows, std::uint32_t seed) -> problem<T> {
  auto w = random_matrix<T>(shape.rows, shape.cols, seed);
  auto const bias = random_matrix<T>(1, shape.rows, seed + 1);
  auto b = make_vector<T>(shape.rows);
  std::ranges::copy(bias, b.begin());
  auto x = samples(rows, shape.cols, seed + 2);
  auto t = outputs(x, in_double(w), as_span(b));
  auto const scale = mean_square(t) + squared_norm(in_double(w)) * mean_square(x);
  return {std::move(w), std::move(b), std::move(x), std::move(t), scale};
}

template <class T>
auto fitted(problem<T> const& p, fit_options options = {}, output_metric const& metric = {})
    -> fitted_basis<T> {
  return fit(p.w, as_span(p.b), moments_of(p.x), options, metric);
}

constexpr fit_options uncentred{.centred = false, .shrinkage = 0};

// Predicted and measured loss at every rank.
template <class T>
void check_losses(fitted_basis<T> const& basis, problem<T> const& p,
                  std::optional<matrix<double>> const& metric = std::nullopt, double lift = 0) {
  auto const norm = metric ? frobenius_norm(*metric) : 1;
  for (index_t k = 1; k <= basis.rank(); ++k) {
    CAPTURE(k);
    auto const layer = basis.truncate(k);
    REQUIRE(layer.weight.rank() == k);
    REQUIRE(layer.weight.shape() == as_view(p.w).shape());
    auto const loss = basis.predicted_loss(k);
    CHECK(std::abs(measured(p.t, outputs(p.x, layer), metric) - loss) <=
          loss_tolerance(layer, p.x, p.scale * norm, loss, norm) + lift);
  }
}

// W C^(1/2) by the root of the covariance of the rows as they are, and its singular values squared.
auto eckart_young(matrix<double> const& w, matrix<double> const& c) -> std::vector<double> {
  auto root = eigh(c);
  for (index_t i = 0; i < as_view(root.vectors).rows; ++i) {
    for (std::size_t j = 0; j < root.values.size(); ++j) {
      as_view(root.vectors).row(i)[j] *= std::sqrt(std::max(0.0, root.values(j)));
    }
  }
  auto const f = svd(product(w, root.vectors));
  std::vector<double> result(f.s.begin(), f.s.end());
  std::ranges::transform(result, result.begin(), [](double s) { return s * s; });
  return result;
}

auto plain_covariance(matrix<double> x, bool centred) -> matrix<double> {
  auto const rows = static_cast<double>(as_view(x).rows);
  for (index_t j = 0; centred && j < as_view(x).cols; ++j) {
    double mean = 0;
    for (index_t i = 0; i < as_view(x).rows; ++i) {
      mean += as_view(x)(i, j) / rows;
    }
    for (index_t i = 0; i < as_view(x).rows; ++i) {
      as_view(x)(i, j) -= mean;
    }
  }
  auto c = product(op::transpose, x, op::none, x);
  for (auto& value : c) {
    value /= rows;
  }
  return c;
}

auto all_finite(auto const& layer) -> bool {
  return !find_non_finite(layer.weight.left()) && !find_non_finite(layer.weight.right()) &&
         std::ranges::all_of(layer.bias, [](auto x) { return std::isfinite(x); });
}

// A block of each order, by its number; one of the orders may be of 0.
auto blocks_of(std::vector<index_t> const& orders, std::size_t zero)
    -> std::vector<matrix<double>> {
  std::vector<matrix<double>> blocks;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    blocks.push_back(random_metric(orders[i], 60 + static_cast<std::uint32_t>(i)));
    if (i == zero) {
      blocks.back().fill(0);
    }
  }
  return blocks;
}

auto difference(matrix<double> a, matrix<double> const& b) -> matrix<double> {
  for (index_t i = 0; i < as_view(a).rows; ++i) {
    for (index_t j = 0; j < as_view(a).cols; ++j) {
      as_view(a)(i, j) -= as_view(b)(i, j);
    }
  }
  return a;
}

// The norm of the columns of e by the metric m.
auto cost_of(matrix<double> const& e, matrix<double> const& m) -> double {
  auto const weighed = product(m, e);
  auto const sum = std::inner_product(e.begin(), e.end(), weighed.begin(), 0.0);
  return std::sqrt(std::max(0.0, sum));
}

auto orthogonal(index_t n, std::uint32_t seed) -> matrix<double> {
  return qr(random_matrix<double>(n, n, seed)).q;
}

}  // namespace

TEST_CASE_TEMPLATE("the predicted loss is the measured one at every rank", T, float, double) {
  for (auto const shape : layers) {
    for (index_t const rows : {2, 5, 60}) {
      CAPTURE(shape);
      CAPTURE(rows);
      auto const p = problem_of<T>(shape, rows, 1);
      auto const basis = fitted(p);
      CHECK(basis.rank() == std::min(shape.rows, shape.cols));
      CHECK(basis.shape() == shape);
      check_losses(basis, p);
      CHECK(std::ranges::is_sorted(basis.losses, std::ranges::greater{}));
      CHECK(basis.unexplained == 0);
      CHECK(std::abs(basis.predicted_loss(0) - basis.energy) <= 1e-14 * basis.energy);
    }
  }
}

TEST_CASE_TEMPLATE("with second moments the loss is that with the bias as it was", T, float,
                   double) {
  for (auto const shape : layers) {
    CAPTURE(shape);
    auto const p = problem_of<T>(shape, 60, 2);
    auto const basis = fitted(p, uncentred);
    check_losses(basis, p);
    CHECK(std::ranges::equal(basis.truncate(1).bias, p.b));
  }
}

TEST_CASE_TEMPLATE("the losses are the squared singular values of W C^(1/2)", T, float, double) {
  for (auto const shape : layers) {
    for (bool const centred : {true, false}) {
      CAPTURE(shape);
      CAPTURE(centred);
      auto const p = problem_of<T>(shape, 60, 3);
      auto const basis = fitted(p, {.centred = centred, .shrinkage = 0});
      auto const expected = eckart_young(in_double(p.w), plain_covariance(p.x, centred));
      REQUIRE(expected.size() == basis.losses.size());
      auto const order = static_cast<double>(shape.rows + shape.cols);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CHECK(std::abs(basis.losses(i) - expected[i]) <= 10 * order * epsilon<double> * p.scale);
      }
    }
  }
}

TEST_CASE("the energy is the variance of the outputs") {
  auto const p = problem_of<double>({7, 5}, 40, 4);
  auto const c = plain_covariance(p.t, true);
  double variance = 0;
  for (index_t i = 0; i < 7; ++i) {
    variance += as_view(c)(i, i);
  }
  CHECK(std::abs(fitted(p).energy - variance) <= 1e-12 * variance);
}

TEST_CASE("no random change of the factors and the bias does better") {
  for (auto const shape : layers) {
    auto const p = problem_of<double>(shape, 40, 5);
    auto const basis = fitted(p);
    for (index_t k = 1; k <= basis.rank(); k += 1 + basis.rank() / 5) {
      CAPTURE(shape);
      CAPTURE(k);
      CHECK(largest_gain(basis.truncate(k), p.x, p.t) <= 1e-12 * p.scale);
    }
  }
}

TEST_CASE("with second moments no random change of the factors does better, the bias being kept") {
  for (auto const shape : layers) {
    auto const p = problem_of<double>(shape, 40, 6);
    auto const basis = fitted(p, uncentred);
    for (index_t k = 1; k <= basis.rank(); k += 1 + basis.rank() / 5) {
      CAPTURE(shape);
      CAPTURE(k);
      CHECK(largest_gain(basis.truncate(k), p.x, p.t, false) <= 1e-12 * p.scale);
    }
  }
}

TEST_CASE("never worse than plain SVD with the best bias for it, nor than second moments") {
  double best_ratio = 1;
  for (auto const shape : layers) {
    auto const p = problem_of<double>(shape, 50, 7);
    auto const basis = fitted(p);
    auto const plain = fitted(p, {.centred = true, .shrinkage = 1});
    auto const by_origin = fitted(p, uncentred);
    for (index_t k = 1; k <= basis.rank(); ++k) {
      CAPTURE(shape);
      CAPTURE(k);
      auto const loss = measured(p.t, outputs(p.x, basis.truncate(k)));
      auto const of_svd = measured(p.t, outputs(p.x, plain.truncate(k)));
      CHECK(loss <= of_svd + 1e-12 * p.scale);
      CHECK(loss <= measured(p.t, outputs(p.x, by_origin.truncate(k))) + 1e-12 * p.scale);
      best_ratio = of_svd > 1e-9 * p.scale ? std::min(best_ratio, loss / of_svd) : best_ratio;
    }
  }
  CHECK(best_ratio < 0.5);  // or the data would not tell one from the other
}

TEST_CASE_TEMPLATE("full shrinkage is plain SVD", T, float, double) {
  for (auto const shape : layers) {
    CAPTURE(shape);
    auto const p = problem_of<T>(shape, 50, 8);
    auto const f = svd(in_double(p.w));
    for (bool const centred : {true, false}) {
      auto const basis = fitted(p, {.centred = centred, .shrinkage = 1});
      auto const c = plain_covariance(p.x, centred);
      double level = 0;
      for (index_t i = 0; i < shape.cols; ++i) {
        level += as_view(c)(i, i) / static_cast<double>(shape.cols);
      }
      for (index_t k = 1; k <= basis.rank(); ++k) {
        CAPTURE(k);
        double tail = 0;
        for (auto i = static_cast<std::size_t>(k); i < f.s.size(); ++i) {
          tail += f.s(i) * f.s(i);
        }
        CHECK(std::abs(basis.predicted_loss(k) - level * tail) <= 1e-12 * p.scale);
        auto const expected = support::layers(matrix_view<double const>(as_view(f.u)), as_span(f.s),
                                              as_view(f.vt), k);
        // Subspaces turn by eps |W| / gap; no relative gap here is below 1e-3.
        auto const norm = frobenius_norm(p.w);
        CHECK(distance(weight_of(basis.truncate(k)), expected) <=
              (1e-9 + 4 * static_cast<double>(k) * epsilon<T>)*norm);
      }
    }
  }
}

TEST_CASE("with some shrinkage the loss counts the distance of the weights, scaled, as errors") {
  for (auto const shape : layers) {
    auto const p = problem_of<double>(shape, 50, 9);
    auto const basis = fitted(p, {.centred = true, .shrinkage = 0.3});
    auto const c = plain_covariance(p.x, true);
    double level = 0;
    for (index_t i = 0; i < shape.cols; ++i) {
      level += as_view(c)(i, i) / static_cast<double>(shape.cols);
    }
    for (index_t k = 1; k <= basis.rank(); ++k) {
      CAPTURE(shape);
      CAPTURE(k);
      auto const layer = basis.truncate(k);
      auto const off = distance(weight_of(layer), p.w);
      CHECK(std::abs(basis.predicted_loss(k) - 0.7 * measured(p.t, outputs(p.x, layer)) -
                     0.3 * level * off * off) <= 1e-12 * p.scale);
    }
  }
}

TEST_CASE_TEMPLATE("inputs that leave directions out are fitted, and lose nothing in few ranks", T,
                   float, double) {
  for (auto const shape : layers) {
    auto fewer = problem_of<T>(shape, 3, 10);  // covariance of rank 2
    auto one = problem_of<T>(shape, 1, 11);
    auto constant = problem_of<T>(shape, 40, 12);
    for (index_t i = 1; i < 40; ++i) {
      std::ranges::copy(as_view(constant.x).row(0), as_view(constant.x).row(i).begin());
    }
    auto doubled = problem_of<T>(shape, 40, 13);  // all inputs but the first are the first
    for (index_t i = 0; i < 40; ++i) {
      auto const row = as_view(doubled.x).row(i);
      std::fill(row.begin(), row.end(), row[0]);
    }
    index_t rank = 2;
    for (auto* p : {&fewer, &doubled, &one, &constant}) {
      CAPTURE(shape);
      CAPTURE(rank);
      p->t = outputs(p->x, in_double(p->w), as_span(p->b));
      auto const basis = fitted(*p);
      check_losses(basis, *p);
      if (rank <= basis.rank()) {
        CHECK(basis.predicted_loss(rank) <= 1e-13 * p->scale);
      }
      for (index_t k = 1; k <= basis.rank(); ++k) {
        CHECK(all_finite(basis.truncate(k)));
        CHECK(all_finite(fitted(*p, {.centred = true, .shrinkage = 0.1}).truncate(k)));
        CHECK(all_finite(fitted(*p, {.centred = true, .shrinkage = 1}).truncate(k)));
      }
      check_losses(fitted(*p, uncentred), *p);
      rank = std::max<index_t>(rank - 1, 0);
    }
  }
}

TEST_CASE_TEMPLATE("a layer without a bias is one with the bias 0", T, float, double) {
  auto p = problem_of<T>({5, 7}, 30, 14);
  p.b.fill(T{0});
  p.t = outputs(p.x, in_double(p.w), as_span(p.b));
  auto const none = fit(p.w, {}, moments_of(p.x));
  auto const zero = fitted(p);
  check_losses(none, p);
  CHECK(std::ranges::equal(none.truncate(3).bias, zero.truncate(3).bias));
  auto const kept = fit(p.w, {}, moments_of(p.x), uncentred);
  CHECK(std::ranges::count(kept.truncate(2).bias, T{0}) == 5);
}

TEST_CASE_TEMPLATE("turning the outputs turns the layers and changes no loss", T, float, double) {
  for (auto const shape : {shape2{6, 6}, shape2{4, 9}, shape2{11, 5}}) {
    CAPTURE(shape);
    auto const p = problem_of<double>(shape, 50, 15);
    auto const q = orthogonal(shape.rows, 16);
    auto turned = p;
    turned.w = product(q, p.w);
    turned.b = detail::times(q, p.b);
    turned.t = outputs(p.x, turned.w, as_span(turned.b));
    auto const one = fitted(p);
    auto const other = fitted(turned);
    for (index_t k = 1; k <= one.rank(); ++k) {
      CHECK(std::abs(one.predicted_loss(k) - other.predicted_loss(k)) <= 1e-12 * p.scale);
      auto const same = product(q, weight_of(one.truncate(k)));
      CHECK(distance(same, weight_of(other.truncate(k))) <= 1e-8 * frobenius_norm(p.w));
    }
  }
}

TEST_CASE("inputs c times as large lose c² times as much by the same weights") {
  auto const p = problem_of<double>({7, 6}, 50, 17);
  auto const one = fitted(p);
  for (double const c : {1e-8, 0.5, 3.0, 1e9}) {
    CAPTURE(c);
    auto q = p;
    for (auto& value : q.x) {
      value *= c;
    }
    auto const other = fitted(q);
    for (index_t k = 1; k <= one.rank(); ++k) {
      CHECK(std::abs(other.predicted_loss(k) / (c * c) - one.predicted_loss(k)) <= 1e-12 * p.scale);
      CHECK(distance(weight_of(one.truncate(k)), weight_of(other.truncate(k))) <=
            1e-8 * frobenius_norm(p.w));
    }
  }
}

TEST_CASE_TEMPLATE("the full rank answers the data as the layer does", T, float, double) {
  for (auto const shape : layers) {
    for (index_t const rows : {1, 4, 60}) {
      CAPTURE(shape);
      CAPTURE(rows);
      auto const p = problem_of<T>(shape, rows, 18);
      for (bool const centred : {true, false}) {
        auto const layer = [&] {
          auto const basis = fitted(p, {.centred = centred, .shrinkage = 0});
          return basis.truncate(basis.rank());
        }();
        // What is lost is the eps of an eigenvalue, whose root is what the outputs are off by.
        auto const slack = loss_tolerance(layer, p.x, p.scale, 0);
        CHECK(measured(p.t, outputs(p.x, layer)) <= slack);
      }
    }
  }
}

TEST_CASE_TEMPLATE("columns of the left factor are as long as the rows of the right one", T, float,
                   double) {
  for (auto const shape : layers) {
    auto const p = problem_of<T>(shape, 60, 19);
    for (auto const& basis : {fitted(p), svd_basis(p.w, as_span(p.b))}) {
      auto const layer = basis.truncate(basis.rank());
      for (index_t j = 0; j < basis.rank(); ++j) {
        CAPTURE(shape);
        CAPTURE(j);
        auto const column = frobenius_norm(layer.weight.left().col_range(j, 1));
        auto const row = frobenius_norm(layer.weight.right().row_range(j, 1));
        // Each entry is rounded once or twice; the smallest here is no rounding error.
        CHECK(row > 1e-3);
        CHECK(std::abs(column - row) <= 4 * epsilon<T> * row);
      }
    }
  }
}

TEST_CASE("factors of weights near the limits of float are finite and balanced") {
  for (double const size : {1e-30, 1e30}) {
    CAPTURE(size);
    auto p = problem_of<float>({6, 4}, 40, 20);
    for (auto& value : p.w) {
      value *= static_cast<float>(size);
    }
    auto const layer = fitted(p).truncate(4);
    REQUIRE(all_finite(layer));
    CHECK(distance(weight_of(layer), p.w) <= 1e-6 * frobenius_norm(p.w));
    CHECK(max_abs(layer.weight.right()) <= 10 * std::sqrt(size));
    CHECK(max_abs(layer.weight.left()) >= 0.01 * std::sqrt(size));
  }
}

TEST_CASE_TEMPLATE("lower ranks are the first columns and rows of higher ones", T, float, double) {
  auto const p = problem_of<T>({8, 10}, 60, 21);
  auto const basis = fitted(p);
  auto const all = basis.truncate(8);
  auto const few = basis.truncate(3);
  CHECK(distance(few.weight.left(), all.weight.left().col_range(0, 3)) == 0);
  CHECK(distance(few.weight.right(), all.weight.right().row_range(0, 3)) == 0);
}

TEST_CASE("float losses are the double ones to the rounding of the inputs") {
  auto const p = problem_of<float>({9, 12}, 200, 22);
  auto narrow = make_matrix<float>({200, 12});
  std::ranges::transform(p.x, narrow.begin(), [](double x) { return static_cast<float>(x); });
  input_moments of_float(12);
  of_float.add(narrow);
  auto const one = fit(p.w, as_span(p.b), of_float);
  auto const other = fit(in_double(p.w), {}, moments_of(p.x));
  // The covariance is off by (rows + 8) eps E|x||x|^T, the input by eps |x| on both sides.
  auto const spread = frobenius_norm(plain_covariance(p.x, true));
  auto const bound =
      (210 * spread + 4 * mean_square(p.x)) * epsilon<float> * squared_norm(in_double(p.w));
  for (index_t k = 0; k <= 9; ++k) {
    CHECK(std::abs(one.predicted_loss(k) - other.predicted_loss(k)) <= bound);
  }
}

TEST_CASE_TEMPLATE("weights 0 answer the bias at every rank", T, float, double) {
  for (auto const shape : {shape2{4, 6}, shape2{6, 4}}) {
    auto p = problem_of<T>(shape, 20, 23);
    p.w.fill(T{0});
    for (auto const& basis : {fitted(p), fitted(p, uncentred), fitted(p, {true, 1.0})}) {
      CHECK(basis.energy == 0);
      auto const layer = basis.truncate(2);
      CHECK(all_finite(layer));
      CHECK(frobenius_norm(weight_of(layer)) == 0);
      CHECK(std::ranges::equal(layer.bias, p.b));
    }
  }
}

TEST_CASE("without rows only a shrinkage gives a layer: plain SVD with the bias as it was") {
  auto const p = problem_of<double>({5, 4}, 20, 24);
  input_moments const empty(4);
  CHECK(refusal<shape_error>([&] { fit(p.w, as_span(p.b), empty); }) == "fit: moments of no rows");
  auto const basis = fit(p.w, as_span(p.b), empty, {.centred = true, .shrinkage = 1});
  auto const expected = svd_basis(p.w, as_span(p.b));
  for (index_t k = 1; k <= 4; ++k) {
    CHECK(std::abs(basis.predicted_loss(k) - expected.predicted_loss(k)) <= 1e-12);
    CHECK(distance(weight_of(basis.truncate(k)), weight_of(expected.truncate(k))) <= 1e-9);
    CHECK(std::ranges::equal(basis.truncate(k).bias, p.b));
    CHECK(std::ranges::equal(expected.truncate(k).bias, p.b));
  }
}

TEST_CASE_TEMPLATE("plain SVD as a basis loses the squared singular values it leaves out", T, float,
                   double) {
  for (auto const shape : layers) {
    auto const p = problem_of<T>(shape, 2, 25);
    auto const basis = svd_basis(p.w, as_span(p.b));
    CHECK(basis.shape() == shape);
    auto const norm = frobenius_norm(p.w);
    for (index_t k = 1; k <= basis.rank(); ++k) {
      CAPTURE(shape);
      CAPTURE(k);
      auto const layer = basis.truncate(k);
      auto const off = distance(weight_of(layer), p.w);
      auto const order = static_cast<double>(std::max(shape.rows, shape.cols));
      CHECK(std::abs(off * off - basis.predicted_loss(k)) <= 20 * order * epsilon<T> * norm * norm);
      CHECK(std::ranges::equal(layer.bias, p.b));
    }
  }
  auto const bare = svd_basis(matrix<double>{{3, 0}, {0, 4}}, {});
  CHECK(bare.losses(0) == doctest::Approx(16));
  CHECK(bare.energy == doctest::Approx(25));
  CHECK(std::ranges::count(bare.truncate(1).bias, 0.0) == 2);
}

TEST_CASE_TEMPLATE("with a metric the loss is what errors cost by it, at every rank", T, float,
                   double) {
  for (auto const shape : layers) {
    CAPTURE(shape);
    auto const p = problem_of<T>(shape, 60, 26);
    auto const m = random_metric(shape.rows, 27);
    output_metric metric;
    metric.blocks = {m};
    // The lift of the diagonal counts a billionth more of the mean weight.
    check_losses(fitted(p, {}, metric), p, m, 1e-8 * p.scale);
    check_losses(fitted(p, uncentred, metric), p, m, 1e-8 * p.scale);
  }
}

TEST_CASE("with a metric no random change of the factors and the bias does better by it") {
  for (auto const shape : layers) {
    auto const p = problem_of<double>(shape, 40, 28);
    auto const m = random_metric(shape.rows, 29);
    output_metric metric;
    metric.blocks = {m};
    auto const basis = fitted(p, {}, metric);
    for (index_t k = 1; k <= basis.rank(); k += 1 + basis.rank() / 5) {
      CAPTURE(shape);
      CAPTURE(k);
      CHECK(largest_gain(basis.truncate(k), p.x, p.t, true, m) <= 1e-9 * p.scale);
    }
  }
}

TEST_CASE_TEMPLATE("a metric in blocks is the one block that they make up", T, float, double) {
  struct outputs_in_blocks {
    shape2 shape;
    std::vector<index_t> orders;
  };
  for (auto const& outputs_of :  // clang 14 captures no structured binding
       {outputs_in_blocks{{6, 8}, {1, 1, 1, 1, 1, 1}}, outputs_in_blocks{{6, 8}, {2, 4}},
        outputs_in_blocks{{14, 5}, {7, 4, 3}}, outputs_in_blocks{{14, 14}, {5, 9}}}) {
    auto const shape = outputs_of.shape;
    auto const& orders = outputs_of.orders;
    for (std::size_t const zero : {std::size_t{0}, orders.size() - 1, std::size_t{99}}) {
      CAPTURE(shape);
      CAPTURE(orders.size());
      CAPTURE(zero);
      auto const p = problem_of<T>(shape, 60, 58);
      output_metric several;
      several.blocks = blocks_of(orders, zero);
      auto const m = support::along_diagonal(several.blocks, shape.rows);
      output_metric single;
      single.blocks = {m};
      auto const one = fitted(p, {}, single);
      auto const other = fitted(p, {}, several);
      check_losses(other, p, m, 1e-8 * p.scale);
      auto const free = zero < orders.size() ? orders[zero] : 0;
      auto const order = static_cast<double>(shape.rows + shape.cols);
      auto const rounding = 20 * order * epsilon<double> * p.scale * frobenius_norm(m);
      CHECK(std::abs(one.energy - other.energy) <= rounding);
      for (index_t k = 1; k <= one.rank(); ++k) {
        CAPTURE(k);
        CHECK(std::abs(one.predicted_loss(k) - other.predicted_loss(k)) <= rounding);
        auto const expected = weight_of(one.truncate(k));
        auto const w = weight_of(other.truncate(k));
        auto const types = 8 * static_cast<double>(k) * epsilon<T>;
        CHECK(cost_of(difference(w, expected), m) <=
              (1e-9 + types) * std::sqrt(frobenius_norm(m)) * frobenius_norm(p.w));
        if (k <= shape.rows - free) {
          // Directions that cost a billionth follow, and rounding turns those by 1e-7.
          CHECK(distance(w, expected) <= (1e-6 + types) * frobenius_norm(p.w));
        }
        CHECK(all_finite(other.truncate(k)));
      }
    }
  }
}

TEST_CASE("a joint fit by blocks is that by the one block that they make up") {
  auto const p = problem_of<double>({9, 6}, 60, 59);
  output_metric several;
  several.blocks = blocks_of({4, 2, 3}, 99);
  output_metric single;
  single.blocks = {support::along_diagonal(several.blocks, 9)};
  auto const one = fit<double>(joint_of(p.t, p.x), 1e-3, single);
  auto const other = fit<double>(joint_of(p.t, p.x), 1e-3, several);
  CHECK(other.unexplained == 0);
  for (index_t k = 1; k <= 6; ++k) {
    CHECK(std::abs(one.predicted_loss(k) - other.predicted_loss(k)) <= 1e-12 * one.energy);
    CHECK(distance(weight_of(one.truncate(k)), weight_of(other.truncate(k))) <=
          1e-9 * frobenius_norm(p.w));
  }
}

TEST_CASE_TEMPLATE("a diagonal metric is the block with this diagonal", T, float, double) {
  for (auto const shape : layers) {
    CAPTURE(shape);
    auto const p = problem_of<T>(shape, 60, 30);
    output_metric diagonal;
    diagonal.diagonal = support::positive_vector<double>(shape.rows, 31);
    auto m = make_matrix<double>({shape.rows, shape.rows});
    m.fill(0);
    for (index_t i = 0; i < shape.rows; ++i) {
      as_view(m)(i, i) = (*diagonal.diagonal)(static_cast<std::size_t>(i));
    }
    output_metric block;
    block.blocks = {m};
    auto const one = fitted(p, {}, diagonal);
    auto const other = fitted(p, {}, block);
    check_losses(one, p, m);
    for (index_t k = 1; k <= one.rank(); ++k) {
      CHECK(std::abs(one.predicted_loss(k) - other.predicted_loss(k)) <= 2e-9 * p.scale);
      CHECK(distance(weight_of(one.truncate(k)), weight_of(other.truncate(k))) <=
            (1e-5 + 8 * static_cast<double>(k) * epsilon<T>)*frobenius_norm(p.w));
    }
  }
}

TEST_CASE("the identity as a metric changes nothing") {
  auto const p = problem_of<double>({6, 8}, 60, 32);
  auto const one = fitted(p);
  output_metric metric;
  metric.diagonal = make_vector<double>(6);
  metric.diagonal->fill(1);
  auto const other = fitted(p, {}, metric);
  for (index_t k = 1; k <= 6; ++k) {
    CHECK(std::abs(one.predicted_loss(k) - other.predicted_loss(k)) <= 1e-13 * p.scale);
    CHECK(distance(weight_of(one.truncate(k)), weight_of(other.truncate(k))) <= 1e-12);
  }
}

TEST_CASE("a metric c times as large counts losses c times by the same weights") {
  auto const p = problem_of<float>({6, 8}, 60, 33);
  output_metric metric;
  metric.blocks = {random_metric(6, 34)};
  auto const one = fitted(p, {}, metric);
  for (double const c : {1e-90, 1e90}) {
    CAPTURE(c);
    output_metric scaled;
    scaled.blocks = {random_metric(6, 34)};
    for (auto& value : scaled.blocks[0]) {
      value *= c;
    }
    auto const other = fitted(p, {}, scaled);
    for (index_t k = 1; k <= 6; ++k) {
      CHECK(std::abs(one.predicted_loss(k) - other.predicted_loss(k) / c) <= 1e-11 * p.scale);
      CHECK(distance(weight_of(one.truncate(k)), weight_of(other.truncate(k))) <=
            1e-5 * frobenius_norm(p.w));
    }
  }
}

TEST_CASE_TEMPLATE("outputs of weight 0 answer their mean, and the others are fitted as if alone",
                   T, float, double) {
  auto const p = problem_of<T>({5, 6}, 60, 35);
  output_metric metric;
  metric.diagonal = make_vector<double>(5);
  std::ranges::copy(std::vector<double>{1, 0, 1, 1, 0}, metric.diagonal->begin());
  auto const basis = fitted(p, {}, metric);
  auto alone = make_matrix<T>({3, 6});
  copy<T>(as_view(p.w).row_range(0, 1), as_view(alone).row_range(0, 1));
  copy<T>(as_view(p.w).row_range(2, 2), as_view(alone).row_range(1, 2));
  auto const expected = fit(alone, {}, moments_of(p.x));
  for (index_t k = 1; k <= 3; ++k) {
    CHECK(std::abs(basis.predicted_loss(k) - expected.predicted_loss(k)) <= 1e-12 * p.scale);
    auto const layer = basis.truncate(k);
    CHECK(all_finite(layer));
    auto const w = weight_of(layer);
    CHECK(frobenius_norm(as_view(w).row_range(1, 1)) == 0);
    CHECK(frobenius_norm(as_view(w).row_range(4, 1)) == 0);
  }
  CHECK(basis.predicted_loss(3) <= 1e-12 * p.scale);
  CHECK(all_finite(basis.truncate(5)));
}

TEST_CASE_TEMPLATE("a metric of 0 makes all layers free, and they are finite", T, float, double) {
  for (auto const shape : layers) {
    auto const p = problem_of<T>(shape, 60, 36);
    output_metric block;
    block.blocks = {make_matrix<double>({shape.rows, shape.rows})};
    block.blocks[0].fill(0);
    output_metric blocks;
    for (index_t i = 0; i < shape.rows; ++i) {
      blocks.blocks.push_back(make_matrix<double>({1, 1}));
      blocks.blocks.back().fill(0);
    }
    output_metric diagonal;
    diagonal.diagonal = make_vector<double>(shape.rows);
    diagonal.diagonal->fill(0);
    for (auto const* metric : {&block, &blocks, &diagonal}) {
      auto const basis = fitted(p, {}, *metric);
      CHECK(basis.energy <= 1e-100);
      CHECK(all_finite(basis.truncate(basis.rank())));
      CHECK(all_finite(basis.truncate(1)));
    }
  }
}

TEST_CASE_TEMPLATE("a metric of lower rank than the outputs is one, and the layers are finite", T,
                   float, double) {
  auto const p = problem_of<T>({9, 6}, 60, 37);
  auto const reader = random_matrix<double>(3, 9, 38);
  auto const m = product(op::transpose, reader, op::none, reader);
  output_metric metric;
  metric.blocks = {m};
  auto const basis = fitted(p, {}, metric);
  // Directions that cost nothing are kept by a billionth only, so that P^-1 is 3e4 at most.
  for (index_t k = 1; k <= 6; ++k) {
    auto const layer = basis.truncate(k);
    CHECK(all_finite(layer));
    auto const loss = basis.predicted_loss(k);
    CHECK(std::abs(measured(p.t, outputs(p.x, layer), m) - loss) <=
          loss_tolerance(layer, p.x, p.scale * frobenius_norm(m), loss, frobenius_norm(m)) +
              1e-8 * p.scale);
  }
  CHECK(basis.predicted_loss(3) <= 1e-8 * p.scale);
}

TEST_CASE("a joint fit of the layer's own outputs without a ridge is the fit of the layer") {
  for (auto const shape : layers) {
    auto const p = problem_of<double>(shape, 80, 40);
    auto const one = fitted(p);
    auto const other = fit<double>(joint_of(p.t, p.x), 0);
    CAPTURE(shape);
    CHECK(other.unexplained <= 1e-12 * p.scale);
    CHECK(std::abs(one.energy - other.energy) <= 1e-12 * p.scale);
    for (index_t k = 1; k <= one.rank(); ++k) {
      CAPTURE(k);
      CHECK(std::abs(one.predicted_loss(k) - other.predicted_loss(k)) <= 1e-12 * p.scale);
      auto const a = one.truncate(k);
      auto const b = other.truncate(k);
      CHECK(distance(weight_of(a), weight_of(b)) <= 1e-8 * frobenius_norm(p.w));
      CHECK(distance(outputs(p.x, a), outputs(p.x, b)) <= 1e-8 * frobenius_norm(p.t));
    }
  }
}

namespace {

// Outputs that are no function of the inputs: those of the layer for other inputs.
template <class T>
auto disturbed_inputs(shape2 shape, std::uint32_t seed) -> problem<T> {
  auto p = problem_of<T>(shape, 80, seed);
  auto const noise = random_matrix<double>(80, shape.cols, seed + 5);
  for (std::size_t i = 0; i < p.x.size(); ++i) {
    p.x.data()[i] += 0.3 * noise.data()[i] + 0.2;
  }
  return p;
}

}  // namespace

TEST_CASE_TEMPLATE("unexplained and left out, a joint fit predicts the measured loss", T, float,
                   double) {
  for (auto const shape : layers) {
    CAPTURE(shape);
    auto const p = disturbed_inputs<T>(shape, 41);
    auto const basis = fit<T>(joint_of(p.t, p.x), 0);
    CHECK(basis.unexplained > 1e-3);
    check_losses(basis, p);
    // Rank 0 answers the mean.
    auto const c = plain_covariance(p.t, true);
    double variance = 0;
    for (index_t i = 0; i < shape.rows; ++i) {
      variance += as_view(c)(i, i);
    }
    CHECK(std::abs(basis.energy - variance) <= 1e-12 * p.scale);
    CHECK(std::abs(basis.predicted_loss(0) - variance) <= 1e-12 * p.scale);
  }
}

TEST_CASE("no random change of the layers of a joint fit does better, nor the fit to the weights") {
  for (auto const shape : layers) {
    auto const p = disturbed_inputs<double>(shape, 42);
    auto const basis = fit<double>(joint_of(p.t, p.x), 0);
    auto const of_weights = fitted(p);
    for (index_t k = 1; k <= basis.rank(); k += 1 + basis.rank() / 5) {
      CAPTURE(shape);
      CAPTURE(k);
      CHECK(largest_gain(basis.truncate(k), p.x, p.t) <= 1e-12 * p.scale);
      CHECK(measured(p.t, outputs(p.x, basis.truncate(k))) <
            measured(p.t, outputs(p.x, of_weights.truncate(k))));
    }
  }
}

TEST_CASE("a ridge shrinks the weights, and the loss counts their size as errors") {
  for (auto const shape : layers) {
    auto const p = disturbed_inputs<double>(shape, 43);
    auto const c = plain_covariance(p.x, true);
    double level = 0;
    for (index_t i = 0; i < shape.cols; ++i) {
      level += as_view(c)(i, i) / static_cast<double>(shape.cols);
    }
    auto const joint = joint_of(p.t, p.x);
    auto const none = fit<double>(joint, 0);
    double before = frobenius_norm(weight_of(none.truncate(none.rank())));
    for (double const ridge : {1e-3, 0.1, 10.0}) {
      auto const basis = fit<double>(joint, ridge);
      for (index_t k = 1; k <= basis.rank(); ++k) {
        CAPTURE(shape);
        CAPTURE(ridge);
        CAPTURE(k);
        auto const layer = basis.truncate(k);
        auto const size = ridge * level * squared_norm(weight_of(layer));
        CHECK(std::abs(basis.predicted_loss(k) - measured(p.t, outputs(p.x, layer)) - size) <=
              1e-12 * p.scale);
      }
      auto const after = frobenius_norm(weight_of(basis.truncate(basis.rank())));
      CHECK(after < before);
      before = after;
    }
  }
}

TEST_CASE("a joint fit under a diagonal metric predicts what errors cost, and is the best") {
  for (auto const shape : layers) {
    CAPTURE(shape);
    auto const p = disturbed_inputs<double>(shape, 44);
    output_metric metric;
    metric.diagonal = support::positive_vector<double>(shape.rows, 45);
    auto m = make_matrix<double>({shape.rows, shape.rows});
    m.fill(0);
    for (index_t i = 0; i < shape.rows; ++i) {
      as_view(m)(i, i) = (*metric.diagonal)(static_cast<std::size_t>(i));
    }
    auto const basis = fit<double>(joint_of(p.t, p.x), 0, metric);
    check_losses(basis, p, m);
    CHECK(largest_gain(basis.truncate(1), p.x, p.t, true, m) <= 1e-12 * p.scale);
  }
}

TEST_CASE(
    "a joint fit under a metric of one block is the best by it, and predicts all but a constant") {
  for (auto const shape : layers) {
    CAPTURE(shape);
    auto const p = disturbed_inputs<double>(shape, 46);
    auto const m = random_metric(shape.rows, 47);
    output_metric metric;
    metric.blocks = {m};
    auto const basis = fit<double>(joint_of(p.t, p.x), 0, metric);
    auto const full = measured(p.t, outputs(p.x, basis.truncate(basis.rank())), m);
    for (index_t k = 1; k <= basis.rank(); ++k) {
      CAPTURE(k);
      auto const layer = basis.truncate(k);
      CHECK(std::abs(measured(p.t, outputs(p.x, layer), m) - full - basis.predicted_loss(k)) <=
            1e-8 * p.scale);
    }
    CHECK(largest_gain(basis.truncate(1), p.x, p.t, true, m) <= 1e-9 * p.scale);
  }
}

TEST_CASE("inputs that leave directions out need a ridge") {
  auto p = problem_of<double>({4, 5}, 30, 48);
  for (index_t i = 0; i < 30; ++i) {
    as_view(p.x)(i, 2) = 7;
  }
  auto const joint = joint_of(p.t, p.x);
  CHECK_THROWS_AS(fit<double>(joint, 0), not_positive_definite);
  auto const basis = fit<double>(joint, 1e-4);
  for (index_t k = 1; k <= 4; ++k) {
    CHECK(all_finite(basis.truncate(k)));
  }
}

TEST_CASE_TEMPLATE("constant inputs answer the mean of the outputs", T, float, double) {
  auto p = problem_of<T>({4, 5}, 30, 49);
  p.x.fill(3);
  auto const basis = fit<T>(joint_of(p.t, p.x), 0.1);
  auto const layer = basis.truncate(2);
  CHECK(frobenius_norm(weight_of(layer)) == 0);
  auto const mean = joint_of(p.t, p.x).output_mean();
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(layer.bias(i) == static_cast<T>(mean(i)));
  }
  CHECK(std::abs(basis.predicted_loss(4) - basis.energy) <= 1e-12 * basis.energy);
}

TEST_CASE("what does not fit is refused by name") {
  auto const p = problem_of<double>({4, 5}, 20, 51);
  auto const inputs = moments_of(p.x);
  auto const other = moments_of(samples(20, 6, 52));
  CHECK(refusal<shape_error>([&] { fit(p.w, as_span(p.b), other); }) ==
        "fit: rows of 5 numbers, expected 6");
  CHECK(refusal<shape_error>([&] { fit(p.w, as_span(p.b).first(3), inputs); }) ==
        "fit: 3 biases for a 4 x 5 matrix");
  for (double const s : {-0.1, 1.1}) {
    CHECK(refusal<shape_error>([&] { fitted(p, {.centred = true, .shrinkage = s}); }) ==
          message("fit: shrinkage ", s, " is not in [0, 1]"));
  }
  CHECK_THROWS_AS(fitted(p, {true, not_a_number<double>}), shape_error);
  auto bad = p;
  bad.w(1, 2) = not_a_number<double>;
  CHECK_THROWS_AS(fitted(bad), numerical_error);
  auto const joint = joint_of(p.t, p.x);
  CHECK(refusal<shape_error>([&] { fit<double>(joint, -0.5); }) == "fit: a ridge of -0.5");
  CHECK(refusal<shape_error>([&] { fit<double>(joint, not_a_number<double>); }) ==
        "fit: a ridge of nan");
  CHECK(refusal<shape_error>([] { fit<double>(joint_moments(2, 3), 0.1); }) ==
        "fit: moments of no rows");
  auto const basis = fitted(p);
  CHECK(refusal<shape_error>([&] { basis.truncate(0); }) == "truncate: rank 0 of a basis of 4");
  CHECK(refusal<shape_error>([&] { basis.truncate(5); }) == "truncate: rank 5 of a basis of 4");
  CHECK(refusal<shape_error>([&] { basis.predicted_loss(5); }) ==
        "predicted_loss: rank 5 of a basis of 4");
  CHECK(refusal<shape_error>([&] { basis.predicted_loss(-1); }) ==
        "predicted_loss: rank -1 of a basis of 4");
}
