#pragma once

#include "support/plot.hpp"
#include "tables.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

/// What the trains and the SVD take, and a picture of it.
namespace textbook {

inline constexpr auto dense = static_cast<double>(tokens * width);

/// A relative error ||a - b|| / ||a||, the numbers of the trains that make it, and those of the
/// SVD as two factors, k (tokens + width), at the smallest rank k that is as accurate.
struct result {
  double error = 0, train = 0, svd = 0;
};

/// One line for each layout, and the SVD at the errors of all.
inline void draw(std::filesystem::path const& file, std::string const& title,
                 std::vector<result> const& results) {
  plot picture{.title = title, .x_label = "numbers stored", .y_label = "relative error"};
  for (auto const& way : layouts) {
    picture.lines.push_back({way.name});
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    picture.lines[i / asked.size()].x.push_back(results[i].train);
    picture.lines[i / asked.size()].y.push_back(results[i].error);
  }
  auto by_size = results;
  std::ranges::sort(by_size, {}, &result::svd);
  auto& line = picture.lines.emplace_back(series{"truncated SVD"});
  for (auto const& r : by_size) {
    line.x.push_back(r.svd), line.y.push_back(r.error);
  }
  picture.marks = {{dense, "the table itself"}};
  write_svg(file, picture);
}

}  // namespace textbook
