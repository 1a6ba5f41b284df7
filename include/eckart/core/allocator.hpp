#pragma once

#include <cstddef>
#include <limits>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace eckart {
inline namespace v0 {

/// Memory of matrices. It begins at a cache line, so that no vector of a row whose length is whole
/// lines lies across two. From 2 MiB on it begins at a huge page, and Linux is asked for such pages
/// as far as they are filled: a product that streams weights meets the end of a page, where the
/// processor's own reading ahead stops, 512 times less often.
template <class T>
struct allocator {
  using value_type = T;

  static constexpr std::size_t cache_line = 64;                   ///< bytes
  static constexpr std::size_t huge_page = std::size_t{2} << 20;  ///< bytes

  allocator() = default;
  template <class U>
  allocator(allocator<U> const&) noexcept {}

  /// n uninitialized elements. Throws std::bad_alloc.
  auto allocate(std::size_t n) -> T* {
    if (n > (std::numeric_limits<std::size_t>::max() - huge_page) / sizeof(T)) {
      throw std::bad_array_new_length();
    }
    auto const bytes = n * sizeof(T);
    auto* const memory = ::operator new(bytes, alignment_of(bytes));
#ifdef __linux__
    if (bytes >= huge_page) {
      ::madvise(memory, bytes / huge_page * huge_page, MADV_HUGEPAGE);  // a refusal changes nothing
    }
#endif
    return static_cast<T*>(memory);
  }

  void deallocate(T* memory, std::size_t n) noexcept {
    ::operator delete(memory, alignment_of(n * sizeof(T)));
  }

  friend auto operator==(allocator const&, allocator const&) -> bool {
    return true;
  }

 private:
  static auto alignment_of(std::size_t bytes) -> std::align_val_t {
    return std::align_val_t{bytes >= huge_page ? huge_page : cache_line};
  }
};

}  // namespace v0
}  // namespace eckart
