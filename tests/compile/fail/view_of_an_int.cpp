// expect: no matching function for call to '(eckart::)?as_view
#include "eckart/core/view.hpp"

void view() {
#ifdef ECKART_CORRECTED
  eckart::matrix<float> container;
#else
  int container = 1;
#endif
  auto const seen = eckart::as_view(container);
  static_cast<void>(seen);
}
