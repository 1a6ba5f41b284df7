#pragma once

#include "eckart/backend/concept.hpp"
#include "eckart/backend/cublas_status.hpp"
#include "eckart/backend/cublas_types.hpp"
#include "eckart/backend/cuda_status.hpp"
#include "eckart/backend/cusolver.hpp"
#include "eckart/backend/device_kernels.hpp"
#include "eckart/backend/device_matrix.hpp"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <concepts>
#include <memory>
#include <tuple>
#include <type_traits>

/// Products on a GPU by cuBLAS. Needs the CUDA toolkit's headers and libraries, not nvcc.
namespace eckart {
inline namespace v0 {

namespace detail {

struct destroy_stream {
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
};
struct destroy_cublas {
  void operator()(cublasHandle_t handle) const { cublasDestroy(handle); }
};

}  // namespace detail

/// cuBLAS on one device: a handle, a stream of its own, a workspace. Everything is computed in the
/// order of the stream and may still be going on when a function returns; `synchronize` waits for
/// it. Movable, not copyable; used by one thread at a time, whose current device is the backend's.
/// Every status that is not success becomes a backend_error, perhaps of an earlier call.
class cublas {
 public:
  using memory = device_memory;

  /// Makes the device the thread's current one. Throws backend_error: where there is no GPU,
  /// cudaErrorNoDevice.
  explicit cublas(cublas_options options = {}) : options_(options) {
    check_cuda(cudaSetDevice(options.device), "cudaSetDevice");
    cudaStream_t stream = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
               "cudaStreamCreateWithFlags");
    stream_.reset(stream);
    workspace_ = device_buffer<unsigned char>(static_cast<index_t>(options.workspace));
    cublasHandle_t handle = nullptr;
    check_cublas(cublasCreate(&handle), "cublasCreate");
    handle_.reset(handle);
    check_cublas(cublasSetStream(handle, stream), "cublasSetStream");
    check_cublas(cublasSetWorkspace(handle, workspace_.data(), options.workspace),
                 "cublasSetWorkspace");
    // Partial sums of products of 16 bits stay in float.
    check_cublas(cublasSetMathMode(handle, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION),
                 "cublasSetMathMode");
  }

  auto stream() const -> cudaStream_t { return stream_.get(); }
  auto handle() const -> cublasHandle_t { return handle_.get(); }
  auto device() const -> int { return options_.device; }
  /// Working memory of products in this stream.
  auto workspace() const -> void* { return workspace_.data(); }
  auto workspace_bytes() const -> std::size_t { return options_.workspace; }

  /// Waits for everything that was started in the stream. Throws what it met.
  void synchronize() const {
    check_cuda(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  }

  /// c = alpha p(a) q(b) + beta c, sums in accumulator_of<T>. c must not overlap a or b and is not
  /// read where beta is 0. Throws shape_error before anything is written. 2 m n k FLOPs.
  template <device_number T>
  void gemm(op p, op q, accumulator_of<T> alpha, device_view<std::type_identity_t<T> const> a,
            device_view<std::type_identity_t<T> const> b, accumulator_of<T> beta,
            device_view<T> c) const {
    auto const s = sizes_of(p, q, a, b, c, check_product(p, q, a, b, c));
    if (s.m == 0 || s.n == 0) {
      return;
    }
    check_cublas(
        cublasGemmEx(handle_.get(), s.q, s.p, s.n, s.m, s.k, &alpha, b.data, detail::cuda_type<T>(),
                     s.ldb, a.data, detail::cuda_type<T>(), s.lda, &beta, c.data,
                     detail::cuda_type<T>(), s.ldc, compute_type<T>(), CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
  }

  /// y = alpha p(a) x + beta y for vectors in rows, x (1, n) and y (1, m) with p(a) (m, n). Half
  /// and bfloat16 are a gemm: cuBLAS has no gemv for them. Throws as gemm. 2 m n FLOPs.
  template <device_number T>
  void gemv(op p, accumulator_of<T> alpha, device_view<std::type_identity_t<T> const> a,
            device_view<std::type_identity_t<T> const> x, accumulator_of<T> beta,
            device_view<T> y) const {
    auto const of_rows = p == op::none ? op::transpose : op::none;
    auto const inner = check_product(op::none, of_rows, x, a, y);
    if (y.rows != 1) {
      throw shape_error(message("gemv: into ", y.shape(), ", which is no row"));
    }
    if constexpr (real<T>) {
      if (inner > 0 && y.cols > 0) {
        auto const call = [&] {
          if constexpr (std::same_as<T, float>) {
            return cublasSgemv;
          } else {
            return cublasDgemv;
          }
        }();
        // cuBLAS sees the row-major a as its transpose.
        check_cublas(call(handle(), p == op::none ? CUBLAS_OP_T : CUBLAS_OP_N, to_blas_int(a.cols),
                          to_blas_int(a.rows), &alpha, a.data, to_blas_int(a.ld), x.data, 1, &beta,
                          y.data, 1),
                     "cublas<t>gemv");
        return;
      }
    }
    gemm(op::none, of_rows, alpha, x, a, beta, y);
  }

  /// `count` products: matrix i starts i * stride elements behind the view's data. The results must
  /// not overlap. Throws as gemm.
  template <device_number T>
  void gemm_strided_batched(op p, op q, accumulator_of<T> alpha,
                            device_view<std::type_identity_t<T> const> a, index_t stride_a,
                            device_view<std::type_identity_t<T> const> b, index_t stride_b,
                            accumulator_of<T> beta, device_view<T> c, index_t stride_c,
                            index_t count) const {
    auto const s = sizes_of(p, q, a, b, c, check_product(p, q, a, b, c));
    auto const batch = to_blas_int(count);
    if (s.m == 0 || s.n == 0 || batch == 0) {
      return;
    }
    check_cublas(cublasGemmStridedBatchedEx(handle_.get(), s.q, s.p, s.n, s.m, s.k, &alpha, b.data,
                                            detail::cuda_type<T>(), s.ldb, stride_b, a.data,
                                            detail::cuda_type<T>(), s.lda, stride_a, &beta, c.data,
                                            detail::cuda_type<T>(), s.ldc, stride_c, batch,
                                            compute_type<T>(), CUBLAS_GEMM_DEFAULT),
                 "cublasGemmStridedBatchedEx");
  }

  /// The same for matrices anywhere, given by arrays of addresses on the device. Throws as gemm and
  /// for counts that differ.
  template <device_number T>
  void gemm_batched(op p, op q, accumulator_of<T> alpha,
                    device_batch<std::type_identity_t<T> const> a,
                    device_batch<std::type_identity_t<T> const> b, accumulator_of<T> beta,
                    device_batch<T> c) const {
    if (a.count != c.count || b.count != c.count) {
      throw shape_error(
          message("gemm_batched: ", a.count, " times ", b.count, " into ", c.count, " matrices"));
    }
    auto const view = []<class E>(device_batch<E> const& x) {
      return device_view<E>(nullptr, x.shape.rows, x.shape.cols, x.ld);
    };
    auto const inner = check_product(p, q, view(a), view(b), view(c));
    auto const s = sizes_of(p, q, view(a), view(b), view(c), inner);
    auto const batch = to_blas_int(c.count);
    if (s.m == 0 || s.n == 0 || batch == 0) {
      return;
    }
    auto const untyped = [](auto const* addresses) {
      return reinterpret_cast<void const* const*>(addresses);
    };
    check_cublas(cublasGemmBatchedEx(handle_.get(), s.q, s.p, s.n, s.m, s.k, &alpha,
                                     untyped(b.data), detail::cuda_type<T>(), s.ldb,
                                     untyped(a.data), detail::cuda_type<T>(), s.lda, &beta,
                                     reinterpret_cast<void* const*>(c.data), detail::cuda_type<T>(),
                                     s.ldc, batch, compute_type<T>(), CUBLAS_GEMM_DEFAULT),
                 "cublasGemmBatchedEx");
  }

  /// c(i, j) *= d(0, j). Throws shape_error. One multiplication an entry.
  template <device_number T>
  void scale_columns(device_view<std::type_identity_t<T> const> d /* (1, n) */,
                     device_view<T> c) const {
    if (d.shape() != shape2{1, c.cols}) {
      throw shape_error(message("scale_columns: ", d.shape(), " factors for ", c.shape()));
    }
    if (c.size() > 0) {
      kernels<T>().launch("scale_columns", detail::device_kernels<T>::grid_of(c.shape()), stream(),
                          d.data, c.data, c.ld, c.rows, c.cols);
    }
  }

  /// c = a^T, which must not overlap. Throws shape_error.
  template <real T>
  void transpose(device_view<std::type_identity_t<T> const> a, device_view<T> c) const {
    if (c.shape() != shape_of(op::transpose, a.shape())) {
      throw shape_error(message("transpose: ", a.shape(), " into ", c.shape()));
    }
    auto const rows = to_blas_int(a.rows);
    auto const cols = to_blas_int(a.cols);
    if (rows == 0 || cols == 0) {
      return;
    }
    T const one = 1;
    T const zero = 0;
    auto const geam = [&] {
      if constexpr (std::same_as<T, float>) {
        return cublasSgeam;
      } else {
        return cublasDgeam;
      }
    }();
    check_cublas(
        geam(handle(), CUBLAS_OP_T, CUBLAS_OP_N, rows, cols, &one, a.data, to_blas_int(a.ld), &zero,
             c.data, to_blas_int(c.ld), c.data, to_blas_int(c.ld)),
        "cublas<t>geam");
  }

  /// cuSOLVER in the same stream; made when it is asked for first.
  auto solver() const -> cusolver const& {
    if (!solver_) {
      solver_ = std::make_unique<cusolver>(stream());
    }
    return *solver_;
  }

  /// Kernels of steps that cuBLAS does not have; compiled when the first one is started.
  template <device_number T>
  auto kernels() const -> detail::device_kernels<T>& {
    return std::get<detail::device_kernels<T>>(kernels_);
  }

 private:
  // cuBLAS is column-major: a row-major c = p(a) q(b) is its c^T = q(b)^T p(a)^T.
  struct sizes {
    cublasOperation_t p, q;
    int m, n, k, lda, ldb, ldc;
  };

  template <class T>
  static auto sizes_of(op p, op q, device_view<T const> a, device_view<T const> b, device_view<T> c,
                       index_t inner) -> sizes {
    auto const operation = [](op x) { return x == op::none ? CUBLAS_OP_N : CUBLAS_OP_T; };
    auto const leading = [](auto v) { return to_blas_int(std::max<index_t>(1, v.ld)); };
    return {operation(p),       operation(q), to_blas_int(c.rows), to_blas_int(c.cols),
            to_blas_int(inner), leading(a),   leading(b),          leading(c)};
  }

  template <device_number T>
  auto compute_type() const -> cublasComputeType_t {
    if constexpr (std::same_as<T, double>) {
      return CUBLAS_COMPUTE_64F;
    } else if constexpr (std::same_as<T, float>) {
      return options_.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    } else {
      return CUBLAS_COMPUTE_32F;
    }
  }

  cublas_options options_;
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, detail::destroy_stream> stream_;
  device_buffer<unsigned char> mutable workspace_;
  std::unique_ptr<std::remove_pointer_t<cublasHandle_t>, detail::destroy_cublas> handle_;
  std::tuple<detail::device_kernels<float>, detail::device_kernels<double>,
             detail::device_kernels<half>, detail::device_kernels<bfloat16>> mutable kernels_;
  std::unique_ptr<cusolver> mutable solver_;
};

/// Copies in the order of the backend's stream.
template <matrix_operand A>
auto to_device(A const& host, cublas const& backend) -> device_matrix<value_t<A>> {
  return to_device(host, backend.stream());
}
template <device_number U, matrix_operand A>
auto to_device(A const& host, cublas const& backend) -> device_matrix<U> {
  return to_device<U>(host, backend.stream());
}
template <device_operand A>
auto to_host(A const& device, cublas const& backend) {
  device_view<device_value_t<A> const> const from = as_view(device);
  return to_host(from, backend.stream());
}

}  // namespace v0
}  // namespace eckart
