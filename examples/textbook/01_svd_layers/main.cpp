// A matrix is a sum of layers A = s_1 u_1 v_1^T + s_2 u_2 v_2^T + ...; the first k of them are the
// best approximation of rank k, and the singular values that were left out are its error.
#include "support/random.hpp"
#include "weather.hpp"

#include "eckart/factor/factorize.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/qr.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using eckart::index_t;
using textbook::hours;
using textbook::normal_matrix;
using textbook::places;
using matrix = eckart::matrix<double>;

// ||A - B|| in the Frobenius norm
auto distance(matrix const& a, matrix const& b) -> double {
  matrix const difference = a - b;
  return eckart::frobenius_norm(difference);
}

// The best that the columns of B can do for A: A minus its projection Q Q^T A.
auto projection_error(matrix const& a, matrix const& b) -> double {
  auto const q = eckart::qr(b).q;
  return distance(a,
                  eckart::matmul(q, eckart::matmul(eckart::op::transpose, q, eckart::op::none, a)));
}

// Columns p and q of A.
auto columns_of(matrix const& a, std::size_t p, std::size_t q) -> matrix {
  auto pair = eckart::make_matrix<double>({hours, 2});
  for (std::size_t i = 0; i < hours; ++i) {
    pair(i, 0) = a(i, p);
    pair(i, 1) = a(i, q);
  }
  return pair;
}

void print_side_by_side(std::vector<matrix> const& parts) {
  for (std::size_t i = 0; i < hours; ++i) {
    fmt::print("{:3}h", 4 * i);
    for (auto const& part : parts) {
      for (std::size_t p = 0; p < places; ++p) {
        fmt::print("{}{:5.1f}", p == 0 ? "  |" : "", part(i, p));
      }
    }
    fmt::print("\n");
  }
}

int main() {
  auto const truth = textbook::weather();
  matrix const a = truth + 0.4 * normal_matrix(hours, places, 1936);  // what thermometers say

  auto const f = eckart::svd(a);
  auto const s = eckart::as_span(f.s);
  auto const sum_of_layers = [&](index_t k) { return to_dense(truncate(f, eckart::at_rank{k})); };
  fmt::print("Temperatures at {} hours (rows) and {} places (columns)\n\n", hours, places);
  fmt::print("      | {:24}  | {:24}  | {}\n", "A, measured", "A_1, one layer", "A_2, two layers");
  print_side_by_side({a, sum_of_layers(1), sum_of_layers(2)});

  fmt::print("\n  k      s_k  ||A - A_k||  sqrt(discarded s^2)  energy kept  ||A_k - weather||\n");
  bool holds = true;
  for (index_t k = 1; k <= places; ++k) {
    auto const error = distance(a, sum_of_layers(k));
    auto const discarded = eckart::truncation_error(s, k);
    auto const kept = 1 - std::pow(discarded / eckart::euclidean_norm(s), 2);
    auto const from_truth = distance(sum_of_layers(k), truth);
    holds = holds && std::abs(error - discarded) < 1e-12 * s[0] &&
            (k == 2 || from_truth > distance(sum_of_layers(2), truth));
    fmt::print("  {} {:8.3f}  {:11.4f}  {:19.4f}  {:10.3f}%  {:17.4f}\n", k,
               s[static_cast<std::size_t>(k - 1)], error, discarded, 100 * kept, from_truth);
  }

  auto const best = distance(a, sum_of_layers(2));
  fmt::print("\n||A - B|| for matrices B of rank 2\n  {:51}{:8.4f}\n", "layers 1 and 2", best);
  auto const compete = [&](char const* name, double error) {
    holds = holds && error > best;
    fmt::print("  {:51}{:8.4f}\n", name, error);
  };
  matrix const second = sum_of_layers(2) - sum_of_layers(1);
  matrix const third = sum_of_layers(3) - sum_of_layers(2);
  compete("layers 1 and 3", distance(a, sum_of_layers(1) + third));
  compete("layers 2 and 3", distance(a, second + third));
  auto closest = s[0];
  for (std::size_t p = 0; p < places; ++p) {
    for (std::size_t q = p + 1; q < places; ++q) {
      closest = std::min(closest, projection_error(a, columns_of(a, p, q)));
    }
  }
  compete("combinations of two columns of A, best of 10 pairs", closest);
  closest = s[0];
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    closest = std::min(closest, projection_error(a, normal_matrix(hours, 2, seed)));
  }
  compete("combinations of two random columns, best of 1000", closest);

  fmt::print("\n{}\n", holds ? "The error is the discarded tail, two layers are closest to the "
                               "weather,\nand no other candidate of rank 2 beat them."
                             : "FAILED: the first layers are not the best");
  return holds ? 0 : 1;
}
