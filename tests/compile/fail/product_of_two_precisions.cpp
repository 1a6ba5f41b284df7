// expect: no matching function for call to '(eckart::)?matmul
#include "eckart/linalg/matmul.hpp"

#ifdef ECKART_CORRECTED
using element = double;
#else
using element = float;
#endif

auto product(eckart::matrix<double> const& a, eckart::matrix<element> const& b)
    -> eckart::matrix<double> {
  return eckart::matmul(a, b);
}
