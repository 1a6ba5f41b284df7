#pragma once

#include "eckart/backend/cublas.hpp"
#include "eckart/factor/apply.hpp"
#include "eckart/gpu/device_low_rank.hpp"

#include <concepts>
#include <cstddef>
#include <type_traits>

/// The calls of linalg/matmul.hpp and factor/apply.hpp on matrices of a device: `matmul`, `apply`,
/// `apply_work`, `apply_worksize`, with the backend as last argument. Nothing goes to the host, and
/// functions return before the device is ready.
namespace eckart {
inline namespace v0 {

/// c = p(a) q(b). c must not overlap a or b. Throws shape_error. 2 m n k FLOPs.
template <device_number T>
void matmul(op p, std::type_identity_t<device_view<T const>> a, op q,
            std::type_identity_t<device_view<T const>> b, device_view<T> c, cublas const& backend) {
  backend.gemm(p, q, accumulator_of<T>{1}, a, b, accumulator_of<T>{0}, c);
}

/// c = a b. c must not overlap a or b. Throws shape_error. 2 m n k FLOPs.
template <device_number T>
void matmul(std::type_identity_t<device_view<T const>> a,
            std::type_identity_t<device_view<T const>> b, device_view<T> c, cublas const& backend) {
  matmul(op::none, a, op::none, b, c, backend);
}

/// The product p(a) q(b) as a new matrix of the device. Throws shape_error. 2 m n k FLOPs.
template <device_operand L, device_operand R>
requires std::same_as<device_value_t<L>, device_value_t<R>>
auto matmul(op p, L const& a, op q, R const& b, cublas const& backend)
    -> device_matrix<device_value_t<L>> {
  auto const left = as_view(a);
  auto const right = as_view(b);
  device_matrix<device_value_t<L>> c(
      {shape_of(p, left.shape()).rows, shape_of(q, right.shape()).cols});
  matmul(p, left, q, right, c.view(), backend);
  return c;
}

/// The product a b as a new matrix of the device. Throws shape_error. 2 m n k FLOPs.
template <device_operand L, device_operand R>
requires std::same_as<device_value_t<L>, device_value_t<R>>
auto matmul(L const& a, R const& b, cublas const& backend) -> device_matrix<device_value_t<L>> {
  return matmul(op::none, a, op::none, b, backend);
}

/// Elements of device_workspace that apply_work takes for `rows` rows of x.
template <device_number T, class Form>
auto apply_worksize(device_low_rank<T, Form> const& w, index_t rows) -> std::size_t {
  using scratch = device_workspace<T>;
  if constexpr (std::same_as<Form, pivoted>) {
    return scratch::footprint(rows, w.width());
  } else {
    return (std::same_as<Form, full_core> ? 2 : 1) * scratch::footprint(rows, w.rank());
  }
}

/// y = x (L R)^T + beta y for x (rows, n) and y (rows, m): x R^T is (rows, k) and rounded to T.
/// Throws shape_error. 2 k (m+n) FLOPs a row.
template <device_number T>
void apply_work(std::type_identity_t<device_view<T const>> x,
                device_low_rank<T, two_factor> const& w, device_view<T> y,
                device_workspace<T>& scratch, cublas const& backend, accumulator_of<T> beta = 0) {
  using sum = accumulator_of<T>;
  auto const frame = scratch.frame();
  auto const inner = scratch.take_matrix(x.rows, w.rank());
  backend.gemm(op::none, op::transpose, sum{1}, x, w.right(), sum{0}, inner);
  backend.gemm(op::none, op::transpose, sum{1}, inner, w.left(), beta, y);
}

/// y = x (U diag(s) Vt)^T + beta y. 2 k (m+n) + k FLOPs a row.
template <device_number T>
void apply_work(std::type_identity_t<device_view<T const>> x,
                device_low_rank<T, diagonal_core> const& w, device_view<T> y,
                device_workspace<T>& scratch, cublas const& backend, accumulator_of<T> beta = 0) {
  using sum = accumulator_of<T>;
  auto const frame = scratch.frame();
  auto const inner = scratch.take_matrix(x.rows, w.rank());
  backend.gemm(op::none, op::transpose, sum{1}, x, w.vt(), sum{0}, inner);
  backend.scale_columns(w.s(), inner);
  backend.gemm(op::none, op::transpose, sum{1}, inner, w.u(), beta, y);
}

/// y = x (U S Vt)^T + beta y. 2 k (m+k+n) FLOPs a row.
template <device_number T>
void apply_work(std::type_identity_t<device_view<T const>> x,
                device_low_rank<T, full_core> const& w, device_view<T> y,
                device_workspace<T>& scratch, cublas const& backend, accumulator_of<T> beta = 0) {
  using sum = accumulator_of<T>;
  auto const frame = scratch.frame();
  auto const first = scratch.take_matrix(x.rows, w.rank());
  auto const second = scratch.take_matrix(x.rows, w.rank());
  backend.gemm(op::none, op::transpose, sum{1}, x, w.vt(), sum{0}, first);
  backend.gemm(op::none, op::transpose, sum{1}, first, w.core(), sum{0}, second);
  backend.gemm(op::none, op::transpose, sum{1}, second, w.u(), beta, y);
}

/// y = x (P [1; C] K)^T + beta y. 2 k (m+n-k) FLOPs a row. cuBLAS has no product that permutes the
/// columns it writes: a copy for each column would be m calls, a product with a permutation matrix
/// more FLOPs than the form saves. So both parts are written side by side, and one kernel, compiled
/// while the program runs, takes the columns of y from there.
template <device_number T>
void apply_work(std::type_identity_t<device_view<T const>> x, device_low_rank<T, pivoted> const& w,
                device_view<T> y, device_workspace<T>& scratch, cublas const& backend,
                accumulator_of<T> beta = 0) {
  using sum = accumulator_of<T>;
  auto const m = w.shape().rows;
  if (x.cols != w.shape().cols || y.shape() != shape2{x.rows, m}) {
    throw shape_error(
        message("apply: ", x.shape(), " times a pivoted ", w.shape(), " into ", y.shape()));
  }
  auto const frame = scratch.frame();
  auto const both = scratch.take_matrix(x.rows, w.width());
  auto const kept = both.col_range(0, w.rank());
  auto const others = both.col_range(w.others_begin(), m - w.rank());
  backend.gemm(op::none, op::transpose, sum{1}, x, w.kept(), sum{0}, kept);
  backend.gemm(op::none, op::transpose, sum{1}, kept, w.combinations(), sum{0}, others);
  if (y.size() > 0) {
    backend.template kernels<T>().launch(
        "gather_columns", detail::device_kernels<T>::grid_of(y.shape()), backend.stream(),
        static_cast<T const*>(both.data), both.ld, w.source(), beta, y.data, y.ld, y.rows, y.cols);
  }
}

/// What `apply(x, w, backend)` does on a device: x W^T as a new (rows, m) matrix.
template <device_operand X, class Form>
auto apply_on_device(X const& x, device_low_rank<device_value_t<X>, Form> const& w,
                     cublas const& backend) -> device_matrix<device_value_t<X>> {
  using T = device_value_t<X>;
  auto const input = as_view(x);
  device_matrix<T> y({input.rows, w.shape().rows});
  device_workspace<T> scratch(apply_worksize(w, input.rows));
  apply_work(input, w, y.view(), scratch, backend);
  return y;
}

}  // namespace v0
}  // namespace eckart
