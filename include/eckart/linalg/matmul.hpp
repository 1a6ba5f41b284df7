#pragma once

#include "eckart/backend/openblas.hpp"
#include "eckart/core/view.hpp"

#include <type_traits>

namespace eckart {
inline namespace v0 {

/// c = p(a) q(b). c must not overlap a or b. Throws shape_error. 2 m n k FLOPs, 8 m n k for complex
/// numbers.
template <scalar T, blas_backend<T> B = openblas>
void matmul(op p, std::type_identity_t<matrix_view<T const>> a, op q,
            std::type_identity_t<matrix_view<T const>> b, matrix_view<T> c, B const& backend = {}) {
  backend.gemm(p, q, T{1}, a, b, T{0}, c);
}

/// c = a b. c must not overlap a or b. Throws shape_error. 2 m n k FLOPs.
template <scalar T, blas_backend<T> B = openblas>
void matmul(std::type_identity_t<matrix_view<T const>> a,
            std::type_identity_t<matrix_view<T const>> b, matrix_view<T> c, B const& backend = {}) {
  matmul(op::none, a, op::none, b, c, backend);
}

/// The product p(a) q(b) as a new matrix. Throws shape_error. 2 m n k FLOPs.
template <matrix_operand L, matrix_operand R, blas_backend<value_t<L>> B = openblas>
requires std::same_as<value_t<L>, value_t<R>>
auto matmul(op p, L const& a, op q, R const& b, B const& backend = {}) -> matrix<value_t<L>> {
  auto const left_operand = evaluated(a);
  auto const right_operand = evaluated(b);
  auto const left = as_view(left_operand);
  auto const right = as_view(right_operand);
  auto c =
      make_matrix<value_t<L>>({shape_of(p, left.shape()).rows, shape_of(q, right.shape()).cols});
  matmul(p, left, q, right, as_view(c), backend);
  return c;
}

/// The product a b as a new matrix. Throws shape_error. 2 m n k FLOPs.
template <matrix_operand L, matrix_operand R, blas_backend<value_t<L>> B = openblas>
requires std::same_as<value_t<L>, value_t<R>>
auto matmul(L const& a, R const& b, B const& backend = {}) -> matrix<value_t<L>> {
  return matmul(op::none, a, op::none, b, backend);
}

}  // namespace v0
}  // namespace eckart
