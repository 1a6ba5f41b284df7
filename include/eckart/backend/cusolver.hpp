#pragma once

#include "eckart/backend/cusolver_status.hpp"
#include "eckart/backend/device_matrix.hpp"

#include <cusolverDn.h>

#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <vector>

namespace eckart {
inline namespace v0 {

/// cuSOLVER's routines by one name for float and double, column-major as in LAPACK. Each takes its
/// scratch for itself, waits until it is done and answers info. Only gpu/ calls them.
class cusolver {
 public:
  explicit cusolver(cudaStream_t stream) : stream_(stream) {
    cusolverDnHandle_t handle = nullptr;
    check_cusolver(cusolverDnCreate(&handle), "cusolverDnCreate");
    handle_.reset(handle);
    check_cusolver(cusolverDnSetStream(handle, stream), "cusolverDnSetStream");
    cusolverDnParams_t params = nullptr;
    check_cusolver(cusolverDnCreateParams(&params), "cusolverDnCreateParams");
    params_.reset(params);
  }

  /// A = U diag(s) Vt by QR iteration: A (m, n), m >= n, overwritten; U (m, n), Vt (n, n).
  template <real T>
  auto gesvd(index_t m, index_t n, T* a, index_t lda, T* s, T* u, index_t ldu, T* vt,
             index_t ldvt) const -> int {
    auto const type = type_of<T>();
    std::size_t device_bytes = 0;
    std::size_t host_bytes = 0;
    check_cusolver(cusolverDnXgesvd_bufferSize(handle_.get(), params_.get(), 'S', 'S', m, n, type,
                                               a, lda, type, s, type, u, ldu, type, vt, ldvt, type,
                                               &device_bytes, &host_bytes),
                   "cusolverDnXgesvd_bufferSize");
    scratch work(device_bytes, host_bytes);
    check_cusolver(cusolverDnXgesvd(handle_.get(), params_.get(), 'S', 'S', m, n, type, a, lda,
                                    type, s, type, u, ldu, type, vt, ldvt, type, work.on_device(),
                                    device_bytes, work.on_host(), host_bytes, work.info()),
                   "cusolverDnXgesvd");
    return answered(work);
  }

  /// A = U diag(s) V^T from the polar decomposition of A: A (m, n), overwritten; with k = min(m,
  /// n), U (m, k), V (n, k). Adds to error, relative to the largest of s, how far A was disturbed
  /// where it is nearly singular.
  template <real T>
  auto gesvdp(index_t m, index_t n, T* a, index_t lda, T* s, T* u, index_t ldu, T* v, index_t ldv,
              double& error) const -> int {
    auto const type = type_of<T>();
    std::size_t device_bytes = 0;
    std::size_t host_bytes = 0;
    check_cusolver(cusolverDnXgesvdp_bufferSize(
                       handle_.get(), params_.get(), CUSOLVER_EIG_MODE_VECTOR, 1, m, n, type, a,
                       lda, type, s, type, u, ldu, type, v, ldv, type, &device_bytes, &host_bytes),
                   "cusolverDnXgesvdp_bufferSize");
    scratch work(device_bytes, host_bytes);
    check_cusolver(
        cusolverDnXgesvdp(handle_.get(), params_.get(), CUSOLVER_EIG_MODE_VECTOR, 1, m, n, type, a,
                          lda, type, s, type, u, ldu, type, v, ldv, type, work.on_device(),
                          device_bytes, work.on_host(), host_bytes, work.info(), &error),
        "cusolverDnXgesvdp");
    return answered(work);
  }

  /// A = Q R, m >= n: R above the reflectors in A (m, n), tau (n).
  template <real T>
  auto geqrf(index_t m, index_t n, T* a, index_t lda, T* tau) const -> int {
    auto const type = type_of<T>();
    std::size_t device_bytes = 0;
    std::size_t host_bytes = 0;
    check_cusolver(cusolverDnXgeqrf_bufferSize(handle_.get(), params_.get(), m, n, type, a, lda,
                                               type, tau, type, &device_bytes, &host_bytes),
                   "cusolverDnXgeqrf_bufferSize");
    scratch work(device_bytes, host_bytes);
    check_cusolver(
        cusolverDnXgeqrf(handle_.get(), params_.get(), m, n, type, a, lda, type, tau, type,
                         work.on_device(), device_bytes, work.on_host(), host_bytes, work.info()),
        "cusolverDnXgeqrf");
    return answered(work);
  }

  /// The Q (m, n) of geqrf in place of its n reflectors.
  template <real T>
  auto orgqr(int m, int n, T* a, int lda, T const* tau) const -> int {
    int size = 0;
    if constexpr (std::same_as<T, float>) {
      check_cusolver(cusolverDnSorgqr_bufferSize(handle_.get(), m, n, n, a, lda, tau, &size),
                     "cusolverDnSorgqr_bufferSize");
    } else {
      check_cusolver(cusolverDnDorgqr_bufferSize(handle_.get(), m, n, n, a, lda, tau, &size),
                     "cusolverDnDorgqr_bufferSize");
    }
    scratch work(static_cast<std::size_t>(size) * sizeof(T), 0);
    auto* const elements = static_cast<T*>(work.on_device());
    if constexpr (std::same_as<T, float>) {
      check_cusolver(
          cusolverDnSorgqr(handle_.get(), m, n, n, a, lda, tau, elements, size, work.info()),
          "cusolverDnSorgqr");
    } else {
      check_cusolver(
          cusolverDnDorgqr(handle_.get(), m, n, n, a, lda, tau, elements, size, work.info()),
          "cusolverDnDorgqr");
    }
    return answered(work);
  }

  /// A = V diag(w) V^T for a symmetric A (n, n), of which the upper triangle is read and which
  /// becomes V: w (n) rising.
  template <real T>
  auto syevd(index_t n, T* a, index_t lda, T* w) const -> int {
    auto const type = type_of<T>();
    std::size_t device_bytes = 0;
    std::size_t host_bytes = 0;
    check_cusolver(
        cusolverDnXsyevd_bufferSize(handle_.get(), params_.get(), CUSOLVER_EIG_MODE_VECTOR, upper,
                                    n, type, a, lda, type, w, type, &device_bytes, &host_bytes),
        "cusolverDnXsyevd_bufferSize");
    scratch work(device_bytes, host_bytes);
    check_cusolver(cusolverDnXsyevd(handle_.get(), params_.get(), CUSOLVER_EIG_MODE_VECTOR, upper,
                                    n, type, a, lda, type, w, type, work.on_device(), device_bytes,
                                    work.on_host(), host_bytes, work.info()),
                   "cusolverDnXsyevd");
    return answered(work);
  }

  /// A = U^T U for a positive definite A (n, n), of which the upper triangle is read and becomes U.
  template <real T>
  auto potrf(index_t n, T* a, index_t lda) const -> int {
    auto const type = type_of<T>();
    std::size_t device_bytes = 0;
    std::size_t host_bytes = 0;
    check_cusolver(cusolverDnXpotrf_bufferSize(handle_.get(), params_.get(), upper, n, type, a, lda,
                                               type, &device_bytes, &host_bytes),
                   "cusolverDnXpotrf_bufferSize");
    scratch work(device_bytes, host_bytes);
    check_cusolver(
        cusolverDnXpotrf(handle_.get(), params_.get(), upper, n, type, a, lda, type,
                         work.on_device(), device_bytes, work.on_host(), host_bytes, work.info()),
        "cusolverDnXpotrf");
    return answered(work);
  }

  /// B (n, columns) <- A^-1 B with the U of potrf.
  template <real T>
  auto potrs(index_t n, index_t columns, T const* u, index_t ldu, T* b, index_t ldb) const -> int {
    auto const type = type_of<T>();
    scratch work(0, 0);
    check_cusolver(cusolverDnXpotrs(handle_.get(), params_.get(), upper, n, columns, type, u, ldu,
                                    type, b, ldb, work.info()),
                   "cusolverDnXpotrs");
    return answered(work);
  }

 private:
  static constexpr auto upper = CUBLAS_FILL_MODE_UPPER;

  // What a routine works in, and the place for its info behind it.
  class scratch {
   public:
    scratch(std::size_t device_bytes, std::size_t host_bytes)
        : device_(rounded_up(device_bytes) + rounded_up(sizeof(int))),
          info_(rounded_up(device_bytes)),
          host_(host_bytes) {}
    auto on_device() -> void* { return device_.data(); }
    auto on_host() -> void* { return host_.data(); }
    auto info() -> int* { return static_cast<int*>(static_cast<void*>(device_.data() + info_)); }

   private:
    static auto rounded_up(std::size_t bytes) -> index_t {
      return static_cast<index_t>((bytes + 255) / 256 * 256);
    }

    device_buffer<unsigned char> device_;
    index_t info_;
    std::vector<unsigned char> host_;
  };

  struct destroy {
    void operator()(cusolverDnHandle_t handle) const { cusolverDnDestroy(handle); }
    void operator()(cusolverDnParams_t params) const { cusolverDnDestroyParams(params); }
  };

  template <real T>
  static constexpr auto type_of() -> cudaDataType {
    return std::same_as<T, float> ? CUDA_R_32F : CUDA_R_64F;
  }

  auto answered(scratch& work) const -> int {
    int info = 0;
    check_cuda(cudaMemcpyAsync(&info, work.info(), sizeof(info), cudaMemcpyDeviceToHost, stream_),
               "cudaMemcpyAsync");
    check_cuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    return info;
  }

  cudaStream_t stream_;
  std::unique_ptr<std::remove_pointer_t<cusolverDnHandle_t>, destroy> handle_;
  std::unique_ptr<std::remove_pointer_t<cusolverDnParams_t>, destroy> params_;
};

}  // namespace v0
}  // namespace eckart
