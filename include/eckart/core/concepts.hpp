#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace eckart {
inline namespace v0 {

/// Sizes and positions. BLAS's own 32-bit integer appears only inside backend/.
using index_t = std::int64_t;

/// The scalars that every algorithm is compiled and tested for.
template <class T>
concept real = std::same_as<T, float> || std::same_as<T, double>;

/// A container with rank-2 storage that can be read in place: data pointer, shape and strides.
/// xt::xtensor<T, 2>, an adaptor over a std::vector, and a view with unit column stride model it;
/// a lazy expression does not.
template <class E>
concept dense_matrix = requires(E& e) {
  typename E::value_type;
  e.data();
  { e.shape(std::size_t{0}) } -> std::convertible_to<std::size_t>;
  { e.strides()[0] } -> std::convertible_to<std::ptrdiff_t>;
  { e.dimension() } -> std::convertible_to<std::size_t>;
};

}  // namespace v0
}  // namespace eckart
