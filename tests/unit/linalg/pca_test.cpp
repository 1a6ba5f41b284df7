#include "eckart/linalg/pca.hpp"

#include "eckart/linalg/eigh.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <vector>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

namespace {

// 24 random shapes, and those at the borders: two samples, one variable, fewer samples than
// variables.
auto shapes() -> std::vector<shape2> {
  std::vector<shape2> result{{2, 1}, {2, 9}, {30, 1}, {7, 8}, {40, 3}, {4, 50}};
  std::mt19937 bits(1);
  for (int i = 0; i < 24; ++i) {
    auto const rows = 2 + static_cast<index_t>(bits() % 50);
    result.push_back({rows, 1 + static_cast<index_t>(bits() % 40)});
  }
  return result;
}

// Samples with means far from 0 and from each other, spread differently in each variable.
template <class T>
auto samples(shape2 shape, std::uint32_t seed) -> matrix<T> {
  auto x = random_matrix<T>(shape.rows, shape.cols, seed);
  for (index_t i = 0; i < shape.rows; ++i) {
    for (index_t j = 0; j < shape.cols; ++j) {
      auto& value = as_view(x)(i, j);
      value = value * static_cast<T>(1 + j % 5) + static_cast<T>(j - 3);
    }
  }
  return x;
}

// Backward error of the SVD, as in the tests of svd.
template <class T>
auto tolerance(shape2 a) -> double {
  return 10 * static_cast<double>(std::max(a.rows, a.cols)) * epsilon<T>;
}

// Centred in double by plain loops.
template <class T>
auto centred_in_double(matrix<T> const& x) -> matrix<double> {
  auto result = support::in_double(x);
  auto const view = as_view(result);
  for (index_t j = 0; j < view.cols; ++j) {
    double sum = 0;
    for (index_t i = 0; i < view.rows; ++i) {
      sum += view(i, j);
    }
    for (index_t i = 0; i < view.rows; ++i) {
      view(i, j) -= sum / static_cast<double>(view.rows);
    }
  }
  return result;
}

auto covariance(matrix<double> const& centred) -> matrix<double> {
  auto result = support::product(op::transpose, centred, op::none, centred);
  for (auto& x : result) {
    x /= static_cast<double>(as_view(centred).rows - 1);
  }
  return result;
}

template <class T>
auto at(vector<T> const& v, index_t i) -> double {
  return static_cast<double>(v(static_cast<std::size_t>(i)));
}

template <class T>
void check_values(vector<T> const& v, std::vector<double> const& expected, double bound) {
  REQUIRE(v.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::abs(static_cast<double>(v(i)) - expected[i]) <= bound);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("the components of three points in the plane are as by hand", T, float, double) {
  // (10, 20) + t (3, 4) + u (4, -3) with (t, u) = (-1, 1), (-1, -1), (2, 0): t and u have mean 0
  // and no covariance, so the axes are (3, 4) / 5 and (4, -3) / 5, and the variances 25 (1 + 1 + 4)
  // / 2 and 25 (1 + 1) / 2.
  matrix<T> const x{{11, 13}, {3, 19}, {16, 28}};
  auto const p = pca(x, 2);
  auto const bound = tolerance<T>({3, 2}) * 15;  // ||centred||² is 200
  check_values(p.mean, {10, 20}, 0);
  check_values(p.variance, {75, 25}, bound * 15);
  CHECK(std::abs(p.total_variance - 100) <= bound * 15);
  CHECK(support::distance(p.components, matrix<double>{{0.6, 0.8}, {0.8, -0.6}}) <= bound);
  auto const ratio = explained_ratio(p);
  REQUIRE(ratio.size() == 2);
  CHECK(std::abs(ratio[0] - 0.75) <= bound);
  CHECK(std::abs(ratio[1] - 0.25) <= bound);
  auto const scores = project(p, x);
  CHECK(support::distance(scores, matrix<double>{{-5, 5}, {-5, -5}, {10, 0}}) <= bound);
  auto const line = pca(x, 1);
  CHECK(support::distance(reconstruct(line, project(line, x)),
                          matrix<double>{{7, 16}, {7, 16}, {16, 28}}) <= bound);
  // A sample that was not among them: (10, 20) + (4, -3) has no part along the first axis.
  CHECK(support::distance(project(p, matrix<T>{{14, 17}}), matrix<double>{{0, 5}}) <= bound);
}

TEST_CASE_TEMPLATE("variances and components are eigenpairs of the covariance matrix", T, float,
                   double) {
  for (auto const shape : shapes()) {
    CAPTURE(shape);
    auto const x = samples<T>(shape, 2);
    auto const k = std::min(shape.rows, shape.cols);
    auto const p = pca(x, k);
    auto const c = covariance(centred_in_double(x));
    auto const expected = eigh(c).values;
    auto const total = frobenius_norm(centred_in_double(x)) * frobenius_norm(centred_in_double(x)) /
                       static_cast<double>(shape.rows - 1);
    // s is off by tolerance ||centred||, its square by twice that times s, and s <= ||centred||.
    auto const bound = 2 * tolerance<T>(shape) * total;
    CHECK(std::abs(p.total_variance - total) <= bound);
    for (index_t i = 0; i < k; ++i) {
      CHECK(std::abs(at(p.variance, i) - at(expected, i)) <= bound);
      auto const direction = support::in_double(as_view(p.components).row_range(i, 1));
      auto image = support::product(direction, c);  // c is symmetric
      for (index_t j = 0; j < shape.cols; ++j) {
        as_view(image)(0, j) -= at(p.variance, i) * as_view(direction)(0, j);
      }
      CHECK(frobenius_norm(image) <= 2 * bound);
    }
  }
}

TEST_CASE_TEMPLATE(
    "components are orthonormal rows, variances fall and each largest entry is "
    "positive",
    T, float, double) {
  for (auto const shape : shapes()) {
    CAPTURE(shape);
    auto const p = pca(samples<T>(shape, 3), std::min(shape.rows, shape.cols));
    auto const rows = as_view(p.components);
    CHECK(support::distance_from_orthonormal_rows(rows) <= tolerance<T>(shape));
    CHECK(std::ranges::is_sorted(as_span(p.variance), std::ranges::greater{}));
    CHECK(as_span(p.variance).back() >= 0);
    for (index_t i = 0; i < rows.rows; ++i) {
      T extreme = 0;
      for (auto const value : rows.row(i)) {
        extreme = std::abs(value) > std::abs(extreme) ? value : extreme;
      }
      CHECK(extreme > 0);
    }
  }
}

TEST_CASE_TEMPLATE("of equally large entries the first one is made positive", T, float, double) {
  std::vector<T> values{T(0.5), -1, 1, -1};
  detail::make_largest_positive(std::span<T>(values));
  CHECK(values == std::vector<T>{T(-0.5), 1, -1, 1});
}

TEST_CASE_TEMPLATE("scores of the samples have mean 0 and the variances as covariance", T, float,
                   double) {
  for (auto const shape : shapes()) {
    CAPTURE(shape);
    auto const x = samples<T>(shape, 4);
    auto const k = std::min(shape.rows, shape.cols);
    auto const p = pca(x, k);
    auto const scores = support::in_double(project(p, x));
    // The mean is rounded to T: an offset of eps |mean| in each variable.
    auto const noise = tolerance<T>(shape) * (frobenius_norm(x) + 1);
    auto const centred = centred_in_double(scores);
    CHECK(support::distance(centred, scores) <= noise);
    auto c = covariance(centred);
    for (index_t i = 0; i < k; ++i) {
      as_view(c)(i, i) -= at(p.variance, i);
    }
    CHECK(frobenius_norm(c) <= 4 * tolerance<T>(shape) * p.total_variance);
  }
}

TEST_CASE_TEMPLATE("all components give the samples back", T, float, double) {
  for (auto const shape : shapes()) {
    CAPTURE(shape);
    auto const x = samples<T>(shape, 5);
    auto const p = pca(x, std::min(shape.rows, shape.cols));
    CHECK(support::distance(reconstruct(p, project(p, x)), x) <=
          2 * tolerance<T>(shape) * frobenius_norm(x));
  }
}

TEST_CASE_TEMPLATE("the squared error of k components is the discarded variance times rows - 1", T,
                   float, double) {
  for (auto const shape : shapes()) {
    auto const x = samples<T>(shape, 6);
    auto const full = std::min(shape.rows, shape.cols);
    auto const all = pca(x, full);
    for (index_t k = 1; k <= full; k += 1 + full / 5) {
      CAPTURE(shape);
      CAPTURE(k);
      auto const p = pca(x, k);
      double discarded = 0;
      for (index_t i = k; i < full; ++i) {
        discarded += at(all.variance, i);
      }
      auto const error = support::distance(reconstruct(p, project(p, x)), x);
      // |e² - d²| = |e - d| (e + d), the former as in the test above, the latter below 2
      // ||centred||
      auto const norm = frobenius_norm(x);
      CHECK(std::abs(error * error - discarded * static_cast<double>(shape.rows - 1)) <=
            6 * tolerance<T>(shape) * norm * norm);
    }
  }
}

TEST_CASE_TEMPLATE("fewer components are the first of all", T, float, double) {
  auto const x = samples<T>({30, 12}, 7);
  auto const all = pca(x, 12);
  auto const few = pca(x, 5);
  CHECK(identical(few.components, to_matrix(as_view(all.components).row_range(0, 5))));
  CHECK(std::ranges::equal(as_span(few.variance), as_span(all.variance).first(5)));
  CHECK(std::ranges::equal(as_span(few.mean), as_span(all.mean)));
  CHECK(few.total_variance == all.total_variance);
}

TEST_CASE_TEMPLATE("explained ratios of all components add up to 1", T, float, double) {
  for (auto const shape : shapes()) {
    CAPTURE(shape);
    double sum = 0;
    for (auto const ratio :
         explained_ratio(pca(samples<T>(shape, 8), std::min(shape.rows, shape.cols)))) {
      sum += ratio;
    }
    CHECK(std::abs(sum - 1) <= 2 * tolerance<T>(shape));
  }
}

TEST_CASE_TEMPLATE("as many components as centred samples leave variance 0 for the last one", T,
                   float, double) {
  auto const p = pca(samples<T>({6, 20}, 9), 6);
  CHECK(at(p.variance, 4) > 1);
  CHECK(at(p.variance, 5) <= tolerance<T>({6, 20}) * p.total_variance);
}

TEST_CASE_TEMPLATE("equal samples have no variance and explain nothing", T, float, double) {
  matrix<T> const x{{1, -2, 3}, {1, -2, 3}};
  auto const p = pca(x, 2);
  CHECK(p.total_variance == 0);
  check_values(p.variance, {0, 0}, 0);
  CHECK(explained_ratio(p) == std::vector<double>{0, 0});
  CHECK(support::distance_from_orthonormal_rows(as_view(p.components)) <= tolerance<T>({2, 3}));
  CHECK(identical(reconstruct(p, project(p, x)), x));
}

TEST_CASE("the mean is summed in double") {
  // In float 2^24 + 1 is 2^24: the four ones would be lost and the mean 0.5.
  constexpr float big = 16777216;
  matrix<float> const x{{big}, {1}, {1}, {1}, {1}, {-big}, {2}, {2}};
  CHECK(pca(x, 1).mean(0) == 1.0F);
}

TEST_CASE_TEMPLATE("a part of a matrix is analysed like its copy", T, float, double) {
  auto const around = samples<T>({40, 30}, 10);
  auto const part = as_view(around).block(3, 5, 20, 9);
  auto const copied = to_matrix(part);
  auto const p = pca(part, 4);
  auto const q = pca(copied, 4);
  CHECK(identical(p.components, q.components));
  auto const scores = project(p, part);
  CHECK(identical(scores, project(q, copied)));
  auto const rows = as_view(scores).row_range(2, 3);
  CHECK(support::distance(reconstruct(p, rows), reconstruct(p, to_matrix(rows))) <=
        tolerance<T>({20, 9}) * frobenius_norm(copied));
}

TEST_CASE_TEMPLATE("an entry that is not finite is refused by its place and value", T, float,
                   double) {
  auto x = samples<T>({5, 3}, 11);
  auto const p = pca(x, 2);
  x(2, 1) = not_a_number<T>;
  CHECK(refusal<numerical_error>([&] { pca(x, 2); }) ==
        "pca: element (2, 1) of the 5 x 3 matrix is nan");
  CHECK(refusal<numerical_error>([&] { project(p, x); }) ==
        "project: element (2, 1) of the 5 x 3 matrix is nan");
  matrix<T> const scores{{1, 2}, {-std::numeric_limits<T>::infinity(), 0}};
  CHECK(refusal<numerical_error>([&] { reconstruct(p, scores); }) ==
        "reconstruct: element (1, 0) of the 2 x 2 matrix is -inf");
}

TEST_CASE("a variance that no float can hold is refused") {
  CHECK(refusal<numerical_error>([] {
          pca(matrix<float>{{0}, {2e30F}}, 1);
        }).starts_with("pca: the total variance 2e+60 of the 2 x 1 matrix"));
  CHECK(refusal<numerical_error>([] {
          pca(matrix<double>{{-1e308, 1}, {1e308, 2}}, 1);
        }).starts_with("pca: the total variance inf of the 2 x 2 matrix"));
}

TEST_CASE("too few samples, too many components and other widths are refused by name") {
  auto const x = samples<double>({5, 3}, 12);
  auto const p = pca(x, 2);
  auto const attempt = [](shape2 shape, index_t k) {
    return refusal<shape_error>([&] { pca(random_matrix<double>(shape.rows, shape.cols, 13), k); });
  };
  CHECK(attempt({1, 3}, 1) == "pca: 1 components of a 1 x 3 matrix, at least 2 samples are needed");
  CHECK(attempt({0, 3}, 1) == "pca: 1 components of a 0 x 3 matrix, at least 2 samples are needed");
  CHECK(attempt({5, 3}, 0) ==
        "pca: 0 components of a 5 x 3 matrix, 1 to min(rows, columns) are possible");
  CHECK(attempt({5, 3}, 4) ==
        "pca: 4 components of a 5 x 3 matrix, 1 to min(rows, columns) are possible");
  CHECK(attempt({2, 3}, 3) ==
        "pca: 3 components of a 2 x 3 matrix, 1 to min(rows, columns) are possible");
  CHECK(attempt({5, 0}, 1) ==
        "pca: 1 components of a 5 x 0 matrix, 1 to min(rows, columns) are possible");
  CHECK(attempt({2, 3}, 2) == "nothing thrown");
  CHECK(refusal<shape_error>([&] { project(p, random_matrix<double>(4, 2, 14)); }) ==
        "project: a 4 x 2 matrix for 3 variables");
  CHECK(refusal<shape_error>([&] { reconstruct(p, random_matrix<double>(4, 3, 15)); }) ==
        "reconstruct: a 4 x 3 matrix for 2 components");
}
