#pragma once

#include "eckart/nn/attention.hpp"
#include "eckart/nn/feed_forward.hpp"
#include "eckart/nn/linear.hpp"
#include "support/matrix_check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

// What the tests of nn share: random layers, and the same layers as plain loops in double that
// carry a bound on the rounding of the library's computation along with every entry (running error
// analysis: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.3).
namespace nn_test {

using eckart::index_t;
using eckart::matrix_view;
using support::epsilon;  // twice the unit roundoff: pays for second-order terms and the loops here
using support::has;
using support::in_double;
using support::refusal;

inline constexpr std::array stored_forms{eckart::form::dense, eckart::form::two_factor,
                                         eckart::form::diagonal_core, eckart::form::full_core,
                                         eckart::form::pivoted};

/// Uniform in [-1, 1), the same numbers with every standard library.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) : engine_(seed) {}

  auto number() -> double { return static_cast<double>(engine_() >> 11) * 0x1p-52 - 1.0; }
  /// from `least` to `most`, both possible.
  auto integer(index_t least, index_t most) -> index_t {
    return least + static_cast<index_t>(engine_() % static_cast<std::uint64_t>(most - least + 1));
  }
  template <class T>
  auto matrix(index_t rows, index_t cols) -> eckart::matrix<T> {
    auto result = eckart::make_matrix<T>({rows, cols});
    std::ranges::generate(result, [this] { return static_cast<T>(number()); });
    return result;
  }
  template <class T>
  auto vector(index_t n) -> eckart::vector<T> {
    auto result = eckart::make_vector<T>(n);
    std::ranges::generate(result, [this] { return static_cast<T>(number()); });
    return result;
  }
  /// A layer in any form. Entries of order 1/sqrt(inputs), so that outputs are of order 1.
  template <class T>
  auto linear(index_t outputs, index_t inputs, eckart::form stored_as = eckart::form::dense,
              index_t rank = 0, bool with_bias = true) -> eckart::linear<T> {
    auto const scaled = [&](index_t rows, index_t cols) {
      auto m = matrix<T>(rows, cols);
      auto const scale = static_cast<T>(1.5 / std::sqrt(static_cast<double>(cols)));
      std::ranges::for_each(m, [scale](T& x) { x *= scale; });
      return m;
    };
    auto bias = with_bias ? std::optional(vector<T>(outputs)) : std::nullopt;
    switch (stored_as) {
      case eckart::form::two_factor:
        return eckart::linear<T>(
            eckart::low_rank<T, eckart::two_factor>{scaled(outputs, rank), scaled(rank, inputs)},
            std::move(bias));
      case eckart::form::diagonal_core:
        return eckart::linear<T>(
            eckart::low_rank<T, eckart::diagonal_core>{scaled(outputs, rank), vector<T>(rank),
                                                       scaled(rank, inputs)},
            std::move(bias));
      case eckart::form::full_core:
        return eckart::linear<T>(
            eckart::low_rank<T, eckart::full_core>{scaled(outputs, rank), scaled(rank, rank),
                                                   scaled(rank, inputs)},
            std::move(bias));
      case eckart::form::pivoted:
        return eckart::linear<T>(eckart::to_pivoted(eckart::low_rank<T, eckart::two_factor>{
                                     scaled(outputs, rank), scaled(rank, inputs)}),
                                 std::move(bias));
      default:
        return eckart::linear<T>(scaled(outputs, inputs), std::move(bias));
    }
  }
  /// All four projections dense, or all in two factors of half the width.
  template <class T>
  auto attention(index_t heads, index_t width, eckart::form stored_as = eckart::form::dense)
      -> eckart::multi_head_attention<T> {
    auto const one = [&] { return linear<T>(width, width, stored_as, (width + 1) / 2); };
    auto q = one();
    auto k = one();
    auto v = one();
    return {heads, std::move(q), std::move(k), std::move(v), one()};
  }

 private:
  std::mt19937_64 engine_;
};

/// Entries and, for each, how far the library's result may be from it.
struct bounded {
  eckart::matrix<double> value;
  eckart::matrix<double> error;

  auto rows() const -> index_t { return eckart::as_view(value).rows; }
  auto cols() const -> index_t { return eckart::as_view(value).cols; }
};

