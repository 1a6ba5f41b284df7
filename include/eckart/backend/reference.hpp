#pragma once

#include "eckart/backend/concept.hpp"

#include <complex>

namespace eckart {
inline namespace v0 {

/// The textbook: three loops. Slow, and the oracle of every faster product.
struct reference {
  using memory = host_memory;

  /// c = alpha p(a) q(b) + beta c. Cost: 2 m n k FLOPs for an m x k by k x n product, of complex
  /// numbers 8 m n k.
  template <scalar T>
  void gemm(op p, op q, T alpha, matrix_view<T const> a, matrix_view<T const> b, T beta,
            matrix_view<T> c) const {
    auto const inner = check_product(p, q, a, b, c);
    for (index_t i = 0; i < c.rows; ++i) {
      for (index_t j = 0; j < c.cols; ++j) {
        T sum = 0;
        for (index_t l = 0; l < inner; ++l) {
          sum += element(p, a, i, l) * element(q, b, l, j);
        }
        c(i, j) = alpha * sum + (beta == T{0} ? T{0} : beta * c(i, j));
      }
    }
  }

  /// c(i, j) *= d[j]. Cost: one multiplication an entry.
  template <scalar T>
  void scale_columns(std::span<T const> d, matrix_view<T> c) const {
    check_scale_columns(d, c);
    for (index_t i = 0; i < c.rows; ++i) {
      for (index_t j = 0; j < c.cols; ++j) {
        c(i, j) *= d[static_cast<std::size_t>(j)];
      }
    }
  }

 private:
  // Entry (i, j) of p(a).
  template <scalar T>
  static auto element(op p, matrix_view<T const> a, index_t i, index_t j) -> T {
    if (p == op::none) {
      return a(i, j);
    }
    if constexpr (complex_number<T>) {
      return p == op::adjoint ? std::conj(a(j, i)) : a(j, i);
    } else {
      return a(j, i);
    }
  }
};

}  // namespace v0
}  // namespace eckart
