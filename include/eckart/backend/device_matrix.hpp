#pragma once

#include "eckart/backend/cuda_status.hpp"
#include "eckart/core/concepts.hpp"
#include "eckart/core/view.hpp"
#include "eckart/core/workspace.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

/// Matrices in the memory of a GPU. What goes there and back goes by to_device and to_host alone.
namespace eckart {
inline namespace v0 {

using half = __half;             ///< 16 bits: 1 sign, 5 exponent, 10 fraction
using bfloat16 = __nv_bfloat16;  ///< 16 bits: 1 sign, 8 exponent, 7 fraction

/// Numbers that products on a device take. Those of 16 bits are added up in float.
template <class T>
concept device_number = real<T> || std::same_as<T, half> || std::same_as<T, bfloat16>;

/// Elements of a device, uninitialized, of any type that is copied byte by byte; freed at the end.
/// Belongs to the device that was current when it was made.
template <class T>
class device_buffer {
 public:
  device_buffer() = default;
  /// Throws shape_error for a negative or too large size, backend_error where the device has no
  /// room, which leaves both usable.
  explicit device_buffer(index_t size) : size_(size) {
    constexpr auto most = std::numeric_limits<index_t>::max() / static_cast<index_t>(sizeof(T));
    if (size < 0 || size > most) {
      throw shape_error(message("device_buffer: ", size, " elements"));
    }
    if (size > 0) {
      void* data = nullptr;
      check_cuda(cudaMalloc(&data, static_cast<std::size_t>(size) * sizeof(T)), "cudaMalloc");
      data_ = static_cast<T*>(data);
    }
  }
  device_buffer(device_buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  auto operator=(device_buffer&& other) noexcept -> device_buffer& {
    device_buffer taken(std::move(other));
    std::swap(data_, taken.data_);
    std::swap(size_, taken.size_);
    return *this;
  }
  ~device_buffer() { cudaFree(data_); }

  auto data() -> T* { return data_; }
  auto data() const -> T const* { return data_; }
  auto size() const -> index_t { return size_; }

 private:
  T* data_ = nullptr;
  index_t size_ = 0;
};

/// Row-major matrix of a device, uninitialized.
template <class T>
class device_matrix {
 public:
  device_matrix() = default;
  /// Throws as make_matrix and device_buffer.
  explicit device_matrix(shape2 shape) : elements_(checked_size(shape)), shape_(shape) {}

  auto shape() const -> shape2 { return shape_; }
  auto view() -> device_view<T> { return {elements_.data(), shape_.rows, shape_.cols}; }
  auto view() const -> device_view<T const> { return {elements_.data(), shape_.rows, shape_.cols}; }

 private:
  static auto checked_size(shape2 s) -> index_t {
    if (s.rows < 0 || s.cols < 0 ||
        (s.cols > 0 && s.rows > std::numeric_limits<index_t>::max() / s.cols)) {
      throw shape_error(message("device_matrix: ", s));
    }
    return s.rows * s.cols;
  }

  device_buffer<T> elements_;
  shape2 shape_;
};

template <class T>
auto as_view(device_matrix<T>& m) -> device_view<T> {
  return m.view();
}
template <class T>
auto as_view(device_matrix<T> const& m) -> device_view<T const> {
  return m.view();
}

/// What functions take as a matrix of a device: a device_matrix or a device_view.
template <class E>
concept device_operand = requires(E& e) {
  { as_view(e).shape() } -> std::same_as<shape2>;
  requires device_number<std::remove_const_t<typename decltype(as_view(e))::element_type>>;
  requires std::same_as<decltype(as_view(e)),
                        device_view<typename decltype(as_view(e))::element_type>>;
};

/// Its elements, without const.
template <device_operand E>
using device_value_t =
    std::remove_const_t<typename decltype(as_view(std::declval<E&>()))::element_type>;

/// Scratch in the memory of a device, for one stream: what is given back may still be read there.
template <device_number T>
using device_workspace = workspace<T, device_memory>;

namespace detail {

template <>
struct memory_source<device_memory> {
  static auto allocate(std::size_t bytes, std::size_t /* cudaMalloc's is 256 */) -> void* {
    void* memory = nullptr;
    check_cuda(cudaMalloc(&memory, bytes), "cudaMalloc");
    return memory;
  }
  static void release(void* memory, std::size_t) { cudaFree(memory); }
};

// Rows of a leading dimension each, one of which may be on the other side.
template <class T>
void copy_rows(T* to, index_t ld_to, T const* from, index_t ld_from, shape2 shape,
               cudaMemcpyKind kind, cudaStream_t stream) {
  auto const bytes = [](index_t n) { return static_cast<std::size_t>(n) * sizeof(T); };
  if (shape.rows > 0 && shape.cols > 0) {
    check_cuda(cudaMemcpy2DAsync(to, bytes(ld_to), from, bytes(ld_from), bytes(shape.cols),
                                 static_cast<std::size_t>(shape.rows), kind, stream),
               "cudaMemcpy2DAsync");
  }
}

}  // namespace detail

/// Copies a matrix of the host into one of the device, in the order of the stream; `from` may be
/// changed when this returns, unless its memory is pinned: then once the stream has come so far.
/// Throws shape_error and backend_error.
template <class T>
void copy_to_device(std::type_identity_t<matrix_view<T const>> from, device_view<T> to,
                    cudaStream_t stream) {
  if (from.shape() != to.shape()) {
    throw shape_error(message("copy_to_device: ", from.shape(), " into ", to.shape()));
  }
  detail::copy_rows(to.data, to.ld, from.data, from.ld, from.shape(), cudaMemcpyHostToDevice,
                    stream);
}

/// Copies a matrix of the device into one of the host and waits until it is there. Throws
/// shape_error and backend_error.
template <class T>
void copy_to_host(std::type_identity_t<device_view<T const>> from, matrix_view<T> to,
                  cudaStream_t stream) {
  if (from.shape() != to.shape()) {
    throw shape_error(message("copy_to_host: ", from.shape(), " into ", to.shape()));
  }
  detail::copy_rows(to.data, to.ld, from.data, from.ld, from.shape(), cudaMemcpyDeviceToHost,
                    stream);
  check_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

/// A new matrix of the device with the elements of one of the host. Throws as copy_to_device.
template <matrix_operand A>
auto to_device(A const& host, cudaStream_t stream) -> device_matrix<value_t<A>> {
  auto const operand = evaluated(host);
  matrix_view<value_t<A> const> const from = as_view(operand);
  device_matrix<value_t<A>> result(from.shape());
  copy_to_device(from, result.view(), stream);
  if constexpr (lazy_matrix<A>) {
    check_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  }
  return result;
}

/// The same with its elements rounded to U on the way.
template <device_number U, matrix_operand A>
auto to_device(A const& host, cudaStream_t stream) -> device_matrix<U> {
  if constexpr (std::same_as<U, value_t<A>>) {
    return to_device(host, stream);
  } else {
    auto const operand = evaluated(host);
    auto const from = as_view(operand);
    std::vector<U> rounded(static_cast<std::size_t>(from.size()));
    for (index_t i = 0; i < from.rows; ++i) {
      std::ranges::transform(from.row(i), rounded.begin() + i * from.cols,
                             [](auto x) { return static_cast<U>(x); });
    }
    device_matrix<U> result(from.shape());
    copy_to_device(matrix_view<U const>(rounded.data(), from.rows, from.cols), result.view(),
                   stream);
    return result;
  }
}

/// A new matrix of the host with the elements of one of the device. Throws as copy_to_host.
template <real T>
auto to_host(device_view<T const> device, cudaStream_t stream) -> matrix<T> {
  auto result = make_matrix<T>(device.shape());
  copy_to_host(device, as_view(result), stream);
  return result;
}
/// Numbers of 16 bits become floats, which hold them exactly.
template <device_number T>
requires(sizeof(T) == 2) auto to_host(device_view<T const> device, cudaStream_t stream)
    -> matrix<float> {
  std::vector<T> copied(static_cast<std::size_t>(device.size()));
  copy_to_host(device, matrix_view<T>(copied.data(), device.rows, device.cols), stream);
  auto result = make_matrix<float>(device.shape());
  std::ranges::transform(copied, result.begin(), [](T x) { return static_cast<float>(x); });
  return result;
}
template <device_number T>
auto to_host(device_matrix<T> const& device, cudaStream_t stream) {
  return to_host(device.view(), stream);
}

}  // namespace v0
}  // namespace eckart
