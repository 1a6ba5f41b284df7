#pragma once

#include "eckart/backend/cublas.hpp"
#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/pivoted.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

/// Factors in the memory of a GPU: the forms of low_rank.hpp and pivoted.hpp, made by to_device.
namespace eckart {
inline namespace v0 {

/// An m x n matrix of rank k in factors, on a device.
template <device_number T, class Form>
class device_low_rank;

/// W = U S Vt: U (m, k), S (k, k), Vt (k, n).
template <device_number T>
class device_low_rank<T, full_core> {
 public:
  device_low_rank(device_matrix<T> u, device_matrix<T> core, device_matrix<T> vt)
      : u_(std::move(u)), core_(std::move(core)), vt_(std::move(vt)) {
    auto const k = rank();
    if (this->core().shape() != shape2{k, k} || this->vt().rows != k || k < 1) {
      detail::refuse_factors(this->u().shape(), ", ", this->core().shape(), ", ",
                             this->vt().shape());
    }
  }

  auto shape() const -> shape2 { return {u().rows, vt().cols}; }
  auto rank() const -> index_t { return u().cols; }
  auto u() const -> device_view<T const> { return u_.view(); }        ///< (m, k)
  auto core() const -> device_view<T const> { return core_.view(); }  ///< (k, k)
  auto vt() const -> device_view<T const> { return vt_.view(); }      ///< (k, n)

 private:
  device_matrix<T> u_;
  device_matrix<T> core_;
  device_matrix<T> vt_;
};

/// W = U diag(s) Vt: U (m, k), s (1, k), Vt (k, n).
template <device_number T>
class device_low_rank<T, diagonal_core> {
 public:
  device_low_rank(device_matrix<T> u, device_matrix<T> s, device_matrix<T> vt)
      : u_(std::move(u)), s_(std::move(s)), vt_(std::move(vt)) {
    auto const k = rank();
    if (this->s().shape() != shape2{1, k} || this->vt().rows != k || k < 1) {
      detail::refuse_factors(this->u().shape(), ", ", this->s().shape(), ", ", this->vt().shape());
    }
  }

  auto shape() const -> shape2 { return {u().rows, vt().cols}; }
  auto rank() const -> index_t { return u().cols; }
  auto u() const -> device_view<T const> { return u_.view(); }    ///< (m, k)
  auto s() const -> device_view<T const> { return s_.view(); }    ///< (1, k)
  auto vt() const -> device_view<T const> { return vt_.view(); }  ///< (k, n)

 private:
  device_matrix<T> u_;
  device_matrix<T> s_;
  device_matrix<T> vt_;
};

/// W = L R: L (m, k), R (k, n).
template <device_number T>
class device_low_rank<T, two_factor> {
 public:
  device_low_rank(device_matrix<T> left, device_matrix<T> right)
      : left_(std::move(left)), right_(std::move(right)) {
    if (this->left().cols != this->right().rows || rank() < 1) {
      detail::refuse_factors(this->left().shape(), ", ", this->right().shape());
    }
  }

  auto shape() const -> shape2 { return {left().rows, right().cols}; }
  auto rank() const -> index_t { return left().cols; }
  auto left() const -> device_view<T const> { return left_.view(); }    ///< (m, k)
  auto right() const -> device_view<T const> { return right_.view(); }  ///< (k, n)

 private:
  device_matrix<T> left_;
  device_matrix<T> right_;
};

/// W = P [1; C] K with the kept rows K (k, n) and the combinations C (m - k, k). The products x K^T
/// (rows, k) and (x K^T) C^T (rows, m - k) are computed side by side into one matrix of width()
/// columns, from which y takes its own: column j of y stands there at source()[j].
template <device_number T>
class device_low_rank<T, pivoted> {
 public:
  /// places: (m) the columns of y in which the kept rows and then the others belong.
  device_low_rank(device_matrix<T> kept, device_matrix<T> combinations,
                  std::span<index_t const> places, cudaStream_t stream)
      : kept_(std::move(kept)), combinations_(std::move(combinations)) {
    auto const k = rank();
    if (k < 1 || this->combinations().cols != k ||
        this->combinations().rows + k != static_cast<index_t>(places.size())) {
      detail::refuse_factors(this->kept().shape(), ", ", this->combinations().shape(), ", ",
                             places.size(), " rows");
    }
    std::vector<int> source(places.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      auto const column = static_cast<index_t>(i);
      source.at(static_cast<std::size_t>(places[i])) =
          to_blas_int(column < k ? column : others_begin() + column - k);
    }
    auto const m = static_cast<index_t>(source.size());
    source_ = device_matrix<int>({1, m});
    copy_to_device(matrix_view<int const>(source.data(), 1, m), source_.view(), stream);
  }

  auto shape() const -> shape2 { return {combinations().rows + rank(), kept().cols}; }
  auto rank() const -> index_t { return kept().rows; }
  auto kept() const -> device_view<T const> { return kept_.view(); }                  ///< (k, n)
  auto combinations() const -> device_view<T const> { return combinations_.view(); }  ///< (m-k, k)
  auto source() const -> int const* { return source_.view().data; }                   ///< (m)

  /// The first column of the others in the matrix that both products are written to, and its width:
  /// multiples of 16 numbers, without which tensor cores read slower.
  auto others_begin() const -> index_t { return rounded_up(rank()); }
  auto width() const -> index_t { return others_begin() + rounded_up(combinations().rows); }

 private:
  static auto rounded_up(index_t n) -> index_t { return (n + 15) / 16 * 16; }

  device_matrix<T> kept_;
  device_matrix<T> combinations_;
  device_matrix<int> source_;  // (1, m)
};

/// The factors on the device, their numbers rounded to U. Throws as copy_to_device.
template <device_number U, real T>
auto to_device(low_rank<T, full_core> const& w, cudaStream_t stream)
    -> device_low_rank<U, full_core> {
  return {to_device<U>(w.u(), stream), to_device<U>(w.core(), stream),
          to_device<U>(w.vt(), stream)};
}

template <device_number U, real T>
auto to_device(low_rank<T, diagonal_core> const& w, cudaStream_t stream)
    -> device_low_rank<U, diagonal_core> {
  auto const s = matrix_view<T const>(w.s().data(), 1, w.rank());
  return {to_device<U>(w.u(), stream), to_device<U>(s, stream), to_device<U>(w.vt(), stream)};
}

template <device_number U, real T>
auto to_device(low_rank<T, two_factor> const& w, cudaStream_t stream)
    -> device_low_rank<U, two_factor> {
  return {to_device<U>(w.left(), stream), to_device<U>(w.right(), stream)};
}

template <device_number U, real T>
auto to_device(low_rank<T, pivoted> const& w, cudaStream_t stream) -> device_low_rank<U, pivoted> {
  return {to_device<U>(w.kept(), stream), to_device<U>(w.combinations(), stream),
          std::vector<index_t>(w.rows().begin(), w.rows().end()), stream};
}

/// The same in the order of the backend's stream.
template <device_number U, real T, class Form>
auto to_device(low_rank<T, Form> const& w, cublas const& backend) -> device_low_rank<U, Form> {
  return to_device<U>(w, backend.stream());
}
template <class Form, real T>
auto to_device(low_rank<T, Form> const& w, cublas const& backend) -> device_low_rank<T, Form> {
  return to_device<T>(w, backend.stream());
}

}  // namespace v0
}  // namespace eckart
