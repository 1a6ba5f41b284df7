// expect: cannot bind non-const lvalue|no matching function for call to 'as_view|no viable
#include "eckart/core/view.hpp"

void view() {
#ifdef ECKART_CORRECTED
  auto owner = eckart::make_matrix<double>({2, 2});
  auto const seen = eckart::as_view(owner);
#else
  auto const seen = eckart::as_view(eckart::make_matrix<double>({2, 2}));
#endif
  static_cast<void>(seen);
}
