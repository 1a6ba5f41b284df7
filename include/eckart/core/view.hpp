#pragma once

#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"
#include "eckart/core/xtensor.hpp"

#include <algorithm>
#include <concepts>
#include <limits>
#include <ostream>
#include <span>
#include <type_traits>
#include <utility>

namespace eckart {
inline namespace v0 {

/// Rows and columns of a matrix.
struct shape2 {
  index_t rows = 0;
  index_t cols = 0;

  constexpr auto operator==(shape2 const&) const -> bool = default;
  friend auto operator<<(std::ostream& out, shape2 s) -> std::ostream& {
    return out << s.rows << " x " << s.cols;
  }
};

struct host_memory {};    ///< tag: views point to memory that the processor reads
struct device_memory {};  ///< tag: views point to memory of an accelerator

/// Row-major window on memory that somebody else owns. Row i starts at data + i * ld, ld >= cols.
/// Elements can be read and written where the memory is the processor's.
template <class T, class Memory = host_memory>
struct matrix_view {
  using element_type = T;

  T* data = nullptr;
  index_t rows = 0;
  index_t cols = 0;
  index_t ld = 0;

  matrix_view() = default;
  matrix_view(T* data_, index_t rows_, index_t cols_) : matrix_view(data_, rows_, cols_, cols_) {}
  matrix_view(T* data_, index_t rows_, index_t cols_, index_t ld_)
      : data(data_), rows(rows_), cols(cols_), ld(ld_) {
    if (rows < 0 || cols < 0 || ld < cols) {
      throw shape_error(
          message("matrix_view: ", rows, " x ", cols, " with leading dimension ", ld));
    }
  }

  /// A view on mutable elements is a view on constant ones.
  template <std::same_as<T const> U>
  operator matrix_view<U, Memory>() const requires(!std::is_const_v<T>) {
    return {data, rows, cols, ld};
  }

  auto operator()(index_t i, index_t j) const -> T& requires std::same_as<Memory, host_memory> {
    return data[i * ld + j];
  }
  auto row(index_t i) const -> std::span<T>
  requires std::same_as<Memory, host_memory> {
    return {data + i * ld, static_cast<std::size_t>(cols)};
  }
  auto shape() const -> shape2 { return {rows, cols}; }
  auto size() const -> index_t { return rows * cols; }

  /// The height x width sub-matrix whose first element is (top, left). O(1).
  auto block(index_t top, index_t left, index_t height, index_t width) const -> matrix_view {
    // A difference, not top + height, which may not fit an index.
    if (top < 0 || left < 0 || height < 0 || width < 0 || top > rows - height ||
        left > cols - width) {
      throw shape_error(message("block: ", height, " x ", width, " at (", top, ", ", left,
                                ") leaves a ", shape(), " matrix"));
    }
    return {data + top * ld + left, height, width, ld};
  }
  auto row_range(index_t first, index_t count) const -> matrix_view {
    return block(first, 0, count, cols);
  }
  auto col_range(index_t first, index_t count) const -> matrix_view {
    return block(0, first, rows, count);
  }
};

template <class T>
matrix_view(T*, index_t, index_t) -> matrix_view<T>;
template <class T>
matrix_view(T*, index_t, index_t, index_t) -> matrix_view<T>;

/// The same on memory of an accelerator: shapes are known here, elements only there.
template <class T>
using device_view = matrix_view<T, device_memory>;

/// View on a container of rank 2 with unit column stride: xtensor, xarray, adaptor, xtensor view.
/// Throws shape_error for another rank or for a column stride other than 1. O(1), no copy.
template <dense_matrix E>
auto as_view(E& e) {
  if (e.dimension() != 2) {
    throw shape_error(message("as_view: needs 2 dimensions, got ", e.dimension()));
  }
  auto const rows = static_cast<index_t>(e.shape(0));
  auto const cols = static_cast<index_t>(e.shape(1));
  // xtensor writes stride 0 for an axis of length 1, whose stride is never used.
  auto const row_stride = rows > 1 ? static_cast<index_t>(e.strides()[0]) : cols;
  auto const col_stride = cols > 1 ? static_cast<index_t>(e.strides()[1]) : 1;
  if (col_stride != 1 || row_stride < cols) {
    throw shape_error(message("as_view: needs row-major storage, got strides (", e.strides()[0],
                              ", ", e.strides()[1], ") for ", rows, " x ", cols));
  }
  auto* first = e.data();
  if constexpr (requires { e.data_offset(); }) {
    first += e.data_offset();
  }
  return matrix_view(first, rows, cols, row_stride);
}

template <class T, class Memory>
auto as_view(matrix_view<T, Memory> v) -> matrix_view<T, Memory> {
  return v;
}

/// What the processor can read in place: a container with rank-2 row-major storage, or a
/// matrix_view.
template <class E>
concept matrix_like = requires(E& e) {
  as_view(e)(index_t{}, index_t{});
};

/// What functions take as a matrix: something that can be read in place, or a lazy expression,
/// which is evaluated once, at the edge.
template <class E>
concept matrix_operand = matrix_like<E> || lazy_matrix<E>;

namespace detail {

template <class E>
struct element_of {
  using type = std::remove_cv_t<typename E::value_type>;
};
template <matrix_like E>
struct element_of<E> {
  using type = std::remove_const_t<typename decltype(as_view(std::declval<E&>()))::element_type>;
};

}  // namespace detail

/// Scalar type of a matrix, without const.
template <matrix_operand E>
using value_t = typename detail::element_of<E>::type;

/// The operand in memory: a view on what can be read in place, without a copy, and a new matrix
/// with the elements of a lazy expression. Throws shape_error for another rank than 2.
template <matrix_like E>
auto evaluated(E const& e) {
  return as_view(e);
}
template <lazy_matrix E>
auto evaluated(E const& e) -> matrix<value_t<E>> {
  if (e.dimension() != 2) {
    throw shape_error(message("evaluated: needs 2 dimensions, got ", e.dimension()));
  }
  return e;
}

/// View on the elements of a vector.
template <class T>
auto as_span(vector<T>& v) -> std::span<T> {
  return {v.data(), v.size()};
}
template <class T>
auto as_span(vector<T> const& v) -> std::span<T const> {
  return {v.data(), v.size()};
}

/// Uninitialized row-major matrix. Throws shape_error for a negative size and where the bytes of
/// the matrix are more than an index counts.
template <scalar T>
auto make_matrix(shape2 s) -> matrix<T> {
  constexpr auto most = std::numeric_limits<index_t>::max() / static_cast<index_t>(sizeof(T));
  if (s.rows < 0 || s.cols < 0 || (s.cols > 0 && s.rows > most / s.cols)) {
    throw shape_error(message("make_matrix: ", s));
  }
  return matrix<T>::from_shape(
      {static_cast<std::size_t>(s.rows), static_cast<std::size_t>(s.cols)});
}

/// Uninitialized vector.
template <scalar T>
auto make_vector(index_t n) -> vector<T> {
  if (n < 0) {
    throw shape_error(message("make_vector: ", n));
  }
  return vector<T>::from_shape({static_cast<std::size_t>(n)});
}

/// Copies element by element; leading dimensions may differ. Throws shape_error.
template <scalar T>
void copy(std::type_identity_t<matrix_view<T const>> from, matrix_view<T> to) {
  if (from.shape() != to.shape()) {
    throw shape_error(message("copy: ", from.shape(), " into ", to.shape()));
  }
  for (index_t i = 0; i < from.rows; ++i) {
    std::ranges::copy(from.row(i), to.row(i).begin());
  }
}

/// Owning copy of a view.
template <class T>
auto to_matrix(matrix_view<T> v) -> matrix<std::remove_const_t<T>> {
  auto result = make_matrix<std::remove_const_t<T>>(v.shape());
  copy(v, as_view(result));
  return result;
}

}  // namespace v0
}  // namespace eckart
