#pragma once

#include "support/plot.hpp"

#include "eckart/factor/break_even.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>

/// What the forms of a matrix store at each rank, as a table and as a picture.
namespace textbook {

using namespace eckart;

/// 102500 as 102,500.
inline auto grouped(std::uint64_t number) -> std::string {
  auto text = std::to_string(number);
  for (auto at = std::ssize(text) - 3; at > 0; at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

inline auto ratio(std::uint64_t a, std::uint64_t b) -> double {
  return static_cast<double>(a) / static_cast<double>(b);
}

/// The table of all forms, one row a rank.
inline void print_storage(shape2 w, std::span<index_t const> ranks) {
  auto const full = cost::parameters(form::dense, w, 0);
  fmt::print("Numbers stored for a {} x {} matrix at rank k; dense {}, * saves nothing\n{:>6}",
             w.rows, w.cols, grouped(full), "k");
  for (auto const f : all_factor_forms) {
    fmt::print("{:>15}", name_of(f));
  }
  for (auto const k : ranks) {
    fmt::print("\n{:>6}", k);
    for (auto const f : all_factor_forms) {
      auto const stored = cost::parameters(f, w, k);
      fmt::print("{:>15}", fmt::format("{}{}", stored < full ? "" : "*", grouped(stored)));
    }
  }
}

/// The picture of all forms at the ranks from 0 to the number of columns.
inline void draw_storage(shape2 w, std::filesystem::path const& file) {
  plot picture{.title = fmt::format("Storage of a {} x {} matrix", w.rows, w.cols),
               .x_label = "rank k",
               .y_label = "numbers stored / dense"};
  for (auto const f : all_factor_forms) {
    auto& line = picture.lines.emplace_back();
    line.label = name_of(f);
    for (index_t k = 0; k <= w.cols; k += 8) {
      line.x.push_back(static_cast<double>(k));
      line.y.push_back(ratio(cost::parameters(f, w, k), cost::parameters(form::dense, w, 0)));
    }
    if (auto const last = break_even(w)[f].storage; f == form::full_core || f == form::two_factor) {
      picture.marks.emplace_back(last, fmt::format("rank {}", last));
    }
  }
  picture.lines.push_back({"dense", {0, static_cast<double>(w.cols)}, {1, 1}});
  write_svg(file, picture);
}

}  // namespace textbook
