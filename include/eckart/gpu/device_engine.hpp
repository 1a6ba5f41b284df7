#pragma once

#include "eckart/compress/fit_engine.hpp"
#include "eckart/gpu/decompositions.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

namespace detail {

/// P of a metric on a device: metric_root there.
class device_metric_root {
 public:
  /// Copies the metric. Throws as metric_root, and backend_error.
  device_metric_root(output_metric const& metric, index_t outputs, cublas const& backend)
      : backend_(backend) {
    definite_metric const ready(metric, outputs);
    if (ready.roots) {
      for (bool const inverse : {false, true}) {
        auto factors = make_matrix<double>({1, outputs});
        std::ranges::transform(*ready.roots, factors.begin(), [&](double root) {
          return !inverse ? root : root > 0 ? 1 / root : 0;
        });
        roots_.push_back(to_device(factors, backend));
      }
    }
    for (auto const& block : ready.blocks) {
      lower_.push_back(to_device(block, backend));
      auto const l = lower_.back().view();
      // Row-major lower is column-major upper.
      if (auto const info = backend.solver().potrf(l.rows, l.data, l.ld); info > 0) {
        throw not_positive_definite(info - 1, l.shape());
      }
    }
  }

  /// a (m, n) <- P a.
  void multiply(device_view<double> a) const {
    if (!roots_.empty()) {
      scale_rows(roots_[0], a);
    }
    each_block(a, [&](device_view<double const> l, device_view<double> rows) {
      // rows^T L: in place, as cuBLAS allows.
      double const one = 1;
      check_cublas(cublasDtrmm(backend_.handle(), CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER,
                               CUBLAS_OP_T, CUBLAS_DIAG_NON_UNIT, to_blas_int(rows.cols),
                               to_blas_int(rows.rows), &one, l.data, to_blas_int(l.ld), rows.data,
                               to_blas_int(rows.ld), rows.data, to_blas_int(rows.ld)),
                   "cublasDtrmm");
    });
  }

  /// a (m, n) <- P^-1 a; rows of weight 0 become 0.
  void solve(device_view<double> a) const {
    if (!roots_.empty()) {
      scale_rows(roots_[1], a);
    }
    each_block(a, [&](device_view<double const> l, device_view<double> rows) {
      double const one = 1;
      check_cublas(
          cublasDtrsm(backend_.handle(), CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_T,
                      CUBLAS_DIAG_NON_UNIT, to_blas_int(rows.cols), to_blas_int(rows.rows), &one,
                      l.data, to_blas_int(l.ld), rows.data, to_blas_int(rows.ld)),
          "cublasDtrsm");
    });
  }

 private:
  template <class F>
  void each_block(device_view<double> a, F f) const {
    index_t first = 0;
    for (auto const& l : lower_) {
      f(l.view(), a.row_range(first, l.shape().rows));
      first += l.shape().rows;
    }
  }

  // a(i, j) *= factors(0, i): column-major, the columns of a^T.
  void scale_rows(device_matrix<double> const& factors, device_view<double> a) const {
    check_cublas(
        cublasDdgmm(backend_.handle(), CUBLAS_SIDE_RIGHT, to_blas_int(a.cols), to_blas_int(a.rows),
                    a.data, to_blas_int(a.ld), factors.view().data, 1, a.data, to_blas_int(a.ld)),
        "cublasDdgmm");
  }

