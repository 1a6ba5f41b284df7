// expect: (could not convert|no viable conversion|conversion from)
#include "eckart/core/view.hpp"

#ifdef ECKART_CORRECTED
using element = double;
#else
using element = double const;
#endif

auto widen(eckart::matrix_view<element> a) -> eckart::matrix_view<double> {
  return a;
}
