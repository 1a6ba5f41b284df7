// expect: no matching function for call to 'matmul
#include "eckart/gpu/products.hpp"

#ifdef ECKART_CORRECTED
using operand = eckart::device_matrix<float>;
#else
using operand = eckart::matrix<float>;
#endif

void product(operand const& a, eckart::cublas const& backend);
void product(operand const& a, eckart::cublas const& backend) {
  eckart::matmul(a, a, backend);
}
