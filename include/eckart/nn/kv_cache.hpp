#pragma once

#include "eckart/core/view.hpp"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Keys and values of the tokens seen so far, one history for each running row (beam). Grows by
/// doubling; copied only by an explicit copy.
template <real T>
class kv_cache {
 public:
  explicit kv_cache(index_t width) : width_(width) {}

  auto rows() const -> index_t { return rows_; }
  auto length() const -> index_t { return length_; }
  auto width() const -> index_t { return width_; }
  auto capacity() const -> index_t { return capacity_; }

  /// Empties the cache and makes room for `rows` histories of `capacity` tokens.
  void reset(index_t rows, index_t capacity) {
    if (rows < 1 || capacity < 1) {
      throw shape_error(message("kv_cache: ", rows, " rows of capacity ", capacity));
    }
    rows_ = rows;
    length_ = 0;
    capacity_ = std::max(capacity_, capacity);
    allocate();
  }

  /// Adds `steps` tokens to every row: keys and values (rows * steps, width), row-major by row.
  /// Allocates only where the capacity is exceeded.
  void append(std::type_identity_t<matrix_view<T const>> keys,
              std::type_identity_t<matrix_view<T const>> values) {
    if (rows_ == 0 || keys.shape() != values.shape() || keys.cols != width_ ||
        keys.rows % rows_ != 0) {
      throw shape_error(message("kv_cache: keys ", keys.shape(), " and values ", values.shape(),
                                " for ", rows_, " rows of width ", width_));
    }
    auto const steps = keys.rows / rows_;
    if (length_ + steps > capacity_) {
      grow(length_ + steps);
    }
    for (index_t r = 0; r < rows_; ++r) {
      copy(keys.row_range(r * steps, steps), slot(keys_, r).row_range(length_, steps));
      copy(values.row_range(r * steps, steps), slot(values_, r).row_range(length_, steps));
    }
    length_ += steps;
  }

  /// Row r continues what was row parents[r]; rows may be repeated or dropped. Throws shape_error.
  /// Copies nothing where a row stays in its place as long as only later rows are dropped.
  void reorder(std::span<index_t const> parents) {
    auto const count = static_cast<index_t>(parents.size());
    bool in_place = count <= rows_;
    for (index_t r = 0; r < count; ++r) {
      auto const parent = parents[static_cast<std::size_t>(r)];
      if (parent < 0 || parent >= rows_) {
        throw shape_error(message("kv_cache: row ", r, " from row ", parent, " of ", rows_));
      }
      in_place = in_place && parent == r;
    }
    if (!in_place) {
      gather(parents);
    }
    rows_ = count;
  }

  /// (length, width) keys of row r.
  auto keys(index_t r) const -> matrix_view<T const> {
    return slot(keys_, r).row_range(0, length_);
  }
  /// (length, width) values of row r.
  auto values(index_t r) const -> matrix_view<T const> {
    return slot(values_, r).row_range(0, length_);
  }

 private:
  using storage = std::vector<T>;  // (rows, capacity, width)

  template <class Storage>
  auto slot(Storage& from, index_t r) const {
    if (r < 0 || r >= rows_) {
      throw shape_error(message("kv_cache: row ", r, " of ", rows_));
    }
    return matrix_view(from.data() + r * capacity_ * width_, capacity_, width_);
  }

  void allocate() {
    auto const size = static_cast<std::size_t>(rows_ * capacity_ * width_);
    for (auto* s : {&keys_, &values_, &spare_}) {
      if (s->size() < size) {
        s->resize(size);
      }
    }
  }

  // Moves every row to wider slots, last row first so that nothing is overwritten.
  void grow(index_t needed) {
    auto const old_capacity = capacity_;
    capacity_ = std::max(2 * capacity_, needed);
    allocate();
    for (auto* s : {&keys_, &values_}) {
      for (index_t r = rows_ - 1; r > 0; --r) {
        auto const* from = s->data() + r * old_capacity * width_;
        std::copy_backward(from, from + length_ * width_,
                           s->data() + r * capacity_ * width_ + length_ * width_);
      }
    }
  }

  // New order through the spare buffer, which then changes places with the old one.
  void gather(std::span<index_t const> parents) {
    auto const count = static_cast<index_t>(parents.size());
    auto const old_rows = rows_;
    rows_ = std::max(rows_, count);
    allocate();
    for (auto* s : {&keys_, &values_}) {
      for (index_t r = 0; r < count; ++r) {
        auto const* from = s->data() + parents[static_cast<std::size_t>(r)] * capacity_ * width_;
        std::copy_n(from, length_ * width_, spare_.data() + r * capacity_ * width_);
      }
      std::swap(*s, spare_);
    }
    rows_ = old_rows;
  }

  index_t width_;
  index_t rows_ = 0;
  index_t length_ = 0;
  index_t capacity_ = 0;
  storage keys_;
  storage values_;
  storage spare_;
};

}  // namespace v0
}  // namespace eckart
