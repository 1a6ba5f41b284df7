#include "gpu/gpu_fixture.hpp"

#include <doctest/doctest.h>

#include <array>
#include <vector>

using namespace gpu;

namespace {

constexpr std::array ops{op::none, op::transpose, op::adjoint};

constexpr auto stored(op p, index_t rows, index_t cols) -> eckart::shape2 {
  return p == op::none ? eckart::shape2{rows, cols} : eckart::shape2{cols, rows};
}

template <class T>
auto not_numbers(index_t rows, index_t cols) -> device_matrix<T> {
  return eckart::to_device<T>(
      matrix<double>(xt::ones<double>({rows, cols}) * support::not_a_number<double>), backend());
}

}  // namespace

TEST_CASE_TEMPLATE("gemm: sums of integers are exact for every pair of operations", T, float,
                   double, half, bfloat16) {
  constexpr index_t m = 17;
  constexpr index_t n = 33;
  for (auto const p : ops) {
    for (auto const q : ops) {
      auto const [ar, ac] = stored(p, m, exact_terms);
      auto const [br, bc] = stored(q, exact_terms, n);
      auto const a = integers<T>(ar, ac, 1);
      auto const b = integers<T>(br, bc, 2);
      auto c = not_numbers<T>(m, n);
      backend().gemm(p, q, 1, a.view(), b.view(), 0, c.view());
      CHECK(support::identical(in_double(c), support::product(p, in_double(a), q, in_double(b))));
    }
  }
}

