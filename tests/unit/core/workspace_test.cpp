#define ECKART_DEFINE_ALLOCATION_COUNTER
#include "eckart/core/workspace.hpp"

#include "support/allocation_counter.hpp"
#include "support/matrix_check.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <span>
#include <vector>

using namespace eckart;
using support::allocations_in;
using support::refusal;

namespace {

template <class T>
auto is_aligned(T const* p) -> bool {
  return reinterpret_cast<std::uintptr_t>(p) % workspace<T>::alignment == 0;
}

}  // namespace

TEST_CASE("the counter of these tests sees allocations") {
  CHECK(allocations_in([] { ::operator delete(::operator new(8)); }) == 1);
}

TEST_CASE_TEMPLATE("everything taken begins at a cache line", T, float, double) {
  workspace<T> scratch;
  auto const frame = scratch.frame();
  for (std::size_t const n : {1U, 3U, 16U, 17U, 1000U, 5U}) {
    auto const taken = scratch.take(n);
    CHECK(is_aligned(taken.data()));
    CHECK(taken.size() >= n);
    std::ranges::fill(taken, T{1});  // the address sanitizer objects if it is not ours
  }
  CHECK(is_aligned(scratch.take_matrix(3, 5).data));
  CHECK(is_aligned(scratch.take_span(7).data()));
}

TEST_CASE_TEMPLATE("what is taken has the size asked for and overlaps nothing", T, float, double) {
  workspace<T> scratch;
  auto const frame = scratch.frame();
  auto const a = scratch.take_matrix(3, 5);
  auto const b = scratch.take_span(7);
  CHECK(a.shape() == shape2{3, 5});
  CHECK(a.ld == 5);
  CHECK(b.size() == 7);
  std::fill_n(a.data, a.size(), T{1});
  std::ranges::fill(b, T{2});
  CHECK(std::count(a.data, a.data + a.size(), T{1}) == 15);
}

TEST_CASE_TEMPLATE("a frame gives back what was taken in it, frames nest", T, float, double) {
  workspace<T> scratch(1000);
  auto const outer = scratch.frame();
  auto const kept = scratch.take_span(10);
  T* first = nullptr;
  {
    auto const inner = scratch.frame();
    first = scratch.take(20).data();
    {
      auto const innermost = scratch.frame();
      CHECK(scratch.take(5).data() != first);
    }
    CHECK(scratch.take(5).data() == first + workspace<T>::footprint(20));
  }
  CHECK(scratch.take(30).data() == first);
  CHECK(kept.data() + workspace<T>::footprint(10) == first);
}

TEST_CASE_TEMPLATE("a frame gives back what an exception leaves behind", T, float, double) {
  workspace<T> scratch(1000);
  auto const outer = scratch.frame();
  T* first = nullptr;
  try {
    auto const inner = scratch.frame();
    first = scratch.take(20).data();
    throw shape_error("on purpose");
  } catch (shape_error const&) {
  }
  CHECK(scratch.take(20).data() == first);
}

TEST_CASE_TEMPLATE("memory does not move while a frame is open", T, float, double) {
  workspace<T> scratch;
  auto const frame = scratch.frame();
  std::vector<std::span<T>> all;
  for (index_t i = 1; i <= 12; ++i) {  // doubles each time: the workspace has to grow
    all.push_back(scratch.take_span(index_t{1} << i));
    std::ranges::fill(all.back(), static_cast<T>(i));
  }
  scratch.reserve(1 << 20);  // has to wait for the end of the frame
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(std::ranges::count(all[i], static_cast<T>(i + 1)) ==
          static_cast<std::ptrdiff_t>(all[i].size()));
  }
}

TEST_CASE_TEMPLATE("the second pass and all later ones allocate nothing", T, float, double) {
  workspace<T> scratch;
  auto const pass = [&] {
    auto const frame = scratch.frame();
    scratch.take(100);
    scratch.take_matrix(30, 40);
    {
      auto const inner = scratch.frame();
      scratch.take(5000);
    }
    scratch.take_span(3000);
  };
  CHECK(allocations_in(pass) > 0);
  pass();  // merges what the first pass has added piece by piece
  CHECK(allocations_in(pass) == 0);
  CHECK(allocations_in(pass) == 0);
}

