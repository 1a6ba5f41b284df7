#pragma once

#include "eckart/core/workspace.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/norm.hpp"
#include "eckart/linalg/svd.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// A container of any rank that can be read in place: what dense_matrix asks for, which says
/// nothing about the number of axes, and elements that the algorithms are compiled for.
template <class E>
concept dense_array = dense_matrix<E> && real<std::remove_const_t<typename E::value_type>>;

struct tt_options {
  /// Relative error ||a - train|| <= epsilon ||a|| in the Frobenius norm, if max_rank does not cut
  /// deeper. Negative: only what is rounding, max(m, n) eps ||a|| for each m x n unfolding.
  double epsilon = -1;
  index_t max_rank = std::numeric_limits<index_t>::max();  ///< limit of every rank
};

namespace detail {

/// "3 x 4 x 5".
inline auto sizes_text(std::span<index_t const> shape, char const* between = " x ") -> std::string {
  std::string result;
  for (auto const n : shape) {
    result += message(result.empty() ? "" : between, n);
  }
  return result;
}

/// The product of sizes. Throws shape_error for a size below 1 and where it does not fit index_t.
inline auto checked_elements(std::span<index_t const> shape, char const* name) -> index_t {
  index_t product = 1;
  for (auto const n : shape) {
    if (n < 1) {
      throw shape_error(message(name, ": shape ", sizes_text(shape), " has a size below 1"));
    }
    if (product > std::numeric_limits<index_t>::max() / n) {
      throw shape_error(
          message(name, ": shape ", sizes_text(shape), " has more elements than can be counted"));
    }
    product *= n;
  }
  return product;
}

}  // namespace detail

/// A tensor of N axes as a train of N cores of three axes (Oseledets 2011, section 1):
/// a(i_1, ..., i_N) = core_1[i_1] core_2[i_2] ... core_N[i_N], a product of r_{d-1} x r_d matrices,
/// r_0 = r_N = 1. Axes are counted from 0 in the code.
template <real T>
class tensor_train {
 public:
  /// Core d is given as a matrix (r_{d-1} n_d, r_d), the row of rank index r and position i being
  /// r n_d + i. Throws shape_error if there is no axis, a size below 1, or cores do not join.
  tensor_train(std::vector<index_t> shape, std::vector<matrix<T>> cores)
      : shape_(std::move(shape)), cores_(std::move(cores)) {
    if (shape_.empty() || shape_.size() != cores_.size()) {
      throw shape_error(message("tensor_train: ", cores_.size(), " cores for a tensor of ",
                                shape_.size(), " axes"));
    }
    ranks_.push_back(1);
    for (std::size_t d = 0; d < shape_.size(); ++d) {
      auto const core = as_view(std::as_const(cores_[d])).shape();
      auto const n = shape_[d];
      // A division, not ranks_[d] * n, which may not fit an index.
      if (n < 1 || core.rows % n != 0 || core.rows / n != ranks_[d] || core.cols < 1 ||
          (d + 1 == shape_.size() && core.cols != 1)) {
        throw shape_error(message("tensor_train: core ", d, " of shape ", core, " after rank ",
                                  ranks_[d], " for shape ", detail::sizes_text(shape_)));
      }
      ranks_.push_back(core.cols);
    }
  }

  /// Sizes n_d (N).
  auto shape() const -> std::span<index_t const> { return shape_; }
  /// Ranks r_d (N + 1), the first and the last are 1.
  auto ranks() const -> std::span<index_t const> { return ranks_; }
  /// Core d (r_{d-1} n_d, r_d), d from 0 to N - 1. Throws std::out_of_range.
  auto core(std::size_t d) const -> matrix<T> const& { return cores_.at(d); }

 private:
  std::vector<index_t> shape_;
  std::vector<matrix<T>> cores_;
  std::vector<index_t> ranks_;
};

/// Numbers that a train stores: sum over d of r_{d-1} n_d r_d.
template <real T>
auto parameters(tensor_train<T> const& tt) -> index_t {
  index_t sum = 0;
  for (std::size_t d = 0; d < tt.shape().size(); ++d) {
    sum += as_view(tt.core(d)).size();
  }
  return sum;
}

