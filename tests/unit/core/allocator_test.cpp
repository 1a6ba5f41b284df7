#include "eckart/core/allocator.hpp"

#include "eckart/core/view.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <new>
#include <vector>

using namespace eckart;

namespace {

auto is_aligned(void const* memory, std::size_t bytes) -> bool {
  return reinterpret_cast<std::uintptr_t>(memory) % bytes == 0;
}

}  // namespace

TEST_CASE("memory begins at a cache line, from 2 MiB on at a huge page, and all of it is there") {
  constexpr auto page = allocator<float>::huge_page;
  for (std::size_t const bytes : {std::size_t{4}, std::size_t{68}, page - 4, page, 3 * page + 4}) {
    CAPTURE(bytes);
    std::vector<float, allocator<float>> numbers(bytes / sizeof(float), 1.5F);
    CHECK(is_aligned(numbers.data(), bytes < page ? allocator<float>::cache_line : page));
    CHECK(numbers.front() == 1.5F);
    CHECK(numbers.back() == 1.5F);
  }
}

TEST_CASE("what fills less than a huge page stands in one with others") {
  if (!detail::shares_pages) {
    return;
  }
  constexpr auto numbers = detail::shared_pages_from / sizeof(float);
  std::vector<std::vector<float, allocator<float>>> blocks;
  std::vector<std::uintptr_t> chunks;
  for (int i = 0; i < 20; ++i) {  // 1.25 MiB
    blocks.emplace_back(numbers);
    chunks.push_back(reinterpret_cast<std::uintptr_t>(blocks.back().data()) /
                     page_pool::chunk_size);
  }
  CHECK(detail::shared_pages().chunks() == 1);
  CHECK(chunks == std::vector<std::uintptr_t>(20, chunks.front()));
}

TEST_CASE("matrices and vectors take their memory from there") {
  CHECK(is_aligned(make_matrix<double>({3, 5}).data(), 64));
  CHECK(is_aligned(make_vector<float>(7).data(), 64));
  CHECK(is_aligned(make_matrix<float>({1024, 512}).data(), std::size_t{2} << 20));
}

TEST_CASE("more elements than memory can hold are refused") {
  allocator<double> a;
  auto* kept = a.allocate(1);
  CHECK_THROWS_AS(kept = a.allocate(std::numeric_limits<std::size_t>::max() / 4),
                  std::bad_array_new_length);
  a.deallocate(kept, 1);
}