inline auto zeros(index_t rows, index_t cols) -> eckart::matrix<double> {
  auto result = eckart::make_matrix<double>({rows, cols});
  result.fill(0.0);
  return result;
}

/// Numbers that are what they are.
template <class T>
auto exact(matrix_view<T> from) -> bounded {
  return {in_double(from), zeros(from.rows, from.cols)};
}

inline auto diagonal(auto const& values) -> eckart::matrix<double> {
  auto const k = static_cast<index_t>(values.size());
  auto result = zeros(k, k);
  for (index_t i = 0; i < k; ++i) {
    eckart::as_view(result)(i, i) = values[static_cast<std::size_t>(i)];
  }
  return result;
}

/// The factors of a weight from left to right, a dense one as the only one.
template <class T>
auto factors_of(eckart::linear<T> const& layer) -> std::vector<eckart::matrix<double>> {
  using namespace eckart;
  struct visitor {
    using list = std::vector<matrix<double>>;
    auto operator()(matrix<T> const& w) const -> list { return {in_double(as_view(w))}; }
    auto operator()(low_rank<T, two_factor> const& w) const -> list {
      return {in_double(w.left()), in_double(w.right())};
    }
    auto operator()(low_rank<T, diagonal_core> const& w) const -> list {
      return {in_double(w.u()), diagonal(w.s()), in_double(w.vt())};
    }
    auto operator()(low_rank<T, full_core> const& w) const -> list {
      return {in_double(w.u()), in_double(w.core()), in_double(w.vt())};
    }
    auto operator()(low_rank<T, pivoted> const& w) const -> list {
      return (*this)(to_two_factor(w));
    }
    auto operator()(int8_rows<T> const& w) const -> list { return (*this)(to_dense(w)); }
  };
  return std::visit(visitor{}, layer.stored_weight());
}

inline auto rows_of(bounded const& from, index_t first, index_t count) -> bounded {
  return {eckart::to_matrix(eckart::as_view(from.value).row_range(first, count)),
          eckart::to_matrix(eckart::as_view(from.error).row_range(first, count))};
}

/// y = x W^T + b.
template <class T>
auto plain_linear(bounded const& x, eckart::linear<T> const& layer) -> bounded {
  auto const factors = factors_of(layer);
  auto weight = factors.front();
  auto size = support::magnitudes(eckart::as_view(factors.front()));
  double operations = static_cast<double>(layer.shape().cols) + 4;
  for (std::size_t f = 1; f < factors.size(); ++f) {
    operations += static_cast<double>(eckart::as_view(factors[f]).rows) + 1;
    weight = support::product(weight, factors[f]);
    size = support::product(size, support::magnitudes(eckart::as_view(factors[f])));
  }
  auto const w = eckart::as_view(weight);
  auto const in = eckart::as_view(x.value);
  bounded y{zeros(in.rows, w.rows), zeros(in.rows, w.rows)};
  for (index_t i = 0; i < in.rows; ++i) {
    for (index_t j = 0; j < w.rows; ++j) {
      auto const bias =
          layer.bias() ? static_cast<double>((*layer.bias())[static_cast<std::size_t>(j)]) : 0.0;
      double sum = bias;
      double sizes = std::abs(bias);
      double carried = 0;
      for (index_t l = 0; l < w.cols; ++l) {
        sum += in(i, l) * w(j, l);
        sizes += std::abs(in(i, l)) * eckart::as_view(size)(j, l);
        carried += eckart::as_view(x.error)(i, l) * eckart::as_view(size)(j, l);
      }
      eckart::as_view(y.value)(i, j) = sum;
      eckart::as_view(y.error)(i, j) = carried + operations * epsilon<T> * (sizes + carried);
    }
  }
  return y;
}

/// The columns [from, from + count).
struct columns {
  index_t from;
  index_t count;
};
struct head {
  columns queries;  ///< of q and k
  columns values;   ///< of v and the result
};

