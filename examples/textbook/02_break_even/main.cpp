// Up to which rank do the factors of a matrix cost less than the matrix? In storage and in FLOPs,
// for the textbook's U_k S_k V_k^T and for three other ways to write the same matrix down.
#include "support/plot.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "eckart/core/random.hpp"
#include "eckart/factor/apply.hpp"
#include "eckart/factor/break_even.hpp"
#include "eckart/factor/factorize.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>

using namespace eckart;
using dense = matrix<double>;

auto grouped(std::uint64_t number) -> std::string {  // 102500 as 102,500
  auto text = std::to_string(number);
  for (auto at = std::ssize(text) - 3; at > 0; at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

auto ratio(std::uint64_t a, std::uint64_t b) -> double {
  return static_cast<double>(a) / static_cast<double>(b);
}

void print_storage(shape2 w, std::span<index_t const> ranks) {
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

// Answers whether storage is saved at each rank of the table and not at the next, and whether W X
// breaks even where W x does.
auto print_break_even(std::span<shape2 const> shapes) -> bool {
  fmt::print("\n\nLast rank that saves, in storage / in additions and multiplications of W x\n");
  bool holds = true;
  for (auto const& row : break_even_table(shapes, {512, cost::flop_count::textbook})) {
    fmt::print("{:>6} x {:<4}", row.shape.rows, row.shape.cols);
    for (auto const f : all_factor_forms) {
      auto const k = row[f].storage;
      fmt::print("{:>15}", fmt::format("{} / {}", k, row[f].matrix_vector));
      holds = holds && cost::parameters(f, row.shape, k) < row.dense_parameters &&
              cost::parameters(f, row.shape, k + 1) >= row.dense_parameters &&
              row[f].matrix_vector == row[f].matrix_matrix;
    }
    fmt::print("\n");
  }
  return holds;
}

void draw(shape2 w, std::filesystem::path const& file) {
  textbook::plot picture{.title = fmt::format("Storage of a {} x {} matrix", w.rows, w.cols),
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

auto relative_error(dense const& a, dense const& signal) -> double {
  return frobenius_norm(dense(a - signal)) / frobenius_norm(signal);
}

// What a form stores and how much a product W x really does. Answers whether that is the formula.
template <class Form>
auto print_measured(low_rank<double, Form> const& w, dense const& signal) -> bool {
  counting<reference> const backend;  // counts additions and multiplications while it makes them
  eckart::apply(dense({1, 200}, 1.0), w, backend);
  auto const dense_flops = cost::flops(form::dense, w.shape(), 0, 1);
  fmt::print("{:>14}{:>12}{:>9.3f}{:>12}{:>9.3f}{:>12.5f}\n", name_of(w.stored_as),
             grouped(parameters(w)), ratio(2 * parameters(w), dense_flops), grouped(backend.flops),
             ratio(backend.flops, dense_flops), relative_error(to_dense(w), signal));
  return backend.flops == cost::flops(w.stored_as, w.shape(), w.rank(), 1);
}

auto normal(std::size_t rows, std::size_t cols, std::uint64_t seed) -> dense {
  dense m({rows, cols}, 0.0);
  fill_normal(std::span<double>(m.data(), m.size()), seed);
  return m;
}

auto main(int count, char** arguments) -> int {
  auto const folder = std::filesystem::path(count > 1 ? arguments[1] : ".");
  print_storage({1000, 1000}, std::array<index_t, 7>{50, 414, 415, 499, 500, 999, 1000});
  auto holds = print_break_even(std::array{shape2{768, 768}, shape2{1024, 1024}, shape2{3072, 768},
                                           shape2{9216, 768}, shape2{50265, 768}});
  draw({768, 768}, folder / "break_even.svg");
  fmt::print("break_even.svg shows storage against k for 768 x 768.\n\n");

  auto const signal = matmul(normal(200, 100, 1), normal(100, 200, 2));  // rank 100
  dense const noisy = signal + normal(200, 200, 3);
  auto const w = factorize(noisy, at_rank{100});
  auto const before = relative_error(noisy, signal);
  fmt::print("A 200 x 200 matrix of rank 100 with noise is {:.5f} off; cut back to rank 100:\n",
             before);
  fmt::print("          form      stored  / dense   FLOPs W x  / dense   error\n");
  holds = print_measured(to_full_core(w), signal) && holds;
  holds = print_measured(w, signal) && holds;
  holds = print_measured(to_two_factor(w), signal) && holds;
  holds = print_measured(to_pivoted(w), signal) && holds;
  auto const kept = std::pow(relative_error(to_dense(w), signal) / before, 2);
  fmt::print("{:.2f} of the noise's energy stays; rank k leaves k (m + n - k) = {:.2f} m n free.\n",
             kept, ratio(cost::parameters(form::pivoted, {200, 200}, 100), 200 * 200));
  if (!holds || std::abs(kept - 0.75) > 0.03) {
    fmt::print(stderr, "a number is not what its formula says\n");
  }
  return holds ? 0 : 1;
}
