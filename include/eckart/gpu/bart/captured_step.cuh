#pragma once

#include "eckart/backend/cuda_status.hpp"
#include "eckart/core/concepts.hpp"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

namespace eckart {
inline namespace v0 {

/// Memory of the host that the device reads and writes too, at the same address.
template <class T>
class pinned_buffer {
 public:
  pinned_buffer() = default;
  /// Zeros. Throws backend_error.
  explicit pinned_buffer(index_t size) : size_(size) {
    void* data = nullptr;
    auto const bytes = static_cast<std::size_t>(size) * sizeof(T);
    check_cuda(cudaHostAlloc(&data, bytes, cudaHostAllocMapped | cudaHostAllocPortable),
               "cudaHostAlloc");
    std::memset(data, 0, bytes);
    data_.reset(static_cast<T*>(data));
  }

  auto data() const -> T* { return data_.get(); }
  auto size() const -> index_t { return size_; }
  auto operator[](index_t i) const -> T& { return data_.get()[i]; }
  /// What the device may have changed.
  auto read(index_t i) const -> T { return *static_cast<T const volatile*>(data_.get() + i); }

 private:
  struct release {
    void operator()(T* p) const { cudaFreeHost(p); }
  };
  std::unique_ptr<T[], release> data_;
  index_t size_ = 0;
};

/// Work of a stream that was recorded once and is started again with one call.
class captured_step {
 public:
  captured_step() = default;

  /// Records what f starts in the stream, without running it. f must not wait or allocate. Throws
  /// backend_error, and what f throws.
  template <class F>
  captured_step(cudaStream_t stream, F&& f) {
    check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
               "cudaStreamBeginCapture");
    cudaGraph_t graph = nullptr;
    try {
      f();
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check_cuda(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
    cudaGraphExec_t executable = nullptr;
    auto const status = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check_cuda(status, "cudaGraphInstantiate");
    graph_.reset(executable);
  }

  void operator()(cudaStream_t stream) const {
    check_cuda(cudaGraphLaunch(graph_.get(), stream), "cudaGraphLaunch");
  }
  explicit operator bool() const { return graph_ != nullptr; }

 private:
  struct release {
    void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, release> graph_;
};

/// A place in a stream that can be waited for.
class stream_mark {
 public:
  stream_mark() {
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming),
               "cudaEventCreateWithFlags");
    event_.reset(event);
  }
  void set(cudaStream_t stream) const {
    check_cuda(cudaEventRecord(event_.get(), stream), "cudaEventRecord");
  }
  void wait() const { check_cuda(cudaEventSynchronize(event_.get()), "cudaEventSynchronize"); }

 private:
  struct release {
    void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, release> event_;
};

}  // namespace v0
}  // namespace eckart
