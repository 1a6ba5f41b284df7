// The n-th Fibonacci number without the n - 1 before it: Q = [[1, 1], [1, 0]] = V diag(l) V^T gives
// Q^n = V diag(l^n) V^T, whose corner is F_n. In double this is exact for how long?
#include "exact_fibonacci.hpp"

#include "eckart/linalg/eigh.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <limits>
#include <numbers>

using textbook::exact_at;
using textbook::last;

// F_n = sum_i V(0, i) V(1, i) l_i^n, entry (0, 1) of Q^n.
struct closed_form {
  std::array<double, 2> weight;  // 1/sqrt(5) and -1/sqrt(5)
  std::array<double, 2> lambda;  // (1 + sqrt(5))/2 and (1 - sqrt(5))/2

  auto operator()(int n) const -> double {
    return weight[0] * std::pow(lambda[0], n) + weight[1] * std::pow(lambda[1], n);
  }
};

auto diagonalize() -> closed_form {
  eckart::matrix<double> const q = {{1, 1}, {1, 0}};
  auto const [l, v] = eckart::eigh(q);
  return {{v(0, 0) * v(1, 0), v(0, 1) * v(1, 1)}, {l(0), l(1)}};
}

auto is_right(closed_form const& f, int n) -> bool {
  return static_cast<std::uint64_t>(std::llround(f(n))) == exact_at(n);
}

auto first_wrong(closed_form const& f) -> int {
  int n = 1;
  while (n < last && is_right(f, n)) {
    ++n;
  }
  return n;
}

// The first n at which an error of F_n of at most this relative size may reach one half.
template <class Error>
auto first_doubtful(Error relative_error) -> int {
  int n = 1;
  while (n < last && relative_error(n) * static_cast<double>(exact_at(n)) < 0.5) {
    ++n;
  }
  return n;
}

constexpr double u = std::numeric_limits<double>::epsilon() / 2;  // 2^-53, one rounding

// l within 4 u gives l^n within 4 n u; weight within 8 u, power, product and sum are the rest.
auto rounding_bound(int n) -> double {
  return (4 * n + 16) * u;
}

int main() {
  auto const f = diagonalize();
  fmt::print("l = {:.12f}, {:.12f}; weights {:.12f}, {:.12f}\n\n", f.lambda[0], f.lambda[1],
             f.weight[0], f.weight[1]);
  constexpr auto phi = std::numbers::phi_v<long double>;
  auto const weight = 1 / std::sqrt(5.0L);
  bool accurate = true;  // what the bound takes for granted
  for (std::size_t i = 0; i < 2; ++i) {
    auto const l = i == 0 ? phi : 1 - phi;
    accurate = accurate && std::abs(f.lambda[i] - l) <= 4 * u &&
               std::abs(std::abs(f.weight[i]) - weight) <= 8 * u * weight;
  }

  auto const doubtful = first_doubtful(rounding_bound);
  bool guaranteed = true;
  fmt::print("  n  F_n by addition  closed form, rounded  error at most\n");
  for (int n = 1; n < doubtful; ++n) {
    guaranteed = guaranteed && is_right(f, n);
    if (n <= 2 || n % 10 == 0 || n == doubtful - 1) {
      fmt::print("{:3}  {:15}  {:20}  {:13.1e}\n", n, exact_at(n), std::llround(f(n)),
                 rounding_bound(n) * static_cast<double>(exact_at(n)));
    }
  }
  int beyond_double = 1;  // the first F_n that no double is equal to
  while (static_cast<std::uint64_t>(static_cast<double>(exact_at(beyond_double))) ==
         exact_at(beyond_double)) {
    ++beyond_double;
  }
  fmt::print("\nn < {}: the error stays below 1/2, so rounding must give F_n.\n", doubtful);
  fmt::print("n = {} to {}: the first wrong n depends on the last bits of l.\n", doubtful,
             beyond_double - 1);
  fmt::print("n = {}: F_n = {} is odd and above 2^53; the nearest double is {:.0f}.\n\n",
             beyond_double, exact_at(beyond_double), static_cast<double>(exact_at(beyond_double)));

  fmt::print("error of l  first wrong n: F_n n error > 1/2  observed\n");
  bool predicted = true;
  for (auto const error : {1e-4, 1e-6, 1e-8, 1e-10, 1e-12}) {
    auto blurred = f;
    blurred.lambda[0] *= 1 + error;
    auto const expected = first_doubtful([&](int n) { return n * error; });
    predicted = predicted && expected == first_wrong(blurred);
    fmt::print("{:10.0e}  {:33}  {:8}\n", error, expected, first_wrong(blurred));
  }
  auto const here = first_wrong(f);
  std::cerr << "on this machine: first wrong at n = " << here << '\n';
  bool const holds = accurate && guaranteed && predicted && here <= beyond_double;
  fmt::print("\n{}\n", holds ? "The rounding of one number, l, ends the closed form: its relative "
                               "error grows as n,\nwhile the room for it, 1/2 of F_n, shrinks as "
                               "1.618^-n."
                             : "FAILED: the closed form is less exact than its bound");
  return holds ? 0 : 1;
}
