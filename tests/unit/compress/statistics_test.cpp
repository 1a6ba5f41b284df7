#include "eckart/compress/statistics.hpp"

#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

using namespace eckart;
using support::epsilon;
using support::identical;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

namespace {

// Correlated columns of different spread: each row is a random one times a fixed matrix, plus means
// that differ.
template <class T>
auto random_rows(index_t rows, index_t width, std::uint32_t seed, double mean = 2) -> matrix<T> {
  auto const mixed = support::product(random_matrix<double>(rows, width, seed),
                                      random_matrix<double>(width, width, seed + 1000));
  auto x = make_matrix<T>({rows, width});
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < width; ++j) {
      auto const spread = 1 / static_cast<double>(1 + j % 7);
      as_view(x)(i, j) =
          static_cast<T>(spread * as_view(mixed)(i, j) + mean * static_cast<double>(j % 3 - 1));
    }
  }
  return x;
}

// The two passes of the textbook, in double.
struct plain_moments {
  std::vector<double> mean;
  matrix<double> covariance;
  matrix<double> size;  // E|x - mean| |x - mean|^T, which the errors are relative to
};

template <class T>
auto column_means(matrix<T> const& x) -> std::vector<double> {
  auto const view = as_view(x);
  std::vector<double> mean(static_cast<std::size_t>(view.cols), 0.0);
  for (index_t i = 0; i < view.rows; ++i) {
    for (std::size_t j = 0; j < mean.size(); ++j) {
      mean[j] += static_cast<double>(view.row(i)[j]) / static_cast<double>(view.rows);
    }
  }
  return mean;
}

template <class T>
auto plain_cross(matrix<T> const& t, matrix<T> const& x) -> plain_moments {
  auto const t_mean = column_means(t);
  auto const x_mean = column_means(x);
  auto const rows = as_view(x).rows;
  plain_moments result{x_mean, make_matrix<double>({as_view(t).cols, as_view(x).cols}), {}};
  result.covariance.fill(0);
  result.size = result.covariance;
  for (index_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < t_mean.size(); ++i) {
      for (std::size_t j = 0; j < x_mean.size(); ++j) {
        auto const product = (static_cast<double>(as_view(t).row(r)[i]) - t_mean[i]) *
                             (static_cast<double>(as_view(x).row(r)[j]) - x_mean[j]);
        result.covariance(i, j) += product / static_cast<double>(rows);
        result.size(i, j) += std::abs(product) / static_cast<double>(rows);
      }
    }
  }
  return result;
}

template <class T>
auto plain(matrix<T> const& x) -> plain_moments {
  return plain_cross(x, x);
}

// A sum of so many products in T, each of two rounded factors, has an error below (rows + 3) eps /
// 2 times the sum of their sizes (Higham 2002, section 3.1); blocks of 2048 end it. The rest, in
// double, adds as many eps of double for each row, and loses the squares of the mean of what
// centring rounds. Twice that for the second order.
template <class T>
auto tolerance(index_t rows) -> double {
  return static_cast<double>(std::min<index_t>(rows, 2048) + 8) * epsilon<T> +
         4 * static_cast<double>(rows) * epsilon<double>;
}

auto sum_of_diagonal(matrix<double> const& a) -> double {
  double sum = 0;
  for (index_t i = 0; i < as_view(a).rows; ++i) {
    sum += as_view(a)(i, i);
  }
  return sum;
}

// The largest error of an entry in units of its bound.
template <class T>
auto misfit(matrix<double> const& got, plain_moments const& expected, index_t rows) -> double {
  if (as_view(got).shape() != as_view(expected.covariance).shape()) {
    return std::numeric_limits<double>::infinity();
  }
  double worst = 0;
  for (index_t i = 0; i < as_view(got).rows; ++i) {
    for (index_t j = 0; j < as_view(got).cols; ++j) {
      auto const error = std::abs(as_view(got)(i, j) - as_view(expected.covariance)(i, j));
      auto const bound = tolerance<T>(rows) * as_view(expected.size)(i, j);
      worst = error <= bound ? worst : std::max(worst, bound > 0 ? error / bound : error * 1e300);
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : worst;
    }
  }
  return worst;
}

