// Attention in linear time: projections, landmarks and random features against exact softmax
// attention, by error and by FLOPs.
#include "approximations.hpp"
#include "support/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using namespace textbook;

constexpr int drawings = 20;  // seeds over which the error of a random method is averaged

struct method {
  std::string name;
  table (*attend)(text const&, index_t rank, std::uint64_t seed);
  bool random;
};
enum which : std::size_t { best_rank, landmarks, segments, features, sketch, untrained };
std::vector<method> const methods{
    {"SVD of P", truncated_svd, false},     {"Nystrom", nystrom, false},
    {"means", linformer_means, false},      {"Performer", performer, true},
    {"P R^T R V", random_projection, true}, {"random E", linformer_random, true}};

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

auto pays_from(double (*flops)(double, double), index_t rank) -> index_t {
  auto n = rank;
  while (flops(static_cast<double>(n), static_cast<double>(rank)) >=
         flops_exact(static_cast<double>(n))) {
    ++n;
  }
  return n;
}

auto check(std::string const& claim, bool holds) -> bool {
  fmt::print("{:<72}{}\n", claim, holds ? "yes" : "NO");
  return holds;
}

using errors = std::vector<std::vector<double>>;  // row by row, one column a method

auto error_table(std::string const& first, std::vector<index_t> const& labels,
                 std::vector<std::pair<text const*, index_t>> const& rows) -> errors {
  fmt::print("{:>5}", first);
  for (auto const& m : methods) {
    fmt::print("{:>11}", m.name);
  }
  errors result;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    fmt::print("\n{:5}", labels[i]);
    result.emplace_back();
    for (auto const& m : methods) {
      result.back().push_back(error_of(m, *rows[i].first, rows[i].second));
      fmt::print("{:11.4f}", result.back().back());
    }
  }
  fmt::print("\n\n");
  return result;
}

void draw(std::filesystem::path const& file, std::vector<index_t> const& ranks, errors const& e) {
  textbook::plot picture{.title = "Approximate attention, 512 tokens",
                         .x_label = "rank or number of features",
                         .y_label = "relative error of the output",
                         .log_x = true,
                         .log_y = true};
  for (std::size_t m = 0; m < methods.size(); ++m) {
    textbook::series line{.label = methods[m].name, .x = {ranks.begin(), ranks.end()}};
    for (auto const& row : e) {
      line.y.push_back(row[m]);
    }
    picture.lines.push_back(line);
  }
  write_svg(file, picture);
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
  std::vector<std::pair<text const*, index_t>> rows;
  for (auto const rank : ranks) {
    rows.emplace_back(&texts.back(), rank);
  }
  auto const by_rank = error_table("r", ranks, rows);
  draw(folder / "efficient_attention.svg", ranks, by_rank);
  fmt::print("The table as a picture: efficient_attention.svg\n\n");

  fmt::print("The same by the number n of tokens, for r = 32.\n\n");
  rows.clear();
  for (auto const& x : texts) {
    rows.emplace_back(&x, 32);
  }
  auto const by_length = error_table("n", lengths, rows);

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
  bool good = check("no method comes nearer to P than its SVD of the same rank",
                    svd_is_nearest(texts[1], {8, 16, 32, 64}));
  good &= check("Nystrom with 16 landmarks is off by less than 0.1", by_rank[1][landmarks] < 0.1);
  for (auto const m : {best_rank, landmarks, segments}) {
    good &= check(fmt::format("{}: the error at r = 32 hardly grows with n", methods[m].name),
                  by_length.back()[m] < 1.25 * by_length.front()[m]);
  }
  auto const gain = [&](which m) { return by_rank[1][m] / by_rank[5][m]; };
  good &= check("P R^T R V: 16 times the rank divides the error by about 4",
                gain(sketch) > 3.4 && gain(sketch) < 4.6);
  good &= check("Performer: 16 times the features divide it by less than 4",
                gain(features) > 1 && gain(features) < 4);
  good &= check("random E: worse than looking everywhere alike at every r",
                std::ranges::all_of(by_rank, [&](auto const& e) { return e[untrained] > alike; }));
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
