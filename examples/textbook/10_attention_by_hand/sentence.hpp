#pragma once

#include <eckart/core/view.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <vector>

/// A sentence of five tokens, and matrices with a row for each of them.
namespace textbook {

using table = eckart::matrix<double>;
using names = std::vector<std::string>;

// What a token asks for (query), offers (key) and hands on (value), in four hand-made features.
// "its" asks for an animal, and "dog" offers one.
struct inputs {
  table q, k, v;  // (tokens, features)
};
inline names const tokens{"the", "dog", "hid", "its", "bone"};
inline names const features{"animal", "action", "thing", "filler"};
inline inputs const made{{{0, 0, 2, 0}, {0, 2, 0, 0}, {2, 0, 2, 0}, {3, 0, 0, 0}, {0, 1, 1, 0}},
                         {{0, 0, 0, 2}, {3, 0, 1, 0}, {0, 3, 0, 0}, {1, 0, 0, 1}, {0, 0, 3, 0}},
                         {{0, 0, 0, 1}, {2, 1, 0, 0}, {0, 2, 0, 0}, {1, 0, 0, 1}, {0, 0, 2, 0}}};

/// One row a token.
inline void print(std::string const& title, table const& a, names const& columns, int digits) {
  fmt::print("\n{}\n{:6}", title, "");
  for (auto const& name : columns) {
    fmt::print("{:>8}", name);
  }
  for (std::size_t i = 0; i < a.shape(0); ++i) {
    fmt::print("\n{:>6}", tokens[i]);
    for (std::size_t j = 0; j < a.shape(1); ++j) {
      fmt::print("{:>8.{}f}", a(i, j), digits);
    }
  }
  fmt::print("\n");
}

}  // namespace textbook
