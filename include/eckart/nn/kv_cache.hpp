#pragma once

#include "eckart/core/allocator.hpp"
#include "eckart/core/view.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Keys and values of the tokens seen so far, one history for each running row (beam); those of a
/// head follow each other in memory, as its attention reads them. Grows by doubling; copied only by
/// an explicit copy.
template <real T>
class kv_cache {
 public:
  kv_cache(index_t heads, index_t head_width) : heads_(heads), head_width_(head_width) {}

  auto rows() const -> index_t { return rows_; }
  auto length() const -> index_t { return length_; }
  auto heads() const -> index_t { return heads_; }
  auto head_width() const -> index_t { return head_width_; }
  auto width() const -> index_t { return heads_ * head_width_; }
  auto capacity() const -> index_t { return capacity_; }

  /// Empties the cache and makes room for `rows` histories of `capacity` tokens.
  void reset(index_t rows, index_t capacity) {
    if (rows < 1 || capacity < 1) {
      throw shape_error(message("kv_cache: ", rows, " rows of capacity ", capacity));
    }
    rows_ = rows;
    length_ = 0;
    capacity_ = std::max(capacity_, capacity);
    make_places(rows);
    std::iota(place_of_.begin(), place_of_.end(), index_t{0});
  }

  /// Adds `steps` tokens to every row: keys and values (rows * steps, width), row-major by row.
  /// Allocates only where the capacity is exceeded.
  void append(std::type_identity_t<matrix_view<T const>> keys,
              std::type_identity_t<matrix_view<T const>> values) {
    if (rows_ == 0 || keys.shape() != values.shape() || keys.cols != width() ||
        keys.rows % rows_ != 0) {
      throw shape_error(message("kv_cache: keys ", keys.shape(), " and values ", values.shape(),
                                " for ", rows_, " rows of width ", width()));
    }
    auto const steps = keys.rows / rows_;
    if (length_ + steps > capacity_) {
      grow(length_ + steps);
    }
    for (index_t r = 0; r < rows_; ++r) {
      for (index_t h = 0; h < heads_; ++h) {
        auto const from = h * head_width_;
        copy(keys.block(r * steps, from, steps, head_width_),
             slot(keys_, r, h).row_range(length_, steps));
        copy(values.block(r * steps, from, steps, head_width_),
             slot(values_, r, h).row_range(length_, steps));
      }
    }
    length_ += steps;
  }

  /// Row r continues what was row parents[r]; rows may be repeated or dropped. Throws shape_error.
  /// The first row that continues another takes its place, only the further ones are copied, to
  /// the places of rows that nobody continues.
  void reorder(std::span<index_t const> parents) {
    auto const count = static_cast<index_t>(parents.size());
    for (index_t r = 0; r < count; ++r) {
      auto const parent = parents[static_cast<std::size_t>(r)];
      if (parent < 0 || parent >= rows_) {
        throw shape_error(message("kv_cache: row ", r, " from row ", parent, " of ", rows_));
      }
    }
    make_places(count);
    is_taken_.assign(is_taken_.size(), false);
    std::ranges::fill(next_place_of_, none);
    for (std::size_t r = 0; r < parents.size(); ++r) {
      auto const place = place_of_[static_cast<std::size_t>(parents[r])];
      if (!is_taken_[static_cast<std::size_t>(place)]) {
        is_taken_[static_cast<std::size_t>(place)] = true;
        next_place_of_[r] = place;
      }
    }
    index_t free = 0;
    for (std::size_t r = 0; r < parents.size(); ++r) {
      if (next_place_of_[r] == none) {
        while (is_taken_[static_cast<std::size_t>(free)]) {
          ++free;
        }
        copy_place(place_of_[static_cast<std::size_t>(parents[r])], free);
        next_place_of_[r] = free++;
      }
    }
    std::swap(place_of_, next_place_of_);
    rows_ = count;
  }

  /// (length, head width) keys of head h of row r.
  auto keys(index_t r, index_t h) const -> matrix_view<T const> {
    return slot(keys_, r, h).row_range(0, length_);
  }
  /// (length, head width) values of head h of row r.
  auto values(index_t r, index_t h) const -> matrix_view<T const> {
    return slot(values_, r, h).row_range(0, length_);
  }

 private:
  using storage = std::vector<T, allocator<T>>;  // (places, heads, capacity, head width)
  static constexpr index_t none = -1;

  template <class Storage>
  auto slot(Storage& from, index_t r, index_t h) const {
    if (r < 0 || r >= rows_ || h < 0 || h >= heads_) {
      throw shape_error(
          message("kv_cache: head ", h, " of ", heads_, " of row ", r, " of ", rows_));
    }
    auto const place = place_of_[static_cast<std::size_t>(r)] * heads_ + h;
    return matrix_view(from.data() + place * capacity_ * head_width_, capacity_, head_width_);
  }

  // Room for `count` rows.
  void make_places(index_t count) {
    auto const places = std::max(static_cast<index_t>(place_of_.size()), count);
    auto const size = static_cast<std::size_t>(places * capacity_ * width());
    for (auto* s : {&keys_, &values_}) {
      if (s->size() < size) {
        s->resize(size);
      }
    }
    place_of_.resize(static_cast<std::size_t>(places));
    next_place_of_.resize(static_cast<std::size_t>(places));
    is_taken_.resize(static_cast<std::size_t>(places));
  }

  // Moves every head's history to a wider place, the last first so that nothing is overwritten.
  void grow(index_t needed) {
    auto const old_capacity = capacity_;
    auto const places = static_cast<index_t>(place_of_.size());
    capacity_ = std::max(2 * capacity_, needed);
    make_places(places);
    for (auto* s : {&keys_, &values_}) {
      for (index_t p = places * heads_ - 1; p > 0; --p) {
        auto const* from = s->data() + p * old_capacity * head_width_;
        std::copy_backward(from, from + length_ * head_width_,
                           s->data() + (p * capacity_ + length_) * head_width_);
      }
    }
  }

  void copy_place(index_t from, index_t to) {
    for (auto* s : {&keys_, &values_}) {
      for (index_t h = 0; h < heads_; ++h) {
        std::copy_n(s->data() + (from * heads_ + h) * capacity_ * head_width_,
                    length_ * head_width_, s->data() + (to * heads_ + h) * capacity_ * head_width_);
      }
    }
  }

  index_t heads_;
  index_t head_width_;
  index_t rows_ = 0;
  index_t length_ = 0;
  index_t capacity_ = 0;
  storage keys_;
  storage values_;
  std::vector<index_t> place_of_;       // (places) of each row, in the storages
  std::vector<index_t> next_place_of_;  // (places) the same after a reordering
  std::vector<bool> is_taken_;          // (places)
};

}  // namespace v0
}  // namespace eckart
