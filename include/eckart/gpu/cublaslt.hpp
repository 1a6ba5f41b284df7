#pragma once

#include "eckart/backend/cublas.hpp"

#include <cublasLt.h>

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <utility>

/// Products of linear layers by cuBLASLt. Needs the CUDA toolkit's headers and libraries, not nvcc.
namespace eckart {
inline namespace v0 {

namespace detail {

// The objects of cuBLASLt that belong to somebody.
struct destroy_lt {
  void operator()(cublasLtMatmulDesc_t p) const { cublasLtMatmulDescDestroy(p); }
  void operator()(cublasLtMatrixLayout_t p) const { cublasLtMatrixLayoutDestroy(p); }
  void operator()(cublasLtMatmulPreference_t p) const { cublasLtMatmulPreferenceDestroy(p); }
};
template <class P>
using lt_owner = std::unique_ptr<std::remove_pointer_t<P>, destroy_lt>;

inline auto make_layout(cudaDataType type, index_t rows, index_t cols, index_t ld)
    -> lt_owner<cublasLtMatrixLayout_t> {
  cublasLtMatrixLayout_t layout = nullptr;
  check_cublas(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                          static_cast<std::uint64_t>(cols), ld),
               "cublasLtMatrixLayoutCreate");
  return lt_owner<cublasLtMatrixLayout_t>(layout);
}

}  // namespace detail

/// y = x w^T + bias in one kernel, also from numbers of 16 bits to floats. What cuBLASLt advises
/// for a shape is asked once and kept. Works in the workspace of the backend. Floats are multiplied
/// as floats, never as TF32. Used by one thread at a time; the backend must outlive it.
class cublaslt {
 public:
  explicit cublaslt(cublas const& backend) : backend_(&backend) {}

  auto backend() const -> cublas const& { return *backend_; }