auto mean_error(vector<double> const& got, std::vector<double> const& expected) -> double {
  double worst = got.size() == expected.size() ? 0 : 1e300;
  for (std::size_t j = 0; j < expected.size(); ++j) {
    worst = std::max(worst, std::abs(got(j) - expected[j]));
  }
  return worst;
}

template <class T>
auto moments_of(matrix<T> const& x) -> input_moments {
  input_moments result(as_view(x).cols);
  result.add(x);
  return result;
}

auto is_symmetric(matrix<double> const& c) -> bool {
  for (index_t i = 0; i < as_view(c).rows; ++i) {
    for (index_t j = 0; j < i; ++j) {
      if (as_view(c)(i, j) != as_view(c)(j, i)) {
        return false;
      }
    }
  }
  return true;
}

constexpr shape2 sizes[] = {{1, 1},  {2, 1},    {1, 6},    {7, 5},     {40, 3},
                            {9, 30}, {2048, 4}, {2049, 3}, {2500, 17}, {60, 300}};

}  // namespace

TEST_CASE_TEMPLATE("mean and covariance equal two passes of plain loops", T, float, double) {
  for (auto const size : sizes) {
    CAPTURE(size);
    auto const x = random_rows<T>(size.rows, size.cols, 1);
    auto const expected = plain(x);
    auto const m = moments_of(x);
    CHECK(m.count() == size.rows);
    CHECK(m.width() == size.cols);
    CHECK(mean_error(m.mean(), expected.mean) <=
          2 * static_cast<double>(size.rows) * epsilon<double> * max_abs(x));
    auto const c = m.covariance();
    CHECK(misfit<T>(c, expected, size.rows) <= 1);
    CHECK(is_symmetric(c));
  }
}

TEST_CASE_TEMPLATE("the second moment is the mean of the products of the plain rows", T, float,
                   double) {
  auto const x = random_rows<T>(300, 6, 2);
  auto const g = moments_of(x).second_moment();
  auto const wide = support::in_double(x);
  auto expected = support::product(op::transpose, wide, op::none, wide);
  for (auto& value : expected) {
    value /= 300;
  }
  CHECK(support::distance(g, expected) <= tolerance<T>(300) * frobenius_norm(expected) * 6);
  CHECK(is_symmetric(g));
}

TEST_CASE_TEMPLATE("pieces of any size give what all rows at once give", T, float, double) {
  constexpr index_t rows = 2300;
  auto const x = random_rows<T>(rows, 9, 3);
  auto const expected = plain(x);
  for (index_t const piece : {1, 2, 7, 100, 2047, 2048, 2049, 2299}) {
    CAPTURE(piece);
    input_moments m(9);
    for (index_t first = 0; first < rows; first += piece) {
      m.add(as_view(x).row_range(first, std::min(piece, rows - first)));
    }
    CHECK(m.count() == rows);
    CHECK(mean_error(m.mean(), expected.mean) <= 1e-12);
    CHECK(misfit<T>(m.covariance(), expected, rows) <= 1);
  }
}

TEST_CASE_TEMPLATE("pieces of different means give what all rows at once give", T, float, double) {
  auto x = random_rows<T>(900, 5, 4);
  for (index_t i = 0; i < 900; ++i) {
    for (auto& value : as_view(x).row(i)) {
      value += static_cast<T>(3 * (i / 300));
    }
  }
  auto const expected = plain(x);
  input_moments m(5);
  for (index_t first = 0; first < 900; first += 300) {
    m.add(as_view(x).row_range(first, 300));
  }
  CHECK(misfit<T>(m.covariance(), expected, 900) <= 1);
}

