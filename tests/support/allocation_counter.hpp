#pragma once

#include <cstddef>

/// Counts what is allocated with operator new, to hold functions to their word that they allocate
/// nothing. Exactly one unit of a program defines ECKART_DEFINE_ALLOCATION_COUNTER before it
/// includes this header: that unit replaces the global operators.
namespace support {

/// Calls of any operator new since the program started, all threads together.
auto allocations() -> std::size_t;

/// Calls of any operator new while `f` runs.
template <class F>
auto allocations_in(F&& f) -> std::size_t {
  auto const before = allocations();
  f();
  return allocations() - before;
}

}  // namespace support

#ifdef ECKART_DEFINE_ALLOCATION_COUNTER

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace support {
namespace detail {

inline std::atomic<std::size_t> allocation_count{0};

inline auto allocate(std::size_t size) noexcept -> void* {
  ++allocation_count;
  return std::malloc(std::max<std::size_t>(size, 1));
}

inline auto allocate(std::size_t size, std::align_val_t alignment) noexcept -> void* {
  ++allocation_count;
  auto const step = std::max(static_cast<std::size_t>(alignment), sizeof(void*));
  // aligned_alloc wants a multiple of the alignment.
  return std::aligned_alloc(step, (std::max<std::size_t>(size, 1) + step - 1) / step * step);
}

// Not inlined: GCC would take free for the wrong partner of operator new.
[[gnu::noinline]] inline void release(void* memory) noexcept {
  std::free(memory);
}

inline auto or_throw(void* memory) -> void* {
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

}  // namespace detail

auto allocations() -> std::size_t {
  return detail::allocation_count;
}

}  // namespace support

void* operator new(std::size_t n) {
  return support::detail::or_throw(support::detail::allocate(n));
}
void* operator new[](std::size_t n) {
  return support::detail::or_throw(support::detail::allocate(n));
}
void* operator new(std::size_t n, std::align_val_t a) {
  return support::detail::or_throw(support::detail::allocate(n, a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return support::detail::or_throw(support::detail::allocate(n, a));
}
void* operator new(std::size_t n, std::nothrow_t const&) noexcept {
  return support::detail::allocate(n);
}
void* operator new[](std::size_t n, std::nothrow_t const&) noexcept {
  return support::detail::allocate(n);
}
void* operator new(std::size_t n, std::align_val_t a, std::nothrow_t const&) noexcept {
  return support::detail::allocate(n, a);
}
void* operator new[](std::size_t n, std::align_val_t a, std::nothrow_t const&) noexcept {
  return support::detail::allocate(n, a);
}
void operator delete(void* p) noexcept {
  support::detail::release(p);
}
void operator delete[](void* p) noexcept {
  support::detail::release(p);
}
void operator delete(void* p, std::size_t) noexcept {
  support::detail::release(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  support::detail::release(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  support::detail::release(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
  support::detail::release(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  support::detail::release(p);
}
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
  support::detail::release(p);
}
void operator delete(void* p, std::nothrow_t const&) noexcept {
  support::detail::release(p);
}
void operator delete[](void* p, std::nothrow_t const&) noexcept {
  support::detail::release(p);
}
void operator delete(void* p, std::align_val_t, std::nothrow_t const&) noexcept {
  support::detail::release(p);
}
void operator delete[](void* p, std::align_val_t, std::nothrow_t const&) noexcept {
  support::detail::release(p);
}

#endif
