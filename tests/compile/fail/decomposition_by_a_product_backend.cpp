// expect: no matching function for call to '(eckart::)?svd
#include "eckart/linalg/svd.hpp"

#include "eckart/backend/reference.hpp"

#ifdef ECKART_CORRECTED
using backend = eckart::openblas;
#else
using backend = eckart::reference;  // multiplies, but factors nothing
#endif

auto decompose(eckart::matrix<double> const& a) -> eckart::svd_result<double> {
  return eckart::svd(a, {}, backend{});
}
