// expect: no matching function for call to 'matmul
#include "eckart/backend/cublas.hpp"
#include "eckart/linalg/matmul.hpp"

using eckart::op;

#ifdef ECKART_CORRECTED
using operand = eckart::matrix<float>;
#else
using operand = eckart::device_matrix<float>;
#endif

auto product(operand const& a) -> eckart::matrix<float>;
auto product(operand const& a) -> eckart::matrix<float> {
  return eckart::matmul(a, a);
}