TEST_CASE_TEMPLATE("gemm: any sizes, scales and operations within the bound of summation", T, float,
                   double, half, bfloat16) {
  struct sizes {
    index_t m, n, k;
  };
  for (auto const [m, n, k] : {sizes{1, 1, 1}, sizes{1, 700, 129}, sizes{300, 1, 77},
                               sizes{64, 96, 1000}, sizes{129, 255, 31}}) {
    for (auto const p : {op::none, op::transpose}) {
      for (auto const q : {op::none, op::transpose}) {
        auto const [ar, ac] = stored(p, m, k);
        auto const [br, bc] = stored(q, k, n);
        auto const a = random<T>(ar, ac, 3);
        auto const b = random<T>(br, bc, 4);
        for (auto const beta : {0.0, -0.5}) {
          auto c = random<T>(m, n, 5);
          auto const before = in_double(c);
          backend().gemm(p, q, eckart::accumulator_of<T>(1.5), a.view(), b.view(),
                         static_cast<eckart::accumulator_of<T>>(beta), c.view());
          auto const x = in_double(a);
          auto const y = in_double(b);
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(k);
          CHECK(excess(in_double(c), expected(p, q, 1.5, x, y, beta, before),
                       product_bound<T>(p, q, 1.5, x, y, beta, before)) <= 1);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("gemv: a matrix or its transpose times a vector, within the bound of summation",
                   T, float, double, half, bfloat16) {
  for (auto const [m, n] : {eckart::shape2{1, 1}, {1, 300}, {300, 1}, {129, 1000}, {40, 0}}) {
    for (auto const p : ops) {
      auto const [rows, cols] = stored(p, m, n);
      auto const around = random<T>(rows + 3, cols + 5, 3);
      auto const a = around.view().block(2, 1, rows, cols);
      auto const x = random<T>(1, n, 4);
      for (auto const beta : {0.0, -0.5}) {
        auto y = beta == 0 ? not_numbers<T>(1, m) : random<T>(1, m, 5);
        auto const before = in_double(y);
        backend().gemv(p, eckart::accumulator_of<T>(1.5), a, x.view(),
                       static_cast<eckart::accumulator_of<T>>(beta), y.view());
        auto const numbers = in_double(around);
        auto const matrix = eckart::to_matrix(eckart::as_view(numbers).block(2, 1, rows, cols));
        auto const flipped = p == op::none ? op::transpose : op::none;
        CAPTURE(m);
        CAPTURE(n);
        CHECK(
            excess(
                in_double(y), expected(op::none, flipped, 1.5, in_double(x), matrix, beta, before),
                product_bound<T>(op::none, flipped, 1.5, in_double(x), matrix, beta, before)) <= 1);
      }
    }
  }
  auto const a = random<T>(4, 6, 1);
  auto y = random<T>(2, 4, 2);
  CHECK_THROWS_AS(backend().gemv(op::none, 1, a.view(), random<T>(2, 6, 3).view(), 0, y.view()),
                  eckart::shape_error);
}

TEST_CASE_TEMPLATE("gemm: blocks of larger matrices, and nothing outside of them is written", T,
                   float, double, half, bfloat16) {
  auto const a = integers<T>(40, 50, 6);
  auto const b = integers<T>(60, 70, 7);
  auto c = integers<T>(30, 45, 8);
  auto wanted = in_double(c);
  auto const left = a.view().block(3, 5, 11, exact_terms);
  auto const right = b.view().block(7, 2, 13, exact_terms);
  backend().gemm(op::none, op::transpose, 1, left, right, 0, c.view().block(9, 4, 11, 13));
  auto const block = support::product(op::none, in_double(left), op::transpose, in_double(right));
  eckart::copy(eckart::as_view(block), eckart::as_view(wanted).block(9, 4, 11, 13));
  CHECK(support::identical(in_double(c), wanted));
}

TEST_CASE_TEMPLATE("gemm: without inner dimension c is scaled, or zero where beta is 0", T, float,
                   double, half, bfloat16) {
  device_matrix<T> const a({5, 0});
  device_matrix<T> const b({0, 7});
  auto c = integers<T>(5, 7, 9);
  auto const before = in_double(c);
  backend().gemm(op::none, op::none, 1, a.view(), b.view(), 2, c.view());
  CHECK(support::identical(in_double(c), matrix<double>(2.0 * before)));
  auto undefined = not_numbers<T>(5, 7);
  backend().gemm(op::none, op::none, 1, a.view(), b.view(), 0, undefined.view());
  CHECK(support::identical(in_double(undefined), matrix<double>(xt::zeros<double>({5, 7}))));
}

TEST_CASE_TEMPLATE("gemm: results without rows or columns are no error", T, float, double, half,
                   bfloat16) {
  device_matrix<T> const none({0, 4});
  device_matrix<T> const some({4, 3});
  device_matrix<T> c({0, 3});
  backend().gemm(op::none, op::none, 1, none.view(), some.view(), 0, c.view());
  backend().gemm_strided_batched(op::none, op::none, 1, none.view(), 0, some.view(), 0, 0, c.view(),
                                 0, 3);
  backend().synchronize();
}

TEST_CASE_TEMPLATE("gemm: shapes that do not fit are refused and c stays", T, float, double, half,
                   bfloat16) {
  auto const a = integers<T>(4, 5, 10);
  auto c = integers<T>(4, 4, 11);
  auto const before = in_double(c);
  CHECK_THROWS_AS(backend().gemm(op::none, op::none, 1, a.view(), a.view(), 0, c.view()),
                  eckart::shape_error);
  CHECK_THROWS_AS(backend().gemm_strided_batched(op::none, op::none, 1, a.view(), 0, a.view(), 0, 0,
                                                 c.view(), 0, 1),
                  eckart::shape_error);
  CHECK_THROWS_AS(backend().gemm_strided_batched(op::none, op::transpose, 1, a.view(), 0, a.view(),
                                                 0, 0, c.view(), 0, -1),
                  eckart::shape_error);
  CHECK(support::identical(in_double(c), before));
}

TEST_CASE("gemm: a size above 32 bits is refused before anything happens") {
  auto const many = index_t{1} << 31;
  float one = 1;
  auto const a = eckart::device_view<float const>(&one, many, 1);
  auto const b = eckart::device_view<float const>(&one, 1, 1);
  CHECK_THROWS_AS(
      backend().gemm(op::none, op::none, 1, a, b, 0, eckart::device_view<float>(&one, many, 1)),
      eckart::shape_error);
}

TEST_CASE_TEMPLATE("strided batched gemm: heads side by side in rows, one factor shared", T, float,
                   double, half, bfloat16) {
  // (rows, heads * width) times one (width, cols) for each head into (heads, rows, cols)
  constexpr index_t rows = 9;
  constexpr index_t heads = 5;
  constexpr index_t width = 16;
  constexpr index_t cols = 11;
  auto const a = integers<T>(rows, heads * width, 12);
  auto const b = integers<T>(width, cols, 13);
  auto c = not_numbers<T>(heads * rows, cols);
  backend().gemm_strided_batched(op::none, op::none, 1, a.view().col_range(0, width), width,
                                 b.view(), 0, 0, c.view().row_range(0, rows), rows * cols, heads);
  auto const found = in_double(c);
  for (index_t h = 0; h < heads; ++h) {
    auto const wanted =
        support::product(in_double(a.view().col_range(h * width, width)), in_double(b));
    CHECK(support::identical(eckart::to_matrix(eckart::as_view(found).row_range(h * rows, rows)),
                             wanted));
  }
}

TEST_CASE_TEMPLATE("batched gemm: matrices given by their addresses, in any order", T, float,
                   double, half, bfloat16) {
  constexpr index_t count = 3;
  auto const a = integers<T>(count * 6, 10, 14);
  auto const b = integers<T>(count * 8, 10, 15);
  auto c = not_numbers<T>(count * 6, 8);
  std::vector<T const*> left;
  std::vector<T const*> right;
  std::vector<T*> result;
  constexpr std::array<index_t, count> order{2, 0, 1};
  for (auto const i : order) {
    left.push_back(a.view().row_range(i * 6, 6).data);
    right.push_back(b.view().row_range(i * 8, 8).data);
    result.push_back(c.view().row_range(i * 6, 6).data);
  }
  auto const on_device = [](auto const& addresses) {
    using element = typename std::remove_cvref_t<decltype(addresses)>::value_type;
    device_matrix<element> copied({1, count});
    eckart::copy_to_device(eckart::matrix_view<element const>(addresses.data(), 1, count),
                           copied.view(), backend().stream());
    return copied;
  };
  auto const as = on_device(left);
  auto const bs = on_device(right);
  auto const cs = on_device(result);
  eckart::device_batch<T const> const batch_a{as.view().data, {6, 10}, 10, count};
  eckart::device_batch<T const> const batch_b{bs.view().data, {8, 10}, 10, count};
  eckart::device_batch<T> const batch_c{cs.view().data, {6, 8}, 8, count};
  backend().gemm_batched(op::none, op::transpose, 1, batch_a, batch_b, 0, batch_c);
  auto const found = in_double(c);
  for (index_t i = 0; i < count; ++i) {
    auto const wanted = support::product(op::none, in_double(a.view().row_range(i * 6, 6)),
                                         op::transpose, in_double(b.view().row_range(i * 8, 8)));
    CHECK(
        support::identical(eckart::to_matrix(eckart::as_view(found).row_range(i * 6, 6)), wanted));
  }
  auto fewer = batch_a;
  fewer.count = 2;
  CHECK_THROWS_AS(backend().gemm_batched(op::none, op::transpose, 1, fewer, batch_b, 0, batch_c),
                  eckart::shape_error);
}

TEST_CASE("TF32 is used where it is asked for and nowhere else") {
  // 1 + 2^-13 has 13 bits behind the point, TF32 keeps 10 of them.
  constexpr index_t n = 256;
  auto const a =
      eckart::to_device<float>(matrix<double>(xt::ones<double>({n, n}) * (1 + 0x1p-13)), backend());
  auto c = device_matrix<float>({n, n});
  backend().gemm(op::none, op::none, 1, a.view(), a.view(), 0, c.view());
  auto const exact = n * (1 + 0x1p-13) * (1 + 0x1p-13);
  CHECK(std::abs(in_double(c)(0, 0) - exact) <= n * sum_error<float>() * exact);
  eckart::cublas const fast({.device = 0, .tf32 = true});
  fast.gemm(op::none, op::none, 1, a.view(), a.view(), 0, c.view());
  fast.synchronize();
  CHECK(in_double(c)(0, 0) == n);
}

TEST_CASE_TEMPLATE("scale_columns: as in double with one rounding, and only the view", T, float,
                   double, half, bfloat16) {
  auto c = random<T>(70, 600, 16);
  auto const d = random<T>(1, 300, 17);
  auto wanted = in_double(c);
  auto const factors = in_double(d);
  auto const block = eckart::as_view(wanted).block(1, 7, 69, 300);
  for (index_t i = 0; i < block.rows; ++i) {
    for (index_t j = 0; j < block.cols; ++j) {
      block(i, j) *= factors(0, j);
    }
  }
  backend().scale_columns(d.view(), c.view().block(1, 7, 69, 300));
  auto bound = support::magnitudes(eckart::as_view(wanted));
  bound = bound * unit<T>() + smallest_error<T>();
  CHECK(excess(in_double(c), wanted, bound) <= 1);
  CHECK_THROWS_AS(backend().scale_columns(d.view(), c.view()), eckart::shape_error);
}

TEST_CASE_TEMPLATE("transpose: rows and columns change places, also of a block", T, float, double) {
  auto const a = random<T>(37, 65, 18);
  auto c = device_matrix<T>({21, 30});
  backend().transpose(a.view().block(2, 9, 30, 21), c.view());
  auto const from = in_double(a);
  auto const to = in_double(c);
  for (index_t i = 0; i < 30; ++i) {
    for (index_t j = 0; j < 21; ++j) {
      CHECK(to(j, i) == from(i + 2, j + 9));
    }
  }
}
