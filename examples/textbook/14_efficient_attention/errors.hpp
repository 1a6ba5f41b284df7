#pragma once

#include "approximations.hpp"
#include "support/plot.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

/// Errors of all methods, as a table and as a picture.
namespace textbook {

using errors = std::vector<std::vector<double>>;  // row by row, one column a method

inline void print_errors(std::string const& first, std::vector<index_t> const& labels,
                         errors const& e) {
  fmt::print("{:>5}", first);
  for (auto const& m : methods) {
    fmt::print("{:>11}", m.name);
  }
  for (std::size_t i = 0; i < e.size(); ++i) {
    fmt::print("\n{:5}", labels[i]);
    for (auto const error : e[i]) {
      fmt::print("{:11.4f}", error);
    }
  }
  fmt::print("\n\n");
}

inline void draw(std::filesystem::path const& file, std::vector<index_t> const& ranks,
                 errors const& e) {
  plot picture{.title = "Approximate attention, 512 tokens",
               .x_label = "rank or number of features",
               .y_label = "relative error of the output",
               .log_x = true,
               .log_y = true};
  for (std::size_t m = 0; m < methods.size(); ++m) {
    series line{.label = methods[m].name, .x = {ranks.begin(), ranks.end()}};
    for (auto const& row : e) {
      line.y.push_back(row[m]);
    }
    picture.lines.push_back(line);
  }
  write_svg(file, picture);
}

}  // namespace textbook