TEST_CASE_TEMPLATE("a mean many thousand times the spread costs no accuracy", T, float, double) {
  // The rows themselves are rounded, so that their moments are compared with their own: in float
  // E[x²] - E[x]² would have no correct digit, and a mean rounded to float would be off by 0.03.
  for (double const mean : {1e4, 1e6}) {
    for (index_t const piece : {1, 50, 3000}) {
      CAPTURE(mean);
      CAPTURE(piece);
      auto const x = random_rows<T>(3000, 6, 5, mean);
      auto const expected = plain(x);
      input_moments m(6);
      for (index_t first = 0; first < 3000; first += piece) {
        m.add(as_view(x).row_range(first, piece));
      }
      // The mean has an error of 3000 eps of double of itself at most, and with it its product with
      // the deviations.
      auto const noise = mean * 3000 * epsilon<double>;
      auto slack = expected;
      for (auto& value : slack.size) {
        value += noise / tolerance<T>(3000);
      }
      CHECK(misfit<T>(m.covariance(), slack, 3000) <= 1);
      CHECK(mean_error(m.mean(), expected.mean) <= noise);
    }
  }
}

TEST_CASE_TEMPLATE("what stands in the padding does not matter", T, float, double) {
  constexpr index_t tokens = 11;
  std::vector<index_t> const lengths{11, 4, 0, 1, 7};
  auto x = random_rows<T>(tokens * 5, 6, 6);
  auto real_rows = make_matrix<T>({23, 6});
  index_t row = 0;
  for (index_t b = 0; b < 5; ++b) {
    for (index_t i = 0; i < tokens; ++i) {
      auto const from = as_view(x).row(b * tokens + i);
      if (i < lengths[static_cast<std::size_t>(b)]) {
        std::ranges::copy(from, as_view(real_rows).row(row++).begin());
      } else {
        std::ranges::fill(from, i % 2 == 0 ? not_a_number<T> : T{1e30F});
      }
    }
  }
  REQUIRE(row == 23);
  input_moments m(6);
  m.add(x, lengths);
  auto const loops = plain(real_rows);
  CHECK(m.count() == 23);
  CHECK(mean_error(m.mean(), loops.mean) <= 1e-13);
  CHECK(misfit<T>(m.covariance(), loops, 23) <= 1);
}

TEST_CASE("sentences without padding are as rows without sentences") {
  auto const x = random_rows<double>(24, 5, 7);
  input_moments m(5);
  m.add(x, std::vector<index_t>{8, 8, 8});
  CHECK(m.count() == 24);
  CHECK(misfit<double>(m.covariance(), plain(x), 24) <= 1);
}

TEST_CASE("lengths that do not fit are refused by name, before anything is added") {
  auto const x = random_rows<double>(12, 3, 8);
  input_moments m(3);
  auto const told = [&](std::vector<index_t> const& lengths) {
    return refusal<shape_error>([&] { m.add(x, lengths); });
  };
  CHECK(told({4, 5, 4}) == "input_moments: sentence 1 has 5 of 4 tokens");
  CHECK(told({4, 4, -1}) == "input_moments: sentence 2 has -1 of 4 tokens");
  CHECK(told({4, 4, 4, 4, 4}) == "input_moments: 12 rows for 5 sentences");
  CHECK(told({}) == "input_moments: 12 rows for 0 sentences");
  CHECK(m.count() == 0);
}

TEST_CASE_TEMPLATE("one row has its own mean and covariance 0", T, float, double) {
  auto const x = random_rows<T>(1, 4, 9);
  auto const m = moments_of(x);
  CHECK(m.count() == 1);
  CHECK(std::ranges::equal(m.mean(), support::in_double(x)));
  CHECK(std::ranges::count(m.covariance(), 0.0) == 16);
}