namespace detail {

/// The smallest rank from 1 whose tail sqrt(sum of s_i², i > rank) is at most delta.
template <real T>
auto rank_of_tail(std::span<T const> s, double delta) -> index_t {
  auto rank = s.size();
  auto const first = static_cast<double>(s.front());
  double tail = 0;  // sum of squares relative to the largest
  while (rank > 1 && first > 0) {
    auto const next = static_cast<double>(s[rank - 1]) / first;
    tail += next * next;
    if (first * std::sqrt(tail) > delta) {
      break;
    }
    --rank;
  }
  return first > 0 ? static_cast<index_t>(rank) : 1;
}

/// diag(s) vt, the first k rows of it.
template <real T>
auto scaled_rows(svd_result<T> const& f, index_t k) -> matrix<T> {
  auto result = to_matrix(as_view(f.vt).row_range(0, k));
  for (index_t i = 0; i < k; ++i) {
    auto const row = as_view(result).row(i);
    auto const s = f.s(static_cast<std::size_t>(i));
    std::ranges::transform(row, row.begin(), [&](T x) { return s * x; });
  }
  return result;
}

template <real T>
void check_tt_svd(std::span<T const> values, std::span<index_t const> shape, tt_options options) {
  if (shape.empty()) {
    throw shape_error("tt_svd: of a tensor without axes");
  }
  if (checked_elements(shape, "tt_svd") != static_cast<index_t>(values.size())) {
    throw shape_error(
        message("tt_svd: ", values.size(), " values for the shape ", sizes_text(shape)));
  }
  if (!std::isfinite(options.epsilon) || options.max_rank < 1) {
    throw shape_error(
        message("tt_svd: epsilon ", options.epsilon, ", max_rank ", options.max_rank));
  }
  auto const bad = std::ranges::find_if(values, [](T x) { return !std::isfinite(x); });
  if (bad != values.end()) {
    throw numerical_error(
        message("tt_svd: value ", bad - values.begin(), " of ", values.size(), " is ", *bad), 0);
  }
}

}  // namespace detail

/// TT-SVD of a row-major tensor (Oseledets 2011, SIAM J. Sci. Comput. 33(5), algorithm 1): each
/// unfolding (r_{d-1} n_d, n_{d+1} ... n_N) is decomposed and truncated to a tail of
/// delta = epsilon ||a|| / sqrt(N - 1); as the left factors are orthonormal, the squares of the
/// N - 1 errors add up to at most (epsilon ||a||)² (theorem 2.2). The error is at most sqrt(N - 1)
/// times that of the best train of the same ranks (corollary 2.4). Cost: an SVD for each axis but
/// the last, the first one of the whole tensor. Throws shape_error if sizes are below 1, do not
/// multiply to values.size() or cannot be counted, for a non-finite epsilon and a max_rank below 1;
/// numerical_error for non-finite input.
template <real T>
auto tt_svd(std::span<T const> values, std::vector<index_t> shape, tt_options options = {})
    -> tensor_train<T> {
  detail::check_tt_svd(values, std::span<index_t const>(shape), options);
  auto const norm = euclidean_norm(values);
  auto const cuts = static_cast<double>(shape.size() - 1);
  std::vector<matrix<T>> cores;
  matrix<T> rest;  // (r_d, n_{d+1} ... n_N), what the cores so far leave over
  auto unfolding = matrix_view<T const>(values.data(), 1, static_cast<index_t>(values.size()));
  for (std::size_t d = 0; d + 1 < shape.size(); ++d) {
    auto const rows = unfolding.rows * shape[d];
    unfolding = matrix_view<T const>(unfolding.data, rows, unfolding.size() / rows);
    auto const rounding = static_cast<double>(std::max(unfolding.rows, unfolding.cols)) *
                          static_cast<double>(std::numeric_limits<T>::epsilon());
    auto const relative = options.epsilon < 0 ? rounding : options.epsilon / std::sqrt(cuts);
    auto const f = svd(unfolding, {.check_finite = false});
    auto const k = std::min(detail::rank_of_tail(as_span(f.s), relative * norm), options.max_rank);
    cores.push_back(to_matrix(as_view(f.u).col_range(0, k)));
    rest = detail::scaled_rows(f, k);
    unfolding = as_view(rest);
  }
  cores.push_back(to_matrix(matrix_view<T const>(unfolding.data, unfolding.size(), 1)));
  return tensor_train<T>(std::move(shape), std::move(cores));
}

/// TT-SVD of a container of any number of axes (xt::xtensor, xt::xarray, an adaptor or view) with
/// contiguous row-major storage. Throws shape_error for another storage, and as above.
template <dense_array E>
auto tt_svd(E const& a, tt_options options = {})
    -> tensor_train<std::remove_const_t<typename E::value_type>> {
  using T = std::remove_const_t<typename E::value_type>;
  std::vector<index_t> shape;
  std::vector<index_t> strides;
  for (std::size_t d = 0; d < a.dimension(); ++d) {
    shape.push_back(static_cast<index_t>(a.shape(d)));
    strides.push_back(static_cast<index_t>(a.strides()[d]));
  }
  auto const size = detail::checked_elements(shape, "tt_svd");
  index_t expected = 1;
  for (auto d = shape.size(); d-- > 0; expected *= shape[d]) {
    // The stride of an axis of length 1 is never used; xtensor writes 0 for it.
    if (shape[d] > 1 && strides[d] != expected) {
      throw shape_error(message("tt_svd: needs contiguous row-major storage, got strides (",
                                detail::sizes_text(strides, ", "), ") for shape ",
                                detail::sizes_text(shape)));
    }
  }
  T const* first = a.data();
  if constexpr (requires { a.data_offset(); }) {
    first += a.data_offset();
  }
  return tt_svd(std::span<T const>(first, static_cast<std::size_t>(size)), std::move(shape),
                options);
}

