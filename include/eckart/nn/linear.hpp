#pragma once

#include "eckart/core/workspace.hpp"
#include "eckart/factor/apply.hpp"
#include "eckart/factor/convert.hpp"
#include "eckart/factor/factorize.hpp"
#include "eckart/factor/int8_rows.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>

namespace eckart {
inline namespace v0 {

/// y = x W^T + b with W (m, n) dense, in factors or in 8 bits a number; one branch a call.
template <real T>
class linear {
 public:
  using weight = std::variant<matrix<T>, low_rank<T, two_factor>, low_rank<T, diagonal_core>,
                              low_rank<T, full_core>, low_rank<T, pivoted>, int8_rows<T>>;

  explicit linear(weight w, std::optional<vector<T>> bias = std::nullopt)
      : weight_(std::move(w)), bias_(std::move(bias)) {
    if (bias_ && static_cast<index_t>(bias_->size()) != shape().rows) {
      throw shape_error(
          message("linear: ", bias_->size(), " biases for a ", shape(), " weight matrix"));
    }
  }

  /// (m, n) = (outputs, inputs).
  auto shape() const -> shape2 {
    return std::visit([](auto const& w) { return shape_of_weight(w); }, weight_);
  }

  /// k of the factors; min(m, n) for a matrix without.
  auto rank() const -> index_t {
    return std::visit(
        [](auto const& w) {
          if constexpr (is_dense<decltype(w)>) {
            auto const s = shape_of_weight(w);
            return std::min(s.rows, s.cols);
          } else {
            return w.rank();
          }
        },
        weight_);
  }

  auto stored_as() const -> form {
    return std::visit(
        [](auto const& w) {
          if constexpr (is_dense<decltype(w)>) {
            return form::dense;
          } else {
            return w.stored_as;
          }
        },
        weight_);
  }

  auto has_bias() const -> bool { return bias_.has_value(); }
  auto bias() const -> std::optional<vector<T>> const& { return bias_; }
  auto stored_weight() const -> weight const& { return weight_; }

  /// Numbers stored, bias included.
  auto parameters() const -> std::uint64_t {
    return cost::parameters(stored_as(), shape(), rank()) + (bias_ ? bias_->size() : 0);
  }
  auto bytes() const -> std::uint64_t {
    auto const* const small = std::get_if<int8_rows<T>>(&weight_);
    return small != nullptr ? small->bytes() + (bias_ ? bias_->size() * sizeof(T) : 0)
                            : parameters() * sizeof(T);
  }

  /// FLOPs for this many rows, bias included.
  auto flops(index_t rows) const -> std::uint64_t {
    return cost::flops(stored_as(), shape(), rank(), rows) +
           (bias_ ? bias_->size() * static_cast<std::uint64_t>(rows) : 0);
  }

  /// W as one (m, n) matrix.
  auto dense_weight() const -> matrix<T> {
    return std::visit(
        [](auto const& w) {
          if constexpr (is_dense<decltype(w)>) {
            return w;
          } else {
            return to_dense(w);
          }
        },
        weight_);
  }

  /// The same layer with other weights of the same shape; the bias stays. Throws shape_error.
  auto with_weight(weight w) const -> linear {
    linear result(std::move(w), bias_);
    if (result.shape() != shape()) {
      throw shape_error(message("linear: a ", result.shape(), " weight in place of ", shape()));
    }
    return result;
  }

  /// Elements of workspace that a call with this many rows takes.
  auto worksize(index_t rows) const -> std::size_t {
    return std::visit(
        [rows](auto const& w) -> std::size_t {
          if constexpr (is_dense<decltype(w)>) {
            return 0;
          } else {
            return apply_worksize(w, rows);
          }
        },
        weight_);
  }

  /// y (rows, m) from x (rows, n). Throws shape_error. 2 m n FLOPs a row if dense, see factor/cost.
  template <blas_backend<T> B = openblas>
  void operator()(std::type_identity_t<matrix_view<T const>> x, matrix_view<T> y,
                  workspace<T>& scratch, B const& backend = {}) const {
    auto const s = shape();
    if (x.cols != s.cols || y.cols != s.rows || x.rows != y.rows) {
      throw shape_error(
          message("linear: input ", x.shape(), ", weight ", s, ", output ", y.shape()));
    }
    std::visit([&](auto const& w) { multiply(x, w, y, scratch, backend); }, weight_);
  }

 private:
  template <class W, class B>
  void multiply(matrix_view<T const> x, W const& w, matrix_view<T> y, workspace<T>& scratch,
                B const& backend) const {
    auto const more = bias_ ? addend<T>(as_span(*bias_)) : addend<T>();
    if constexpr (is_dense<W>) {
      detail::add_to_product(x, as_view(w), more, y, backend);
    } else {
      apply_work(x, w, y, scratch, backend, more);
    }
  }

  template <class W>
  static constexpr bool is_dense = std::same_as<std::remove_cvref_t<W>, matrix<T>>;

  static auto shape_of_weight(matrix<T> const& w) -> shape2 { return as_view(w).shape(); }
  template <class Form>
  static auto shape_of_weight(low_rank<T, Form> const& w) -> shape2 {
    return w.shape();
  }
  static auto shape_of_weight(int8_rows<T> const& w) -> shape2 { return w.shape(); }

  weight weight_;                  // (m, n), dense or in factors
  std::optional<vector<T>> bias_;  // (m)
};

/// The factors in the asked form, as the weight of a linear layer. Throws shape_error for dense.
template <real T>
auto weight_in_form(low_rank<T, diagonal_core> factors, form stored_as) ->
    typename linear<T>::weight {
  switch (stored_as) {
    case form::full_core:
      return to_full_core(factors);
    case form::diagonal_core:
      return factors;
    case form::two_factor:
      return to_two_factor(factors);
    case form::pivoted:
      return to_pivoted(factors);
    case form::dense:
    case form::int8:
      break;
  }
  throw shape_error(message("linear: cannot store an SVD as ", name_of(stored_as)));
}

/// Two factors in the asked form. A diagonal or full core takes an SVD of the factors. Throws
/// shape_error for dense.
template <real T>
auto weight_in_form(low_rank<T, two_factor> factors, form stored_as) -> typename linear<T>::weight {
  switch (stored_as) {
    case form::two_factor:
      return factors;
    case form::pivoted:
      return to_pivoted(factors);
    case form::diagonal_core:
      return to_diagonal_core(factors);
    case form::full_core:
      return to_full_core(to_diagonal_core(factors));
    case form::dense:
    case form::int8:
      break;
  }
  throw shape_error(message("linear: cannot store factors as ", name_of(stored_as)));
}

}  // namespace v0
}  // namespace eckart