TEST_CASE("equal rows have covariance 0, added at once or one by one") {
  auto x = make_matrix<float>({2000, 3});
  for (index_t i = 0; i < 2000; ++i) {
    as_view(x)(i, 0) = 0.1F;
    as_view(x)(i, 1) = -3e6F;
    as_view(x)(i, 2) = 0;
  }
  input_moments one_by_one(3);
  for (index_t i = 0; i < 2000; ++i) {
    one_by_one.add(as_view(x).row_range(i, 1));
  }
  for (auto const& m : {moments_of(x), one_by_one}) {
    // The mean is off by 2000 eps at most, the covariance by its square.
    auto const c = m.covariance();
    for (index_t i = 0; i < 3; ++i) {
      auto const off = 2000 * epsilon<double> * static_cast<double>(as_view(x)(0, i));
      CHECK(as_view(c)(i, i) <= off * off);
    }
  }
}

TEST_CASE("without rows the count, the mean and the covariance are 0") {
  input_moments m(3);
  m.add(make_matrix<float>({0, 3}));
  m.add(make_matrix<float>({0, 3}), std::vector<index_t>{0, 0});
  m.add(random_rows<float>(4, 3, 10), std::vector<index_t>{0, 0});
  CHECK(m.count() == 0);
  CHECK(std::ranges::count(m.mean(), 0.0) == 3);
  CHECK(std::ranges::count(m.covariance(), 0.0) == 9);
  CHECK(std::ranges::count(m.second_moment(), 0.0) == 9);
}

TEST_CASE_TEMPLATE("moments come back from count, mean and covariance and take more rows", T, float,
                   double) {
  auto const x = random_rows<T>(200, 7, 11);
  for (index_t const before : {0, 1, 90, 200}) {
    CAPTURE(before);
    input_moments first(7);
    first.add(as_view(x).row_range(0, before));
    input_moments restored(first.count(), first.mean(), first.covariance());
    CHECK(restored.count() == before);
    CHECK(std::ranges::equal(restored.mean(), first.mean()));
    CHECK(support::distance(restored.covariance(), first.covariance()) <=
          2 * epsilon<double> * frobenius_norm(first.covariance()));
    restored.add(as_view(x).row_range(before, 200 - before));
    CHECK(restored.count() == 200);
    CHECK(misfit<T>(restored.covariance(), plain(x), 200) <= 1);
    CHECK(is_symmetric(restored.covariance()));
  }
}

TEST_CASE("a part of a matrix is added like its copy") {
  auto const around = random_rows<float>(40, 30, 12);
  auto const part = as_view(around).block(3, 5, 20, 9);
  input_moments of_view(9);
  of_view.add(part);
  auto const of_copy = moments_of(to_matrix(part));
  CHECK(identical(of_view.covariance(), of_copy.covariance()));
}

TEST_CASE_TEMPLATE("an entry that is not finite is refused by its place, and nothing is added", T,
                   float, double) {
  auto x = random_rows<T>(1500, 4, 13);
  auto m = moments_of(x);
  auto const before = m.covariance();
  x(1200, 2) = not_a_number<T>;
  CHECK(refusal<numerical_error>([&] { m.add(x); }) ==
        "input_moments: element (1200, 2) of the 1500 x 4 matrix is nan");
  CHECK(refusal<numerical_error>([&] {
          m.add(x, std::vector<index_t>{700, 451});
        }) == "input_moments: element (1200, 2) of the 1500 x 4 matrix is nan");
  x(3, 1) = -std::numeric_limits<T>::infinity();
  CHECK(refusal<numerical_error>([&] { m.add(x); }) ==
        "input_moments: element (3, 1) of the 1500 x 4 matrix is -inf");
  CHECK(m.count() == 1500);
  CHECK(identical(m.covariance(), before));
  m.add(x, std::vector<index_t>{3, 450});  // the bad ones are padding now
  CHECK(m.count() == 1953);
}

TEST_CASE("numbers whose squares overflow are refused") {
  matrix<float> const x{{1, 0}, {2, 2e30F}};
  input_moments m(2);
  CHECK(refusal<numerical_error>([&] { m.add(x); }) ==
        "input_moments: the squares of column 1 overflow");
  CHECK(m.count() == 0);
  m.add(support::in_double(x));  // double holds them
  CHECK(std::abs(m.covariance()(1, 1) / 1e60 - 1) <= 1e-6);
}

