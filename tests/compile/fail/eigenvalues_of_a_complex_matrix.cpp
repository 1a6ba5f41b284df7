// expect: no matching function for call to '(eckart::)?eigh
#include "eckart/linalg/eigh.hpp"

#include <complex>

#ifdef ECKART_CORRECTED
using element = double;
#else
using element = std::complex<double>;
#endif

auto pairs(eckart::matrix<element> const& a) {
  return eckart::eigh(a);
}
