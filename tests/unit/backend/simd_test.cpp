#include "eckart/backend/simd.hpp"

#include "eckart/backend/blas_info.hpp"
#include "support/random_matrix.hpp"

#include <doctest/doctest.h>

#include <vector>

#ifdef ECKART_HAS_X86_KERNELS

using namespace eckart;
using support::random_matrix;

namespace {

bool const has_registers = detail::processor_level() == simd_level::avx512;

/// Rows with other columns beside them.
class framed_rows {
 public:
  framed_rows(index_t rows, index_t columns)
      : all_(random_matrix<float>(rows, columns + 3, 1)), columns_(columns) {}
  auto view() const -> matrix_view<float const> { return as_view(all_).col_range(2, columns_); }

 private:
  matrix<float> all_;
  index_t columns_;
};

auto entry(matrix_view<float const> x, index_t i, index_t p) -> float {
  return i < x.rows && p < x.cols ? x(i, p) : 0.0F;
}

}  // namespace

TEST_CASE("interleaved rows stand number by number, zeros for those that are missing") {
  if (!has_registers) {
    return;  // not with this processor
  }
  for (index_t const width : {16, 32, 64}) {
    for (index_t const rows : {index_t{1}, width / 2 + 3, width - 1, width}) {
      for (index_t const columns : {1, 3, 4, 7, 20}) {
        CAPTURE(width);
        CAPTURE(rows);
        CAPTURE(columns);
        framed_rows const from(rows, columns);
        std::vector<float> to(static_cast<std::size_t>(width * columns) + 1, 7.0F);
        detail::interleave_rows(from.view(), width, to.data());
        int wrong = to.back() != 7.0F;  // behind the last number
        for (index_t p = 0; p < columns; ++p) {
          for (index_t i = 0; i < width; ++i) {
            wrong += to[static_cast<std::size_t>(p * width + i)] != entry(from.view(), i, p);
          }
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("interleaved pairs stand two numbers of each row by two") {
  if (!has_registers) {
    return;
  }
  for (index_t const rows : {1, 5, 8}) {
    for (index_t const columns : {1, 2, 3, 4, 6, 9}) {
      CAPTURE(rows);
      CAPTURE(columns);
      framed_rows const from(rows, columns);
      auto const pairs = (columns + 1) / 2;
      std::vector<float> to(static_cast<std::size_t>(16 * pairs) + 1, 7.0F);
      detail::interleave_pairs(from.view(), to.data());
      int wrong = to.back() != 7.0F;
      for (index_t g = 0; g < pairs; ++g) {
        for (index_t i = 0; i < 8; ++i) {
          for (index_t q = 0; q < 2; ++q) {
            wrong += to[static_cast<std::size_t>(16 * g + 2 * i + q)] !=
                     entry(from.view(), i, 2 * g + q);
          }
        }
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("totals of four vectors stand in their order") {
  using four = detail::simd_quarter;
  auto const sums = detail::totals(four{1, 2, 3, 4}, four{10, 20, 30, 40}, four{-1, 0, 1, 0.5F},
                                   four{100, 0, 0, 0});
  CHECK(sums[0] == 10);
  CHECK(sums[1] == 100);
  CHECK(sums[2] == 0.5F);
  CHECK(sums[3] == 100);
}

#endif
