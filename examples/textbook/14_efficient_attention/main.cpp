// Attention in linear time: projections, landmarks and random features against exact softmax
// attention, by error and by FLOPs.
#include "approximations.hpp"
#include "errors.hpp"
#include "support/claims.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <vector>

using namespace textbook;

constexpr int drawings = 20;  // seeds over which the error of a random method is averaged

// |approximation - P V| / |P V| in the Frobenius norm.
auto error_of(method const& m, text const& x, index_t rank) -> double {
  auto const exact = matmul(x.p, x.v);
  double sum = 0;
  int const count = m.random ? drawings : 1;
  for (int i = 0; i < count; ++i) {
    auto const seed = static_cast<std::uint64_t>(1000 * (i + 1));
    sum += frobenius_norm(table(m.attend(x, rank, seed) - exact)) / frobenius_norm(exact);
  }
  return sum / count;
}

// One row of a table: the errors of all methods.
auto errors_of(text const& x, index_t rank) -> std::vector<double> {
  std::vector<double> row;
  for (auto const& m : methods) {
    row.push_back(error_of(m, x, rank));
  }
  return row;
}

// The least n at which a method needs fewer FLOPs than exact attention.
auto pays_from(double (*flops)(double, double), index_t rank) -> index_t {
  auto n = rank;
  while (flops(static_cast<double>(n), static_cast<double>(rank)) >=
         flops_exact(static_cast<double>(n))) {
    ++n;
  }
  return n;
}

// Eckart and Young: with V = I the output is the approximation of P itself.
auto svd_is_nearest(text x, std::vector<index_t> const& ranks) -> bool {
  x.v = xt::eye<double>(static_cast<std::size_t>(x.length()));
  return std::ranges::all_of(ranks, [&](index_t rank) {
    return std::ranges::all_of(methods, [&](method const& m) {
      return error_of(methods[best_rank], x, rank) <= error_of(m, x, rank);
    });
  });
}

int main(int argc, char** argv) {
  std::filesystem::path const folder = argc > 1 ? argv[1] : ".";
  std::vector<index_t> const ranks{8, 16, 32, 64, 128, 256};
  std::vector<index_t> const lengths{64, 128, 256, 512};
  std::vector<text> const texts(lengths.begin(), lengths.end());
  auto const alike = error_of(methods[segments], texts.back(), 1);

  fmt::print(
      "Relative error of the attention output for n = 512 tokens, by rank or features r.\n"
      "Looking everywhere alike (one mean) is off by {:.4f}.\n\n",
      alike);
  errors by_rank, by_length;
  for (auto const rank : ranks) {
    by_rank.push_back(errors_of(texts.back(), rank));
  }
  print_errors("r", ranks, by_rank);
  draw(folder / "efficient_attention.svg", ranks, by_rank);
  fmt::print("The table as a picture: efficient_attention.svg\n\n");

  fmt::print("The same by the number n of tokens, for r = 32.\n\n");
  for (auto const& x : texts) {
    by_length.push_back(errors_of(x, 32));
  }
  print_errors("n", lengths, by_length);

  fmt::print("Tokens from which a method needs fewer FLOPs than exact attention (d = {}).\n\n", d);
  fmt::print("{:>5}{:>11}{:>11}{:>11}{:>11}\n", "r", "Nystrom", "means", "Performer", "learned E");
  for (auto const rank : ranks) {
    fmt::print("{:5}{:11}{:11}{:11}{:11}\n", rank, pays_from(flops_nystrom, rank),
               pays_from(flops_means, rank), pays_from(flops_performer, rank),
               pays_from(flops_linformer, rank));
  }
  fmt::print(
      "The SVD and P R^T R V start from P itself: their work still grows with n squared. Random E\n"
      "costs as much as the E that Linformer learns.\n\n");
  claims claims(72);
  claims.check("no method comes nearer to P than its SVD of the same rank",
               svd_is_nearest(texts[1], {8, 16, 32, 64}));
  claims.check("Nystrom with 16 landmarks is off by less than 0.1", by_rank[1][landmarks] < 0.1);
  for (auto const m : {best_rank, landmarks, segments}) {
    claims.check(fmt::format("{}: the error at r = 32 hardly grows with n", methods[m].name),
                 by_length.back()[m] < 1.25 * by_length.front()[m]);
  }
  auto const gain = [&](which m) { return by_rank[1][m] / by_rank[5][m]; };
  claims.check("P R^T R V: 16 times the rank divides the error by about 4",
               gain(sketch) > 3.4 && gain(sketch) < 4.6);
  claims.check("Performer: 16 times the features divide it by less than 4",
               gain(features) > 1 && gain(features) < 4);
  claims.check("random E: worse than looking everywhere alike at every r",
               std::ranges::all_of(by_rank, [&](auto const& e) { return e[untrained] > alike; }));
  return claims.all_hold() ? EXIT_SUCCESS : EXIT_FAILURE;
}