/// One head: softmax(scale q k^T) v over the keys before visible(query).
template <class T, class Visible>
void plain_head(bounded const& q, bounded const& k, bounded const& v, head at, double scale,
                Visible visible, bounded& context) {
  auto const from = at.queries.from;
  auto const d = at.queries.count;
  for (index_t i = 0; i < q.rows(); ++i) {
    auto const count = static_cast<std::size_t>(visible(i));
    std::vector<double> score(count);
    double shift = 0;  // bound on the error of any score
    double extent = 0;
    for (std::size_t j = 0; j < count; ++j) {
      double carried = 0;
      double sizes = 0;
      for (index_t c = from; c < from + d; ++c) {
        auto const a = q.value(i, c);
        auto const b = k.value(j, c);
        auto const off_a = q.error(i, c);
        auto const off_b = k.error(j, c);
        score[j] += scale * a * b;
        sizes += std::abs(scale * a * b);
        carried += std::abs(scale) * (std::abs(a) * off_b + off_a * (std::abs(b) + off_b));
      }
      shift =
          std::max(shift, carried + (static_cast<double>(d) + 4) * epsilon<T> * (sizes + carried));
      extent = std::max(extent, std::abs(score[j]));
    }
    auto const largest = *std::ranges::max_element(score);
    double total = 0;
    for (auto& s : score) {
      s = std::exp(s - largest);
      total += s;
    }
    // exp(x + e) = exp(x) exp(e) in numerator and denominator; the difference of two scores has
    // twice their error and is rounded once.
    auto const off = std::expm1(2 * (2 * shift + 2 * epsilon<T> * (extent + shift))) +
                     (static_cast<double>(count) + 8) * epsilon<T>;
    for (index_t c = at.values.from; c < at.values.from + at.values.count; ++c) {
      double sum = 0;
      double carried = 0;
      double sizes = 0;
      for (std::size_t j = 0; j < count; ++j) {
        auto const p = score[j] / total;
        sum += p * v.value(j, c);
        sizes += p * std::abs(v.value(j, c));
        carried += p * (1 + off) * v.error(j, c);
      }
      context.value(i, c) = sum;
      context.error(i, c) =
          carried + (sizes + carried) * (off + (static_cast<double>(count) + 2) * epsilon<T>);
    }
  }
}

/// Multi-head attention of the queries x (queries, width) on memory (keys, inputs).
template <class T, class Visible>
auto plain_attention(eckart::multi_head_attention<T> const& layer, bounded const& x,
                     bounded const& memory, Visible visible) -> bounded {
  auto const q = plain_linear(x, *layer.q_proj);
  auto const k = plain_linear(memory, *layer.k_proj);
  auto const v = plain_linear(memory, *layer.v_proj);
  auto const width = q.cols();
  bounded context{zeros(q.rows(), width), zeros(q.rows(), width)};
  auto const d = width / layer.heads;
  auto const scale = 1 / std::sqrt(static_cast<double>(d));
  for (index_t h = 0; h < layer.heads; ++h) {
    columns const own{h * d, d};
    plain_head<T>(q, k, v, {own, own}, scale, visible, context);
  }
  return plain_linear(context, layer.out_proj);
}

/// The largest distance from the expected entries in units of their bounds: at most 1 if all is
/// well, infinite for NaN, other shapes, or bounds too wide to say anything.
template <class T>
auto misfit(matrix_view<T> got, bounded const& expected) -> double {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  if (got.rows != expected.rows() || got.cols != expected.cols()) {
    return infinite;
  }
  double worst = 0;
  double largest = 0;
  double widest = 0;
  for (index_t i = 0; i < got.rows; ++i) {
    for (index_t j = 0; j < got.cols; ++j) {
      auto const distance = std::abs(static_cast<double>(got(i, j)) - expected.value(i, j));
      auto const bound = expected.error(i, j);
      worst = std::max(worst, distance <= bound ? 0.0 : (bound > 0 ? distance / bound : infinite));
      largest = std::max(largest, std::abs(expected.value(i, j)));
      widest = std::max(widest, bound);
    }
  }
  return widest <= 0.01 * largest ? worst : infinite;
}

/// Equal bit for bit, but for signs of zero.
template <class A, class B>
auto same(matrix_view<A> a, matrix_view<B> b) -> bool {
  if (a.shape() != b.shape()) {
    return false;
  }
  for (index_t i = 0; i < a.rows; ++i) {
    if (!std::ranges::equal(a.row(i), b.row(i))) {
      return false;
    }
  }
  return true;
}

}  // namespace nn_test
