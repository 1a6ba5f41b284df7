// Faces as points of a vector space: whose picture is this?
#include "faces.hpp"
#include "support/plot.hpp"

#include <eckart/linalg/pca.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <span>
#include <vector>

using eckart::as_view;
using eckart::index_t;
using textbook::side;
using pictures = eckart::matrix<double>;  // one a row
using view = eckart::matrix_view<double const>;

namespace {

constexpr int known_each = 4, asked_each = 3;

auto distance(std::span<double const> a, std::span<double const> b) -> double {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return std::sqrt(sum);
}

/// The percentage of pictures asked about whose nearest known picture shows the same person.
auto identified(view known, view asked) -> double {
  int right = 0;
  for (index_t i = 0; i < asked.rows; ++i) {
    index_t nearest = 0;
    for (index_t j = 1; j < known.rows; ++j) {
      if (distance(asked.row(i), known.row(j)) < distance(asked.row(i), known.row(nearest))) {
        nearest = j;
      }
    }
    right += nearest / known_each == i / asked_each;
  }
  return 100 * right / static_cast<double>(asked.rows);
}

/// Distances of pictures to the face space: what the eigenfaces cannot say of them.
auto distances_to(eckart::pca_result<double> const& space, pictures const& x)
    -> std::vector<double> {
  auto const nearest = reconstruct(space, project(space, x));
  std::vector<double> result;
  for (index_t i = 0; i < as_view(x).rows; ++i) {
    result.push_back(distance(as_view(x).row(i), as_view(nearest).row(i)));
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  auto const folder = std::filesystem::path(argc > 1 ? argv[1] : ".");
  auto const known = textbook::photograph_all(known_each, 1000);
  auto const asked = textbook::photograph_all(asked_each, 2000);
  auto const space = eckart::pca(known, 60);
  auto const known_scores = project(space, known);
  auto const asked_scores = project(space, asked);
  auto const shares = explained_ratio(space);

  fmt::print(
      "{} people, {} pictures of each are known, {} others are asked about\n\n"
      "  eigenfaces   variance   identified   without the first two\n",
      textbook::people, known_each, asked_each);
  textbook::plot plot{
      .title = "Faces identified", .x_label = "eigenfaces", .y_label = "identified, %"};
  plot.lines = {{.label = "all eigenfaces"}, {.label = "without the first two"}};
  for (index_t const k : {3, 5, 8, 10, 15, 20, 30, 40, 60}) {
    for (auto const i : {0, 1}) {
      auto const axes = [&](auto const& scores) {
        return as_view(scores).col_range(2 * i, k - 2 * i);
      };
      auto& line = plot.lines[static_cast<std::size_t>(i)];
      line.x.push_back(static_cast<double>(k));
      line.y.push_back(identified(axes(known_scores), axes(asked_scores)));
    }
    fmt::print("  {:10} {:8.1f} % {:10.1f} % {:21.1f} %\n", k,
               100 * std::accumulate(shares.begin(), shares.begin() + k, 0.0),
               plot.lines[0].y.back(), plot.lines[1].y.back());
  }
  auto const by_pixels = identified(as_view(known), as_view(asked));
  auto const by_two =
      identified(as_view(known_scores).col_range(0, 2), as_view(asked_scores).col_range(0, 2));
  fmt::print("  all pixels            {:11.1f} %\n\n", by_pixels);

  auto turned = asked;
  for (index_t i = 0; i < as_view(turned).rows; ++i) {
    std::ranges::reverse(as_view(turned).row(i));  // upside down
  }
  auto const upright = std::ranges::max(distances_to(space, asked));
  auto const upside_down = std::ranges::min(distances_to(space, turned));
  auto const best = std::ranges::max(plot.lines[1].y);
  if (best < 95 || best < by_pixels + 30 || by_two > 15 || upside_down < upright) {
    fmt::print("The eigenfaces do not tell the people, or upright from upside down.\n");
    return 1;
  }
  fmt::print(
      "The first two eigenfaces are the light: {:.1f} % of the variance, and they alone identify\n"
      "{:.1f} % (a guess {:.1f} %). Without them up to {:.1f} % are identified.\n"
      "Distance to the face space: at most {:.2f} upright, at least {:.2f} upside down.\n",
      100 * (shares[0] + shares[1]), by_two, 100.0 / textbook::people, best, upright, upside_down);
  textbook::write_sheet(folder / "faces.png", as_view(known).row_range(0, 24), 1, 0.5);
  textbook::write_sheet(folder / "mean_face.png", view(space.mean.data(), 1, side * side), 1, 0.5);
  textbook::write_sheet(folder / "eigenfaces.png", as_view(space.components).row_range(0, 16), 8,
                        0);
  textbook::write_svg(folder / "identified.svg", plot);
  fmt::print("Written: faces.png, mean_face.png, eigenfaces.png, identified.svg\n");
}
