// Which films will a user like, if two ratings of three are missing? A truncated SVD whose gaps are
// filled by its own prediction, again and again (hard-impute).
#include "ratings.hpp"
#include "support/plot.hpp"

#include "eckart/factor/factorize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <vector>

using namespace textbook;

constexpr index_t largest_rank = 8, shown_user = 3;

// The prediction of rank 0: mean of the film + mean deviation of the user, from what is seen.
auto means_of(world const& w) -> matrix {
  auto const by = xt::keep_dims;
  matrix const film_sum = xt::sum(w.seen * w.stars, {0}, by), films_seen = xt::sum(w.seen, {0}, by);
  matrix const film = film_sum / films_seen;  // (1, films)
  matrix const rest = w.seen * (w.stars - film);
  matrix const user_sum = xt::sum(rest, {1}, by), users_seen = xt::sum(w.seen, {1}, by);
  return film + user_sum / users_seen;  // (users, 1) is added to each column
}

// Z <- rank k part of [stars - means where seen, Z elsewhere]. A single step from Z = 0 is the
// plain SVD with zeros in the gaps.
auto impute(world const& w, matrix const& means, matrix z, index_t k, int steps) -> matrix {
  for (int i = 0; i < steps; ++i) {
    z = w.seen * (w.stars - means) + (1 - w.seen) * z;
    z = eckart::to_dense(eckart::factorize(z, eckart::at_rank{k}));
  }
  return z;
}

// Root of the mean squared error over the held-out ratings.
auto heldout_rmse(world const& w, matrix const& prediction) -> double {
  matrix const error = xt::clip(prediction, 0.5, 5.0) - w.stars;
  return std::sqrt(xt::sum(w.heldout * error * error)() / xt::sum(w.heldout)());
}

// The five films of highest prediction among those that the user has not rated.
auto recommend(world const& w, matrix const& prediction, index_t u) -> std::vector<index_t> {
  std::vector<index_t> order;
  for (index_t f = 0; f < films; ++f) {
    if (w.seen(u, f) == 0) {
      order.push_back(f);
    }
  }
  std::ranges::stable_sort(
      order, [&](index_t a, index_t b) { return prediction(u, a) > prediction(u, b); });
  order.resize(5);
  return order;
}

int main(int argc, char** argv) {
  std::filesystem::path const folder = argc > 1 ? argv[1] : ".";
  auto const w = make_world();
  auto const means = means_of(w);
  matrix const zeros = xt::zeros<double>({users, films});
  fmt::print("{} users x {} films, {} of {} ratings seen, {} held out, true rank {}\n\n", users,
             films, xt::sum(w.seen)(), users * films, xt::sum(w.heldout)(), true_rank);
  fmt::print("RMSE of the held-out ratings, in stars\nrank   zeros in the gaps   gaps imputed\n");
  series plain{"zeros in the gaps", {}, {}}, imputed{"gaps imputed", {}, {}};
  matrix z = zeros, best = means;
  for (index_t k = 0; k <= largest_rank; ++k) {
    z = k == 0 ? zeros : impute(w, means, z, k, 15);  // starts from the rank below
    matrix const cut = k == 0 ? zeros : impute(w, means, zeros, k, 1);
    plain.x.push_back(static_cast<double>(k));
    plain.y.push_back(heldout_rmse(w, means + cut));
    imputed.y.push_back(heldout_rmse(w, means + z));
    if (imputed.y.back() == std::ranges::min(imputed.y)) {
      best = means + z;
    }
    fmt::print("{:4}{:20.3f}{:15.3f}\n", k, plain.y.back(), imputed.y.back());
  }
  imputed.x = plain.x;
  fmt::print("rank 0: means alone; the true likings, without any noise, have {:.3f}\n\n",
             heldout_rmse(w, w.liking));
  fmt::print("user {} is offered\n", shown_user);
  for (auto const f : recommend(w, best, shown_user)) {
    fmt::print("  film {:2}, {:7}   predicted {:.1f} stars, liking {:.1f}\n", f,
               genres[static_cast<std::size_t>(f % true_rank)], best(shown_user, f),
               w.liking(shown_user, f));
  }
  write_svg(folder / "rmse_by_rank.svg", {.title = "Held-out error of a recommender",
                                          .x_label = "rank",
                                          .y_label = "RMSE in stars",
                                          .lines = {plain, imputed},
                                          .marks = {{true_rank, "true rank"}}});
  fmt::print("\nwritten: rmse_by_rank.svg\n");

  auto const least = std::ranges::min(imputed.y);
  if (imputed.y[true_rank] != least || least > 0.8 * std::ranges::min(plain.y) ||
      imputed.y.back() < 1.2 * least) {
    fmt::print("refuted: least error at the true rank, well below the plain SVD\n");
    return 1;
  }
}