TEST_CASE("shapes and saved numbers that do not fit are refused by name") {
  input_moments m(3);
  CHECK(refusal<shape_error>([&] { m.add(random_rows<float>(2, 4, 14)); }) ==
        "input_moments: rows of 4 numbers, expected 3");
  CHECK(refusal<shape_error>([&] {
          m.add(random_rows<float>(2, 4, 14), std::vector<index_t>{1});
        }) == "input_moments: rows of 4 numbers, expected 3");
  auto const restored = [](index_t count, index_t n, shape2 covariance, double value) {
    auto mean = make_vector<double>(n);
    mean.fill(n == 5 ? value : 0);
    auto c = make_matrix<double>(covariance);
    c.fill(value);
    return input_moments(count, mean, c);
  };
  CHECK(refusal<shape_error>([&] {
          restored(-1, 2, {2, 2}, 1);
        }) == "input_moments: -1 rows, mean of 2, covariance 2 x 2");
  CHECK(refusal<shape_error>([&] {
          restored(4, 2, {2, 3}, 1);
        }) == "input_moments: 4 rows, mean of 2, covariance 2 x 3");
  CHECK(refusal<numerical_error>([&] {
          restored(4, 2, {2, 2}, not_a_number<double>);
        }) == "input_moments, covariance: element (0, 0) of the 2 x 2 matrix is nan");
  CHECK(refusal<numerical_error>([&] {
          restored(4, 5, {5, 5}, not_a_number<double>);
        }) == "input_moments, mean: element (0, 0) of the 1 x 5 matrix is nan");
}

TEST_CASE_TEMPLATE("joint moments equal plain loops, in pieces of any size", T, float, double) {
  constexpr index_t rows = 2100;
  auto const t = random_rows<T>(rows, 5, 20, 3);
  auto const x = random_rows<T>(rows, 8, 21);
  auto const cross = plain_cross(t, x);
  auto const of_t = plain(t);
  for (index_t const piece : {1, 64, 2048, 2100}) {
    CAPTURE(piece);
    joint_moments m(5, 8);
    for (index_t first = 0; first < rows; first += piece) {
      auto const count = std::min(piece, rows - first);
      m.add(as_view(t).row_range(first, count), as_view(x).row_range(first, count));
    }
    CHECK(m.inputs().count() == rows);
    CHECK(misfit<T>(m.cross_covariance(), cross, rows) <= 1);
    CHECK(misfit<T>(m.inputs().covariance(), plain(x), rows) <= 1);
    CHECK(mean_error(m.inputs().mean(), cross.mean) <= 1e-12);
    CHECK(mean_error(m.output_mean(), of_t.mean) <= 1e-12);
    auto const variance = m.output_variance().value();
    REQUIRE(variance.size() == 5);
    for (std::size_t j = 0; j < 5; ++j) {
      CHECK(std::abs(variance(j) - of_t.covariance(j, j)) <=
            tolerance<T>(rows) * of_t.covariance(j, j));
    }
  }
}

TEST_CASE("outputs that are the inputs have their covariance as cross covariance") {
  auto const x = random_rows<double>(50, 6, 22);
  joint_moments m(6, 6);
  m.add(x, x);
  CHECK(support::distance(m.cross_covariance(), m.inputs().covariance()) <=
        50 * epsilon<double> * frobenius_norm(m.inputs().covariance()));
}

