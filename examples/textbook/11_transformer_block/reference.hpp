#pragma once

#include <eckart/io/json.hpp>
#include <eckart/models/bart/bart.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <vector>

namespace textbook {

/// What another implementation computed from the same weights, in single and in double precision.
/// It holds two sentences, ours is the second.
class reference {
 public:
  explicit reference(std::filesystem::path const& folder)
      : single_(eckart::read_json(folder / "golden.json")),
        double_(eckart::read_json(folder / "golden_double.json")) {}

  auto tokens(char const* name) const -> std::vector<eckart::token_id> {
    return single_[name][1].get<std::vector<eckart::token_id>>();
  }

  /// Prints and answers whether our states x are those that a stack gives to a layer.
  auto agrees(char const* what, eckart::matrix<double> const& x, char const* stack,
              std::size_t layer) const -> bool {
    bool const in_single = difference(x, single_[stack][layer]) < 1e-5;
    bool const in_double = difference(x, double_[stack][layer]) < 1e-10;
    fmt::print("  {:<44}{:>14}{:>16}\n", what, in_single ? "yes" : "NO", in_double ? "yes" : "NO");
    return in_single && in_double;
  }

 private:
  // The largest difference; `both` holds the states of both sentences.
  static auto difference(eckart::matrix<double> const& x, nlohmann::json const& both) -> double {
    double largest = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::abs(x.data()[i] - both.at(x.size() + i).get<double>()));
    }
    return largest;
  }

  nlohmann::json single_, double_;
};

}  // namespace textbook
