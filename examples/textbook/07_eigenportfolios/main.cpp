// Which factors move a market, if only the returns of its stocks are seen? The eigenvectors of the
// correlation matrix; the law of Marchenko and Pastur tells them from noise.
#include "market.hpp"
#include "sectors.hpp"
#include "support/plot.hpp"

#include "eckart/eval/cosine.hpp"
#include "eckart/linalg/eigh.hpp"
#include "eckart/linalg/matmul.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <numbers>
#include <span>
#include <vector>

using namespace textbook;
using eckart::op;

// Each column with mean 0 and variance 1.
auto standardize(matrix const& x) -> matrix {
  matrix const mean = xt::mean(x, {0}, xt::keep_dims);  // (1, columns)
  matrix const centred = x - mean;
  matrix const variance = xt::mean(centred * centred, {0}, xt::keep_dims);
  return centred / xt::sqrt(variance);
}

// Density of the eigenvalues of pure noise (Marchenko and Pastur).
struct noise_law {
  double variance;
  double q = static_cast<double>(stocks) / days;

  auto upper() const -> double { return variance * std::pow(1 + std::sqrt(q), 2); }
  auto lower() const -> double { return variance * std::pow(1 - std::sqrt(q), 2); }
  auto density(double x) const -> double {
    return std::sqrt(std::max(0.0, (upper() - x) * (x - lower()))) /
           (2 * std::numbers::pi * q * variance * x);
  }
};

// Observed density of the eigenvalues and that of the law, in steps of 0.1 from 0 to 3.
auto densities(std::span<double const> values, noise_law const& law) -> std::vector<series> {
  series seen{"eigenvalues", {}, {}}, theory{"Marchenko-Pastur", {}, {}};
  for (int b = 0; b < 30; ++b) {
    auto const inside =
        std::ranges::count_if(values, [&](double x) { return b == std::floor(10 * x); });
    seen.x.push_back((b + 0.5) / 10);
    seen.y.push_back(10.0 * static_cast<double>(inside) / stocks);
  }
  for (int b = 1; b < 300; ++b) {
    theory.x.push_back(b / 100.0);
    theory.y.push_back(law.density(b / 100.0));
  }
  return {seen, theory};
}

int main(int argc, char** argv) {
  std::filesystem::path const folder = argc > 1 ? argv[1] : ".";
  auto const market = normal_matrix(days, 1, 1), sector = normal_matrix(days, sectors, 2);
  auto const x = standardize(simulate(market, sector));
  matrix const c = eckart::matmul(op::transpose, x, op::none, x) / static_cast<double>(days);
  auto const [values, v] = eckart::eigh(c);
  fmt::print("{} stocks of {} sectors, {} days\n\n", stocks, sectors, days);

  // What lies above the edge is no noise. Without it the noise has less variance: a lower edge.
  index_t found = -1;
  noise_law law{1};
  for (index_t before = -2; before != found;) {
    before = found;
    found = std::ranges::count_if(values, [&](double y) { return y > law.upper(); });
    fmt::print("noise of variance {:.2f} ends at {:.2f}: {} eigenvalues are above\n", law.variance,
               law.upper(), found);
    law.variance = xt::mean(xt::view(values, xt::range(found, stocks)))();
  }

  print_eigenvectors(values, v, found);

  auto const first = eckart::as_view(v).col_range(0, 1);  // weights, on returns of equal variance
  auto const portfolio = eckart::matmul(x, first);        // (days, 1)
  auto const true_market = standardize(market);
  auto const likeness = eckart::cosine<double>(std::span(portfolio.data(), portfolio.size()),
                                               std::span(true_market.data(), true_market.size()));
  index_t positive = 0;
  for (index_t i = 0; i < stocks; ++i) {
    positive += first(i, 0) > 0 ? 1 : 0;
  }
  auto const by_signal = neighbours_in_sector(v, 1, found - 1);
  auto const by_noise = neighbours_in_sector(v, found, 2 * found - 2);
  fmt::print("\n\neigenvector 1: {} stocks of {} have a positive weight\n", positive, stocks);
  fmt::print("its portfolio has correlation {:.2f} with the market factor\n", likeness);
  fmt::print("nearest neighbour of the same sector: {:.0f}% by eigenvectors 2 to {}, ",
             100 * by_signal, found);
  fmt::print("{:.0f}% by the next {}\n\n", 100 * by_noise, found - 1);
  write_svg(
      folder / "eigenvalues.svg",
      {.title = "Eigenvalues of the correlation matrix",
       .x_label = "eigenvalue",
       .y_label = "density",
       .lines = densities(eckart::as_span(values), law),
       .marks = {{law.upper(), "edge"}, {values(static_cast<std::size_t>(found - 1)), "signal"}}});
  fmt::print("written: eigenvalues.svg\n");

  if (found != sectors || positive != stocks || likeness < 0.9 || by_signal < 0.9 ||
      by_noise > 0.5) {
    fmt::print("refuted: one eigenvalue a sector above the edge, the market first\n");
    return 1;
  }
}
