#include <eckart/eckart.hpp>

#include <iostream>

int main() {
  xt::xtensor<double, 2> a = xt::zeros<double>({300, 200});
  for (int i = 0; i < 300; ++i)
    for (int j = 0; j < 200; ++j)
      a(i, j) = 1.0 / (1 + i + j);  // a Hilbert matrix

  auto const s = eckart::svd(a).s;                                  // singular values, falling
  auto const w = eckart::factorize(a, eckart::within_error{1e-6});  // U diag(s) Vt, rank by error
  auto const y = eckart::apply(a, w);                               // a * w^T through the factors
  std::cout << "s1 = " << s(0) << ", rank " << w.rank() << ", " << parameters(w)
            << " numbers instead of " << a.size() << ", y(0, 0) = " << y(0, 0) << '\n';
}
