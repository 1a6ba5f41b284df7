#include "eckart/core/view.hpp"
#include "eckart/linalg/svd.hpp"

#include <cmath>
#include <cstdio>

// The singular values of diag(4, 3) are 4 and 3.
int main() {
  auto const a = xt::xtensor<double, 2>{{0, 3}, {4, 0}};
  auto const s = eckart::svd(a).s;
  std::printf("%zu singular values: %g, %g\n", s.size(), s(0), s(1));
  return std::abs(s(0) - 4) < 1e-12 && std::abs(s(1) - 3) < 1e-12 ? 0 : 1;
}
