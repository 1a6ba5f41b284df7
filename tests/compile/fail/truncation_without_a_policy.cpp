// expect: no matching function for call to '(eckart::)?factorize
#include "eckart/factor/factorize.hpp"

void truncate(eckart::matrix<double> const& a) {
#ifdef ECKART_CORRECTED
  eckart::at_rank const policy{3};
#else
  int const policy = 3;
#endif
  static_cast<void>(eckart::factorize(a, policy));
}
