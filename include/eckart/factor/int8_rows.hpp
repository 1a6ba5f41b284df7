#pragma once

#include "eckart/backend/int8_product.hpp"
#include "eckart/backend/openblas.hpp"
#include "eckart/core/parallel.hpp"
#include "eckart/core/workspace.hpp"
#include "eckart/factor/addend.hpp"
#include "eckart/factor/cost.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

/// Matrices of 8-bit numbers: not fewer of them, as in factors, but smaller ones.
namespace eckart {
inline namespace v0 {

/// W (m, n) in 8 bits a number with a scale for each row: W_ij = scale_i q_ij, -127 <= q_ij <= 127.
template <real T>
class int8_rows {
 public:
  static constexpr form stored_as = form::int8;

  /// From numbers (m * n, row-major) and scales (m). Throws shape_error.
  int8_rows(shape2 shape, std::span<std::int8_t const> numbers, vector<T> scales)
      : int8_rows(shape, std::move(scales)) {
    if (static_cast<index_t>(numbers.size()) != shape_.rows * shape_.cols) {
      throw shape_error(message("int8_rows: ", numbers.size(), " numbers for ", shape_));
    }
    for (index_t i = 0; i < shape_.rows; ++i) {
      auto const row = numbers.subspan(static_cast<std::size_t>(i * shape_.cols),
                                       static_cast<std::size_t>(shape_.cols));
      std::ranges::copy(row, numbers_.begin() + i * length());
      add_up(i);
    }
  }

  /// The nearest: scale_i = max_j |W_ij| / 127, each q_ij rounded to nearest, so that every number
  /// is within scale_i / 2. A row of zeros has the scale 0. Throws numerical_error for a number
  /// that is not finite.
  explicit int8_rows(matrix_view<T const> w) : int8_rows(w.shape(), make_vector<T>(w.rows)) {
    for (index_t i = 0; i < w.rows; ++i) {
      T most = 0;
      for (auto const x : w.row(i)) {
        if (!std::isfinite(x)) {
          throw numerical_error(message("int8_rows: row ", i, " holds ", x), 0);
        }
        most = std::max(most, std::abs(x));
      }
      auto const scale = most / T{127};
      scales_(static_cast<std::size_t>(i)) = scale;
      auto* const to = numbers_.data() + i * length();
      for (index_t j = 0; j < w.cols; ++j) {
        to[j] = scale > 0 ? static_cast<std::int8_t>(std::lround(w(i, j) / scale)) : std::int8_t{0};
      }
      add_up(i);
    }
  }

  auto shape() const -> shape2 { return shape_; }
  /// No factors: min(m, n).
  auto rank() const -> index_t { return std::min(shape_.rows, shape_.cols); }
  /// q (m, n).
  auto numbers() const -> matrix_view<std::int8_t const> {
    return {numbers_.data(), shape_.rows, shape_.cols, length()};
  }
  auto numbers(index_t row) const -> std::span<std::int8_t const> { return numbers().row(row); }
  auto scales() const -> std::span<T const> { return as_span(scales_); }
  /// Memory of the numbers and their scales.
  auto bytes() const -> std::uint64_t {
    return static_cast<std::uint64_t>(shape_.rows * shape_.cols) + scales_.size() * sizeof(T);
  }

  /// alpha W.
  auto times(T alpha) && -> int8_rows {
    std::ranges::for_each(scales_, [alpha](T& scale) { scale *= alpha; });
    return std::move(*this);
  }

  /// Row i of W, in T.
  void read_row(index_t i, std::span<T> to) const {
    auto const scale = scales_(static_cast<std::size_t>(i));
    std::ranges::transform(numbers(i), to.begin(),
                           [scale](std::int8_t q) { return scale * static_cast<T>(q); });
  }

  auto kernel_view() const -> detail::int8_weights requires std::same_as<T, float> {
    return {numbers_.data(), scales_.data(), sums_.data(), shape_.rows, shape_.cols};
  }

 private:
  int8_rows(shape2 shape, vector<T> scales)
      : shape_(shape),
        // The last of the tiles of 4 rows is whole: what is not used is 0.
        numbers_(static_cast<std::size_t>((shape.rows + 3) / 4 * 4 * length()), std::int8_t{0}),
        scales_(std::move(scales)),
        sums_(static_cast<std::size_t>(shape.rows)) {
    if (static_cast<index_t>(scales_.size()) != shape_.rows) {
      throw shape_error(message("int8_rows: ", scales_.size(), " scales for ", shape_));
    }
  }

  auto length() const -> index_t { return detail::int8_length(shape_.cols); }

  void add_up(index_t i) {
    std::int32_t sum = 0;
    for (auto const q : numbers(i)) {
      sum += q;
    }
    sums_[static_cast<std::size_t>(i)] = sum;
  }

  shape2 shape_;
  std::vector<std::int8_t, allocator<std::int8_t>> numbers_;  // (m, length()), a multiple of 4 rows
  vector<T> scales_;                                          // (m)
  std::vector<std::int32_t> sums_;                            // (m) of the numbers of a row
};

/// alpha W: the same numbers, other scales.
template <real T>
auto scale(int8_rows<T> w, std::type_identity_t<T> alpha) -> int8_rows<T> {
  return std::move(w).times(alpha);
}

/// Rows first to first + count - 1 of W.
template <real T>
auto row_range(int8_rows<T> const& w, index_t first, index_t count) -> int8_rows<T> {
  std::vector<std::int8_t> numbers;
  numbers.reserve(static_cast<std::size_t>(count * w.shape().cols));
  auto scales = make_vector<T>(count);
  for (index_t i = 0; i < count; ++i) {
    numbers.insert(numbers.end(), w.numbers(first + i).begin(), w.numbers(first + i).end());
    scales(static_cast<std::size_t>(i)) = w.scales()[static_cast<std::size_t>(first + i)];
  }
  return {{count, w.shape().cols}, numbers, std::move(scales)};
}

/// W as floating-point numbers.
template <real T>
auto to_dense(int8_rows<T> const& w) -> matrix<T> {
  auto result = make_matrix<T>(w.shape());
  for (index_t i = 0; i < w.shape().rows; ++i) {
    w.read_row(i, as_view(result).row(i));
  }
  return result;
}

namespace detail {

/// Rows of W that are made floating-point numbers at once, where no kernel multiplies bytes.
inline constexpr index_t int8_dense_rows = 64;

template <real T, class B>
constexpr bool multiplies_bytes = std::same_as<T, float>&& std::same_as<B, openblas>;

}  // namespace detail

/// Elements of workspace that apply_work takes for `rows` rows of x, with any backend.
template <real T>
auto apply_worksize(int8_rows<T> const& w, index_t rows) -> std::size_t {
  auto const bytes = static_cast<std::size_t>(rows * detail::int8_length(w.shape().cols));
  return std::max(workspace<T>::footprint(bytes / sizeof(T)) +
                      workspace<T>::footprint(static_cast<std::size_t>(rows)),
                  workspace<T>::footprint(detail::int8_dense_rows, w.shape().cols));
}

/// y = x W^T + the addend. In float with OpenBLAS x is rounded to 8 bits a number with a scale for
/// each row, sums are of whole numbers: 2 m n operations a row, at four times the speed of floats
/// or more with VNNI or AMX. Elsewhere W is made of floating-point numbers, block by block.
template <real T, blas_backend<T> B = openblas>
void apply_work(std::type_identity_t<matrix_view<T const>> x, int8_rows<T> const& w,
                matrix_view<T> y, workspace<T>& scratch, B const& backend = {},
                std::type_identity_t<addend<T>> more = {}) {
  if (!more.row.empty()) {
    fill_rows(more.row, y);
    more = T{1};
  }
  auto const frame = scratch.frame();
  if constexpr (detail::multiplies_bytes<T, B>) {
    auto const length = detail::int8_length(x.cols);
    auto const bytes =
        scratch.take(static_cast<std::size_t>(x.rows * length) / sizeof(T));  // whole lines
    auto* const x_bytes = reinterpret_cast<unsigned char*>(bytes.data());
    auto const x_scales = scratch.take_span(x.rows);
    detail::to_byte_rows(x, x_bytes, x_scales.data());
    detail::best_int8_product(x_bytes, x_scales.data(), w.kernel_view(), more.beta, y);
  } else {
    for (index_t first = 0; first < y.cols; first += detail::int8_dense_rows) {
      auto const count = std::min(detail::int8_dense_rows, y.cols - first);
      auto const inner = scratch.frame();
      auto const block = scratch.take_matrix(count, x.cols);
      for (index_t i = 0; i < count; ++i) {
        w.read_row(first + i, block.row(i));
      }
      backend.gemm(op::none, op::transpose, T{1}, x, matrix_view<T const>(block), more.beta,
                   y.col_range(first, count));
    }
  }
}

}  // namespace v0
}  // namespace eckart
