#pragma once

#include "eckart/backend/cublas.hpp"
#include "eckart/gpu/products.hpp"
#include "eckart/linalg/rsvd.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <utility>

/// The calls of linalg/svd.hpp and linalg/rsvd.hpp on matrices of a device, by cuSOLVER. They wait
/// until the device is done, because whether it converged is known only then.
namespace eckart {
inline namespace v0 {

/// Thin singular value decomposition a = u diag(s) vt on a device, k = min(m, n).
template <real T>
struct device_svd_result {
  device_matrix<T> u;   ///< (m, k), orthonormal columns
  device_matrix<T> s;   ///< (1, k), falling, not negative
  device_matrix<T> vt;  ///< (k, n), orthonormal rows
};

/// Approximate truncated SVD of rank k on a device.
template <real T>
struct device_rsvd_result {
  device_svd_result<T> factors;  ///< u (m, k), s (1, k), vt (k, n)
  double error_bound = 0;        ///< ||a - u diag(s) vt||_2 is below it, but for odds of 1e-10
};

namespace detail {

template <real T>
void refuse_non_finite(device_view<T const> a, char const* name, cublas const& backend) {
  if (a.size() == 0) {
    return;
  }
  device_matrix<int> mark({1, 1});
  check_cuda(cudaMemsetAsync(mark.view().data, 0, sizeof(int), backend.stream()),
             "cudaMemsetAsync");
  backend.template kernels<T>().launch("mark_non_finite", device_kernels<T>::grid_of(a.shape()),
                                       backend.stream(), a.data, a.ld, a.rows, a.cols,
                                       mark.view().data);
  int found = 0;
  copy_to_host(mark.view(), matrix_view<int>(&found, 1, 1), backend.stream());
  if (found != 0) {
    throw numerical_error(message(name, ": the ", a.shape(), " matrix holds NaN or infinity"), 0);
  }
}

/// As the function of this name for the host: the largest entry of each left vector positive.
template <real T>
void fix_signs(device_view<T> u, device_view<T> vt, cublas const& backend) {
  if (u.cols > 0) {
    backend.template kernels<T>().launch("fix_signs", dim3(static_cast<unsigned>(u.cols)),
                                         backend.stream(), u.data, u.ld, u.rows, vt.data, vt.ld,
                                         vt.cols);
  }
}

/// w = u diag(s) vt of a wide matrix w (p, q), p <= q, whose rows touch and which is overwritten: u
/// (p, p), s (1, p), vt (p, q). cuSOLVER reads w as its transpose, a tall column-major matrix, as
/// it wants it. Answers info; of the faster method also where it was not exact.
template <real T>
auto svd_of_wide(svd_method method, device_view<T> w, device_view<T> s, device_view<T> u,
                 device_view<T> vt, cublas const& backend) -> int {
  auto const& solver = backend.solver();
  if (method == svd_method::qr_iteration) {
    return solver.gesvd(w.cols, w.rows, w.data, w.ld, s.data, vt.data, vt.ld, u.data, u.ld);
  }
  device_matrix<T> turned(u.shape());  // V^T, where gesvd has V
  double disturbed = 0;
  auto const info = solver.gesvdp(w.cols, w.rows, w.data, w.ld, s.data, vt.data, vt.ld,
                                  turned.view().data, turned.view().ld, disturbed);
  backend.transpose(turned.view(), u);
  T largest = 0;
  copy_to_host(s.col_range(0, 1), matrix_view<T>(&largest, 1, 1), backend.stream());
  auto const bound = static_cast<double>(std::numeric_limits<T>::epsilon()) *
                     static_cast<double>(w.cols) * static_cast<double>(largest);
  return info == 0 && !(disturbed <= bound) ? 1 : info;
}

}  // namespace detail

/// Thin SVD of a matrix of the device; a stays as it is. divide_and_conquer, the faster method, is
/// here cuSOLVER's gesvdp (polar decomposition); where that had to disturb the matrix by more than
/// max(m, n) eps ||a|| and where it did not converge, gesvd tries again. Signs as on the host.
/// Throws shape_error, numerical_error for non-finite input or if neither converges.
template <device_operand A>
requires real<device_value_t<A>>
auto svd(A const& a, svd_options options, cublas const& backend)
    -> device_svd_result<device_value_t<A>> {
  using T = device_value_t<A>;
  device_view<T const> const input = as_view(a);
  auto const k = std::min(input.rows, input.cols);
  if (k == 0) {
    throw shape_error(message("svd: a ", input.shape(), " matrix has no singular values"));
  }
  if (options.check_finite) {
    detail::refuse_non_finite(input, "svd", backend);
  }
  bool const tall = input.rows > input.cols;
  device_matrix<T> wide({k, std::max(input.rows, input.cols)});
  device_svd_result<T> result{device_matrix<T>({input.rows, k}), device_matrix<T>({1, k}),
                              device_matrix<T>({k, input.cols})};
  device_matrix<T> left(tall ? shape2{k, k} : shape2{});
  device_matrix<T> right(tall ? wide.shape() : shape2{});
  auto const run = [&](svd_method method) {
    if (tall) {
      backend.transpose(input, wide.view());
    } else {
      detail::copy_rows(wide.view().data, wide.view().ld, input.data, input.ld, input.shape(),
                        cudaMemcpyDeviceToDevice, backend.stream());
    }
    return detail::svd_of_wide(method, wide.view(), result.s.view(),
                               tall ? left.view() : result.u.view(),
                               tall ? right.view() : result.vt.view(), backend);
  };
  auto info = run(options.method);
  if (info > 0 && options.method == svd_method::divide_and_conquer) {
    info = run(svd_method::qr_iteration);
  }
  if (info != 0) {
    throw numerical_error(
        message("svd: cuSOLVER gave up on the ", input.shape(), " matrix with info ", info), info);
  }
  if (tall) {
    backend.transpose(right.view(), result.u.view());
    backend.transpose(left.view(), result.vt.view());
  }
  detail::fix_signs(result.u.view(), result.vt.view(), backend);
  backend.synchronize();
  return result;
}

/// The same with the default options.
template <device_operand A>
requires real<device_value_t<A>>
auto svd(A const& a, cublas const& backend) -> device_svd_result<device_value_t<A>> {
  return svd(a, svd_options{}, backend);
}

namespace detail {

/// The rows of qt (k, m), k <= m, become an orthonormal basis of what they span.
template <real T>
void orthonormalize_rows(device_view<T> qt, cublas const& backend) {
  // Row-major (k, m) is column-major (m, k).
  device_matrix<T> tau({1, qt.rows});
  auto info = backend.solver().geqrf(qt.cols, qt.rows, qt.data, qt.ld, tau.view().data);
  if (info == 0) {
    info = backend.solver().template orgqr<T>(to_blas_int(qt.cols), to_blas_int(qt.rows), qt.data,
                                              to_blas_int(qt.ld), tau.view().data);
  }
  if (info != 0) {
    throw numerical_error(
        message("qr: cuSOLVER gave up on the ", qt.shape(), " matrix with info ", info), info);
  }
}

/// The numbers of the host's generator for a seed, on the device.
template <real T>
auto normal_numbers(shape2 shape, std::uint64_t seed, cublas const& backend) -> device_matrix<T> {
  auto numbers = make_matrix<T>(shape);
  fill_normal(std::span<T>(numbers.data(), numbers.size()), seed);
  return to_device(numbers, backend);
}

/// The bound of this name for the host, for qt = q^T (l, m).
template <real T>
auto sketch_error_bound(device_view<T const> a, device_view<T const> qt, std::uint64_t seed,
                        cublas const& backend) -> double {
  constexpr index_t probes = 10;
  auto const omega = normal_numbers<T>({a.cols, probes}, seed, backend);
  auto image = matmul(a, omega, backend);          // (m, probes)
  auto const inside = matmul(qt, image, backend);  // (l, probes)
  backend.gemm(op::transpose, op::none, T{-1}, qt, inside.view(), T{1}, image.view());
  auto const rest = to_host(image, backend);
  double largest = 0;
  for (index_t j = 0; j < probes; ++j) {
    largest = std::max(largest, frobenius_norm(as_view(rest).col_range(j, 1)));
  }
  return 10 * std::sqrt(2 / std::numbers::pi) * largest;
}

}  // namespace detail

/// Randomized SVD of rank k of a matrix of the device: the algorithm, the random numbers and the
/// bound of the error are those of linalg/rsvd.hpp. Only the sketch's random numbers, and ten
/// columns for the bound, go from one side to the other. Throws as rsvd on the host.
template <device_operand A>
requires real<device_value_t<A>>
auto rsvd(A const& a, index_t k, rsvd_options options, cublas const& backend)
    -> device_rsvd_result<device_value_t<A>> {
  using T = device_value_t<A>;
  device_view<T const> const input = as_view(a);
  auto const width = detail::sketch_width(input.shape(), k, options);
  detail::refuse_non_finite(input, "rsvd", backend);
  auto const omega = detail::normal_numbers<T>({input.cols, width}, options.seed, backend);
  auto qt = matmul(op::transpose, omega, op::transpose, input, backend);  // (width, m)
  detail::orthonormalize_rows(qt.view(), backend);
  for (int i = 0; i < options.power_iterations; ++i) {
    auto back = matmul(qt, input, backend);  // (width, n)
    detail::orthonormalize_rows(back.view(), backend);
    matmul(op::none, back.view(), op::transpose, input, qt.view(), backend);
    detail::orthonormalize_rows(qt.view(), backend);
  }
  auto small = svd(matmul(qt, input, backend), svd_options{.check_finite = false}, backend);
  device_rsvd_result<T> result{{device_matrix<T>({input.rows, k}), device_matrix<T>({1, k}),
                                device_matrix<T>({k, input.cols})},
                               0};
  auto& factors = result.factors;
  matmul(op::transpose, qt.view(), op::none, small.u.view().col_range(0, k), factors.u.view(),
         backend);
  detail::copy_rows(factors.s.view().data, k, small.s.view().data, width, {1, k},
                    cudaMemcpyDeviceToDevice, backend.stream());
  detail::copy_rows(factors.vt.view().data, input.cols, small.vt.view().data, input.cols,
                    {k, input.cols}, cudaMemcpyDeviceToDevice, backend.stream());
  detail::fix_signs(factors.u.view(), factors.vt.view(), backend);
  auto const s = to_host(small.s, backend);
  result.error_bound = detail::sketch_error_bound<T>(input, qt.view(), options.seed + 1, backend) +
                       (width > k ? static_cast<double>(as_view(s)(0, k)) : 0);
  return result;
}

/// The decomposition on the host.
template <real T>
auto to_host(device_svd_result<T> const& device, cublas const& backend) -> svd_result<T> {
  auto s = make_vector<T>(device.s.shape().cols);
  copy_to_host(device.s.view(), matrix_view<T>(s.data(), 1, device.s.shape().cols),
               backend.stream());
  return {to_host(device.u, backend), std::move(s), to_host(device.vt, backend)};
}

}  // namespace v0
}  // namespace eckart
