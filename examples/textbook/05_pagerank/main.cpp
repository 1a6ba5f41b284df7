// Which page of a web matters most? The one where a random surfer spends most of the time: the
// eigenvector of the Google matrix for the eigenvalue 1, by power iteration and by SVD.
#include "web.hpp"

#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/svd.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <numeric>
#include <vector>

using namespace textbook;
using eckart::index_t;
using matrix = eckart::matrix<double>;

constexpr double damping = 0.85;

// G = d S + (1 - d)/n. Column j of S is where the surfer goes from page j, each link being equally
// likely, and anywhere from a page without links; with probability 1 - d the surfer starts anew.
auto google(double d) -> matrix {
  matrix g({n, n}, (1 - d) / static_cast<double>(n));
  auto anywhere = std::vector<std::size_t>(n);
  std::iota(anywhere.begin(), anywhere.end(), 0U);
  for (std::size_t j = 0; j < n; ++j) {
    auto const& links = web[j].links.empty() ? anywhere : web[j].links;
    for (auto const i : links) {
      g(i, j) += d / static_cast<double>(links.size());
    }
  }
  return g;
}

// G - lambda I: singular if and only if lambda is an eigenvalue of G.
auto shifted(matrix g, double lambda) -> matrix {
  for (std::size_t i = 0; i < n; ++i) {
    g(i, i) -= lambda;
  }
  return g;
}

// G x = x is (G - I) x = 0: x (n, 1) is the last right singular vector, scaled to the sum 1.
auto stationary_by_svd(matrix const& g) -> matrix {
  auto const f = eckart::svd(shifted(g, 1));
  auto x = eckart::make_matrix<double>({static_cast<index_t>(n), 1});
  std::copy_n(f.vt.end() - static_cast<std::ptrdiff_t>(n), n, x.begin());
  x /= std::accumulate(x.begin(), x.end(), 0.0);
  return x;
}

auto distance(matrix const& x, matrix const& y) -> double {  // sum |x_i - y_i|
  return std::transform_reduce(x.begin(), x.end(), y.begin(), 0.0, std::plus{},
                               [](double a, double b) { return std::abs(a - b); });
}

// x, G x, G G x, ... from the uniform distribution until a step moves less than 1e-14.
auto power_iteration(matrix const& g) -> std::vector<matrix> {
  auto iterates = std::vector<matrix>{matrix({n, 1}, 1 / static_cast<double>(n))};
  do {
    iterates.push_back(eckart::matmul(g, iterates.back()));
  } while (distance(iterates.back(), iterates.end()[-2]) > 1e-14);
  return iterates;
}

auto errors_of(std::vector<matrix> const& iterates, matrix const& truth) -> std::vector<double> {
  std::vector<double> errors;
  for (auto const& x : iterates) {
    errors.push_back(distance(x, truth));
  }
  return errors;
}

int main() {
  auto const g = google(damping);
  auto const x = stationary_by_svd(g);
  auto const iterates = power_iteration(g);
  print_ranking(x, iterates.back());
  bool holds = distance(x, iterates.back()) < 1e-12;
  fmt::print("\nBoth agree to 1e-12: {}\n", holds ? "yes" : "no");

  auto const e = errors_of(iterates, x);
  fmt::print("\nstep    error  bound d^k e_0  error / error before\n");
  auto const last = std::min<std::size_t>(60, e.size() * 2 / 3);
  for (std::size_t k = 1; k <= last; ++k) {
    auto const bound = std::pow(damping, k) * e[0];
    holds = holds && e[k] < bound;
    if (k < 4 || k % 10 == 0) {
      fmt::print("{:4}  {:.1e}  {:13.1e}  {:20.3f}\n", k, e[k], bound, e[k] / e[k - 1]);
    }
  }

  auto const second = e[last] / e[last - 1] / damping;  // the second eigenvalue of S
  fmt::print("\ndamping d  steps to 1e-10  observed rate  rate / d\n");
  for (auto const d : {0.5, 0.7, 0.85, 0.95, 0.99}) {
    auto const gd = google(d);
    auto const ed = errors_of(power_iteration(gd), stationary_by_svd(gd));
    auto const k = std::find_if(ed.begin(), ed.end(), [](double error) { return error < 1e-10; });
    auto const rate = k[0] / k[-1];
    fmt::print("{:9.2f}  {:14}  {:13.3f}  {:8.3f}\n", d, k - ed.begin(), rate, rate / d);
    holds = holds && rate < d && std::abs(rate / d - second) < 1e-3 &&
            eckart::svd(shifted(gd, rate)).s(n - 1) < 1e-4;
  }
  fmt::print("\n{}\n", holds ? "Every rate is below d and G - rate I is singular: the rate is the "
                               "second eigenvalue\nof G, which is d times that of the web."
                             : "FAILED: the rate is not d times the second eigenvalue");
  return holds ? 0 : 1;
}
