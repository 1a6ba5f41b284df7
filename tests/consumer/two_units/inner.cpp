#include "units.hpp"

auto first_singular_value(eckart::matrix<double> const& a) -> double {
  return eckart::svd(a).s(0);
}
