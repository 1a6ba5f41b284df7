#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/view.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace eckart {
inline namespace v0 {

/// What scratch is made of: scalars in the memory of the processor, and what another kind of memory
/// takes there.
template <class T, class Memory>
concept scratch_element = scalar<T> || !std::same_as<Memory, host_memory>;

namespace detail {

/// Where a workspace gets its memory from: `allocate(bytes, alignment)` and `release`. Other kinds
/// of memory specialize it.
template <class Memory>
struct memory_source {
  static auto allocate(std::size_t bytes, std::size_t alignment) -> void* {
    return ::operator new (bytes, std::align_val_t{alignment});
  }
  static void release(void* memory, std::size_t alignment) {
    ::operator delete (memory, std::align_val_t{alignment});
  }
};

}  // namespace detail

/// Scratch memory that grows to what a computation needs and is then used again without any
/// allocation. What is taken inside a frame is given back when the frame ends; frames nest.
/// Memory never moves while a frame is open. Not shared between threads.
template <class T, class Memory = host_memory>
requires scratch_element<T, Memory>
class workspace {
 public:
  static constexpr std::size_t alignment = 64;  ///< bytes, one cache line

  workspace() = default;
  explicit workspace(std::size_t elements) { reserve(elements); }

  /// Gives back on destruction all that was taken since its construction.
  class frame_guard {
   public:
    explicit frame_guard(workspace& owner)
        : owner_(owner), chunk_(owner.enter()), used_(owner.used_) {}
    frame_guard(frame_guard const&) = delete;
    auto operator=(frame_guard const&) -> frame_guard& = delete;
    ~frame_guard() { owner_.leave(chunk_, used_); }

   private:
    workspace& owner_;
    std::size_t chunk_;
    std::size_t used_;
  };

  [[nodiscard]] auto frame() -> frame_guard { return frame_guard(*this); }

  /// n uninitialized elements, aligned to a cache line, valid until the open frame ends. Throws
  /// error outside of a frame and std::bad_alloc.
  auto take(std::size_t n) -> std::span<T>
  requires std::same_as<Memory, host_memory> { return {take_elements(n), footprint(n)}; }

  /// n uninitialized elements of which exactly n are seen.
  auto take_span(index_t n) -> std::span<T>
  requires std::same_as<Memory, host_memory> {
    if (n < 0) {
      throw shape_error(message("workspace: take_span of ", n, " elements"));
    }
    return take(static_cast<std::size_t>(n)).first(static_cast<std::size_t>(n));
  }

  /// Uninitialized rows x cols matrix.
  auto take_matrix(index_t rows, index_t cols) -> matrix_view<T, Memory> {
    if (rows < 0 || cols < 0) {
      throw shape_error(message("workspace: take_matrix of ", rows, " x ", cols));
    }
    return {take_elements(static_cast<std::size_t>(rows * cols)), rows, cols};
  }

  /// Makes sure that `elements` (a sum of footprints) can be taken without allocating. Does nothing
  /// inside a frame, where memory must not move.
  void reserve(std::size_t elements) {
    if (depth_ == 0 && (chunks_.size() > 1 || capacity() < elements)) {
      elements = std::max(elements, capacity());
      chunks_.clear();
      current_ = used_ = 0;
      grow(elements);
    }
  }

  /// Elements that taking n really uses: n rounded up to whole cache lines.
  static constexpr auto footprint(std::size_t n) -> std::size_t {
    constexpr std::size_t line = alignment / sizeof(T);
    return (n + line - 1) / line * line;
  }
  static constexpr auto footprint(index_t rows, index_t cols) -> std::size_t {
    return footprint(static_cast<std::size_t>(rows * cols));
  }

  /// Elements held, used or not.
  auto capacity() const -> std::size_t {
    std::size_t total = 0;
    for (auto const& c : chunks_) {
      total += c.size;
    }
    return total;
  }

 private:
  struct release {
    void operator()(T* p) const { detail::memory_source<Memory>::release(p, alignment); }
  };
  struct chunk {
    std::unique_ptr<T[], release> memory;
    std::size_t size;
  };

  auto take_elements(std::size_t n) -> T* {
    if (depth_ == 0) {
      throw error("workspace: taken outside of a frame, nothing would give it back");
    }
    if (n == 0) {
      return nullptr;
    }
    if (n > std::numeric_limits<std::size_t>::max() / sizeof(T) - alignment) {
      throw std::bad_array_new_length();
    }
    n = footprint(n);
    if (chunks_.empty()) {
      grow(n);
    }
    while (used_ + n > chunks_[current_].size) {
      if (current_ + 1 == chunks_.size()) {
        grow(n);
      }
      ++current_;
      used_ = 0;
    }
    auto* const result = chunks_[current_].memory.get() + used_;
    used_ += n;
    return result;
  }

  void grow(std::size_t n) {
    auto const size = std::max(footprint(n), capacity());
    auto* memory =
        static_cast<T*>(detail::memory_source<Memory>::allocate(size * sizeof(T), alignment));
    chunks_.push_back({std::unique_ptr<T[], release>(memory), size});
  }

  // Opens a frame and answers the chunk it starts in. The first one merges what has grown.
  auto enter() -> std::size_t {
    if (depth_ == 0 && chunks_.size() > 1) {
      reserve(0);
    }
    ++depth_;
    return current_;
  }

  void leave(std::size_t chunk_index, std::size_t used) {
    current_ = chunk_index;
    used_ = used;
    --depth_;
  }

  std::vector<chunk> chunks_;
  std::size_t current_ = 0;  // chunk that is being filled
  std::size_t used_ = 0;     // elements taken from it
  int depth_ = 0;            // open frames
};

}  // namespace v0
}  // namespace eckart
