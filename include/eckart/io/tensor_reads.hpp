#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/io/dtype.hpp"
#include "eckart/io/file.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

/// Tensors of files into memory, in pieces on all threads. What is not converted is read straight
/// into its place; what is goes through a buffer that stays in the cache.
namespace eckart {
inline namespace v0 {

/// A tensor to be read: out.size() elements of a convertible `type` at byte `begin` of the file,
/// which must live until they are read.
template <real T>
struct tensor_read {
  mapped_file const* file = nullptr;
  dtype type = dtype::f32;
  std::uint64_t begin = 0;
  std::span<T> out;
};

namespace detail {

/// Elements that a thread reads at once: 512 KiB of floats stay in its cache between being cleared
/// by the system and being written.
inline constexpr std::size_t read_piece = std::size_t{1} << 17;

/// Bytes of the buffer for elements that are converted.
inline constexpr std::size_t read_buffer = std::size_t{1} << 16;

/// Asks for the whole pages in `memory` at once, where otherwise each would interrupt its first
/// writer. A hint, without effect where the system does not know it.
inline void populate(std::span<std::byte> memory) {
#ifdef MADV_POPULATE_WRITE
  constexpr std::size_t least = std::size_t{1} << 17;
  if (memory.size() >= least) {
    static auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    auto const skipped = (page - reinterpret_cast<std::uintptr_t>(memory.data()) % page) % page;
    ::madvise(memory.data() + skipped, (memory.size() - skipped) / page * page,
              MADV_POPULATE_WRITE);
  }
#else
  static_cast<void>(memory);
#endif
}

/// The elements of `read` from `first` on, `count` of them.
template <real T>
void read_part(tensor_read<T> const& read, std::size_t first, std::size_t count) {
  auto const width = static_cast<std::size_t>(dtype_size(read.type));
  auto const begin = read.begin + first * width;
  auto const out = read.out.subspan(first, count);
  populate(std::as_writable_bytes(out));
  if (read.type == (std::same_as<T, float> ? dtype::f32 : dtype::f64)) {
    read.file->read_at(begin, std::as_writable_bytes(out));
    return;
  }
  alignas(64) std::array<std::byte, read_buffer> buffer;
  auto const at_once = read_buffer / width;
  for (std::size_t i = 0; i < count; i += at_once) {
    auto const part = out.subspan(i, std::min(at_once, count - i));
    auto const bytes = std::span(buffer).first(part.size() * width);
    read.file->read_at(begin + i * width, bytes);
    decode(read.type, std::span<std::byte const>(bytes), part);
  }
}

}  // namespace detail

/// Reads one tensor. See decode for the rounding. Throws io_error as mapped_file::read_at.
template <real T>
void read_tensor(tensor_read<T> const& read) {
  constexpr auto piece = detail::read_piece;
  auto const size = read.out.size();
  if (size <= piece) {
    detail::read_part(read, 0, size);
    return;
  }
  parallel_for(static_cast<index_t>((size + piece - 1) / piece), [&](index_t i) {
    auto const first = static_cast<std::size_t>(i) * piece;
    detail::read_part(read, first, std::min(piece, size - first));
  });
}

/// Reads many tensors in one go: threads wait for each other once. Throws io_error as
/// mapped_file::read_at; then what was read and what was not is unspecified.
template <real T>
void read_tensors(std::span<tensor_read<T> const> reads) {
  struct part {
    tensor_read<T> const* read;
    std::size_t first;
    std::size_t count;
  };
  std::vector<part> parts;
  for (auto const& read : reads) {
    for (std::size_t first = 0; first < read.out.size(); first += detail::read_piece) {
      parts.push_back({&read, first, std::min(detail::read_piece, read.out.size() - first)});
    }
  }
  parallel_for(static_cast<index_t>(parts.size()), [&](index_t i) {
    auto const& [read, first, count] = parts[static_cast<std::size_t>(i)];
    detail::read_part(*read, first, count);
  });
}

}  // namespace v0
}  // namespace eckart
