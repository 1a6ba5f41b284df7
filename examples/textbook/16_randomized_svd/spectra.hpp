#pragma once

#include "support/random.hpp"

#include <eckart/linalg/rsvd.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// Matrices with random singular vectors and the singular values that are asked for.
namespace textbook {

using namespace eckart;

constexpr index_t rows = 240, cols = 160;

struct example {
  std::string name;
  std::vector<double> values;  // singular values, falling
  matrix<double> a;            // (rows, cols)
};

inline auto orthonormal(index_t n, index_t k, std::uint64_t seed) -> matrix<double> {
  return qr(normal_matrix(n, k, seed)).q;
}

template <class F>
auto make(std::string name, F value) -> example {
  std::vector<double> values;
  for (index_t i = 1; i <= cols; ++i) {
    values.push_back(value(static_cast<double>(i)));
  }
  auto us = orthonormal(rows, cols, 1);
  openblas{}.scale_columns(std::span<double const>(values), as_view(us));
  return {std::move(name), std::move(values),
          matmul(op::none, us, op::transpose, orthonormal(cols, cols, 2))};
}

}  // namespace textbook
