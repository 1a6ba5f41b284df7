#pragma once

#include "eckart/core/random.hpp"
#include "eckart/factor/algebra.hpp"
#include "eckart/linalg/norm.hpp"
#include "eckart/nn/linear.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>

/// Low-rank adaptation (Hu et al. 2022, arXiv:2106.09685): a frozen layer W (m, n) and a trained
/// update (alpha / r) B A of rank r, which has r (m + n) numbers instead of m n.
namespace eckart {
inline namespace v0 {

/// y = x W^T + (alpha / r) x A^T B^T + bias with a frozen base layer (m, n) in any form, A (r, n)
/// and B (m, r).
template <real T>
class lora {
 public:
  /// Throws shape_error unless A and B fit the base and each other, r >= 1, and alpha is finite.
  lora(linear<T> base, matrix<T> a, matrix<T> b, double alpha)
      : base_(std::move(base)), a_(std::move(a)), b_(std::move(b)), alpha_(alpha) {
    auto const left = as_view(std::as_const(b_)).shape();
    auto const right = as_view(std::as_const(a_)).shape();
    if (left.rows != shape().rows || right.cols != shape().cols || left.cols != right.rows ||
        right.rows < 1) {
      throw shape_error(
          message("lora: B ", left, " times A ", right, " for a ", shape(), " layer"));
    }
    if (!std::isfinite(alpha_)) {
      throw shape_error(message("lora: alpha is ", alpha_));
    }
  }

  /// (m, n) = (outputs, inputs).
  auto shape() const -> shape2 { return base_.shape(); }
  /// r, the rank of the update.
  auto rank() const -> index_t { return a().rows; }
  auto alpha() const -> double { return alpha_; }
  /// alpha / r, the factor of B A: with it the learning rate need not change with the rank.
  auto scaling() const -> T { return static_cast<T>(alpha_ / static_cast<double>(rank())); }
  /// The layer that stays as it is.
  auto base() const -> linear<T> const& { return base_; }
  auto a() const -> matrix_view<T const> { return as_view(a_); }  ///< (r, n)
  auto b() const -> matrix_view<T const> { return as_view(b_); }  ///< (m, r)
  auto a() -> matrix_view<T> { return as_view(a_); }              ///< (r, n), to train
  auto b() -> matrix_view<T> { return as_view(b_); }              ///< (m, r), to train

  /// r (m + n): the numbers of A and B.
  auto trainable_parameters() const -> std::uint64_t {
    return cost::parameters(form::two_factor, shape(), rank());
  }
  /// Numbers stored: those of the base, its bias included, and those of A and B.
  auto parameters() const -> std::uint64_t { return base_.parameters() + trainable_parameters(); }
  /// FLOPs for this many rows, bias included: 2 r (m + n) a row more than the base.
  auto flops(index_t rows) const -> std::uint64_t {
    return base_.flops(rows) + cost::flops(form::two_factor, shape(), rank(), rows);
  }

  /// Elements of workspace that a call with this many rows takes.
  auto worksize(index_t rows) const -> std::size_t {
    return std::max(base_.worksize(rows), workspace<T>::footprint(rows, rank()));
  }

  /// y (rows, m) from x (rows, n), the update not merged: x A^T is (rows, r). Allocates nothing
  /// beyond the workspace. Throws shape_error.
  template <blas_backend<T> B = openblas>
  void operator()(std::type_identity_t<matrix_view<T const>> x, matrix_view<T> y,
                  workspace<T>& scratch, B const& backend = {}) const {
    base_(x, y, scratch, backend);
    auto const frame = scratch.frame();
    auto const inner = scratch.take_matrix(x.rows, rank());
    backend.gemm(op::none, op::transpose, T{1}, x, a(), T{0}, inner);
    backend.gemm(op::none, op::transpose, scaling(), matrix_view<T const>(inner), b(), T{1}, y);
  }

  /// (alpha / r) B A in two factors: L = (alpha / r) B, R = A.
  auto update() const -> low_rank<T, two_factor> {
    auto left = b_;
    std::ranges::for_each(left, [s = scaling()](T& x) { x *= s; });
    return {std::move(left), a_};
  }

  /// One dense layer with the weight W + (alpha / r) B A and the same bias, which costs nothing
  /// extra to call. 2 m n r FLOPs, and to_dense for a base in factors.
  auto merged() const -> linear<T> {
    auto weight = base_.dense_weight();
    openblas{}.gemm(op::none, op::none, scaling(), b(), a(), T{1}, as_view(weight));
    return base_.with_weight(std::move(weight));
  }

  /// One layer with the best approximation of W + (alpha / r) B A at the rank of the policy, in the
  /// form of the base, and the same bias. For a base in factors of rank k the matrix is never
  /// formed: O((m + n) (k + r)²), see add. A base without factors takes an SVD and gives a
  /// diagonal core.
  /// Throws shape_error for a rank that does not fit, numerical_error for weights that are not
  /// finite, and as to_pivoted.
  template <rank_policy P>
  auto retruncated(P const& policy) const -> linear<T> {
    auto const stored = base_.stored_as();
    return std::visit(
        [&](auto const& w) {
          using weight = std::remove_cvref_t<decltype(w)>;
          if constexpr (std::same_as<weight, matrix<T>> || std::same_as<weight, int8_rows<T>>) {
            return base_.with_weight(factorize(merged().dense_weight(), policy));
          } else {
            return base_.with_weight(weight_in_form(add(w, update(), policy), stored));
          }
        },
        base_.stored_weight());
  }

 private:
  linear<T> base_;  // (m, n), frozen
  matrix<T> a_;     // (r, n)
  matrix<T> b_;     // (m, r)
  double alpha_;
};

/// The start of the training as in section 4.1 of the paper: B = 0, so that the layer equals its
/// base, and A normal with variance 1 / n, so that x A^T has entries of the size of those of x.
/// Throws shape_error for a rank outside 1 to min(m, n) and an alpha that is not finite.
template <real T>
auto make_lora(linear<T> base, index_t rank, double alpha, std::uint64_t seed) -> lora<T> {
  auto const shape = base.shape();
  if (rank < 1 || rank > std::min(shape.rows, shape.cols)) {
    throw shape_error(message("make_lora: rank ", rank, " for a ", shape, " layer"));
  }
  auto a = make_matrix<T>({rank, shape.cols});
  fill_normal(std::span<T>(a.data(), a.size()), seed);
  auto const deviation = static_cast<T>(1 / std::sqrt(static_cast<double>(shape.cols)));
  std::ranges::for_each(a, [deviation](T& x) { x *= deviation; });
  auto b = make_matrix<T>({shape.rows, rank});
  b.fill(T{0});
  return {std::move(base), std::move(a), std::move(b), alpha};
}

/// A merged layer and how far its outputs are from those of the unmerged one.
template <real T>
struct merge_result {
  linear<T> layer;                ///< W + (alpha / r) B A and the bias
  double largest_difference = 0;  ///< max |merged(x) - unmerged(x)|, NaN if an output is NaN
};

/// lora::merged, and the largest difference that the merging makes for the inputs x (rows, n): the
/// sums are rounded in another order, which matters for weights that are large against the update.
/// Throws shape_error.
template <real T, matrix_like X>
requires std::same_as<value_t<X>, T>
auto merge(lora<T> const& layer, X const& x) -> merge_result<T> {
  auto const input = as_view(x);
  merge_result<T> result{layer.merged(), 0};
  auto difference = make_matrix<T>({input.rows, layer.shape().rows});
  auto together = make_matrix<T>({input.rows, layer.shape().rows});
  workspace<T> scratch(layer.worksize(input.rows));
  layer(input, as_view(difference), scratch);
  result.layer(input, as_view(together), scratch);
  std::ranges::transform(together, difference, difference.begin(), std::minus{});
  result.largest_difference = max_abs(difference);
  return result;
}

/// max |merged(x) - unmerged(x)| over the inputs x (rows, n). Throws shape_error.
template <real T, matrix_like X>
requires std::same_as<value_t<X>, T>
auto merge_difference(lora<T> const& layer, X const& x) -> double {
  return merge(layer, x).largest_difference;
}

/// Elements of workspace that lora_gradients_work takes for this many rows.
template <real T>
auto lora_gradients_worksize(lora<T> const& layer, index_t rows) -> std::size_t {
  return workspace<T>::footprint(rows, layer.rank());
}

/// The gradients of a loss with respect to A (r, n) and B (m, r) from the inputs x (rows, n) and
/// the loss's gradient dy (rows, m) with respect to the outputs:
/// dA = (alpha / r) B^T dy^T x and dB = (alpha / r) dy^T x A^T. Products with the narrow side
/// first, 4 rows r (m + n) FLOPs; allocates nothing beyond the workspace. Throws shape_error, the
/// outputs are untouched then.
template <real T, blas_backend<T> B = openblas>
void lora_gradients_work(lora<T> const& layer, std::type_identity_t<matrix_view<T const>> x,
                         std::type_identity_t<matrix_view<T const>> dy, matrix_view<T> da,
                         matrix_view<T> db, workspace<T>& scratch, B const& backend = {}) {
  auto const s = layer.shape();
  if (x.cols != s.cols || dy.cols != s.rows || x.rows != dy.rows ||
      da.shape() != layer.a().shape() || db.shape() != layer.b().shape()) {
    throw shape_error(message("lora_gradients: input ", x.shape(), ", output gradient ", dy.shape(),
                              ", gradients ", da.shape(), " and ", db.shape(), " for a ", s,
                              " layer of rank ", layer.rank()));
  }
  auto const frame = scratch.frame();
  auto const inner = scratch.take_matrix(x.rows, layer.rank());
  auto const narrow = matrix_view<T const>(inner);
  backend.gemm(op::none, op::none, T{1}, dy, layer.b(), T{0}, inner);  // dy B
  backend.gemm(op::transpose, op::none, layer.scaling(), narrow, x, T{0}, da);
  backend.gemm(op::none, op::transpose, T{1}, x, layer.a(), T{0}, inner);  // x A^T
  backend.gemm(op::transpose, op::none, layer.scaling(), dy, narrow, T{0}, db);
}

/// lora_gradients_work with a workspace of its own.
template <real T, blas_backend<T> B = openblas>
void lora_gradients(lora<T> const& layer, std::type_identity_t<matrix_view<T const>> x,
                    std::type_identity_t<matrix_view<T const>> dy,
                    std::type_identity_t<matrix_view<T>> da,
                    std::type_identity_t<matrix_view<T>> db, B const& backend = {}) {
  workspace<T> scratch(lora_gradients_worksize(layer, x.rows));
  lora_gradients_work(layer, x, dy, da, db, scratch, backend);
}

}  // namespace v0
}  // namespace eckart
