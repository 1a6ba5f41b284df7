#pragma once

#include "support/random.hpp"

#include "eckart/linalg/matmul.hpp"

#include <array>
#include <random>

/// Users and films with hidden tastes and contents, and the few ratings that are known.
namespace textbook {

using eckart::index_t;
using matrix = eckart::matrix<double>;

inline constexpr index_t users = 120, films = 72;
inline constexpr std::array genres{"action", "comedy", "horror", "romance"};
inline constexpr auto true_rank = static_cast<index_t>(genres.size());

struct world {           // (users, films) each
  matrix liking;         // stars that a user would give without whim; no method sees it
  matrix stars;          // liking + noise, in half stars from 0.5 to 5
  matrix seen, heldout;  // 1 where the rating is known, or kept aside for the test; else 0
};

inline auto make_world() -> world {
  matrix content = 0.2 * normal_matrix(films, true_rank, 2);  // each film has a bit of each genre
  for (index_t f = 0; f < films; ++f) {
    content(f, f % true_rank) += 0.6;  // and much of its own
  }
  auto const taste = normal_matrix(users, true_rank, 1);
  auto const kindness = normal_matrix(users, 1, 3), quality = normal_matrix(1, films, 4);
  world w;
  w.liking = 3 + 0.3 * kindness + 0.3 * quality +
             eckart::matmul(eckart::op::none, taste, eckart::op::transpose, content);
  w.stars = w.liking + 0.3 * normal_matrix(users, films, 5);
  w.stars = xt::clip(xt::round(2 * w.stars) / 2, 0.5, 5.0);
  w.seen = w.heldout = xt::zeros<double>({users, films});
  std::mt19937 random(6);
  for (index_t u = 0; u < users; ++u) {
    for (index_t f = 0; f < films; ++f) {
      auto const percent = random() % 100;
      w.seen(u, f) = percent < 30 ? 1 : 0;
      w.heldout(u, f) = percent >= 90 ? 1 : 0;
    }
  }
  return w;
}

}  // namespace textbook
