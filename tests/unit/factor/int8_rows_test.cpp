#include "eckart/factor/int8_rows.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "support/matrix_check.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace eckart;
using support::epsilon;
using support::not_a_number;
using support::random_matrix;
using support::refusal;

namespace {

template <class T>
auto in_8_bits(matrix<T> const& w) -> int8_rows<T> {
  return int8_rows<T>(as_view(w));
}

}  // namespace

TEST_CASE_TEMPLATE("numbers in 8 bits are within half a step of 1/127 of the row's largest", T,
                   float, double) {
  auto const w = random_matrix<T>(7, 30, 1);
  auto const small = int8_rows<T>(as_view(w));
  auto const back = to_dense(small);
  for (index_t i = 0; i < 7; ++i) {
    T most = 0;
    for (auto const x : as_view(w).row(i)) {
      most = std::max(most, std::abs(x));
    }
    // The scale, the quotient and the product are rounded.
    auto const step = static_cast<double>(most) / 127;
    CHECK(small.scales()[static_cast<std::size_t>(i)] == most / 127);
    for (index_t j = 0; j < 30; ++j) {
      auto const error = std::abs(static_cast<double>(as_view(back)(i, j)) -
                                  static_cast<double>(as_view(w)(i, j)));
      CHECK(error <= step * (0.5 + 3 * 127 * epsilon<T>));
    }
  }
  CHECK(small.bytes() == 7 * 30 + 7 * sizeof(T));
}

TEST_CASE("(127, -63.5, 0) in steps of its largest are 127, -64, 0; a row of zeros stays") {
  auto const small = in_8_bits(matrix<double>{{127, -63.5, 0}, {0, 0, 0}});
  CHECK(std::ranges::equal(small.numbers(0), std::vector<std::int8_t>{127, -64, 0}));
  CHECK(std::ranges::equal(small.numbers(1), std::vector<std::int8_t>{0, 0, 0}));
  CHECK(small.scales()[0] == 1);
  CHECK(small.scales()[1] == 0);
}

TEST_CASE("what is not finite or does not fit is refused") {
  auto w = random_matrix<float>(2, 3, 1);
  as_view(w)(1, 2) = std::numeric_limits<float>::infinity();
  CHECK(refusal<numerical_error>([&] { int8_rows<float>{as_view(w)}; }) ==
        "int8_rows: row 1 holds inf");
  std::vector<std::int8_t> const five(5);
  CHECK(refusal<shape_error>([&] {
          int8_rows<float>({2, 3}, five, make_vector<float>(2));
        }) == "int8_rows: 5 numbers for 2 x 3");
  CHECK(refusal<shape_error>([&] {
          int8_rows<float>({2, 3}, five, make_vector<float>(3));
        }) == "int8_rows: 3 scales for 2 x 3");
}

#ifdef ECKART_HAS_INT8_TILES

TEST_CASE_TEMPLATE("panels give what loops over bytes give, with all rests of rows and lengths",
                   sums, detail::int8_lanes, detail::int8_tiles) {
  if (!sums::exist()) {
    MESSAGE("skipped: not on this processor");
    return;
  }
  for (index_t const n : {1, 64, 100, 832}) {
    for (index_t const m : {1, 16, 17, 32, 33, 100}) {
      auto const w = in_8_bits(random_matrix<float>(m, n, 1));
      for (index_t const rows : {1, 15, 16, 17, 32, 33, 80}) {
        auto const x = random_matrix<float>(rows, n, 2);
        std::vector<unsigned char> bytes(static_cast<std::size_t>(rows * detail::int8_length(n)));
        std::vector<float> scales(static_cast<std::size_t>(rows));
        detail::to_byte_rows(as_view(x), bytes.data(), scales.data());
        for (float const beta : {0.0F, 0.5F}) {
          CAPTURE(n);
          CAPTURE(m);
          CAPTURE(rows);
          auto expected = random_matrix<float>(rows, m, 3);
          auto got = expected;
          detail::int8_product(detail::plain_int8_kernels, bytes.data(), scales.data(),
                               w.kernel_view(), beta, as_view(expected));
          detail::int8_panel_product<sums>(bytes.data(), scales.data(), w.kernel_view(), beta,
                                           as_view(got));
          // Sums are the same to the last bit; with beta y one rounding or two, of |beta y| <= 0.5
          // and of the sum.
          for (std::size_t i = 0; i < got.size(); ++i) {
            auto const want = expected.data()[i];
            REQUIRE(std::abs(got.data()[i] - want) <=
                    (beta == 0 ? 0 : 2 * epsilon<float> * (std::abs(want) + 1)));
          }
        }
      }
    }
  }
}

#endif

