#pragma once

#include "eckart/backend/concept.hpp"

#include <cstdint>

namespace eckart {
inline namespace v0 {

/// Does what Inner does and counts it, so that a cost formula can be held against the products
/// that really happen. Not shared between threads.
template <class Inner>
struct counting {
  using memory = typename Inner::memory;

  Inner inner{};
  std::uint64_t mutable flops = 0;  ///< real additions and multiplications of the products
  std::uint64_t mutable bytes = 0;  ///< operands read and results written, each once

  template <scalar T>
  void gemm(op p, op q, T alpha, matrix_view<T const> a, matrix_view<T const> b, T beta,
            matrix_view<T> c) const {
    auto const k = check_product(p, q, a, b, c);
    inner.gemm(p, q, alpha, a, b, beta, c);
    flops += (product_flops<T> + sum_flops<T>)*static_cast<std::uint64_t>(c.size() * k);
    auto const touched = a.size() + b.size() + (beta == T{0} ? 1 : 2) * c.size();
    bytes += sizeof(T) * static_cast<std::uint64_t>(touched);
  }

  template <scalar T>
  void scale_columns(std::span<T const> d, matrix_view<T> c) const {
    inner.scale_columns(d, c);
    flops += product_flops<T> * static_cast<std::uint64_t>(c.size());
    bytes += sizeof(T) * (d.size() + 2 * static_cast<std::uint64_t>(c.size()));
  }

  void reset() const { flops = bytes = 0; }

 private:
  // Of one multiplication and one addition: (a + bi)(c + di) are four products and two sums.
  template <scalar T>
  static constexpr std::uint64_t product_flops = complex_number<T> ? 6 : 1;
  template <scalar T>
  static constexpr std::uint64_t sum_flops = complex_number<T> ? 2 : 1;
};

}  // namespace v0
}  // namespace eckart
