#pragma once

#include "eckart/core/view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string_view>
#include <vector>

/// The pages of a small web, their links and their ranks.
namespace textbook {

struct page {
  std::string_view name;
  std::vector<std::size_t> links;  // pages that it points to
};

// A university and its climbing club, with few links between them. A PDF links to nothing.
inline std::vector<page> const web = {
    {"home", {1, 2, 3, 4}},  {"courses", {0, 3, 5}}, {"library", {0, 1}},    {"staff", {0, 1}},
    {"news", {0, 6}},        {"timetable.pdf", {}},  {"club", {7, 8, 9}},    {"photos", {6}},
    {"forum", {0, 6, 7, 9}}, {"routes", {6, 8}},     {"old blog", {2, 6, 7}}};
inline auto const n = web.size();

/// The number of pages that point to page i.
inline auto links_to(std::size_t i) -> std::ptrdiff_t {
  return std::count_if(web.begin(), web.end(), [&](page const& p) {
    return std::find(p.links.begin(), p.links.end(), i) != p.links.end();
  });
}

/// The pages, from the highest rank to the lowest; the ranks are (n, 1).
inline void print_ranking(eckart::matrix<double> const& by_svd,
                          eckart::matrix<double> const& by_power) {
  auto order = std::vector<std::size_t>(n);
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](auto i, auto j) { return by_svd(i, 0) > by_svd(j, 0); });
  fmt::print("place  page           links in  SVD of G - I  power iteration\n");
  for (std::size_t place = 0; place < n; ++place) {
    auto const i = order[place];
    fmt::print("{:5}  {:13}  {:8}  {:12.6f}  {:15.6f}\n", place + 1, web[i].name, links_to(i),
               by_svd(i, 0), by_power(i, 0));
  }
}

}  // namespace textbook
