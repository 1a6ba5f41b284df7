#pragma once

#include "support/random.hpp"

#include <eckart/linalg/pinv.hpp>
#include <eckart/nn/softmax.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

/// Exact attention on made-up text, and approximations of rank r with their FLOPs.
namespace textbook {

using namespace eckart;
using table = matrix<double>;

constexpr index_t d = 32;  ///< width of queries, keys and values

inline auto softmax_of_rows(table s) -> table {
  for (index_t i = 0; i < as_view(s).rows; ++i) {
    softmax(as_view(s).row(i));
  }
  return s;
}

// softmax(Q K^T / sqrt(d)), (queries, keys).
inline auto weights(table const& q, table const& k) -> table {
  return softmax_of_rows(matmul(op::none, q, op::transpose, k) / std::sqrt(double{d}));
}

// A text of n tokens, each a mix of 8 topics that changes smoothly, with noise of its own.
struct text {
  explicit text(index_t n) {
    index_t const topics = 8, waves = 16;
    auto wave = make_matrix<double>({n, waves});
    for (index_t i = 0; i < n; ++i) {
      for (index_t f = 0; f < waves; ++f) {
        auto const t = static_cast<double>((2 * i + 1) * (f / 2 + 1)) / static_cast<double>(2 * n);
        as_view(wave)(i, f) = std::sin(2 * std::numbers::pi * (f % 2 == 0 ? t : t + 0.25));
      }
    }
    auto const mix = softmax_of_rows(1.4 * matmul(wave, normal_matrix(waves, topics, 1)));
    auto const seed = static_cast<std::uint64_t>(10 * n);
    auto const key_size = std::sqrt(2 / std::sqrt(double{d}));  // a token's own score is about 2
    table const subject = matmul(mix, normal_matrix(topics, d, 2));
    q = key_size * (subject + 0.5 * normal_matrix(n, d, seed));
    k = key_size * (subject + 0.5 * normal_matrix(n, d, seed + 1));
    v = matmul(mix, normal_matrix(topics, d, 3)) + 0.5 * normal_matrix(n, d, seed + 2);
    p = weights(q, k);
    best = svd(p);
  }
  auto length() const -> index_t { return as_view(q).rows; }

