#pragma once

#include "eckart/core/page_pool.hpp"

#include <cstddef>
#include <limits>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace eckart {
inline namespace v0 {

namespace detail {

/// Where the allocator takes blocks that fill less than a huge page, and from how many bytes on.
/// Not where AddressSanitizer watches single allocations.
inline auto shared_pages() -> page_pool& {
  static auto* const pool = new page_pool;  // for good: there are matrices that live to the end
  return *pool;
}
inline constexpr std::size_t shared_pages_from = std::size_t{64} << 10;

#if defined(__SANITIZE_ADDRESS__) || !defined(__linux__)
inline constexpr bool shares_pages = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool shares_pages = false;
#else
inline constexpr bool shares_pages = true;
#endif
#else
inline constexpr bool shares_pages = true;
#endif

}  // namespace detail

/// Memory of matrices. It begins at a cache line, so that no vector of a row whose length is whole
/// lines lies across two. From 2 MiB on it begins at a huge page, and Linux is asked for such pages
/// as far as they are filled; from 64 KiB on blocks stand side by side in huge pages. A product
/// that streams weights meets the end of a page, where the processor's own reading ahead stops, 512
/// times less often.
template <class T>
struct allocator {
  using value_type = T;

  static constexpr std::size_t cache_line = page_pool::line;
  static constexpr std::size_t huge_page = page_pool::huge_page;

  allocator() = default;
  template <class U>
  allocator(allocator<U> const&) noexcept {}

  /// n uninitialized elements. Throws std::bad_alloc.
  auto allocate(std::size_t n) -> T* {
    if (n > (std::numeric_limits<std::size_t>::max() - huge_page) / sizeof(T)) {
      throw std::bad_array_new_length();
    }
    auto const bytes = n * sizeof(T);
    if (shares_page(bytes)) {
      return static_cast<T*>(detail::shared_pages().take(bytes));
    }
    auto* const memory = ::operator new(bytes, alignment_of(bytes));
#ifdef __linux__
    if (bytes >= huge_page) {
      ::madvise(memory, bytes / huge_page * huge_page, MADV_HUGEPAGE);  // a refusal changes nothing
    }
#endif
    return static_cast<T*>(memory);
  }

  void deallocate(T* memory, std::size_t n) noexcept {
    auto const bytes = n * sizeof(T);
    if (shares_page(bytes)) {
      detail::shared_pages().give_back(memory, bytes);
    } else {
      ::operator delete(memory, alignment_of(bytes));
    }
  }

  friend auto operator==(allocator const&, allocator const&) -> bool {
    return true;
  }

 private:
  static auto shares_page(std::size_t bytes) -> bool {
    return detail::shares_pages && bytes >= detail::shared_pages_from && bytes < huge_page;
  }
  static auto alignment_of(std::size_t bytes) -> std::align_val_t {
    return std::align_val_t{bytes >= huge_page ? huge_page : cache_line};
  }
};

}  // namespace v0
}  // namespace eckart
