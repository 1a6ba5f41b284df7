#include "eckart/gpu/products.hpp"
#include "gpu/gpu_fixture.hpp"
#include "support/random_low_rank.hpp"

#include <doctest/doctest.h>

#include <utility>

using namespace gpu;

namespace {

constexpr auto none = op::none;
constexpr auto turned = op::transpose;

/// The host's numbers as T holds them, in double.
template <class T>
auto as_stored(eckart::matrix_view<double const> a) -> matrix<double> {
  return in_double(eckart::to_device<T>(a, backend()));
}

/// Exact numbers, and how far the device's may be away from them.
struct approximate {
  matrix<double> value;
  matrix<double> error;
};

auto exact(matrix<double> value) -> approximate {
  matrix<double> error = xt::zeros_like(value);
  return {std::move(value), std::move(error)};
}

/// x f^T + beta y, computed in T from numbers that are already away from the exact ones: what they
/// are away is multiplied, and the bound of the product is for numbers that are larger by as much.
template <class T>
auto times(approximate const& x, matrix<double> const& f, double beta = 0, matrix<double> y = {})
    -> approximate {
  if (beta == 0) {
    y = xt::zeros<double>({x.value.shape(0), f.shape(0)});
  }
  auto const largest = matrix<double>(xt::abs(x.value) + x.error);
  auto error = product_bound<T>(none, turned, 1, largest, f, beta, y);
  error += expected(none, turned, 1, x.error, support::magnitudes(eckart::as_view(f)), 0, y);
  return {expected(none, turned, 1, x.value, f, beta, std::move(y)), std::move(error)};
}

template <class T>
auto wanted(matrix<double> const& x, eckart::low_rank<double, eckart::two_factor> const& w,
            double beta, matrix<double> const& y) -> approximate {
  return times<T>(times<T>(exact(x), as_stored<T>(w.right())), as_stored<T>(w.left()), beta, y);
}

template <class T>
auto wanted(matrix<double> const& x, eckart::low_rank<double, eckart::full_core> const& w,
            double beta, matrix<double> const& y) -> approximate {
  auto const inner = times<T>(exact(x), as_stored<T>(w.vt()));
  return times<T>(times<T>(inner, as_stored<T>(w.core())), as_stored<T>(w.u()), beta, y);
}

template <class T>
auto wanted(matrix<double> const& x, eckart::low_rank<double, eckart::diagonal_core> const& w,
            double beta, matrix<double> const& y) -> approximate {
  auto inner = times<T>(exact(x), as_stored<T>(w.vt()));
  auto const s = as_stored<T>(eckart::matrix_view<double const>(w.s().data(), 1, w.rank()));
  inner.value = inner.value * s;
  inner.error = inner.error * xt::abs(s);
  // one rounding of what may be larger by the error
  inner.error += unit<T>() * (xt::abs(inner.value) + inner.error) + smallest_error<T>();
  return times<T>(inner, as_stored<T>(w.u()), beta, y);
}

template <class T>
auto wanted(matrix<double> const& x, eckart::low_rank<double, eckart::pivoted> const& w,
            double beta, matrix<double> const& y) -> approximate {
  auto const kept = times<T>(exact(x), as_stored<T>(w.kept()));
  auto const others = times<T>(kept, as_stored<T>(w.combinations()));
  auto result = exact(xt::zeros<double>({x.shape(0), w.rows().size()}));
  for (std::size_t j = 0; j < w.rows().size(); ++j) {
    auto const k = static_cast<std::size_t>(w.rank());
    auto const& part = j < k ? kept : others;
    auto const from = j < k ? j : j - k;
    auto const to = static_cast<std::size_t>(w.rows()[j]);
    for (std::size_t i = 0; i < x.shape(0); ++i) {
      auto const old = beta == 0 ? 0.0 : beta * y(i, to);
      result.value(i, to) = part.value(i, from) + old;
      auto const largest = std::abs(part.value(i, from)) + part.error(i, from) + std::abs(old);
      result.error(i, to) =
          part.error(i, from) +
          (beta == 0 ? 0.0 : (2 * sum_error<T>() + unit<T>()) * largest + smallest_error<T>());
    }
  }
  return result;
}

/// apply and apply_work, with and without what was in y, whose rows are apart.
template <class T, class Form>
void check_apply(eckart::low_rank<double, Form> const& w, index_t rows) {
  auto const device = eckart::to_device<T>(w, backend());
  CHECK(device.shape() == w.shape());
  CHECK(device.rank() == w.rank());
  auto const [m, n] = w.shape();
  auto const large = random<T>(rows + 2, n + 5, 90);
  auto const x = large.view().block(1, 3, rows, n);
  auto const input = in_double(x);
  auto const first = wanted<T>(input, w, 0, {});
  CHECK(excess(in_double(eckart::apply(x, device, backend())), first.value, first.error) <= 1);

  auto space = random<T>(rows, m + 7, 91);
  auto const y = space.view().block(0, 2, rows, m);
  auto const second = wanted<T>(input, w, -0.5, in_double(y));
  auto const outside = in_double(space.view().col_range(m + 2, 5));
  eckart::device_workspace<T> scratch(eckart::apply_worksize(device, rows));
  auto const capacity = scratch.capacity();
  eckart::apply_work(x, device, y, scratch, backend(), eckart::accumulator_of<T>(-0.5));
  CHECK(excess(in_double(y), second.value, second.error) <= 1);
  CHECK(support::identical(in_double(space.view().col_range(m + 2, 5)), outside));
  CHECK(scratch.capacity() == capacity);
}

template <class T, class Form>
void check_refusals(eckart::low_rank<double, Form> const& w) {
  auto const device = eckart::to_device<T>(w, backend());
  auto const [m, n] = w.shape();
  auto const x = random<T>(3, n, 92);
  auto const narrow = random<T>(3, n - 1, 93);
  auto y = random<T>(3, m - 1, 94);
  auto const before = in_double(y);
  eckart::device_workspace<T> scratch;
  CHECK_THROWS_AS(eckart::apply_work(x.view(), device, y.view(), scratch, backend()),
                  eckart::shape_error);
  CHECK_THROWS_AS(eckart::apply(narrow, device, backend()), eckart::shape_error);
  CHECK(support::identical(in_double(y), before));
}

}  // namespace

