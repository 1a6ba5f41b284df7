#include "eckart/backend/row_kernels.hpp"

#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#ifdef ECKART_HAS_ROW_KERNELS

using namespace eckart;
using support::epsilon;
using support::not_a_number;
using support::random_matrix;

namespace {

struct named_kernels {
  char const* name;
  detail::row_kernels kernels;
};

/// Those that this processor runs.
auto all_kernels() -> std::vector<named_kernels> {
  std::vector<named_kernels> all{{"baseline", detail::row_kernels_of(simd_level::sse)}};
  auto const level = detail::processor_level().value_or(simd_level::sse);
  if (level >= simd_level::avx2) {
    all.push_back({"AVX2", detail::row_kernels_of(simd_level::avx2)});
  }
  if (level >= simd_level::avx512) {
    all.push_back({"AVX-512", detail::row_kernels_of(simd_level::avx512)});
  }
  return all;
}

/// n numbers in [-size, size), and one more on each side that nobody may touch.
auto framed(index_t n, float size, std::uint32_t seed) -> std::vector<float> {
  auto const numbers = random_matrix<float>(1, n + 2, seed);
  std::vector<float> row(numbers.begin(), numbers.end());
  std::ranges::for_each(row, [size](float& x) { x *= size; });
  return row;
}

/// exp(x_i - max x) in double, and their sum.
auto exponentials(std::vector<float> const& row) -> std::vector<double> {
  auto const n = row.size() - 2;
  auto const most = *std::max_element(row.begin() + 1, row.end() - 1);
  std::vector<double> e(n);
  for (std::size_t i = 0; i < n; ++i) {
    e[i] = std::exp(static_cast<double>(row[i + 1] - most));  // the difference as it is rounded
  }
  return e;
}

// The polynomial is off by 3.1e-9, its last sum, the product with 2^n and the reduced argument
// (below 0.35, two products and two sums) are rounded: less than 3 halves of epsilon.
constexpr double exp_error = 1.5 * epsilon<float>;

}  // namespace

TEST_CASE("softmax of a row is that of the textbook, every length, nothing beside it") {
  for (auto const& one : all_kernels()) {
    auto const& kernels = one.kernels;
    CAPTURE(one.name);
    for (index_t n = 1; n <= 70; ++n) {
      for (float const size : {1.0F, 20.0F, 120.0F}) {
        auto const before = framed(n, size, static_cast<std::uint32_t>(n));
        auto row = before;
        kernels.softmax(row.data() + 1, n);
        auto const e = exponentials(before);
        auto const sum = std::accumulate(e.begin(), e.end(), 0.0);
        int wrong = (row.front() != before.front()) + (row.back() != before.back());
        for (std::size_t i = 0; i < e.size(); ++i) {
          // An exponential, the sum (n additions of parts), a reciprocal and a product; what is
          // below the normal numbers is 0.
          auto const bound =
              (2 * exp_error + (static_cast<double>(n) / 2 + 2) * epsilon<float>)*e[i] / sum +
              2e-38;
          wrong += !(std::abs(static_cast<double>(row[i + 1]) - e[i] / sum) <= bound);
        }
        REQUIRE(wrong == 0);
      }
    }
  }
}

TEST_CASE("an exponential is within 1.5 epsilon from 0 down to the smallest normal number") {
  for (auto const& one : all_kernels()) {
    auto const& kernels = one.kernels;
    CAPTURE(one.name);
    double worst = 0;
    for (int i = 0; i <= 87 * 512; ++i) {
      auto const x = -static_cast<float>(i) / 512.0F;
      std::vector<float> row(32, x);
      row[0] = 0;  // the largest
      float most = -1;
      // 1 + 31 e^x in double: the exponential is what is left.
      auto const sum = kernels.exp_sum(row.data(), 32, most);
      REQUIRE(most == 0);
      auto const e = std::exp(static_cast<double>(x));
      auto const got = (sum - 1) / 31;
      if (e > 1e-6) {  // below it the difference loses digits
        worst = std::max(worst, std::abs(got - e) / e);
      }
      REQUIRE(std::abs(got - e) <= exp_error * e + 1e-15);
    }
    CHECK(worst > 0);
  }
}

TEST_CASE("the sum of exponentials is kept in double, infinities and NaN behave") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (auto const& one : all_kernels()) {
    auto const& kernels = one.kernels;
    CAPTURE(one.name);
    float most = 0;
    std::vector<float> ones(1'000'003, -2.5F);
    CHECK(kernels.exp_sum(ones.data(), std::ssize(ones), most) == 1'000'003.0);
    CHECK(most == -2.5F);
    std::vector<float> row{-infinity, 1, -infinity};
    CHECK(kernels.exp_sum(row.data(), 3, most) == 1.0);
    row[2] = not_a_number<float>;
    CHECK(std::isnan(kernels.exp_sum(row.data(), 3, most)));
    kernels.softmax(row.data(), 3);
    CHECK(std::isnan(row[1]));
  }
}

