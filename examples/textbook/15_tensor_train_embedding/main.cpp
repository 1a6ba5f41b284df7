// TensorGPT stores the embedding of each token as a tensor train. What does that save, and does a
// truncated SVD of the whole table save more at the same error?
#include "results.hpp"
#include "tables.hpp"

#include <eckart/factor/rank_policy.hpp>
#include <eckart/linalg/svd.hpp>
#include <eckart/linalg/tensor_train.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <vector>

using textbook::asked;
using textbook::dense;
using textbook::layouts;
using textbook::result;
using textbook::tokens;
using textbook::width;

namespace {

/// Cuts the values into trains of relative error epsilon.
auto compress(std::span<double const> values, textbook::layout const& way, double epsilon)
    -> result {
  auto const size = way.by_token ? std::size_t{width} : values.size();
  result sum;
  double squares = 0;
  for (std::size_t at = 0; at < values.size(); at += size) {
    auto const part = values.subspan(at, size);
    auto const train = eckart::tt_svd(part, way.axes, {.epsilon = epsilon});
    auto const back = to_dense(train);
    sum.train += static_cast<double>(parameters(train));
    for (std::size_t i = 0; i < size; ++i) {
      squares += (part[i] - back(i)) * (part[i] - back(i));
    }
  }
  sum.error = std::sqrt(squares) / eckart::euclidean_norm(values);
  return sum;
}

/// All layouts at all errors, one after another.
auto measure(textbook::table const& a) -> std::vector<result> {
  auto const in_order = std::span(a.data(), a.size());
  auto const paired = textbook::paired_digits(a);
  auto const s = eckart::svd(a).s;
  std::vector<result> results;
  for (auto const& way : layouts) {
    for (auto const epsilon : asked) {
      auto r = compress(way.paired ? std::span<double const>(paired) : in_order, way, epsilon);
      auto const k =
          choose_rank(eckart::within_error{r.error}, eckart::as_span(s), {tokens, width});
      r.svd = static_cast<double>(k * (tokens + width));
      results.push_back(r);
    }
  }
  return results;
}

}  // namespace

int main(int argc, char** argv) try {
  auto const folder = std::filesystem::path(argc > 1 ? argv[1] : ".");
  auto const trained = measure(textbook::trained_embedding());
  auto const noise = measure(textbook::noise());
  auto const sines = measure(textbook::sinusoidal_positions());
  textbook::draw(folder / "tensor_train_embedding.svg", "A trained token embedding", trained);
  textbook::draw(folder / "tensor_train_positions.svg", "Sines and cosines of the position", sines);

  fmt::print(
      "Tables of {} x {} numbers as tensor trains (TT), and by an SVD of the same error: how many\n"
      "times fewer numbers each stores. Below 1 it is more than the table.\n\n"
      "                                        trained embedding     noise    sines of positions\n"
      "  tensor                        asked   error    TT    SVD      TT    error     TT    SVD\n",
      tokens, width);
  auto holds = true;
  for (std::size_t i = 0; i < trained.size(); ++i) {
    auto const& way = layouts[i / asked.size()];
    auto const epsilon = asked[i % asked.size()];
    auto const &t = trained[i], &n = noise[i], &s = sines[i];
    fmt::print("  {:30}  {:.1f}   {:.3f} {:5.2f}  {:5.2f}   {:5.2f}    {:.3f}  {:5.2f}  {:5.2f}\n",
               way.name, epsilon, t.error, dense / t.train, dense / t.svd, dense / n.train, s.error,
               dense / s.train, dense / s.svd);
    holds = holds && std::max({t.error, n.error, s.error}) <= epsilon;
    holds = holds && (t.error > 0.2 ? t.svd < t.train : t.train > 0.99 * dense);
    holds = holds && (!way.by_token || std::abs(t.train / n.train - 1) < 0.02);
    holds = holds && (!way.paired || 2 * s.train < s.svd);
  }
  if (!holds) {
    fmt::print("The table does not show what is said of it.\n");
    return 1;
  }
  fmt::print(
      "\nThe embedding: above error 0.2 the SVD is smaller than every train, below it no train\n"
      "saves even 1 %. Token by token a train is as large as that of noise, to 2 %.\n"
      "The sines: with the digits of position and feature in pairs the train stores less than\n"
      "half of what the SVD stores. Trains find structure along their axes, if there is any.\n"
      "Written: tensor_train_embedding.svg, tensor_train_positions.svg\n");
} catch (eckart::error const& e) {
  fmt::print(stderr, "{}\n", e.what());
  return 1;
}
