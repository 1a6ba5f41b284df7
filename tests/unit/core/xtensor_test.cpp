#include "eckart/core/xtensor.hpp"

#include <doctest/doctest.h>

using namespace eckart;

TEST_CASE_TEMPLATE("a matrix stores its rows one after another", T, float, double) {
  auto a = matrix<T>::from_shape({2, 3});
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      a(i, j) = static_cast<T>(10 * i + j);
    }
  }
  T const expected[] = {0, 1, 2, 10, 11, 12};
  for (std::size_t e = 0; e < 6; ++e) {
    CHECK(a.data()[e] == expected[e]);
  }
}

TEST_CASE_TEMPLATE("a vector has one dimension", T, float, double) {
  auto const v = vector<T>::from_shape({4});
  CHECK(v.dimension() == 1);
  CHECK(v.size() == 4);
}
