#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace eckart {
inline namespace v0 {

/// Blocks side by side in huge pages, for matrices that do not fill such a page. Chunks of 16 MiB
/// are asked for when no hole between the blocks is large enough, the first that is large enough is
/// taken, and holes side by side become one. A chunk without blocks is given back, but for one.
/// Calls may come from several threads.
class page_pool {
 public:
  static constexpr std::size_t line = 64;                           ///< bytes
  static constexpr std::size_t huge_page = std::size_t{2} << 20;    ///< bytes
  static constexpr std::size_t chunk_size = std::size_t{16} << 20;  ///< bytes

  page_pool() = default;
  page_pool(page_pool const&) = delete;
  auto operator=(page_pool const&) -> page_pool& = delete;

  /// Leaves chunks alone in which there are blocks.
  ~page_pool() {
    for (auto** place = &first_; *place != nullptr;) {
      if ((*place)->bytes == chunk_size) {
        give_up(place);
      } else {
        place = &(*place)->next;
      }
    }
  }

  /// A block that begins at a cache line, at most chunk_size bytes. Throws std::bad_alloc. Cost: a
  /// step for each hole.
  auto take(std::size_t bytes) -> void* {
    auto const size = whole_lines(bytes);
    if (size > chunk_size) {
      throw std::bad_alloc();
    }
    std::scoped_lock const alone(lock_);
    auto** place = first_with(size);
    if (*place == nullptr) {
      insert(new_chunk(), chunk_size);
      place = first_with(size);
    }
    return cut(place, size);
  }

  /// Gives back a block of so many bytes.
  void give_back(void* block, std::size_t bytes) noexcept {
    std::scoped_lock const alone(lock_);
    auto** const place = insert(block, whole_lines(bytes));
    if ((*place)->bytes == chunk_size) {
      keep_one(place);
    }
  }

  /// Chunks that are held.
  auto chunks() const -> std::size_t {
    std::scoped_lock const alone(lock_);
    return chunks_;
  }

 private:
  struct hole {
    std::size_t bytes;
    hole* next;  // in the order of addresses
  };

  static auto whole_lines(std::size_t bytes) -> std::size_t {
    return (bytes + line - 1) / line * line;
  }
  static auto address(void const* at) -> std::uintptr_t {
    return reinterpret_cast<std::uintptr_t>(at);
  }

  // The place that names the first hole of at least so many bytes, or null.
  auto first_with(std::size_t size) -> hole** {
    auto** place = &first_;
    while (*place != nullptr && (*place)->bytes < size) {
      place = &(*place)->next;
    }
    return place;
  }

  // Makes a hole, one with those beside it; answers the place that names it.
  auto insert(void* at, std::size_t size) -> hole** {
    auto** before = &first_;  // the place that names the hole before
    auto** place = &first_;
    while (*place != nullptr && address(*place) < address(at)) {
      before = place;
      place = &(*place)->next;
    }
    *place = ::new (at) hole{size, *place};
    merge_with_next(*place);
    return before != place && merge_with_next(*before) ? before : place;
  }

  auto new_chunk() -> void* {
    auto* const memory = ::operator new (chunk_size, std::align_val_t{chunk_size});
#ifdef __linux__
    ::madvise(memory, chunk_size, MADV_HUGEPAGE);  // a refusal changes nothing
#endif
    ++chunks_;
    is_spare_ = true;
    return memory;
  }

  auto cut(hole** place, std::size_t size) -> void* {
    auto* const from = *place;
    if (from->bytes == chunk_size) {
      is_spare_ = false;
    }
    if (from->bytes == size) {
      *place = from->next;
    } else {
      *place = ::new (static_cast<void*>(reinterpret_cast<std::byte*>(from) + size))
          hole{from->bytes - size, from->next};
    }
    return from;
  }

  // Not across the end of a chunk.
  static auto merge_with_next(hole* h) -> bool {
    auto* const next = h->next;
    bool const is_beside = next != nullptr && address(h) + h->bytes == address(next) &&
                           address(next) % chunk_size != 0;
    if (is_beside) {
      h->bytes += next->bytes;
      h->next = next->next;
    }
    return is_beside;
  }

  void keep_one(hole** place) {
    if (is_spare_) {
      give_up(place);
    }
    is_spare_ = true;
  }

  void give_up(hole** place) {
    auto* const empty = *place;
    *place = empty->next;
    --chunks_;
    ::operator delete (empty, std::align_val_t{chunk_size});
  }

  mutable std::mutex lock_;  // of all that follows
  hole* first_ = nullptr;
  std::size_t chunks_ = 0;
  bool is_spare_ = false;  // one of the holes is a whole chunk
};

}  // namespace v0
}  // namespace eckart
