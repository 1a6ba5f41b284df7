// Up to which rank do the factors of a matrix cost less than the matrix? In storage and in FLOPs,
// for the textbook's U_k S_k V_k^T and for three other ways to write the same matrix down.
#include "storage.hpp"
#include "support/random.hpp"

#include "eckart/backend/counting.hpp"
#include "eckart/backend/reference.hpp"
#include "eckart/factor/apply.hpp"
#include "eckart/factor/break_even.hpp"
#include "eckart/factor/factorize.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <span>

using namespace eckart;
using namespace textbook;
using dense = matrix<double>;

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

auto main(int count, char** arguments) -> int {
  auto const folder = std::filesystem::path(count > 1 ? arguments[1] : ".");
  print_storage({1000, 1000}, std::array<index_t, 7>{50, 414, 415, 499, 500, 999, 1000});
  auto holds = print_break_even(std::array{shape2{768, 768}, shape2{1024, 1024}, shape2{3072, 768},
                                           shape2{9216, 768}, shape2{50265, 768}});
  draw_storage({768, 768}, folder / "break_even.svg");
  fmt::print("break_even.svg shows storage against k for 768 x 768.\n\n");

  auto const signal = matmul(normal_matrix(200, 100, 1), normal_matrix(100, 200, 2));  // rank 100
  dense const noisy = signal + normal_matrix(200, 200, 3);
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
  holds = holds && std::abs(kept - 0.75) < 0.03;
  if (!holds) {
    fmt::print(stderr, "a number is not what its formula says\n");
  }
  return holds ? 0 : 1;
}
