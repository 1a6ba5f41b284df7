#pragma once

#include "eckart/compress/fit_engine.hpp"
#include "eckart/compress/scatter.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

/// What calibration gathers of the vectors that enter a linear layer: their number, mean and
/// covariance, and their covariance with what the layer should answer. Nothing else of the data is
/// needed to find the best layer of any rank (compress/whiten.hpp).
namespace eckart {
inline namespace v0 {

/// Number, mean and covariance of vectors that come in pieces. Blocks of 2048 rows are centred and
/// multiplied in their own precision and added in double, so that neither many rows nor a large
/// mean cost accuracy. n² numbers of memory; n² FLOPs a row.
class input_moments {
 public:
  explicit input_moments(index_t width)
      : mean_(make_vector<double>(width)), scatter_(make_matrix<double>({width, width})) {
    mean_.fill(0);
    scatter_.fill(0);
  }

  /// From what was saved: the covariance divides by the count; of it the upper triangle is read.
  /// Throws shape_error, numerical_error for what is not finite.
  input_moments(index_t count, vector<double> mean, matrix<double> covariance)
      : count_(count), mean_(std::move(mean)), scatter_(std::move(covariance)) {
    auto const n = static_cast<index_t>(mean_.size());
    if (count < 0 || as_view(scatter_).shape() != shape2{n, n}) {
      throw shape_error(message("input_moments: ", count, " rows, mean of ", n, ", covariance ",
                                as_view(scatter_).shape()));
    }
    detail::refuse_non_finite(matrix_view<double const>(mean_.data(), 1, n), "input_moments, mean");
    detail::refuse_non_finite(matrix_view<double const>(as_view(scatter_)),
                              "input_moments, covariance");
    for (auto& value : scatter_) {
      value *= static_cast<double>(count_);
    }
  }

  auto width() const -> index_t { return static_cast<index_t>(mean_.size()); }
  auto count() const -> index_t { return count_; }
  auto mean() const -> vector<double> const& { return mean_; }

  /// Adds the rows of x (rows, width). Throws shape_error, numerical_error for an entry that is not
  /// finite, before anything is added, and for one whose square is not.
  template <matrix_like A, fit_engine Engine = host_engine>
  void add(A const& a, Engine const& engine = {}) {
    auto const x = matrix_view<value_t<A> const>(as_view(a));
    detail::refuse_moments("input_moments", x.shape(), width());
    detail::refuse_non_finite_rows("input_moments", x, 0, x.rows);
    add_rows(x, engine);
  }

  /// Adds the rows before the padding of x (batch * tokens, width), sentence after sentence. What
  /// the padding holds does not matter. Throws as above.
  template <matrix_like A>
  void add(A const& a, std::span<index_t const> key_lengths) {
    auto const x = matrix_view<value_t<A> const>(as_view(a));
    auto const batch = static_cast<index_t>(key_lengths.size());
    if (batch == 0 || x.rows % batch != 0) {
      throw shape_error(message("input_moments: ", x.rows, " rows for ", batch, " sentences"));
    }
    detail::refuse_moments("input_moments", x.shape(), width());
    auto const tokens = x.rows / batch;
    auto const length = [&](index_t b) { return key_lengths[static_cast<std::size_t>(b)]; };
    for (index_t b = 0; b < batch; ++b) {
      if (length(b) < 0 || length(b) > tokens) {
        throw shape_error(
            message("input_moments: sentence ", b, " has ", length(b), " of ", tokens, " tokens"));
      }
      detail::refuse_non_finite_rows("input_moments", x, b * tokens, length(b));
    }
    for (index_t b = 0; b < batch; ++b) {
      add_rows(x.row_range(b * tokens, length(b)), host_engine());
    }
  }

  /// E[(x - mean)(x - mean)^T] (width, width). Zero for no rows.
  auto covariance() const -> matrix<double> {
    auto result = scatter_;
    auto const c = as_view(result);
    auto const n = static_cast<double>(std::max<index_t>(count_, 1));
    for (auto& sum : result) {
      sum /= n;
    }
    detail::mirror_upper(c);
    return result;
  }

  /// E[x x^T] = covariance + mean mean^T.
  auto second_moment() const -> matrix<double> {
    auto result = covariance();
    auto const g = as_view(result);
    for (index_t i = 0; i < g.rows; ++i) {
      for (index_t j = 0; j < g.cols; ++j) {
        g(i, j) += mean_(static_cast<std::size_t>(i)) * mean_(static_cast<std::size_t>(j));
      }
    }
    return result;
  }

 private:
  friend class joint_moments;

  template <real T, class Engine>
  void add_rows(matrix_view<T const> x, Engine const& engine) {
    for (index_t first = 0; first < x.rows; first += detail::moment_block) {
      add_block(x.row_range(first, std::min(detail::moment_block, x.rows - first)), engine);
    }
  }

  template <real T, class Engine>
  void add_block(matrix_view<T const> x, Engine const& engine) {
    auto const mean = detail::row_mean(x);
    auto const centred = detail::centred_rows(x, mean);
    add_centred(matrix_view<T const>(as_view(centred)), mean, engine);
  }

  // A block of rows less its mean.
  template <real T, class Engine>
  void add_centred(matrix_view<T const> centred, vector<double> const& block_mean,
                   Engine const& engine) {
    auto product = make_matrix<T>({width(), width()});
    engine.upper_gram(centred, as_view(product));
    detail::refuse_overflow("input_moments", matrix_view<T const>(as_view(product)));
    auto const step = detail::difference(block_mean, mean_);
    detail::add_scatter(matrix_view<T const>(as_view(product)),
                        detail::joint_weight(count_, centred.rows), step, step, detail::part::upper,
                        as_view(scatter_));
    detail::move_mean(mean_, step, count_, centred.rows);
    count_ += centred.rows;
  }

  index_t count_ = 0;
  vector<double> mean_;     // (width)
  matrix<double> scatter_;  // (width, width), sum of (x - mean)(x - mean)^T, upper triangle
};

/// The moments of inputs x and of the outputs t that a layer should answer to them, which need not
/// be a function of x: the same tokens in another model, say. n² + 2 m n FLOPs a row.
class joint_moments {
 public:
  /// Of what a layer answers, t = W x' + b with W (m, n') and b (m) or empty, and inputs x, where
  /// `pairs` has the moments of x' as outputs with x: the products with all rows are n' n of the
  /// layer's inputs and not m n of its outputs. The variance of t stays unknown. 2 m n' n FLOPs in
  /// double. Throws shape_error.
  template <matrix_like A>
  joint_moments(A const& w, std::span<value_t<A> const> bias, joint_moments const& pairs)
      : joint_moments(matrix_view<value_t<A> const>(as_view(w)).rows, pairs.inputs().width()) {
    auto const weight = matrix_view<value_t<A> const>(as_view(w));
    auto const inputs = static_cast<index_t>(pairs.output_mean_.size());
    if (weight.cols != inputs ||
        (!bias.empty() && static_cast<index_t>(bias.size()) != weight.rows)) {
      throw shape_error(message("joint_moments: a ", weight.shape(), " layer with ", bias.size(),
                                " biases for pairs of ", inputs, " numbers with ",
                                inputs_.width()));
    }
    inputs_ = pairs.inputs_;
    output_scatter_.reset();
    auto const wide = in_double(weight);
    auto const from = matrix_view<double const>(as_view(wide));
    openblas{}.gemm(op::none, op::none, 1.0, from,
                    matrix_view<double const>(as_view(pairs.cross_scatter_)), 0.0,
                    as_view(cross_scatter_));
    for (index_t i = 0; i < weight.rows; ++i) {
      auto const row = from.row(i);
      auto const at = static_cast<std::size_t>(i);
      output_mean_(at) = std::inner_product(row.begin(), row.end(), pairs.output_mean_.begin(),
                                            bias.empty() ? 0.0 : static_cast<double>(bias[at]));
    }
  }

  joint_moments(index_t outputs, index_t inputs)
      : inputs_(inputs),
        output_mean_(make_vector<double>(outputs)),
        output_scatter_(make_vector<double>(outputs)),
        cross_scatter_(make_matrix<double>({outputs, inputs})) {
    output_mean_.fill(0);
    output_scatter_->fill(0);
    cross_scatter_.fill(0);
  }

  auto inputs() const -> input_moments const& { return inputs_; }
  auto output_mean() const -> vector<double> const& { return output_mean_; }

  /// Adds pairs of rows: t (rows, outputs), x (rows, inputs). Throws as input_moments.
  template <matrix_like A, matrix_like B, fit_engine Engine = host_engine>
  requires std::same_as<value_t<A>, value_t<B>>
  void add(A const& outputs, B const& inputs, Engine const& engine = {}) {
    auto const t = matrix_view<value_t<A> const>(as_view(outputs));
    auto const x = matrix_view<value_t<B> const>(as_view(inputs));
    detail::refuse_moments("joint_moments", t.shape(), static_cast<index_t>(output_mean_.size()));
    detail::refuse_moments("joint_moments", x.shape(), inputs_.width());
    if (t.rows != x.rows) {
      throw shape_error(message("joint_moments: ", t.rows, " outputs for ", x.rows, " inputs"));
    }
    detail::refuse_non_finite_rows("joint_moments, outputs", t, 0, t.rows);
    detail::refuse_non_finite_rows("joint_moments, inputs", x, 0, x.rows);
    for (index_t first = 0; first < x.rows; first += detail::moment_block) {
      auto const rows = std::min(detail::moment_block, x.rows - first);
      add_block(t.row_range(first, rows), x.row_range(first, rows), engine);
    }
  }

  /// E[(t - mean)(x - mean)^T] (outputs, inputs).
  auto cross_covariance() const -> matrix<double> {
    auto result = cross_scatter_;
    for (auto& value : result) {
      value /= static_cast<double>(std::max<index_t>(inputs_.count(), 1));
    }
    return result;
  }

  /// Variance of each output (outputs), where it is known.
  auto output_variance() const -> std::optional<vector<double>> {
    auto result = output_scatter_;
    if (result) {
      for (auto& value : *result) {
        value /= static_cast<double>(std::max<index_t>(inputs_.count(), 1));
      }
    }
    return result;
  }

 private:
  template <real T>
  static auto in_double(matrix_view<T const> a) -> matrix<double> {
    auto result = make_matrix<double>(a.shape());
    for (index_t i = 0; i < a.rows; ++i) {
      std::ranges::copy(a.row(i), as_view(result).row(i).begin());
    }
    return result;
  }

  template <real T, class Engine>
  void add_block(matrix_view<T const> t, matrix_view<T const> x, Engine const& engine) {
    auto const t_mean = detail::row_mean(t);
    auto const x_mean = detail::row_mean(x);
    auto const t_centred = detail::centred_rows(t, t_mean);
    auto const x_centred = detail::centred_rows(x, x_mean);
    auto product = make_matrix<T>({t.cols, x.cols});
    engine.product_of_transpose(matrix_view<T const>(as_view(t_centred)), as_view(x_centred),
                                as_view(product));
    detail::refuse_non_finite(matrix_view<T const>(as_view(product)),
                              "joint_moments, products of outputs and inputs");
    auto const before = inputs_.count();
    auto const weight = detail::joint_weight(before, x.rows);
    auto const t_step = detail::difference(t_mean, output_mean_);
    auto const x_step = detail::difference(x_mean, inputs_.mean());
    // May throw, so before anything changes here.
    inputs_.add_centred(matrix_view<T const>(as_view(x_centred)), x_mean, engine);
    detail::add_scatter(matrix_view<T const>(as_view(product)), weight, t_step, x_step,
                        detail::part::all, as_view(cross_scatter_));
    auto const squares = detail::column_squares(matrix_view<T const>(as_view(t_centred)));
    for (std::size_t j = 0; output_scatter_ && j < squares.size(); ++j) {
      (*output_scatter_)(j) += squares(j) + weight * t_step(j) * t_step(j);
    }
    detail::move_mean(output_mean_, t_step, before, x.rows);
  }

  input_moments inputs_;
  vector<double> output_mean_;                    // (outputs)
  std::optional<vector<double>> output_scatter_;  // (outputs), sum of (t - mean)²
  matrix<double> cross_scatter_;  // (outputs, inputs), sum of (t - mean)(x - mean)^T
};

}  // namespace v0
}  // namespace eckart
