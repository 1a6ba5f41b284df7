#pragma once

#include "eckart/factor/cost.hpp"
#include "eckart/linalg/norm.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace eckart {
inline namespace v0 {

/// Singular values of a matrix, falling.
using spectrum = std::span<double const>;

/// A way to choose the rank from the singular values and the shape. A policy is a value; a user's
/// own one takes part by an overload of choose_rank beside its type.
template <class P>
concept rank_policy = requires(P const& policy, spectrum s, shape2 w) {
  { choose_rank(policy, s, w) } -> std::same_as<index_t>;
};

/// Exactly this rank.
struct at_rank {
  index_t rank;
};

/// This part of min(m, n), rounded to the nearest rank, at least 1.
struct at_ratio {
  double ratio;
};

/// The smallest rank that keeps this part of the sum of squared singular values.
struct keep_energy {
  double fraction;
};

/// The smallest rank with ||W - W_k|| <= epsilon ||W|| (Frobenius), or <= epsilon if not relative.
struct within_error {
  double epsilon;
  bool relative = true;
};

/// The largest rank that is stored within so many bytes.
struct within_budget {
  std::uint64_t bytes;
  form stored_as = form::two_factor;
  std::uint64_t bytes_per_parameter = sizeof(float);
};

/// Says how much quality a truncation to this rank is expected to lose, in the unit of a bound:
/// ROUGE points, nats, percent.
template <class F>
concept loss_predictor = requires(F const& predict, index_t k, spectrum s, shape2 w) {
  { predict(k, s, w) } -> std::convertible_to<double>;
};

/// The smallest rank k such that the predicted loss at k and at every larger rank is at most the
/// bound. Throws shape_error if even the full rank is predicted to lose more.
template <loss_predictor Predictor>
struct within_loss {
  double bound;
  Predictor predictor;
};
template <class Predictor>
within_loss(double, Predictor) -> within_loss<Predictor>;

/// ||W - W_k|| in the Frobenius norm: sqrt(sum of s_i² over i > k), the least possible for rank k
/// (Eckart and Young 1936). Throws shape_error for a rank outside 0 to the number of values.
template <real T>
auto truncation_error(std::span<T const> s, index_t k) -> double {
  if (k < 0 || k > static_cast<index_t>(s.size())) {
    throw shape_error(message("truncation_error: rank ", k, " of ", s.size(), " values"));
  }
  return euclidean_norm(s.subspan(static_cast<std::size_t>(k)));
}

inline auto choose_rank(at_rank const& policy, spectrum, shape2 w) -> index_t {
  auto const full = std::min(w.rows, w.cols);
  if (policy.rank < 1 || policy.rank > full) {
    throw shape_error(message("at_rank: rank ", policy.rank,
                              policy.rank < 1 ? " is below 1 for " : " exceeds ", "min(", w.rows,
                              ", ", w.cols, ")"));
  }
  return policy.rank;
}

inline auto choose_rank(at_ratio const& policy, spectrum, shape2 w) -> index_t {
  if (!(policy.ratio > 0 && policy.ratio <= 1)) {
    throw shape_error(message("at_ratio: ", policy.ratio, " is not in (0, 1]"));
  }
  auto const full = std::min(w.rows, w.cols);
  return std::max<index_t>(1, std::llround(policy.ratio * static_cast<double>(full)));
}

inline auto choose_rank(within_error const& policy, spectrum s, shape2) -> index_t {
  if (!(policy.epsilon >= 0)) {
    throw shape_error(message("within_error: ", policy.epsilon, " is not an error bound"));
  }
  auto const allowed = policy.relative ? policy.epsilon * euclidean_norm(s) : policy.epsilon;
  auto rank = static_cast<index_t>(s.size());
  while (rank > 1 && truncation_error(s, rank - 1) <= allowed) {
    --rank;
  }
  return rank;
}

inline auto choose_rank(keep_energy const& policy, spectrum s, shape2 w) -> index_t {
  if (!(policy.fraction > 0 && policy.fraction <= 1)) {
    throw shape_error(message("keep_energy: ", policy.fraction, " is not in (0, 1]"));
  }
  return choose_rank(within_error{std::sqrt(1 - policy.fraction)}, s, w);
}

inline auto choose_rank(within_budget const& policy, spectrum, shape2 w) -> index_t {
  auto const parameters = policy.bytes / std::max<std::uint64_t>(1, policy.bytes_per_parameter);
  auto const rank = cost::largest_rank_within(policy.stored_as, w, parameters);
  if (rank == 0) {
    throw shape_error(message("within_budget: ", policy.bytes, " bytes hold no rank of a ", w,
                              " matrix as ", name_of(policy.stored_as)));
  }
  return rank;
}

template <class Predictor>
auto choose_rank(within_loss<Predictor> const& policy, spectrum s, shape2 w) -> index_t {
  if (!std::isfinite(policy.bound)) {
    throw shape_error(message("within_loss: ", policy.bound, " is not a bound"));
  }
  if (s.empty()) {
    throw shape_error(message("within_loss: a ", w, " matrix has no rank"));
  }
  auto const loss = [&](index_t k) -> double { return policy.predictor(k, s, w); };
  auto rank = static_cast<index_t>(s.size());
  if (auto const least = loss(rank); !(least <= policy.bound)) {
    throw shape_error(message("within_loss: the full rank ", rank, " is predicted to lose ", least,
                              ", above the bound ", policy.bound));
  }
  while (rank > 1 && loss(rank - 1) <= policy.bound) {
    --rank;
  }
  return rank;
}

/// One measurement: a model was truncated to this relative error ||W - W_k|| / ||W||, and lost so
/// much of its quality.
struct loss_point {
  double error;
  double loss;

  constexpr auto operator==(loss_point const&) const -> bool = default;
};

/// Measured losses as a predictor: linear between the points. At errors below the first point it
/// predicts that point's loss, which cannot be too little because losses rise; above the last point
/// nothing was measured and the loss is infinite, so that no such rank is ever chosen.
class loss_curve {
 public:
  /// Throws shape_error unless there is a point, all are finite, errors are not negative and rise,
  /// and losses do not fall.
  explicit loss_curve(std::vector<loss_point> points) : points_(std::move(points)) {
    if (points_.empty()) {
      throw shape_error("loss_curve: no points");
    }
    for (std::size_t i = 0; i < points_.size(); ++i) {
      auto const [error, loss] = points_[i];
      if (!std::isfinite(error) || !std::isfinite(loss) || error < 0) {
        throw shape_error(message("loss_curve: point ", i, " is (", error, ", ", loss, ")"));
      }
      if (i > 0 && !(points_[i - 1].error < error)) {
        throw shape_error(message("loss_curve: error ", error, " of point ", i,
                                  " is not above the ", points_[i - 1].error, " before it"));
      }
      if (i > 0 && loss < points_[i - 1].loss) {
        throw shape_error(message("loss_curve: loss ", loss, " of point ", i, " is below the ",
                                  points_[i - 1].loss, " before it"));
      }
    }
  }

  /// The least curve that is nowhere below the measurements and never falls: for losses that
  /// scatter. Throws as the constructor for all else.
  static auto above(std::vector<loss_point> measured) -> loss_curve {
    for (std::size_t i = 1; i < measured.size(); ++i) {
      measured[i].loss = std::max(measured[i].loss, measured[i - 1].loss);
    }
    return loss_curve(std::move(measured));
  }

  auto points() const -> std::span<loss_point const> { return points_; }

  /// The loss at a relative error. NaN for NaN.
  auto operator()(double error) const -> double {
    if (std::isnan(error)) {
      return error;
    }
    if (error > points_.back().error) {
      return std::numeric_limits<double>::infinity();
    }
    auto const next = std::ranges::lower_bound(points_, error, {}, &loss_point::error);
    if (next == points_.begin() || next->error == error) {
      return next->loss;
    }
    auto const& before = *(next - 1);
    auto const part = (error - before.error) / (next->error - before.error);
    return before.loss + part * (next->loss - before.loss);
  }

  /// The loss at a rank. The zero matrix has no error.
  auto operator()(index_t k, spectrum s, shape2) const -> double {
    auto const norm = euclidean_norm(s);
    return (*this)(norm == 0 ? 0 : truncation_error(s, k) / norm);
  }

 private:
  std::vector<loss_point> points_;
};

}  // namespace v0
}  // namespace eckart
