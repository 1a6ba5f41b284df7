#include "units.hpp"

#include <cmath>

// What one unit made, the others use: the types are the same.
int main() {
  eckart::matrix<double> const a{{3, 0}, {0, 1}};
  auto const w = rank_one(a);
  return std::abs(first_singular_value(eckart::to_dense(w)) - 3) < 1e-12 ? 0 : 1;
}
