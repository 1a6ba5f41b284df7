#pragma once

#include "eckart/factor/cost.hpp"
#include "eckart/linalg/matmul.hpp"

#include <cmath>
#include <cstdint>
#include <utility>

namespace eckart {
inline namespace v0 {

struct full_core {};      ///< W = U S Vt with a full k x k core S
struct diagonal_core {};  ///< W = U diag(s) Vt
struct two_factor {};     ///< W = L R

/// An m x n matrix of rank k in factors. The form is part of the type.
template <real T, class Form>
class low_rank;

namespace detail {

template <class... Parts>
[[noreturn]] void refuse_factors(Parts const&... parts) {
  throw shape_error(message("low_rank: ", parts..., " do not fit together"));
}

template <real T>
auto shape_of_matrix(matrix<T> const& a) -> shape2 {
  return as_view(a).shape();
}

}  // namespace detail

/// W = U S Vt: U (m, k), S (k, k), Vt (k, n).
template <real T>
class low_rank<T, full_core> {
 public:
  static constexpr form stored_as = form::full_core;

  low_rank(matrix<T> u, matrix<T> core, matrix<T> vt)
      : u_(std::move(u)), core_(std::move(core)), vt_(std::move(vt)) {
    auto const k = this->u().cols;
    if (this->core().shape() != shape2{k, k} || this->vt().rows != k || k < 1) {
      detail::refuse_factors(this->u().shape(), ", ", this->core().shape(), ", ",
                             this->vt().shape());
    }
  }

  auto shape() const -> shape2 { return {u().rows, vt().cols}; }
  auto rank() const -> index_t { return u().cols; }
  auto u() const -> matrix_view<T const> { return as_view(u_); }        ///< (m, k)
  auto core() const -> matrix_view<T const> { return as_view(core_); }  ///< (k, k)
  auto vt() const -> matrix_view<T const> { return as_view(vt_); }      ///< (k, n)

 private:
  matrix<T> u_;
  matrix<T> core_;
  matrix<T> vt_;
};

/// W = U diag(s) Vt: U (m, k), s (k), Vt (k, n).
template <real T>
class low_rank<T, diagonal_core> {
 public:
  static constexpr form stored_as = form::diagonal_core;

  low_rank(matrix<T> u, vector<T> s, matrix<T> vt)
      : u_(std::move(u)), s_(std::move(s)), vt_(std::move(vt)) {
    auto const k = this->u().cols;
    if (static_cast<index_t>(s_.size()) != k || this->vt().rows != k || k < 1) {
      detail::refuse_factors(this->u().shape(), ", ", s_.size(), ", ", this->vt().shape());
    }
  }

  auto shape() const -> shape2 { return {u().rows, vt().cols}; }
  auto rank() const -> index_t { return u().cols; }
  auto u() const -> matrix_view<T const> { return as_view(u_); }    ///< (m, k)
  auto s() const -> std::span<T const> { return as_span(s_); }      ///< (k)
  auto vt() const -> matrix_view<T const> { return as_view(vt_); }  ///< (k, n)

 private:
  matrix<T> u_;
  vector<T> s_;
  matrix<T> vt_;
};

/// W = L R: L (m, k), R (k, n).
template <real T>
class low_rank<T, two_factor> {
 public:
  static constexpr form stored_as = form::two_factor;

  low_rank(matrix<T> left, matrix<T> right) : left_(std::move(left)), right_(std::move(right)) {
    if (this->left().cols != this->right().rows || rank() < 1) {
      detail::refuse_factors(this->left().shape(), ", ", this->right().shape());
    }
  }

  auto shape() const -> shape2 { return {left().rows, right().cols}; }
  auto rank() const -> index_t { return left().cols; }
  auto left() const -> matrix_view<T const> { return as_view(left_); }    ///< (m, k)
  auto right() const -> matrix_view<T const> { return as_view(right_); }  ///< (k, n)

 private:
  matrix<T> left_;
  matrix<T> right_;
};

/// Numbers stored.
template <real T, class Form>
auto parameters(low_rank<T, Form> const& w) -> std::uint64_t {
  return cost::parameters(w.stored_as, w.shape(), w.rank());
}

/// Where the singular values go when the core is absorbed into two factors.
enum class absorb {
  left,   ///< L = U diag(s)
  right,  ///< R = diag(s) Vt
  split   ///< sqrt(s) on both sides: factors of equal size, the safest for low precision
};

/// W = U diag(s) Vt as L R. Exact up to one rounding an entry (three for split).
template <real T>
auto to_two_factor(low_rank<T, diagonal_core> const& w, absorb where = absorb::split)
    -> low_rank<T, two_factor> {
  auto left = to_matrix(w.u());
  auto right = to_matrix(w.vt());
  auto const columns_of_left = as_view(left);
  for (index_t j = 0; j < w.rank(); ++j) {
    auto const s = w.s()[static_cast<std::size_t>(j)];
    auto const root = std::sqrt(std::abs(s));  // a core that is not from an SVD may be negative
    auto const signed_root = std::copysign(root, s);
    auto const to_left = where == absorb::left ? s : where == absorb::split ? signed_root : T{1};
    auto const to_right = where == absorb::right ? s : where == absorb::split ? root : T{1};
    for (index_t i = 0; i < columns_of_left.rows; ++i) {
      columns_of_left(i, j) *= to_left;
    }
    for (auto& x : as_view(right).row(j)) {
      x *= to_right;
    }
  }
  return {std::move(left), std::move(right)};
}

/// W = U S Vt as (U S) Vt. 2 m k² FLOPs.
template <real T>
auto to_two_factor(low_rank<T, full_core> const& w) -> low_rank<T, two_factor> {
  auto left = make_matrix<T>(w.u().shape());
  matmul(w.u(), w.core(), as_view(left));
  return {std::move(left), to_matrix(w.vt())};
}

/// The thesis's form: diag(s) written out as a k x k matrix. Exact.
template <real T>
auto to_full_core(low_rank<T, diagonal_core> const& w) -> low_rank<T, full_core> {
  auto const k = w.rank();
  auto core = make_matrix<T>({k, k});
  core.fill(T{0});
  for (index_t i = 0; i < k; ++i) {
    as_view(core)(i, i) = w.s()[static_cast<std::size_t>(i)];
  }
  return {to_matrix(w.u()), std::move(core), to_matrix(w.vt())};
}

/// The m x n matrix that the factors stand for. 2 m n k FLOPs.
template <real T>
auto to_dense(low_rank<T, two_factor> const& w) -> matrix<T> {
  auto result = make_matrix<T>(w.shape());
  matmul(w.left(), w.right(), as_view(result));
  return result;
}

template <real T>
auto to_dense(low_rank<T, full_core> const& w) -> matrix<T> {
  return to_dense(to_two_factor(w));
}

template <real T>
auto to_dense(low_rank<T, diagonal_core> const& w) -> matrix<T> {
  return to_dense(to_two_factor(w, absorb::left));
}

}  // namespace v0
}  // namespace eckart
