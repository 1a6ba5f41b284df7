// Scaled dot-product attention in its four steps on a sentence of five tokens, and once more by
// the library's blocks.
#include "sentence.hpp"
#include "support/claims.hpp"

#include <eckart/linalg/matmul.hpp>
#include <eckart/linalg/norm.hpp>
#include <eckart/nn/attention.hpp>

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <limits>

using namespace eckart;
using namespace textbook;

// Step 2: S / sqrt(d), so that the spread of the scores does not grow with the width d.
auto scaled(table const& s, double d) -> table {
  return s / std::sqrt(d);
}

// Before step 3: no token sees a later one, S_ij = -inf for j > i.
auto masked(table s) -> table {
  for (std::size_t i = 0; i < s.shape(0); ++i) {
    for (std::size_t j = i + 1; j < s.shape(1); ++j) {
      s(i, j) = -std::numeric_limits<double>::infinity();
    }
  }
  return s;
}

// Step 3: each row becomes a distribution, P_ij = exp(S_ij) / sum_l exp(S_il).
auto softmax_of_rows(table s) -> table {
  for (std::size_t i = 0; i < s.shape(0); ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < s.shape(1); ++j) {
      s(i, j) = std::exp(s(i, j));
      sum += s(i, j);
    }
    for (std::size_t j = 0; j < s.shape(1); ++j) {
      s(i, j) /= sum;
    }
  }
  return s;
}

// All four steps on the features `first` to `first + d - 1`; step 4 is O = P V.
auto head(index_t first, index_t d, bool causal) -> table {
  auto const part = [&](table const& a) { return as_view(a).col_range(first, d); };
  auto const s = matmul(op::none, part(made.q), op::transpose, part(made.k));
  auto const small = scaled(s, static_cast<double>(d));
  return matmul(softmax_of_rows(causal ? masked(small) : small), part(made.v));
}

auto by_library(bool causal) -> table {
  auto out = make_matrix<double>({5, 4});
  workspace<double> scratch;
  scaled_dot_product_attention(as_view(made.q), as_view(made.k), as_view(made.v),
                               1 / std::sqrt(4.0), {.causal = causal}, as_view(out), scratch);
  return out;
}

// With one-hot tokens, X = I, the projection X W_q^T is Q if W_q = Q^T; likewise for K and V.
auto by_library_with_heads(index_t heads, bool causal) -> table {
  table const x = xt::eye<double>(5);
  auto const weight = [&](table const& a) {
    return linear<double>(matmul(op::transpose, a, op::none, x));
  };
  auto const keep = linear<double>(table(xt::eye<double>(4)));  // W_o = I: the heads side by side
  multi_head_attention<double> const attention(heads, weight(made.q), weight(made.k),
                                               weight(made.v), keep);
  auto out = make_matrix<double>({5, 4});
  workspace<double> scratch;
  attention.self(as_view(x), 1, {}, causal, as_view(out), scratch);
  return out;
}

int main() {
  fmt::print("Attention step by step: five tokens, vectors of four features.\n");
  print("Queries Q: what a token asks for", made.q, features, 0);
  print("Keys K: what a token offers", made.k, features, 0);
  print("Values V: what a token hands on", made.v, features, 0);
  auto const s = matmul(op::none, made.q, op::transpose, made.k);
  print("1. Scores S = Q K^T: the row asks, the column answers", s, tokens, 0);
  auto const small = scaled(s, 4);
  print("2. Scaled scores S / sqrt(4)", small, tokens, 1);
  auto const p = softmax_of_rows(small);
  print("3. Weights P: softmax of each row", p, tokens, 3);
  print("4. Output O = P V", matmul(p, made.v), features, 3);
  print("With the causal mask, 2. scaled scores: -inf for the future", masked(small), tokens, 1);
  auto const past = softmax_of_rows(masked(small));
  print("With the causal mask, 3. weights: only what has been read", past, tokens, 3);
  print("With the causal mask, 4. output", matmul(past, made.v), features, 3);

  fmt::print("\n");
  textbook::claims claims(76);
  claims.check("\"its\" looks at \"dog\" with a weight above 0.9", p(3, 1) > 0.9);
  claims.check("with the mask, \"the\" sees only itself", past(0, 0) == 1);
  for (bool const causal : {false, true}) {
    auto const agrees = [&](char const* block, table const& by_hand, table const& other) {
      claims.check(fmt::format("{} {} the mask, within 1e-12", block, causal ? "with" : "without"),
                   max_abs(table(by_hand - other)) < 1e-12);
    };
    auto const one = head(0, 4, causal);
    table const two = xt::concatenate(xt::xtuple(head(0, 2, causal), head(2, 2, causal)), 1);
    agrees("by hand = scaled_dot_product_attention", one, by_library(causal));
    agrees("by hand = multi_head_attention, 1 head,", one, by_library_with_heads(1, causal));
    agrees("by hand = multi_head_attention, 2 heads,", two, by_library_with_heads(2, causal));
  }
  return claims.all_hold() ? EXIT_SUCCESS : EXIT_FAILURE;
}
