#pragma once

#include "eckart/backend/few_rows.hpp"
#include "eckart/backend/packed_rows.hpp"
#include "eckart/core/parallel.hpp"

#include <algorithm>
#include <optional>

/// Products of few rows by the kernel for their number, alone or two of them one after the other.
namespace eckart {
inline namespace v0 {
namespace detail {

/// y = alpha x w^T + beta y with x (rows, k), w (n, k), y (rows, n), or, where a row (n) is given,
/// alpha x w^T + that row in every row. Called for a range of the rows of w by each thread.
class row_product {
 public:
  /// Where fits(y.shape()).
  row_product(float alpha, matrix_view<float const> x, matrix_view<float const> w, float beta,
              float const* row, matrix_view<float> y)
      : alpha_(alpha), x_(x), w_(w), beta_(row == nullptr ? beta : 1), row_(row), y_(y) {
    if (packs(y.shape())) {
      shape_ = packed_shape_for(x.rows);
      ordered_.emplace(x, shape_);
    }
  }

  static auto fits(shape2 y) -> bool {
    return y.cols > 1 && (packs(y) || y.rows <= few_rows_limit);
  }

  /// Rows of w that belong together, and numbers that each costs.
  auto group() const -> index_t { return ordered_ ? packed_tile : weight_tile; }
  auto cost() const -> index_t {
    return std::max<index_t>(1, w_.cols) * (ordered_ ? shape_.rows : x_.rows);
  }
  auto outputs() const -> index_t { return w_.rows; }

  void operator()(index_t first, index_t last) const {
    for (index_t i = 0; row_ != nullptr && i < y_.rows; ++i) {
      std::copy(row_ + first, row_ + last, &y_(i, first));
    }
    if (ordered_) {
      multiply_packed(shape_, ordered_->of_this_thread(), alpha_, w_, beta_, y_, first, last);
    } else {
      multiply_rows(best_kernels(), alpha_, x_, w_, beta_, y_, first, last);
    }
  }

  /// The part of one of `workers` threads.
  void part(index_t worker, index_t workers) const {
    auto const groups = (w_.rows + group() - 1) / group();
    auto const first = groups * worker / workers * group();
    auto const last = std::min(w_.rows, groups * (worker + 1) / workers * group());
    if (first < last) {
      (*this)(first, last);
    }
  }

 private:
  static auto packs(shape2 y) -> bool {
    return y.rows >= packed_rows_from && can_pack_rows(y.rows, y.cols);
  }

  float alpha_;
  matrix_view<float const> x_;
  matrix_view<float const> w_;
  float beta_;
  float const* row_;
  matrix_view<float> y_;
  packed_shape shape_{};
  std::optional<ordered_rows> ordered_;  // for the kernels of packed_rows.hpp
};

/// On all threads where it is large enough.
inline void multiply(row_product const& product) {
  parallel_pieces(product.outputs(), product.group(), product.cost(), product);
}

/// Two products, of which the second reads what the first writes: the threads are woken once, and
/// what is between stays in the caches.
inline void multiply_in_turn(row_product const& first, row_product const& second) {
  auto const cost = first.outputs() * first.cost() + second.outputs() * second.cost();
  if (cost <= worth_waking || worker_count() == 1) {
    first.part(0, 1);
    second.part(0, 1);
    return;
  }
  parallel_in_turn([&](index_t worker, index_t workers) { first.part(worker, workers); },
                   [&](index_t worker, index_t workers) { second.part(worker, workers); });
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
