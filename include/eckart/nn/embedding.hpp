#pragma once

#include "eckart/core/view.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace eckart {
inline namespace v0 {

using token_id = std::int32_t;

/// A table that several parts of a model may share (tied embeddings).
template <real T>
using shared_matrix = std::shared_ptr<matrix<T> const>;

/// Token embedding plus learned positions: y_t = scale * tokens[id_t] + positions[offset + p + t].
template <real T>
class embedding {
 public:
  /// tokens (vocabulary, width), positions (offset + longest input, width).
  embedding(shared_matrix<T> tokens, matrix<T> positions, index_t offset, T scale)
      : tokens_(std::move(tokens)),
        positions_(std::move(positions)),
        offset_(offset),
        scale_(scale) {
    auto const table = as_view(*tokens_);
    auto const learned = as_view(positions_);
    if (table.cols != learned.cols || offset < 0 || learned.rows <= offset) {
      throw shape_error(message("embedding: tokens ", table.shape(), ", positions ",
                                learned.shape(), ", offset ", offset));
    }
  }

  auto vocabulary() const -> index_t { return as_view(*tokens_).rows; }
  auto width() const -> index_t { return as_view(*tokens_).cols; }
  auto max_positions() const -> index_t { return as_view(positions_).rows - offset_; }
  auto tokens() const -> shared_matrix<T> const& { return tokens_; }
  auto positions() const -> matrix_view<T const> { return as_view(positions_); }

  /// y (ids, width) for tokens that stand at first_position and after it. Throws shape_error for an
  /// id beyond the vocabulary or a position beyond the table, before anything is written.
  void operator()(std::span<token_id const> ids, index_t first_position, matrix_view<T> y) const {
    check(ids, first_position, y);
    for (index_t t = 0; t < y.rows; ++t) {
      auto const id = static_cast<index_t>(ids[static_cast<std::size_t>(t)]);
      auto const* token = tokens_->data() + id * y.cols;
      auto const* place = positions_.data() + (offset_ + first_position + t) * y.cols;
      auto* row = y.data + t * y.ld;
      for (index_t j = 0; j < y.cols; ++j) {
        row[j] = scale_ * token[j] + place[j];
      }
    }
  }

 private:
  void check(std::span<token_id const> ids, index_t first_position, matrix_view<T> y) const {
    auto const count = static_cast<index_t>(ids.size());
    if (y.rows != count || y.cols != width()) {
      throw shape_error(
          message("embedding: ", count, " tokens of width ", width(), " into ", y.shape()));
    }
    if (first_position < 0 || first_position + count > max_positions()) {
      throw shape_error(message("embedding: positions ", first_position, " to ",
                                first_position + count - 1, " exceed the table of ",
                                max_positions()));
    }
    for (auto const id : ids) {
      if (id < 0 || id >= vocabulary()) {
        throw shape_error(
            message("embedding: token id ", id, " is outside the vocabulary of ", vocabulary()));
      }
    }
  }

  shared_matrix<T> tokens_;  // (vocabulary, width)
  matrix<T> positions_;      // (offset + max_positions, width)
  index_t offset_;
  T scale_;
};

}  // namespace v0
}  // namespace eckart
