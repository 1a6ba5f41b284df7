// expect: (assignment of read-only location|cannot assign to return value)
#include "eckart/core/view.hpp"

#ifdef ECKART_CORRECTED
using element = float;
#else
using element = float const;
#endif

void write(eckart::matrix_view<element> a) {
  a(0, 0) = 1;
}
