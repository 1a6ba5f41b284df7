// expect: no matching function for call to '(eckart::)?(v0::)?cublas::gemm
#include "eckart/backend/cublas.hpp"

using eckart::op;

#ifdef ECKART_CORRECTED
using view = eckart::device_view<float>;
#else
using view = eckart::matrix_view<float>;
#endif

void product(view a, view c, eckart::cublas const& backend);
void product(view a, view c, eckart::cublas const& backend) {
  backend.gemm(op::none, op::none, 1.0F, a, a, 0.0F, c);
}
