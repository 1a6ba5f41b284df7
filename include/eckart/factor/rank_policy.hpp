#pragma once

#include "eckart/factor/cost.hpp"
#include "eckart/linalg/norm.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <span>

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

}  // namespace v0
}  // namespace eckart
