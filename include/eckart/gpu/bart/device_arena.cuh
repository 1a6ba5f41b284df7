#pragma once

#include "eckart/backend/device_matrix.hpp"

#include <algorithm>
#include <cstddef>

namespace eckart {
inline namespace v0 {

/// Working memory of a device, handed out piece by piece. Without memory it counts: the same calls
/// then tell how much they would take.
class device_arena {
 public:
  static constexpr std::size_t alignment = 256;  ///< bytes, what the fastest accesses need

  device_arena() = default;
  explicit device_arena(std::byte* memory) : memory_(memory) {}

  /// n elements, uninitialized; null while counting.
  template <class T>
  auto take(index_t n) -> T* {
    auto const at = used_;
    used_ += (static_cast<std::size_t>(n) * sizeof(T) + alignment - 1) / alignment * alignment;
    most_ = std::max(most_, used_);
    return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + at);
  }
  template <class T>
  auto take_matrix(index_t rows, index_t cols) -> device_view<T> {
    return {take<T>(rows * cols), rows, cols};
  }

  auto used() const -> std::size_t { return used_; }
  auto most() const -> std::size_t { return most_; }
  /// Gives back what was taken since used() was this.
  void rewind(std::size_t used) { used_ = used; }

 private:
  std::byte* memory_ = nullptr;
  std::size_t used_ = 0;
  std::size_t most_ = 0;
};

}  // namespace v0
}  // namespace eckart
