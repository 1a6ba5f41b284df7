#pragma once

#include "eckart/factor/low_rank.hpp"
#include "eckart/factor/rank_policy.hpp"
#include "eckart/linalg/svd.hpp"

#include <vector>

namespace eckart {
inline namespace v0 {

/// The k leading layers sum_i s_i u_i v_i^T, i <= k, of a decomposition: the best approximation of
/// rank k in the Frobenius and the spectral norm (Eckart and Young 1936, Mirsky 1960). The rank is
/// the policy's choice. Throws shape_error for a rank outside 1 to min(m, n). Copies k (m+n+1)
/// numbers.
template <real T, rank_policy P>
auto truncate(svd_result<T> const& f, P const& policy) -> low_rank<T, diagonal_core> {
  auto const u = as_view(f.u);
  auto const vt = as_view(f.vt);
  auto const values = std::vector<double>(f.s.begin(), f.s.end());
  auto const shape = shape2{u.rows, vt.cols};
  index_t const k = choose_rank(policy, spectrum(values), shape);
  if (k < 1 || k > static_cast<index_t>(values.size())) {
    throw shape_error(message("truncate: rank ", k, " of a ", shape, " matrix"));
  }
  auto s = make_vector<T>(k);
  std::copy_n(f.s.begin(), k, s.begin());
  return {to_matrix(u.col_range(0, k)), std::move(s), to_matrix(vt.row_range(0, k))};
}

/// SVD and truncation in one. Several ranks of one matrix: call svd once and truncate often.
template <matrix_operand A, rank_policy P>
auto factorize(A const& a, P const& policy, svd_options options = {})
    -> low_rank<value_t<A>, diagonal_core> {
  return truncate(svd(a, options), policy);
}

}  // namespace v0
}  // namespace eckart
