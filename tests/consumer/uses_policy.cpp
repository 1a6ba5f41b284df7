#include "eckart/factor/factorize.hpp"

#include <cstdio>

// A policy of the user's own: a value, and choose_rank beside it, found by argument-dependent
// lookup. Nothing of eckart is opened or changed.
namespace shop {

/// As many layers as have a singular value of at least this part of the largest.
struct above_part_of_largest {
  double part;
};

auto choose_rank(above_part_of_largest const& policy, eckart::spectrum s, eckart::shape2)
    -> eckart::index_t {
  eckart::index_t rank = 1;
  while (rank < static_cast<eckart::index_t>(s.size()) &&
         s[static_cast<std::size_t>(rank)] >= policy.part * s[0]) {
    ++rank;
  }
  return rank;
}

}  // namespace shop

static_assert(eckart::rank_policy<shop::above_part_of_largest>);

// Of diag(8, 4, 2, 1) the values 8, 4 and 2 are at least a quarter of the largest.
int main() {
  auto a = eckart::make_matrix<float>({4, 4});
  a.fill(0);
  for (std::size_t i = 0; i < 4; ++i) {
    a(i, i) = static_cast<float>(8 >> i);
  }
  auto const w = eckart::factorize(a, shop::above_part_of_largest{0.25});
  std::printf("rank %d\n", static_cast<int>(w.rank()));
  return w.rank() == 3 ? 0 : 1;
}
