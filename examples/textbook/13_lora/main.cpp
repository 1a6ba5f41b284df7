#include "support/random.hpp"
#include "training.hpp"

#include <eckart/nn/lora.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <utility>

// Low-rank adaptation: a layer W that is good at one task is frozen, and a second task is learned
// by an update (alpha / r) B A of rank r, of which only A and B are trained.
using namespace eckart;
using namespace textbook;

namespace {

constexpr index_t outputs = 64, inputs = 96, base_rank = 16, change_rank = 4;
constexpr double noise = 0.1, rate = 0.01;
constexpr int steps = 300;

// Noisy answers of the layer that has to be learned.
auto draw(lora<double> const& teacher, index_t count, std::uint64_t seed) -> examples {
  auto x = normal_matrix(count, inputs, seed);
  matrix<double> y = noise * normal_matrix(count, outputs, seed + 1);
  std::ranges::transform(y, answers(teacher, x), y.begin(), std::plus{});
  return {std::move(x), std::move(y)};
}

auto train(lora<double> layer, examples const& data, int count) -> lora<double> {
  descent a(layer.a().shape()), b(layer.b().shape());
  for (int i = 0; i < count; ++i) {
    auto dy = errors(layer, data);
    std::ranges::for_each(dy, [&](double& e) { e *= 2 / static_cast<double>(data.x.shape(0)); });
    lora_gradients(layer, as_view(data.x), as_view(dy), as_view(a.gradient), as_view(b.gradient));
    a.step(layer.a(), rate);
    b.step(layer.b(), rate);
  }
  return layer;
}

// Full fine-tuning: the same descent on all of W.
auto fine_tune(matrix<double> w, examples const& data) -> linear<double> {
  descent all(as_view(w).shape());
  for (int i = 0; i < steps; ++i) {
    auto const dy = errors(linear<double>(w), data);
    openblas{}.gemm(op::transpose, op::none, 2 / static_cast<double>(data.x.shape(0)), as_view(dy),
                    as_view(data.x), 0.0, as_view(all.gradient));
    all.step(as_view(w), rate);
  }
  return linear<double>(std::move(w));
}

}  // namespace

int main() {
  auto const size = 1 / std::sqrt(static_cast<double>(inputs));
  linear<double> const base(low_rank<double, two_factor>(
      0.25 * normal_matrix(outputs, base_rank, 1), size * normal_matrix(base_rank, inputs, 2)));
  lora<double> const teacher(base, size * normal_matrix(change_rank, inputs, 3),
                             0.5 * normal_matrix(outputs, change_rank, 4), change_rank);
  auto const data = draw(teacher, 160, 10);
  auto const fresh = draw(teacher, 1000, 20);

  fmt::print(
      "A frozen {} x {} layer, a new task whose layer differs from it by rank {}.\n"
      "160 examples, {} steps. Mean squared error; the noise alone has {:.4f}.\n\n"
      "                  trained  of all   examples  new data\n",
      outputs, inputs, change_rank, steps, noise * noise);
  auto const row = [&](auto const& layer, std::string const& name, auto trained) {
    auto const part = static_cast<double>(trained) / static_cast<double>(outputs * inputs);
    auto const unseen = loss(layer, fresh);
    fmt::print("{:17} {:7} {:6.1f}%   {:8.4f}  {:8.4f}\n", name, trained, 100 * part,
               loss(layer, data), unseen);
    return unseen;
  };
  row(base, "frozen W", 0);
  auto const update_of = [&](index_t r) { return make_lora(base, r, static_cast<double>(r), 5); };
  std::map<index_t, double> unseen;
  for (auto const r : {index_t{1}, index_t{2}, index_t{3}, change_rank, index_t{8}, index_t{16}}) {
    auto const layer = train(update_of(r), data, steps);
    unseen[r] = row(layer, fmt::format("update of rank {}", r), layer.trainable_parameters());
  }
  auto const all = row(fine_tune(base.dense_weight(), data), "all of W", outputs * inputs);

  fmt::print("\nRank {} learns: error on the examples after so many steps\n", change_rank);
  auto before = HUGE_VAL;
  auto falls = true;
  for (auto const count : {0, 10, 20, 30, 40, 80}) {
    auto const now = loss(train(update_of(change_rank), data, count), data);
    fmt::print("{:8} {:8.4f}\n", count, now);
    falls = falls && now < std::exchange(before, now);
  }

  auto const layer = train(update_of(change_rank), data, steps);
  auto const merged = merge(layer, fresh.x);
  auto const bound = 1e-12;
  fmt::print("\nMerged, W + (alpha / r) B A: {} numbers, outputs differ by less than {:.0e}: {}\n",
             merged.layer.parameters(), bound, merged.largest_difference < bound ? "yes" : "no");
  auto const exact = layer.retruncated(within_error{1e-9});
  auto const short_one = layer.retruncated(at_rank{base_rank});
  fmt::print(
      "Merged in factors: rank {} + {} = {}, {} numbers, error on new data {:.4f}\n"
      "Cut to rank {} again:            {} numbers, error on new data {:.4f}\n",
      base_rank, change_rank, exact.rank(), exact.parameters(), loss(exact, fresh), base_rank,
      short_one.parameters(), loss(short_one, fresh));

  if (!falls || merged.largest_difference >= bound || exact.rank() != base_rank + change_rank ||
      unseen[change_rank] > 1.3 * noise * noise || unseen[change_rank - 1] < 5 * noise * noise ||
      all < 2 * unseen[change_rank]) {
    fmt::print("A claim of this example does not hold.\n");
    return EXIT_FAILURE;
  }
}
