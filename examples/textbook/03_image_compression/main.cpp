// A picture is a matrix. How good is it at rank k, and what does it then cost to store?
#include "landscape.hpp"
#include "support/plot.hpp"
#include "support/png.hpp"

#include <eckart/factor/factorize.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

using eckart::as_view;
using eckart::form;
using eckart::index_t;
using eckart::cost::last_saving_rank;
using textbook::side;
using picture = eckart::matrix<double>;  // 0 black to 1 white

namespace {

constexpr eckart::shape2 shape{side, side};

/// PSNR = 10 log10(peak² / MSE) in decibels, peak = 1.
auto psnr(double mean_squared_error) -> double {
  return -10 * std::log10(mean_squared_error);
}

auto psnr(picture const& a, picture const& b) -> double {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += std::pow(a.data()[i] - b.data()[i], 2);
  }
  return psnr(sum / static_cast<double>(a.size()));
}

/// What a form stores at rank k, in numbers a pixel: 1 is the picture itself.
auto stored(form f, index_t k) -> double {
  return static_cast<double>(eckart::cost::parameters(f, shape, k)) / (side * side);
}

void plot_quality(std::filesystem::path const& file, std::vector<index_t> const& ranks,
                  std::vector<double> const& decibels) {
  textbook::plot plot{.title = "A photograph at rank 1 to 160",
                      .x_label = "numbers stored a pixel",
                      .y_label = "PSNR in dB"};
  plot.marks = {{1, "the photograph itself"}};
  for (auto const f : {form::full_core, form::two_factor, form::pivoted}) {
    auto& line = plot.lines.emplace_back(textbook::series{std::string(name_of(f)), {}, decibels});
    std::ranges::transform(ranks, std::back_inserter(line.x), [f](auto k) { return stored(f, k); });
  }
  textbook::write_svg(file, plot);
}

}  // namespace

int main(int argc, char** argv) {
  auto const folder = std::filesystem::path(argc > 1 ? argv[1] : ".");
  auto const scene = textbook::photograph(0);
  auto const photo = textbook::photograph(0.01);
  auto const layers = eckart::svd(photo);
  textbook::write_png(folder / "image_original.png", as_view(photo));
  fmt::print(
      "A photograph of {0} x {0} pixels at rank k: its PSNR, and what each form stores.\n"
      "The last column compares with the scene before the camera added its grain.\n\n"
      "  rank      PSNR   full core  two factors    pivoted   PSNR to the scene\n",
      side);

  std::vector<index_t> const ranks{1, 2, 5, 10, 20, 40, 80, 120, 160};
  std::vector<double> decibels, to_scene;
  for (auto const k : ranks) {
    auto const approximation = to_dense(eckart::truncate(layers, eckart::at_rank{k}));
    decibels.push_back(psnr(photo, approximation));
    to_scene.push_back(psnr(scene, approximation));
    fmt::print("  {:4}  {:5.2f} dB  {:8.1f} %  {:9.1f} %  {:7.1f} %  {:15.2f} dB\n", k,
               decibels.back(), 100 * stored(form::full_core, k), 100 * stored(form::two_factor, k),
               100 * stored(form::pivoted, k), to_scene.back());
    auto const left_out = eckart::truncation_error(eckart::as_span(layers.s), k);
    if (std::abs(decibels.back() - psnr(left_out * left_out / (side * side))) > 1e-6) {
      fmt::print("The PSNR is not that of the singular values left out.\n");
      return 1;
    }
    if (k == 5 || k == 20 || k == 80) {
      textbook::write_png(folder / fmt::format("image_rank_{:03}.png", k), as_view(approximation));
    }
  }
  plot_quality(folder / "psnr.svg", ranks, decibels);

  auto const grainy = psnr(scene, photo);
  auto const gain = *std::ranges::max_element(to_scene) - grainy;
  fmt::print("   all             100.0 %      100.0 %    100.0 %  {:15.2f} dB\n\n", grainy);
  fmt::print("The PSNR is that of the singular values left out, checked at every rank.\n");
  fmt::print("Last rank that saves storage: full core {}, two factors {}, pivoted {}.\n",
             last_saving_rank(form::full_core, shape), last_saving_rank(form::two_factor, shape),
             last_saving_rank(form::pivoted, shape));
  if (gain < 1) {
    fmt::print("No rank is closer to the scene than the photograph.\n");
    return 1;
  }
  fmt::print(
      "The best rank is {:.1f} dB closer to the scene than the photograph: the last layers\n"
      "are mostly grain.\nWritten: image_original.png, image_rank_005.png, "
      "image_rank_020.png, image_rank_080.png, psnr.svg\n",
      gain);
}