TEST_CASE("the kernels' sums are those of whole numbers, every length and number of rows") {
  auto const& best = detail::best_int8_kernels();
  for (index_t const length : {0, 64, 128, 832}) {
    auto const w_numbers = random_matrix<float>(4, length, 1);
    auto const x_numbers = random_matrix<float>(4, length, 2);
    std::vector<std::int8_t> w(static_cast<std::size_t>(4 * length));
    std::vector<unsigned char> x(w.size());
    std::ranges::transform(w_numbers, w.begin(),
                           [](float v) { return static_cast<std::int8_t>(127 * v); });
    std::ranges::transform(x_numbers, x.begin(),
                           [](float v) { return static_cast<unsigned char>(127.5F * (v + 1)); });
    for (std::size_t rows = 1; rows <= 4; ++rows) {
      detail::int8_sums expected{};
      detail::int8_sums got{};
      detail::plain_int8_kernels[rows - 1](x.data(), w.data(), length, expected);
      best[rows - 1](x.data(), w.data(), length, got);
      for (std::size_t i = 0; i < rows; ++i) {
        CHECK(got[i] == expected[i]);
        for (std::size_t j = 0; j < 4; ++j) {
          std::int64_t sum = 0;
          for (std::size_t p = 0; p < static_cast<std::size_t>(length); ++p) {
            sum += std::int64_t{x[i * static_cast<std::size_t>(length) + p]} *
                   w[j * static_cast<std::size_t>(length) + p];
          }
          CHECK(got[i][j] == sum);
        }
      }
    }
  }
}

TEST_CASE("a product in 8 bits is that of the rounded matrices, any shape, beta and strides") {
  for (index_t const rows : {1, 3, 4, 5, 40}) {
    for (index_t const m : {1, 3, 4, 7, 130}) {
      for (index_t const n : {1, 63, 64, 65, 200}) {
        CAPTURE(rows);
        CAPTURE(m);
        CAPTURE(n);
        auto const w = in_8_bits(random_matrix<float>(m, n, 1));
        auto const dense = to_dense(w);
        auto const x_all = random_matrix<float>(rows, n + 3, 2);
        auto const x = matrix_view<float const>(as_view(x_all).col_range(2, n));
        auto const before = random_matrix<float>(rows, m + 2, 3);
        for (float const beta : {0.0F, -0.75F}) {
          auto got = before;
          auto const y = as_view(got).col_range(1, m);
          for (index_t i = 0; beta == 0 && i < rows; ++i) {
            std::ranges::fill(y.row(i), not_a_number<float>);
          }
          workspace<float> scratch(apply_worksize(w, rows));
          apply_work(x, w, y, scratch, openblas{}, beta);
          int wrong = 0;
          for (index_t i = 0; i < rows; ++i) {
            wrong += as_view(got)(i, 0) != as_view(before)(i, 0);
            wrong += as_view(got)(i, m + 1) != as_view(before)(i, m + 1);
            double most = 0;
            for (auto const v : x.row(i)) {
              most = std::max(most, std::abs(static_cast<double>(v)));
            }
            for (index_t j = 0; j < m; ++j) {
              double exact = 0;
              double size = 0;
              for (index_t p = 0; p < n; ++p) {
                auto const v = static_cast<double>(as_view(dense)(j, p));
                exact += static_cast<double>(x(i, p)) * v;
                size += std::abs(v);
              }
              auto const old = static_cast<double>(beta * as_view(before)(i, j + 1));
              // Each number of x is off by half a step, and by some roundings of its largest; the
              // sum is exact, its two scales, products and sum are rounded.
              auto const bound =
                  (most / 254 + 8 * epsilon<float> * most) * size +
                  4 * epsilon<float> * (std::abs(exact) + most / 254 * size + std::abs(old));
              wrong +=
                  !(std::abs(static_cast<double>(as_view(got)(i, j + 1)) - exact - old) <= bound);
            }
          }
          REQUIRE(wrong == 0);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("a backend without bytes multiplies floating-point numbers", T, float, double) {
  auto const w = in_8_bits(random_matrix<T>(150, 20, 1));
  auto const x = random_matrix<T>(3, 20, 2);
  auto got = make_matrix<T>({3, 150});
  auto expected = make_matrix<T>({3, 150});
  workspace<T> scratch;
  apply_work(as_view(x), w, as_view(got), scratch, reference{});
  auto const dense = to_dense(w);
  reference{}.gemm(op::none, op::transpose, T{1}, matrix_view<T const>(as_view(x)),
                   matrix_view<T const>(as_view(dense)), T{0}, as_view(expected));
  CHECK(got == expected);
  CHECK(scratch.capacity() <= apply_worksize(w, 3));
}

TEST_CASE("a number of x that is not finite makes its row NaN, and only that") {
  auto const w = in_8_bits(random_matrix<float>(5, 70, 1));
  for (auto const bad : {not_a_number<float>, std::numeric_limits<float>::infinity()}) {
    auto x = random_matrix<float>(2, 70, 2);
    as_view(x)(1, 66) = bad;
    auto y = make_matrix<float>({2, 5});
    workspace<float> scratch;
    apply_work(as_view(x), w, as_view(y), scratch);
    for (index_t j = 0; j < 5; ++j) {
      CHECK(std::isfinite(as_view(y)(0, j)));
      CHECK(std::isnan(as_view(y)(1, j)));
    }
  }
}