TEST_CASE("GELU of a row is within 3e-7 |x| of the exact one, every length") {
  for (auto const& one : all_kernels()) {
    auto const& kernels = one.kernels;
    CAPTURE(one.name);
    for (index_t n = 0; n <= 70; ++n) {
      auto const before = framed(n, 7, static_cast<std::uint32_t>(n));
      auto row = before;
      kernels.gelu(row.data() + 1, n);
      int wrong = (row.front() != before.front()) + (row.back() != before.back());
      for (std::size_t i = 1; i <= static_cast<std::size_t>(n); ++i) {
        auto const x = static_cast<double>(before[i]);
        auto const exact = 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
        wrong += !(std::abs(static_cast<double>(row[i]) - exact) <= 3e-7 * std::abs(x));
      }
      REQUIRE(wrong == 0);
    }
    std::vector<float> far(17, 100.0F);
    far[3] = -100.0F;
    far[5] = not_a_number<float>;
    kernels.gelu(far.data(), 17);
    CHECK(far[0] == 100.0F);
    CHECK(far[3] == 0.0F);
    CHECK(std::isnan(far[5]));
    CHECK(far[16] == 100.0F);
  }
}

TEST_CASE("a row is normalized like the textbook, with and without a residual") {
  constexpr float small = 1e-5F;
  for (auto const& one : all_kernels()) {
    auto const& kernels = one.kernels;
    CAPTURE(one.name);
    for (index_t n = 1; n <= 70; ++n) {
      auto const before = framed(n, 3, static_cast<std::uint32_t>(n));
      auto const other = framed(n, 3, 1000);
      auto const weight = framed(n, 2, 2000);
      auto const bias = framed(n, 2, 3000);
      for (bool const has_other : {false, true}) {
        CAPTURE(n);
        CAPTURE(has_other);
        auto row = before;
        kernels.add_and_normalize(row.data() + 1, has_other ? other.data() + 1 : nullptr,
                                  weight.data() + 1, bias.data() + 1, n, small);
        std::vector<double> x(static_cast<std::size_t>(n));
        for (std::size_t i = 0; i < x.size(); ++i) {
          x[i] = static_cast<double>(has_other ? before[i + 1] + other[i + 1] : before[i + 1]);
        }
        auto const count = static_cast<double>(n);
        auto const mean = std::accumulate(x.begin(), x.end(), 0.0) / count;
        double variance = 0;
        for (auto const value : x) {
          variance += (value - mean) * (value - mean) / count;
        }
        auto const scale = 1 / std::sqrt(variance + static_cast<double>(small));
        int wrong = (row.front() != before.front()) + (row.back() != before.back());
        for (std::size_t i = 0; i < x.size(); ++i) {
          auto const w = static_cast<double>(weight[i + 1]);
          auto const b = static_cast<double>(bias[i + 1]);
          auto const exact = (x[i] - mean) * scale * w + b;
          // The mean is off by at most n eps 6 (|x| < 6), each difference by as much; the variance
          // by (n + 4) eps of itself and by the square of the mean's error.
          auto const bound = epsilon<float> *
                             ((count + 8) * 6 * scale * std::abs(w) +
                              (count + 8) * std::abs((x[i] - mean) * scale * w) + 2 * std::abs(b));
          wrong += !(std::abs(static_cast<double>(row[i + 1]) - exact) <= bound);
        }
        REQUIRE(wrong == 0);
      }
    }
  }
}

TEST_CASE("weighted rows are the textbook's product, any shape, beta and strides") {
  for (auto const& one : all_kernels()) {
    auto const& kernels = one.kernels;
    CAPTURE(one.name);
    for (index_t const rows : {1, 2, 3, 4, 5, 9, 16}) {
      for (index_t const n : {1, 3, 15, 16, 17, 63, 64, 80, 130}) {
        for (index_t const k : {0, 1, 2, 31}) {
          for (float const beta : {0.0F, -0.75F}) {
            auto const a = random_matrix<float>(rows, k + 3, 1);
            auto const b = random_matrix<float>(k, n + 2, 2);
            auto const left = matrix_view<float const>(as_view(a).col_range(1, k));
            auto const right = matrix_view<float const>(as_view(b).col_range(1, n));
            auto const before = random_matrix<float>(rows, n + 2, 3);
            auto got = before;
            auto expected = before;
            auto const result = as_view(got).col_range(1, n);
            for (index_t i = 0; beta == 0 && i < rows; ++i) {
              std::ranges::fill(result.row(i), not_a_number<float>);
            }
            kernels.weighted_rows(-0.5F, left.data, left.ld, rows, right.data, right.ld, k, beta,
                                  result.data, result.ld, n);
            reference{}.gemm(op::none, op::none, -0.5F, left, right, beta,
                             as_view(expected).col_range(1, n));
            auto const bound = support::product(op::none, support::magnitudes(left), op::none,
                                                support::magnitudes(right));
            int wrong = 0;
            for (index_t i = 0; i < rows; ++i) {
              wrong += as_view(got)(i, 0) != as_view(before)(i, 0);
              wrong += as_view(got)(i, n + 1) != as_view(before)(i, n + 1);
              for (index_t j = 0; j < n; ++j) {
                auto const size = 0.5 * as_view(bound)(i, j) +
                                  std::abs(static_cast<double>(beta * as_view(before)(i, j + 1)));
                auto const error = std::abs(
                    static_cast<double>(as_view(got)(i, j + 1) - as_view(expected)(i, j + 1)));
                wrong += !(error <= (static_cast<double>(k) + 4) * epsilon<float> * size);
              }
            }
            CAPTURE(rows);
            CAPTURE(n);
            CAPTURE(k);
            CAPTURE(beta);
            REQUIRE(wrong == 0);
          }
        }
      }
    }
  }
}

#endif
