#pragma once

#include <complex>
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

/// The complex numbers. Products and the SVD take them; factor forms and layers are real.
template <class T>
concept complex_number =
    std::same_as<T, std::complex<float>> || std::same_as<T, std::complex<double>>;

/// Real or complex.
template <class T>
concept scalar = real<T> || complex_number<T>;

namespace detail {

template <scalar T>
struct real_part {
  using type = T;
};
template <real T>
struct real_part<std::complex<T>> {
  using type = T;
};

}  // namespace detail

/// The type of |x|: T for a real T, the type of both parts for a complex one.
template <scalar T>
using real_of = typename detail::real_part<T>::type;

/// A container with rank-2 storage that can be read in place: data pointer, shape and strides.
/// xt::xtensor<T, 2>, an adaptor over a std::vector, and a view with unit column stride model it;
/// a lazy expression does not (lazy_matrix).
template <class E>
concept dense_matrix = requires(E& e) {
  typename E::value_type;
  e.data();
  { e.shape(std::size_t{0}) } -> std::convertible_to<std::size_t>;
  { e.strides()[0] } -> std::convertible_to<std::ptrdiff_t>;
  { e.dimension() } -> std::convertible_to<std::size_t>;
};

/// An expression of xtensor that computes an element when it is asked for and holds no storage to
/// read in place: 2 * a + b, a product of views, a choice of rows.
template <class E>
concept lazy_matrix = !dense_matrix<E> && requires(E const& e) {
  typename E::value_type;
  { e.dimension() } -> std::convertible_to<std::size_t>;
  { e.shape(std::size_t{0}) } -> std::convertible_to<std::size_t>;
  { e(std::size_t{0}, std::size_t{0}) } -> std::convertible_to<typename E::value_type>;
};

}  // namespace v0
}  // namespace eckart
