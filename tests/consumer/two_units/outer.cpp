#include "units.hpp"

auto rank_one(eckart::matrix<double> const& a) -> eckart::low_rank<double, eckart::diagonal_core> {
  return eckart::factorize(a, eckart::at_rank{1});
}