TEST_CASE_TEMPLATE("outputs of a layer have the moments of its rows", T, float, double) {
  for (bool const with_bias : {true, false}) {
    auto const own = random_rows<T>(70, 6, 23);
    auto const x = random_rows<T>(70, 4, 24);
    auto const w = random_rows<T>(9, 6, 25);
    auto const b = random_rows<T>(1, 9, 26);
    auto const bias = with_bias ? as_view(b).row(0) : std::span<T const>();
    auto t = make_matrix<double>({70, 9});
    for (index_t i = 0; i < 70; ++i) {
      for (index_t j = 0; j < 9; ++j) {
        double sum = with_bias ? static_cast<double>(bias[static_cast<std::size_t>(j)]) : 0.0;
        for (index_t k = 0; k < 6; ++k) {
          sum += static_cast<double>(as_view(w)(j, k)) * static_cast<double>(as_view(own)(i, k));
        }
        as_view(t)(i, j) = sum;
      }
    }
    auto wide = make_matrix<double>({70, 4});
    std::ranges::copy(x, wide.begin());
    joint_moments expected(9, 4);
    expected.add(t, wide);

    joint_moments pairs(6, 4);
    pairs.add(own, x);
    joint_moments const of_layer(w, bias, pairs);
    CHECK(identical(of_layer.inputs().covariance(), pairs.inputs().covariance()));
    // Sums of 70 products in T, and of 6 more for each output.
    auto const bound = 80 * epsilon<T> * frobenius_norm(w);
    CHECK(support::distance(of_layer.cross_covariance(), expected.cross_covariance()) <=
          bound * frobenius_norm(pairs.cross_covariance()) +
              bound * std::sqrt(sum_of_diagonal(plain(own).covariance) *
                                sum_of_diagonal(pairs.inputs().covariance())));
    for (std::size_t j = 0; j < 9; ++j) {
      CHECK(of_layer.output_mean()(j) ==
            doctest::Approx(expected.output_mean()(j)).epsilon(100 * epsilon<T>).scale(10));
    }
    CHECK_FALSE(of_layer.output_variance());
  }
}

TEST_CASE("moments that do not belong to a layer are refused") {
  auto const w = random_rows<double>(3, 6, 27);
  joint_moments const pairs(6, 4);
  CHECK_NOTHROW(joint_moments(w, {}, pairs));
  std::vector<double> const bias(2);
  CHECK_THROWS_AS(joint_moments(w, std::span<double const>(bias), pairs), shape_error);
  CHECK_THROWS_AS(joint_moments(random_rows<double>(3, 5, 30), {}, pairs), shape_error);
}

TEST_CASE("joint moments of no rows are 0") {
  joint_moments m(2, 3);
  m.add(make_matrix<float>({0, 2}), make_matrix<float>({0, 3}));
  CHECK(std::ranges::count(m.cross_covariance(), 0.0) == 6);
  CHECK(std::ranges::count(m.output_variance().value(), 0.0) == 2);
}

TEST_CASE("joint moments refuse pairs that do not fit, and what is not finite, and stay") {
  auto t = random_rows<float>(6, 2, 27);
  auto x = random_rows<float>(6, 3, 28);
  joint_moments m(2, 3);
  CHECK(refusal<shape_error>([&] { m.add(x, x); }) ==
        "joint_moments: rows of 3 numbers, expected 2");
  CHECK(refusal<shape_error>([&] { m.add(t, t); }) ==
        "joint_moments: rows of 2 numbers, expected 3");
  CHECK(refusal<shape_error>([&] { m.add(as_view(t).row_range(0, 5), x); }) ==
        "joint_moments: 5 outputs for 6 inputs");
  auto const told = [&] { return refusal<numerical_error>([&] { m.add(t, x); }); };
  t(4, 1) = not_a_number<float>;
  CHECK(told() == "joint_moments, outputs: element (4, 1) of the 6 x 2 matrix is nan");
  t(4, 1) = 1e10F;
  x(0, 2) = std::numeric_limits<float>::infinity();
  CHECK(told() == "joint_moments, inputs: element (0, 2) of the 6 x 3 matrix is inf");
  x(0, 2) = 1e25F;
  CHECK(told() == "input_moments: the squares of column 2 overflow");
  x(0, 2) = 1e18F;
  t(0, 1) = 3e36F;
  CHECK(told().starts_with("joint_moments, products of outputs and inputs: element (1, 2)"));
  CHECK(m.inputs().count() == 0);
  CHECK(std::ranges::count(m.output_mean(), 0.0) == 2);
  CHECK(std::ranges::count(m.cross_covariance(), 0.0) == 6);
}
