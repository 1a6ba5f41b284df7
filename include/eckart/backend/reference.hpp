#pragma once

#include "eckart/backend/concept.hpp"

namespace eckart {
inline namespace v0 {

/// The textbook: three loops. Slow, and the oracle of every faster product.
struct reference {
  using memory = host_memory;

  /// c = alpha p(a) q(b) + beta c. Cost: 2 m n k FLOPs for an m x k by k x n product.
  template <real T>
  void gemm(op p, op q, T alpha, matrix_view<T const> a, matrix_view<T const> b, T beta,
            matrix_view<T> c) const {
    auto const inner = check_product(p, q, a, b, c);
    for (index_t i = 0; i < c.rows; ++i) {
      for (index_t j = 0; j < c.cols; ++j) {
        T sum = 0;
        for (index_t l = 0; l < inner; ++l) {
          sum += (p == op::none ? a(i, l) : a(l, i)) * (q == op::none ? b(l, j) : b(j, l));
        }
        c(i, j) = alpha * sum + (beta == T{0} ? T{0} : beta * c(i, j));
      }
    }
  }

  /// c(i, j) *= d[j]. Cost: one multiplication an entry.
  template <real T>
  void scale_columns(std::span<T const> d, matrix_view<T> c) const {
    check_scale_columns(d, c);
    for (index_t i = 0; i < c.rows; ++i) {
      for (index_t j = 0; j < c.cols; ++j) {
        c(i, j) *= d[static_cast<std::size_t>(j)];
      }
    }
  }
};

}  // namespace v0
}  // namespace eckart