TEST_CASE_TEMPLATE("a reserved sum of footprints is taken without allocation", T, float, double) {
  using scratch_type = workspace<T>;
  scratch_type scratch(scratch_type::footprint(3, 5) + scratch_type::footprint(17) +
                       scratch_type::footprint(1));
  CHECK(allocations_in([&] {
          auto const frame = scratch.frame();
          scratch.take_matrix(3, 5);
          scratch.take(17);
          scratch.take_span(1);
        }) == 0);
}

TEST_CASE_TEMPLATE("a reservation holds after the workspace has grown piece by piece", T, float,
                   double) {
  workspace<T> scratch;
  {
    auto const frame = scratch.frame();
    scratch.take(1000);
    scratch.take(500);
  }
  scratch.reserve(1500);
  CHECK(allocations_in([&] {
          auto const frame = scratch.frame();
          scratch.take(1500);
        }) == 0);
}

TEST_CASE_TEMPLATE("what has grown piece by piece becomes one piece in the next frame", T, float,
                   double) {
  workspace<T> scratch;
  {
    auto const frame = scratch.frame();
    scratch.take(1000);
    scratch.take(500);
  }
  { auto const frame = scratch.frame(); }
  CHECK(allocations_in([&] {
          auto const frame = scratch.frame();
          scratch.take(scratch.capacity());
        }) == 0);
}

TEST_CASE("a workspace never shrinks") {
  workspace<double> scratch(1000);
  CHECK(scratch.capacity() >= 1000);
  auto const before = scratch.capacity();
  scratch.reserve(10);
  CHECK(scratch.capacity() == before);
}

TEST_CASE("a footprint is a whole number of cache lines") {
  CHECK(workspace<float>::footprint(0) == 0);
  CHECK(workspace<float>::footprint(1) == 16);
  CHECK(workspace<float>::footprint(16) == 16);
  CHECK(workspace<float>::footprint(17) == 32);
  CHECK(workspace<double>::footprint(1) == 8);
  CHECK(workspace<double>::footprint(3, 3) == 16);
}

TEST_CASE_TEMPLATE("nothing can be taken outside of a frame", T, float, double) {
  workspace<T> scratch(100);
  CHECK(refusal<error>([&] { scratch.take(1); }) ==
        "workspace: taken outside of a frame, nothing would give it back");
  CHECK_THROWS_AS(scratch.take_span(1), error);
  CHECK_THROWS_AS(scratch.take_matrix(1, 1), error);
  { auto const frame = scratch.frame(); }
  CHECK_THROWS_AS(scratch.take(1), error);
}

TEST_CASE_TEMPLATE("taking nothing is allowed and allocates nothing", T, float, double) {
  workspace<T> scratch;
  auto const frame = scratch.frame();
  CHECK(allocations_in([&] {
          CHECK(scratch.take(0).empty());
          CHECK(scratch.take_matrix(0, 5).size() == 0);
        }) == 0);
  auto const some = scratch.take_span(3);
  std::ranges::fill(some, T{1});
  CHECK(some.size() == 3);
}

TEST_CASE_TEMPLATE("impossible sizes are refused", T, float, double) {
  workspace<T> scratch;
  auto const frame = scratch.frame();
  CHECK_THROWS_AS(scratch.take_span(-1), shape_error);
  CHECK_THROWS_AS(scratch.take_matrix(-1, 3), shape_error);
  // Bytes that do not fit a size: wrapping around would answer a few bytes.
  CHECK_THROWS_AS(scratch.take(std::numeric_limits<std::size_t>::max() / sizeof(T) + 2),
                  std::bad_alloc);
  CHECK_THROWS_AS(scratch.take(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
}
