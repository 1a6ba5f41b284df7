#pragma once

#include "eckart/factor/algebra.hpp"
#include "eckart/nn/attention.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// Steps that make an attention smaller or simpler and leave its function as it is: what they drop
/// is zero in exact arithmetic. Folding twice is folding once.
///
/// They work on a layer each for queries, keys and values; a joint layer is refused, so fold first
/// and join then. An attention that leaves keys and values to its owner has no key and no value
/// bias that could be folded, only a scale: the owner's layer stays as it is.
namespace eckart {
inline namespace v0 {
namespace detail {

/// A x for a vector, in double.
template <real T>
auto times_in_double(matrix_view<T const> a, std::span<double const> x) -> std::vector<double> {
  std::vector<double> result(static_cast<std::size_t>(a.rows));
  for (index_t i = 0; i < a.rows; ++i) {
    auto const row = a.row(i);
    result[static_cast<std::size_t>(i)] = std::transform_reduce(
        row.begin(), row.end(), x.begin(), 0.0, std::plus<>{},
        [](T weight, double value) { return static_cast<double>(weight) * value; });
  }
  return result;
}

/// W x through the factors of any form.
template <real T>
struct weight_times_in_double {
  std::span<double const> x;

  auto operator()(matrix<T> const& w) const { return times_in_double(as_view(w), x); }
  auto operator()(low_rank<T, two_factor> const& w) const {
    return times_in_double(w.left(), times_in_double(w.right(), x));
  }
  auto operator()(low_rank<T, full_core> const& w) const {
    return times_in_double(w.u(), times_in_double(w.core(), times_in_double(w.vt(), x)));
  }
  auto operator()(low_rank<T, diagonal_core> const& w) const {
    auto inner = times_in_double(w.vt(), x);
    for (std::size_t i = 0; i < inner.size(); ++i) {
      inner[i] *= static_cast<double>(w.s()[i]);
    }
    return times_in_double(w.u(), inner);
  }
  auto operator()(int8_rows<T> const& w) const { return (*this)(to_dense(w)); }
  auto operator()(low_rank<T, pivoted> const& w) const {
    auto stacked = times_in_double(w.kept(), x);
    auto const others = times_in_double(w.combinations(), stacked);
    stacked.insert(stacked.end(), others.begin(), others.end());
    std::vector<double> result(stacked.size());
    for (std::size_t i = 0; i < stacked.size(); ++i) {
      result[static_cast<std::size_t>(w.rows()[i])] = stacked[i];
    }
    return result;
  }
};

template <real T>
auto without_bias(linear<T> const& layer) -> linear<T> {
  return linear<T>(layer.stored_weight());
}

/// The layer whose outputs are alpha times those of the given one.
template <real T>
auto scaled_layer(linear<T> const& layer, T alpha) -> linear<T> {
  auto bias = layer.bias();
  if (bias) {
    std::ranges::for_each(*bias, [alpha](T& b) { b *= alpha; });
  }
  using weight = typename linear<T>::weight;
  return linear<T>(std::visit(
                       [alpha](auto const& w) -> weight {
                         if constexpr (std::same_as<decltype(w), matrix<T> const&>) {
                           return multiplied<T>(as_view(w), alpha);
                         } else {
                           return eckart::scale(w, alpha);
                         }
                       },
                       layer.stored_weight()),
                   std::move(bias));
}

template <real T>
void refuse_joint(std::string_view what, multi_head_attention<T> const& attention) {
  if (attention.qkv_proj) {
    throw shape_error(message(what, ": queries, keys and values have a joint ",
                              attention.qkv_proj->shape(), " layer; fold before joining"));
  }
}

}  // namespace detail

/// Removes the bias of the keys: it adds q b_k, the same for all keys of a query, to the scores,
/// and softmax does not see that. Throws shape_error for a joint layer.
template <real T>
void drop_key_bias(multi_head_attention<T>& attention) {
  detail::refuse_joint("drop_key_bias", attention);
  if (attention.k_proj && attention.k_proj->has_bias()) {
    *attention.k_proj = detail::without_bias(*attention.k_proj);
  }
}

/// Moves the bias of the values behind the attention: its rows sum to 1, so b_v comes out as W_o
/// b_v and joins the bias of out_proj, which gets one if it had none. The sum is taken in double
/// through the factors of W_o and rounded once. The inputs of out_proj fall by b_v: statistics of
/// them that were gathered before no longer have the right mean. Throws shape_error for a joint
/// layer.
template <real T>
void fold_value_bias(multi_head_attention<T>& attention) {
  detail::refuse_joint("fold_value_bias", attention);
  if (!attention.v_proj || !attention.v_proj->has_bias()) {
    return;
  }
  auto const& values = *attention.v_proj->bias();
  std::vector<double> const in(values.begin(), values.end());
  auto const shift =
      std::visit(detail::weight_times_in_double<T>{in}, attention.out_proj.stored_weight());
  auto bias = make_vector<T>(attention.out_proj.shape().rows);
  for (std::size_t i = 0; i < shift.size(); ++i) {
    auto const old =
        attention.out_proj.has_bias() ? static_cast<double>((*attention.out_proj.bias())(i)) : 0.0;
    bias(i) = static_cast<T>(old + shift[i]);
  }
  linear<T> out(attention.out_proj.stored_weight(), std::move(bias));
  auto v = detail::without_bias(*attention.v_proj);
  attention.out_proj = std::move(out);
  *attention.v_proj = std::move(v);
}

/// Multiplies the queries' weight and bias by the scale of the scores, which then is 1. To the last
/// bit if the scale is a power of two (1/8 for heads of 64) and nothing underflows, else each
/// weight is rounded once. Factors carry it in one of them: factor/algebra.hpp. Throws shape_error
/// for a joint layer.
template <real T>
void fold_score_scale(multi_head_attention<T>& attention) {
  detail::refuse_joint("fold_score_scale", attention);
  if (attention.scale != T{1}) {
    *attention.q_proj = detail::scaled_layer(*attention.q_proj, attention.scale);
    attention.scale = T{1};
  }
}

/// All three. For keys and values that are left to the owner the scale alone. Throws shape_error
/// for a joint layer.
template <real T>
void fold_attention(multi_head_attention<T>& attention) {
  detail::refuse_joint("fold_attention", attention);
  drop_key_bias(attention);
  fold_value_bias(attention);
  fold_score_scale(attention);
}

}  // namespace v0
}  // namespace eckart