  cublas const& backend_;
  std::vector<device_matrix<double>> roots_;  // (1, m): factors of P and of P^-1; none with blocks
  std::vector<device_matrix<double>> lower_;  // square, orders add up to m
};

inline auto values_of(device_matrix<double> const& row, cublas const& backend)
    -> std::vector<double> {
  std::vector<double> result(static_cast<std::size_t>(row.shape().cols));
  copy_to_host(row.view(), matrix_view<double>(result.data(), 1, row.shape().cols),
               backend.stream());
  return result;
}

/// Values (r) on the host and vectors (m, r) on the device, the columns in the order of the values.
struct device_directions {
  std::vector<double> values;
  device_matrix<double> vectors;
};

/// The eigenpairs of a symmetric matrix of the device, values rising. Throws numerical_error.
inline auto rising_eigenpairs(device_matrix<double> a, cublas const& backend) -> device_directions {
  refuse_non_finite(std::as_const(a).view(), "eigh", backend);
  auto const n = a.shape().rows;
  device_matrix<double> values({1, n});
  auto const info = backend.solver().syevd(n, a.view().data, a.view().ld, values.view().data);
  if (info != 0) {
    throw numerical_error(
        message("eigh: cuSOLVER gave up on the ", a.shape(), " matrix with info ", info), info);
  }
  device_matrix<double> vectors(a.shape());  // column-major, they are the rows of a
  backend.transpose(a.view(), vectors.view());
  return {values_of(values, backend), std::move(vectors)};
}

/// What output_directions answers for a (m, n) and c (n, n).
inline auto device_output_directions(device_view<double const> a, device_matrix<double> c,
                                     cublas const& backend) -> device_directions {
  if (a.rows <= a.cols) {
    auto const left = matmul(a, c, backend);
    device_matrix<double> negative({a.rows, a.rows});  // falling values are its rising ones
    backend.gemm(op::none, op::transpose, -1.0, left.view(), a, 0.0, negative.view());
    auto pairs = rising_eigenpairs(std::move(negative), backend);
    for (auto& value : pairs.values) {
      value = std::max(-value, 0.0);
    }
    return pairs;
  }
  auto root = rising_eigenpairs(std::move(c), backend);
  auto roots = make_matrix<double>({1, a.cols});
  std::ranges::transform(root.values, roots.begin(),
                         [](double value) { return std::sqrt(std::max(value, 0.0)); });
  auto const factors = to_device(roots, backend);
  backend.scale_columns(factors.view(), root.vectors.view());
  auto f = svd(matmul(a, root.vectors, backend), backend);
  auto values = values_of(f.s, backend);
  for (auto& value : values) {
    value *= value;
  }
  return {std::move(values), std::move(f.u)};
}

}  // namespace detail

/// The engine of fits on a device, by cuBLAS and cuSOLVER: every call copies its matrices there and
/// the answer back, and waits. Numbers are those of host_engine but for rounding; products of
/// floats are added up in float, without TF32 unless the backend has it. The backend must outlive
/// it. Throws what host_engine throws, and backend_error.
class device_engine {
 public:
  explicit device_engine(cublas const& backend) : backend_(&backend) {}

  template <matrix_like A>
  auto decompose(A const& a) const -> svd_result<value_t<A>> {
    return to_host(svd(to_device(a, *backend_), *backend_), *backend_);
  }

  auto factors(matrix<double> a, matrix<double> const& c, output_metric const& metric) const
      -> fit_factors {
    auto const& gpu = *backend_;
    auto const root = detail::device_metric_root(metric, as_view(a).rows, gpu);
    auto weighed = to_device(a, gpu);
    root.multiply(weighed.view());
    auto directions = detail::device_output_directions(weighed.view(), to_device(c, gpu), gpu);
    auto& left = directions.vectors;
    auto right = matmul(op::transpose, left, op::none, weighed, gpu);
    detail::fix_signs(left.view(), right.view(), gpu);
    root.solve(left.view());
    auto losses = make_vector<double>(static_cast<index_t>(directions.values.size()));
    std::ranges::copy(directions.values, losses.begin());
    return {std::move(losses), to_host(left, gpu), to_host(right, gpu)};
  }

  void solve(matrix<double> const& c, matrix_view<double> rows) const {
    auto const& gpu = *backend_;
    auto factor = to_device(c, gpu);
    auto const l = factor.view();
    if (auto const info = gpu.solver().potrf(l.rows, l.data, l.ld); info > 0) {
      throw not_positive_definite(info - 1, l.shape());
    }
    // Row-major, the rows are the columns that cuSOLVER solves for.
    auto there = to_device(matrix_view<double const>(rows), gpu);
    auto const b = there.view();
    if (auto const info = gpu.solver().potrs(l.rows, b.rows, l.data, l.ld, b.data, b.ld);
        info != 0) {
      throw numerical_error(message("cholesky_solve: cuSOLVER answers info ", info), info);
    }
    copy_to_host(b, rows, gpu.stream());
  }

  template <real T>
  void upper_gram(matrix_view<T const> x, matrix_view<T> product) const {
    product_of_transpose(x, x, product);
  }

  template <real T>
  void product_of_transpose(matrix_view<T const> x, std::type_identity_t<matrix_view<T const>> y,
                            matrix_view<T> product) const {
    auto const& gpu = *backend_;
    auto const left = to_device(x, gpu);
    auto const right =
        x.data == y.data ? std::optional<device_matrix<T>>() : std::optional(to_device(y, gpu));
    auto const result = matmul(op::transpose, left, op::none, right ? *right : left, gpu);
    copy_to_host(result.view(), product, gpu.stream());
  }

 private:
  cublas const* backend_;
};

}  // namespace v0
}  // namespace eckart
