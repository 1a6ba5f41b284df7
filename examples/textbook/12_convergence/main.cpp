// How fast do gradient descent, momentum and Adam reach the minimum of 1/2 x^T A x - b^T x? For the
// first two the eigenvalues of A tell it beforehand.
#include "support/plot.hpp"

#include "eckart/core/random.hpp"
#include "eckart/linalg/eigh.hpp"
#include "eckart/linalg/matmul.hpp"
#include "eckart/linalg/qr.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

using eckart::op;
using matrix = eckart::matrix<double>;

constexpr eckart::index_t n = 30;

auto random_matrix(eckart::index_t cols, std::uint64_t seed) -> matrix {
  auto m = eckart::make_matrix<double>({n, cols});
  eckart::fill_normal(std::span<double>(m.data(), m.size()), seed);
  return m;
}

struct quadratic {
  matrix a, solution;  // (n, n), (n, 1); b = A solution
};

// A = Q diag(l) Q^T, l from 1 to kappa in equal steps. Q is I or a random rotation, which takes the
// solution with it: both are the same problem in different coordinates.
auto make_quadratic(double kappa, bool rotated) -> quadratic {
  matrix a({n, n}, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    a(i, i) = 1 + (kappa - 1) * static_cast<double>(i) / (n - 1);
  }
  auto const x = random_matrix(1, 1964);
  if (!rotated) {
    return {a, x};
  }
  auto const q = eckart::qr(random_matrix(n, 2014)).q;
  a = eckart::matmul(op::none, eckart::matmul(q, a), op::transpose, q);
  return {a, eckart::matmul(q, x)};
}

// Answers a gradient with the step that is added to x.
using method = std::function<matrix(matrix const& gradient)>;

// Gradient descent if beta is 0.
auto momentum(double step, double beta) -> method {
  return [=, move = matrix({n, 1}, 0.0)](matrix const& g) mutable -> matrix {
    return move = beta * move - step * g;
  };
}

auto adam(double step) -> method {
  return [=, m = matrix({n, 1}, 0.0), v = matrix({n, 1}, 0.0),
          k = 0](matrix const& g) mutable -> matrix {
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    ++k;
    return -step * m / (1 - std::pow(0.9, k)) / (xt::sqrt(v / (1 - std::pow(0.999, k))) + 1e-8);
  };
}

struct contestant {
  std::string name;
  double predicted_rate;  // factor of the error a step; 0 if nothing is predicted
  method next;
};

// With the steps that are best for eigenvalues from 1 to kappa; Adam always with the same one.
auto contestants(double kappa) -> std::vector<contestant> {
  auto const root = std::sqrt(kappa), rate = (root - 1) / (root + 1);
  return {{"gradient descent", (kappa - 1) / (kappa + 1), momentum(2 / (kappa + 1), 0)},
          {"momentum", rate, momentum(4 / std::pow(root + 1, 2), rate * rate)},
          {"Adam", 0, adam(0.03)}};
}

// Losses above the minimum, from x = 0 until they have changed by a factor of 1e20.
auto losses(quadratic const& f, method next) -> std::vector<double> {
  matrix x({n, 1}, 0.0);
  std::vector<double> loss;
  do {
    matrix const error = x - f.solution;
    auto const gradient = eckart::matmul(f.a, error);  // A x - b
    loss.push_back(eckart::matmul(op::transpose, error, op::none, gradient)(0, 0) / 2);
    x += next(gradient);
  } while (loss.size() < 30000 && std::abs(std::log10(loss.back() / loss[0])) < 20);
  return loss;
}

// Factor of the error a step, the root of that of the loss; over the last fifth.
auto measured_rate(std::vector<double> const& loss) -> double {
  auto const steps = loss.size() / 5;
  return std::pow(loss.back() / loss[loss.size() - 1 - steps], 0.5 / static_cast<double>(steps));
}

auto steps_to_a_millionth(std::vector<double> const& loss) -> std::ptrdiff_t {
  auto const reached = [&](double y) { return y < 1e-6 * loss[0]; };
  return std::find_if(loss.begin(), loss.end(), reached) - loss.begin();
}

auto compare_steps() -> bool {
  auto const f = make_quadratic(100, true);
  auto const l = eckart::eigh(f.a).values;
  auto const largest = l(0), smallest = l(n - 1);
  fmt::print("Gradient descent, eigenvalues l from {:.3f} to {:.3f}\n", smallest, largest);
  fmt::print("step * l_max  max |1 - step l|  measured rate\n");
  bool holds = true;
  for (auto const factor : {0.5, 1.0, 2 * largest / (largest + smallest), 1.99, 2.01, 2.1}) {
    auto const step = factor / largest;
    auto const predicted = std::max(std::abs(1 - step * largest), std::abs(1 - step * smallest));
    auto const rate = measured_rate(losses(f, momentum(step, 0)));
    fmt::print("{:12.3f}  {:16.4f}  {:13.4f}{}\n", factor, predicted, rate,
               rate > 1 ? "  diverges" : "");
    holds = holds && std::abs(rate - predicted) < 1e-4 && (rate > 1) == (factor > 2);
  }
  return holds;
}

auto compare_methods(textbook::plot& picture) -> bool {
  fmt::print("\n                         rate of the error    steps to a millionth of the loss\n");
  fmt::print("kappa  method            predicted  measured  eigenvectors = axes  rotated\n");
  bool holds = true;
  for (auto const kappa : {10.0, 100.0, 1000.0}) {
    for (auto const& [name, predicted, next] : contestants(kappa)) {
      auto const in_axes = steps_to_a_millionth(losses(make_quadratic(kappa, false), next));
      auto loss = losses(make_quadratic(kappa, true), next);
      auto const rotated = steps_to_a_millionth(loss);
      auto const rate = measured_rate(loss);
      fmt::print("{:5}  {:16}  {:>19}  {:19}  {:7}\n", kappa, name,
                 predicted > 0 ? fmt::format("{:9.4f}  {:8.4f}", predicted, rate) : "not predicted",
                 in_axes, rotated);
      holds = holds && (predicted > 0 ? in_axes == rotated && std::abs(rate / predicted - 1) < 0.03
                                      : rotated > in_axes * 3 / 2);
      if (kappa == 100) {
        auto steps = std::vector<double>(std::min<std::size_t>(loss.size(), 801));
        std::iota(steps.begin(), steps.end(), 0.0);
        loss.resize(steps.size());
        auto const end = steps.back(), start = loss[0];
        picture.lines.push_back({name, steps, loss});
        if (predicted > 0) {
          picture.lines.push_back(
              {name + ", predicted", {0, end}, {start, start * std::pow(predicted, 2 * end)}});
        }
      }
    }
  }
  return holds;
}

int main(int argc, char** argv) {
  textbook::plot picture{"Condition number 100, eigenvectors rotated", "step", "loss", false, true};
  bool const rates_hold = compare_steps();
  bool const holds = compare_methods(picture) && rates_hold;
  textbook::write_svg(std::filesystem::path(argc > 1 ? argv[1] : ".") / "convergence.svg", picture);
  fmt::print("\nconvergence.svg shows the losses for kappa = 100.\n{}\n",
             holds ? "The eigenvalues tell the rate of the first two methods, in any coordinates."
                     "\nAdam depends on the coordinates: no formula of the eigenvalues gives its "
                     "rate."
                   : "FAILED: a rate is not the predicted one");
  return holds ? 0 : 1;
}