namespace detail {

/// Elements of the slice at `leading`. Throws shape_error for indices outside the tensor.
template <real T>
auto slice_elements(tensor_train<T> const& tt, std::span<index_t const> leading) -> index_t {
  auto const shape = tt.shape();
  if (leading.size() > shape.size()) {
    throw shape_error(
        message("slice: ", leading.size(), " indices into a tensor of shape ", sizes_text(shape)));
  }
  for (std::size_t d = 0; d < leading.size(); ++d) {
    if (leading[d] < 0 || leading[d] >= shape[d]) {
      throw shape_error(
          message("slice: index ", leading[d], " of axis ", d, " of shape ", sizes_text(shape)));
    }
  }
  return checked_elements(shape.subspan(leading.size()), "slice");
}

}  // namespace detail

/// Elements of workspace that slice_work takes with this number of leading indices.
template <real T>
auto slice_worksize(tensor_train<T> const& tt, std::size_t leading) -> std::size_t {
  std::size_t sum = 0;
  index_t rows = 1;
  for (std::size_t d = 0; d + 1 < tt.shape().size(); ++d) {
    rows *= d < leading ? 1 : tt.shape()[d];
    sum += workspace<T>::footprint(rows, tt.ranks()[d + 1]);
  }
  return sum;
}

/// The part of the tensor at fixed leading indices into `out`, row-major over the axes that are
/// left, without allocating: all of it for no index, one element for N. An embedding whose first
/// axes count the tokens gives its rows this way. Cost: 2 r_{d-1} r_d FLOPs for each index, then
/// 2 p r_{d-1} r_d for each axis, p elements of the slice up to that axis. Throws shape_error for
/// indices outside the tensor and another size of `out`.
template <real T>
void slice_work(tensor_train<T> const& tt, std::span<index_t const> leading,
                std::type_identity_t<std::span<T>> out, workspace<T>& scratch) {
  auto const size = detail::slice_elements(tt, leading);
  if (size != static_cast<index_t>(out.size())) {
    throw shape_error(message("slice: ", out.size(), " elements for output, ", size, " needed"));
  }
  auto const frame = scratch.frame();
  T const one = 1;
  matrix_view<T const> left(&one, 1, 1);  // (p, r_{d-1}), all the cores before
  for (std::size_t d = 0; d < tt.shape().size(); ++d) {
    auto const core = as_view(tt.core(d));  // (r_{d-1} n_d, r_d)
    auto const wide = tt.shape()[d] * core.cols;
    auto const right = d < leading.size()
                           ? matrix_view<T const>(core.data + leading[d] * core.cols, left.cols,
                                                  core.cols, wide)  // (r_{d-1}, r_d)
                           : matrix_view<T const>(core.data, left.cols, wide);
    auto const to = d + 1 == tt.shape().size() ? matrix_view<T>(out.data(), left.rows, right.cols)
                                               : scratch.take_matrix(left.rows, right.cols);
    matmul(left, right, to);
    left = matrix_view<T const>(to.data, to.size() / core.cols, core.cols);  // (p n_d, r_d)
  }
}

/// As slice_work, which see, with its own workspace.
template <real T>
void slice(tensor_train<T> const& tt, std::span<index_t const> leading,
           std::type_identity_t<std::span<T>> out) {
  workspace<T> scratch;
  slice_work(tt, leading, out, scratch);
}

/// One element, without forming the tensor: 2 sum r_{d-1} r_d FLOPs. Throws shape_error for
/// another number of indices than axes and for indices outside the tensor.
template <real T>
auto element(tensor_train<T> const& tt, std::span<index_t const> index) -> T {
  if (index.size() != tt.shape().size()) {
    throw shape_error(message("element: ", index.size(), " indices into a tensor of shape ",
                              detail::sizes_text(tt.shape())));
  }
  T value = 0;
  slice(tt, index, std::span<T>(&value, 1));
  return value;
}

/// All elements in row-major order. Cost: as slice_work without indices. Throws shape_error if
/// their number cannot be counted.
template <real T>
auto to_dense(tensor_train<T> const& tt) -> vector<T> {
  auto result = make_vector<T>(detail::checked_elements(tt.shape(), "to_dense"));
  slice(tt, {}, as_span(result));
  return result;
}

}  // namespace v0
}  // namespace eckart