TEST_CASE_TEMPLATE("apply: every form within the bounds of its products", T, float, double, half,
                   bfloat16) {
  using namespace support;
  for (auto const rows : {index_t{1}, index_t{7}, index_t{130}}) {
    for (auto const k : {index_t{1}, index_t{17}, index_t{48}}) {
      for (auto const w : {eckart::shape2{96, 64}, eckart::shape2{49, 51}}) {
        CAPTURE(rows);
        CAPTURE(k);
        check_apply<T>(random_two_factor<double>(w, k, 1), rows);
        check_apply<T>(random_full_core<double>(w, k, 2), rows);
        check_apply<T>(random_diagonal_core<double>(w, k, 3), rows);
        check_apply<T>(random_pivoted<double>(w, k, 4), rows);
      }
    }
  }
}

TEST_CASE_TEMPLATE("apply: wide and tall weights of many rows", T, float, double, half, bfloat16) {
  using namespace support;
  check_apply<T>(random_two_factor<double>({1000, 300}, 100, 5), 513);
  check_apply<T>(random_pivoted<double>({1000, 300}, 100, 6), 513);
  check_apply<T>(random_pivoted<double>({300, 1000}, 300, 7), 65);
}

TEST_CASE_TEMPLATE("apply: no rows are no error", T, float, half) {
  using namespace support;
  auto const x = device_matrix<T>({0, 20});
  auto const two = eckart::to_device<T>(random_two_factor<double>({30, 20}, 5, 8), backend());
  auto const kept = eckart::to_device<T>(random_pivoted<double>({30, 20}, 5, 8), backend());
  auto const core = eckart::to_device<T>(random_diagonal_core<double>({30, 20}, 5, 8), backend());
  CHECK(eckart::apply(x, two, backend()).shape() == eckart::shape2{0, 30});
  CHECK(eckart::apply(x, kept, backend()).shape() == eckart::shape2{0, 30});
  CHECK(eckart::apply(x, core, backend()).shape() == eckart::shape2{0, 30});
}

TEST_CASE_TEMPLATE("apply: shapes that do not fit are refused and y stays", T, float, bfloat16) {
  using namespace support;
  check_refusals<T>(random_two_factor<double>({30, 20}, 5, 9));
  check_refusals<T>(random_full_core<double>({30, 20}, 5, 9));
  check_refusals<T>(random_diagonal_core<double>({30, 20}, 5, 9));
  check_refusals<T>(random_pivoted<double>({30, 20}, 5, 9));
}

TEST_CASE("factors that do not fit together are refused on the device too") {
  auto const make = [](index_t rows, index_t cols) { return device_matrix<float>({rows, cols}); };
  CHECK_THROWS_AS((eckart::device_low_rank<float, eckart::two_factor>(make(4, 2), make(3, 5))),
                  eckart::shape_error);
  CHECK_THROWS_AS(
      (eckart::device_low_rank<float, eckart::full_core>(make(4, 2), make(2, 3), make(2, 5))),
      eckart::shape_error);
  CHECK_THROWS_AS(
      (eckart::device_low_rank<float, eckart::diagonal_core>(make(4, 2), make(1, 3), make(2, 5))),
      eckart::shape_error);
}

TEST_CASE_TEMPLATE("matmul: as gemm, into views and into new matrices", T, float, double, half,
                   bfloat16) {
  auto const a = integers<T>(12, exact_terms, 10);
  auto const b = integers<T>(13, exact_terms, 11);
  auto const x = in_double(a);
  auto const y = in_double(b);
  CHECK(support::identical(in_double(eckart::matmul(none, a, turned, b, backend())),
                           support::product(none, x, turned, y)));
  auto const part = a.view().col_range(0, 13);
  CHECK(support::identical(in_double(eckart::matmul(part, b, backend())),
                           support::product(in_double(part), y)));
  device_matrix<T> c({12, exact_terms});
  eckart::matmul(part, b.view(), c.view(), backend());
  CHECK(support::identical(in_double(c), support::product(in_double(part), y)));
}