  table q, k, v;            // (n, d)
  table p;                  // (n, n), the exact attention weights
  svd_result<double> best;  // of p
};

// U_r diag(s_r) V_r^T V: no matrix of rank r is nearer to P (Eckart and Young 1936).
inline auto truncated_svd(text const& x, index_t rank, std::uint64_t) -> table {
  auto inner = matmul(as_view(x.best.vt).row_range(0, rank), as_view(x.v));
  for (index_t i = 0; i < rank; ++i) {
    for (auto& value : as_view(inner).row(i)) {
      value *= x.best.s.data()[i];
    }
  }
  return matmul(as_view(x.best.u).col_range(0, rank), as_view(inner));
}

// R (rank, n) with independent entries N(0, 1 / rank), so that R^T R is I in the mean.
inline auto projection(text const& x, index_t rank, std::uint64_t seed) -> table {
  return normal_matrix(rank, x.length(), seed) / std::sqrt(static_cast<double>(rank));
}

// (P R^T)(R V), as in the proof of Linformer's theorem 1; P itself is still needed.
inline auto random_projection(text const& x, index_t rank, std::uint64_t seed) -> table {
  auto const r = projection(x, rank, seed);
  return matmul(matmul(op::none, x.p, op::transpose, r), matmul(r, x.v));
}

// Linformer: softmax(Q (E K)^T / sqrt(d)) (E V).
inline auto linformer(text const& x, table const& e) -> table {
  return matmul(weights(x.q, matmul(e, x.k)), matmul(e, x.v));
}
inline auto linformer_random(text const& x, index_t rank, std::uint64_t seed) -> table {
  return linformer(x, projection(x, rank, seed));
}

// M (rank, n): row r is the mean over the r-th segment of the text.
inline auto segment_means(index_t rank, index_t n) -> table {
  table m = xt::zeros<double>(std::vector<index_t>{rank, n});
  for (index_t i = 0; i < n; ++i) {
    as_view(m)(i * rank / n, i) = static_cast<double>(rank) / static_cast<double>(n);
  }
  return m;
}
inline auto linformer_means(text const& x, index_t rank, std::uint64_t) -> table {
  return linformer(x, segment_means(rank, x.length()));
}

// softmax(Q K~^T) pinv(softmax(Q~ K~^T)) softmax(Q~ K^T) V with the segment means Q~, K~. The
// small matrix is nearly singular: what is below 1e-3 of its largest singular value is noise.
inline auto nystrom(text const& x, index_t rank, std::uint64_t) -> table {
  auto const m = segment_means(rank, x.length());
  auto const q = matmul(m, x.q);
  auto const k = matmul(m, x.k);
  auto const small = pinv(weights(q, k), 1e-3);
  return matmul(weights(x.q, k), matmul(small, matmul(weights(q, x.k), x.v)));
}

// Rows in blocks of d orthogonal ones, each as long as a normal vector of its own.
inline auto orthogonal_directions(index_t count, std::uint64_t seed) -> table {
  auto w = normal_matrix(count, d, seed + 1);
  for (index_t first = 0; first < count; first += d) {
    auto const block = as_view(w).row_range(first, std::min(d, count - first));
    auto const q = qr(normal_matrix(d, block.rows, seed + 2 + static_cast<std::uint64_t>(first))).q;
    for (index_t i = 0; i < block.rows; ++i) {
      auto const length = euclidean_norm(block.row(i));
      for (index_t j = 0; j < d; ++j) {
        block(i, j) = length * as_view(q)(j, i);
      }
    }
  }
  return w;
}

// phi(x)_j = exp(w_j . x - |x|^2 / 2), so that E phi(x) . phi(y) / rank = exp(x . y).
inline auto positive_features(table const& x, table const& w) -> table {
  auto f = matmul(op::none, x, op::transpose, w);
  for (index_t i = 0; i < as_view(f).rows; ++i) {
    auto const length = euclidean_norm(as_view(x).row(i));
    for (auto& value : as_view(f).row(i)) {
      value = std::exp(value - length * length / 2);
    }
  }
  return f;
}

// Performer: phi(Q) (phi(K)^T V), each row divided by phi(Q) (phi(K)^T 1).
inline auto performer(text const& x, index_t rank, std::uint64_t seed) -> table {
  auto const w = orthogonal_directions(rank, seed);
  auto const fourth_root = std::pow(double{d}, 0.25);
  auto const q = positive_features(x.q / fourth_root, w);
  auto const k = positive_features(x.k / fourth_root, w);
  auto out = matmul(q, matmul(op::transpose, k, op::none, x.v));
  table const ones = xt::ones<double>(std::vector<index_t>{x.length(), 1});
  auto const sums = matmul(q, matmul(op::transpose, k, op::none, ones));
  for (index_t i = 0; i < x.length(); ++i) {
    for (auto& value : as_view(out).row(i)) {
      value /= sums.data()[i];
    }
  }
  return out;
}

struct method {
  std::string name;
  table (*attend)(text const&, index_t rank, std::uint64_t seed);
  bool random;
};
// In the order of the tables.
enum which : std::size_t { best_rank, landmarks, segments, features, sketch, untrained };
inline std::vector<method> const methods{
    {"SVD of P", truncated_svd, false},     {"Nystrom", nystrom, false},
    {"means", linformer_means, false},      {"Performer", performer, true},
    {"P R^T R V", random_projection, true}, {"random E", linformer_random, true}};

// FLOPs of the matrix products, and of the SVD in pinv.
inline auto flops_exact(double n) -> double {
  return 4 * n * n * d;
}
inline auto flops_linformer(double n, double r) -> double {
  return 8 * n * r * d;
}
inline auto flops_means(double n, double r) -> double {
  return 4 * n * r * d + 2 * n * d;
}
inline auto flops_nystrom(double n, double r) -> double {
  return 8 * n * r * d + 2 * n * d + 4 * r * r * d + 28 * r * r * r;
}
inline auto flops_performer(double n, double r) -> double {
  return 8 * n * r * d + 4 * n * r;
}

}  // namespace textbook