  /// y (rows, m) from x (rows, n), w (m, n) and bias (m), which is null or in the memory of the
  /// device; `parts` such products side by side, each with its columns of x and y and its rows of w
  /// and bias. Throws shape_error, and backend_error where cuBLASLt knows no way.
  template <device_number T, device_number Out>
  void operator()(device_view<T const> x, device_view<T const> w, Out const* bias,
                  device_view<Out> y, index_t parts = 1) const {
    if (parts < 1 || w.rows % parts != 0 || x.cols != parts * w.cols || y.rows != x.rows ||
        y.cols != w.rows) {
      throw shape_error(message("cublaslt: ", parts, " products of ", x.shape(), " and ", w.shape(),
                                " into ", y.shape()));
    }
    if (y.size() == 0) {
      return;
    }
    plan_key const key{x.rows,
                       w.rows / parts,
                       w.cols,
                       x.ld,
                       w.ld,
                       y.ld,
                       bias != nullptr,
                       detail::cuda_type<T>(),
                       detail::cuda_type<Out>(),
                       parts};
    auto found = plans_.find(key);
    if (found == plans_.end()) {
      found = plans_.emplace(key, make_plan(key)).first;
    }
    auto const& plan = found->second;
    if (!plan.algorithm) {
      one_by_one(x, w, bias, y, parts);
      return;
    }
    if (bias != nullptr) {
      set(plan.description.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    }
    float const one = 1;
    float const zero = 0;
    // Row-major y = x w^T is column-major y^T = w x^T.
    check_cublas(cublasLtMatmul(handle(), plan.description.get(), &one, w.data, plan.w.get(),
                                x.data, plan.x.get(), &zero, y.data, plan.y.get(), y.data,
                                plan.y.get(), &*plan.algorithm, backend_->workspace(),
                                backend_->workspace_bytes(), backend_->stream()),
                 "cublasLtMatmul");
  }

 private:
  // rows, m, n, leading dimensions of x, w, y, whether there is a bias, types of x and y, parts
  using plan_key = std::array<index_t, 10>;

  struct product_plan {
    detail::lt_owner<cublasLtMatmulDesc_t> description;
    detail::lt_owner<cublasLtMatrixLayout_t> w;
    detail::lt_owner<cublasLtMatrixLayout_t> x;
    detail::lt_owner<cublasLtMatrixLayout_t> y;
    std::optional<cublasLtMatmulAlgo_t> algorithm;  // none: parts cannot be one call
  };

  template <device_number T, device_number Out>
  void one_by_one(device_view<T const> x, device_view<T const> w, Out const* bias,
                  device_view<Out> y, index_t parts) const {
    auto const m = w.rows / parts;
    for (index_t part = 0; part < parts; ++part) {
      (*this)(x.col_range(part * w.cols, w.cols), w.row_range(part * m, m),
              bias == nullptr ? nullptr : bias + part * m, y.col_range(part * m, m));
    }
  }

  auto handle() const -> cublasLtHandle_t {
    return reinterpret_cast<cublasLtHandle_t>(backend_->handle());  // a handle of cuBLAS has one
  }

  template <class V>
  static void set(cublasLtMatmulDesc_t to, cublasLtMatmulDescAttributes_t name, V const& value) {
    check_cublas(cublasLtMatmulDescSetAttribute(to, name, &value, sizeof value),
                 "cublasLtMatmulDescSetAttribute");
  }

  auto make_plan(plan_key const& key) const -> product_plan {
    auto const [rows, m, n, ld_x, ld_w, ld_y, has_bias, type, out, parts] = key;
    for (auto const size : {rows, m, n, ld_x, ld_w, ld_y}) {
      to_blas_int(size);
    }
    cublasLtMatmulDesc_t description = nullptr;
    check_cublas(cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                 "cublasLtMatmulDescCreate");
    product_plan plan{detail::lt_owner<cublasLtMatmulDesc_t>(description),
                      detail::make_layout(static_cast<cudaDataType>(type), n, m, ld_w),
                      detail::make_layout(static_cast<cudaDataType>(type), n, rows, ld_x),
                      detail::make_layout(static_cast<cudaDataType>(out), m, rows, ld_y),
                      {}};
    set(description, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (has_bias != 0) {
      set(description, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    }
    if (parts > 1) {
      set_parts(plan.w.get(), parts, m * ld_w);
      set_parts(plan.x.get(), parts, n);
      set_parts(plan.y.get(), parts, m);
      if (has_bias != 0) {
        set(description, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, m);
      }
    }
    plan.algorithm = advice(plan);
    if (!plan.algorithm && parts == 1) {
      check_cublas(CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic");
    }
    return plan;
  }

  static void set_parts(cublasLtMatrixLayout_t layout, index_t parts, index_t stride) {
    auto const count = to_blas_int(parts);
    check_cublas(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                  &count, sizeof count),
                 "cublasLtMatrixLayoutSetAttribute");
    check_cublas(cublasLtMatrixLayoutSetAttribute(
                     layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
                 "cublasLtMatrixLayoutSetAttribute");
  }

  // What cuBLASLt takes for the fastest; none where it knows no way.
  auto advice(product_plan const& plan) const -> std::optional<cublasLtMatmulAlgo_t> {
    cublasLtMatmulPreference_t preference = nullptr;
    check_cublas(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    detail::lt_owner<cublasLtMatmulPreference_t> const owner(preference);
    auto const workspace = backend_->workspace_bytes();
    check_cublas(
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &workspace, sizeof workspace),
        "cublasLtMatmulPreferenceSetAttribute");
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    auto const status =
        cublasLtMatmulAlgoGetHeuristic(handle(), plan.description.get(), plan.w.get(), plan.x.get(),
                                       plan.y.get(), plan.y.get(), preference, 1, &result, &found);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0)) {
      return std::nullopt;
    }
    check_cublas(status, "cublasLtMatmulAlgoGetHeuristic");
    return result.algo;
  }

  cublas const* backend_;
  std::map<plan_key, product_plan> mutable plans_;
};

}  // namespace v0
}  // namespace eckart
