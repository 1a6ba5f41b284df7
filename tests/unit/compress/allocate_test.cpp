#include "eckart/compress/allocate.hpp"

#include "support/matrix_check.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace eckart;
using support::refusal;

namespace {

using items = std::vector<std::vector<storage_choice>>;
using groups = std::vector<storage_group>;

auto choice(std::uint64_t cost, double loss) -> storage_choice {
  return {form::two_factor, 1, cost, loss};
}

auto allocate_items(items const& list, std::uint64_t budget, allocate_options options = {})
    -> allocation {
  return allocate(std::span<std::vector<storage_choice> const>(list), budget, options);
}

auto allocate_groups(groups const& list, std::uint64_t budget, allocate_options options = {})
    -> allocation {
  return allocate(std::span<storage_group const>(list), budget, options);
}

/// The choices by item.
auto chosen(allocation const& made) -> std::vector<index_t> {
  std::vector<index_t> result;
  for (auto const& group : made.groups) {
    result.insert(result.end(), group.chosen.begin(), group.chosen.end());
  }
  return result;
}

/// Loss, then cost.
using outcome = std::pair<double, std::uint64_t>;

/// Every sum of one choice from each list.
auto combinations(items const& lists) -> std::vector<outcome> {
  std::vector<outcome> sums{{0.0, 0}};
  for (auto const& list : lists) {
    std::vector<outcome> longer;
    for (auto const& [loss, cost] : sums) {
      for (auto const& c : list) {
        longer.emplace_back(loss + c.loss, cost + c.cost);
      }
    }
    sums = longer;
  }
  return sums;
}

/// The best of everything that can be chosen, by trying it all.
auto by_trying_all(groups const& list, std::uint64_t budget) -> std::optional<outcome> {
  std::vector<outcome> sums{{0.0, 0}};
  for (auto const& group : list) {
    auto ways = group.apart.empty() ? std::vector<outcome>{} : combinations(group.apart);
    for (auto const& c : group.together) {
      ways.emplace_back(c.loss, c.cost);
    }
    std::vector<outcome> longer;
    for (auto const& [loss, cost] : sums) {
      for (auto const& [more_loss, more_cost] : ways) {
        longer.emplace_back(loss + more_loss, cost + more_cost);
      }
    }
    sums = longer;
  }
  std::erase_if(sums, [&](outcome const& sum) { return sum.second > budget; });
  return sums.empty() ? std::nullopt : std::optional(std::ranges::min(sums));
}

/// Small numbers, the same on every system. Losses are whole: their sums are exact in any order.
class random_instances {
 public:
  explicit random_instances(std::uint32_t seed) : engine_(seed) {}

  auto below(std::uint32_t n) -> std::uint32_t { return static_cast<std::uint32_t>(engine_() % n); }
  auto list(std::uint32_t length, std::uint32_t cost_step) -> std::vector<storage_choice> {
    std::vector<storage_choice> result;
    for (std::uint32_t i = 0; i < length; ++i) {
      auto const cost = std::uint64_t{below(25)} * cost_step;  // before the loss everywhere
      result.push_back(choice(cost, below(30)));
    }
    return result;
  }
  auto group(std::uint32_t cost_step) -> storage_group {
    storage_group result;
    auto const members = below(4);
    for (std::uint32_t i = 0; i < members; ++i) {
      result.apart.push_back(list(1 + below(3), cost_step));
    }
    result.together = list(members == 0 ? 1 + below(3) : below(4), cost_step);
    return result;
  }
  auto instance(std::uint32_t cost_step) -> groups {
    groups result;
    for (auto count = 1 + below(4); count > 0; --count) {
      result.push_back(group(cost_step));
    }
    return result;
  }

 private:
  std::mt19937 engine_;
};

/// Loss of the greedy allocation: from the cheapest choices on, always the next dearer choice that
/// gains the most for its cost and fits.
auto steepest_steps(items list, std::uint64_t budget) -> double {
  std::vector<std::size_t> at(list.size(), 0);
  std::uint64_t spent = 0;
  for (auto& choices : list) {
    std::ranges::sort(choices, {}, &storage_choice::cost);
    spent += choices[0].cost;
  }
  for (;;) {
    auto best = list.size();
    double steepest = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (at[i] + 1 == list[i].size()) {
        continue;
      }
      auto const more = list[i][at[i] + 1].cost - list[i][at[i]].cost;
      auto const gain = list[i][at[i]].loss - list[i][at[i] + 1].loss;
      if (spent + more <= budget && gain / static_cast<double>(more) > steepest) {
        steepest = gain / static_cast<double>(more);
        best = i;
      }
    }
    if (best == list.size()) {
      break;
    }
    spent += list[best][at[best] + 1].cost - list[best][at[best]].cost;
    ++at[best];
  }
  double loss = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    loss += list[i][at[i]].loss;
  }
  return loss;
}

/// Cost and loss of what an allocation says that it chose.
auto outcome_of(groups const& list, allocation const& made) -> outcome {
  outcome sum{0.0, 0};
  for (std::size_t g = 0; g < list.size(); ++g) {
    for (auto const& c : chosen_from(list[g], made.groups[g])) {
      sum.first += c.loss;
      sum.second += c.cost;
    }
  }
  return sum;
}

auto shape_fits(groups const& list, allocation const& made) -> bool {
  auto fits = made.groups.size() == list.size();
  for (std::size_t g = 0; fits && g < list.size(); ++g) {
    fits = made.groups[g].chosen.size() ==
           (made.groups[g].together ? std::size_t{1} : list[g].apart.size());
  }
  return fits;
}

}  // namespace

TEST_CASE("an allocation is what trying everything finds: the least loss, then the least cost") {
  random_instances random(7);
  int refused = 0;
  int stacked = 0;
  int separate = 0;
  for (int i = 0; i < 600; ++i) {
    auto const list = random.instance(1 + random.below(3));
    auto const budget = std::uint64_t{random.below(150)};
    auto const best = by_trying_all(list, budget);
    CAPTURE(i);
    if (!best) {
      CHECK_THROWS_AS(allocate_groups(list, budget), shape_error);
      ++refused;
      continue;
    }
    auto const made = allocate_groups(list, budget);
    REQUIRE(shape_fits(list, made));
    CHECK(made.exact);
    CHECK(outcome(made.loss, made.cost) == *best);
    CHECK(outcome_of(list, made) == *best);
    for (std::size_t g = 0; g < list.size(); ++g) {
      auto const both = !list[g].together.empty() && !list[g].apart.empty();
      stacked += both && made.groups[g].together ? 1 : 0;
      separate += both && !made.groups[g].together ? 1 : 0;
    }
  }
  // All that can happen did.
  CHECK(refused > 20);
  CHECK(stacked > 100);
  CHECK(separate > 100);
}

TEST_CASE("rounded costs keep the budget, and lose no more than a unit a matrix is worth") {
  random_instances random(8);
  int rounded = 0;
  int worse = 0;
  for (int i = 0; i < 600; ++i) {
    auto const list = random.instance(1);
    auto const budget = std::uint64_t{40 + random.below(120)};
    auto const best = by_trying_all(list, budget);
    if (!best) {
      continue;
    }
    auto const made = allocate_groups(list, budget, {1 + index_t{random.below(20)}});
    REQUIRE(shape_fits(list, made));
    CAPTURE(i);
    CHECK(made.cost <= budget);
    CHECK(outcome_of(list, made) == outcome(made.loss, made.cost));
    CHECK(made.loss >= best->first);
    if (made.exact) {
      CHECK(made.loss == best->first);
      continue;
    }
    ++rounded;
    worse += made.loss > best->first ? 1 : 0;
    std::uint64_t matrices = 0;
    for (auto const& group : list) {
      matrices += std::max<std::size_t>(group.apart.size(), 1);
    }
    auto const less = made.unit * matrices;
    if (auto const bound = less <= budget ? by_trying_all(list, budget - less) : std::nullopt) {
      CHECK(made.loss <= bound->first);
    }
  }
  CHECK(rounded > 100);
  CHECK(worse > 10);  // else nothing was rounded that mattered
}

TEST_CASE("concave costs are allocated right where the steepest next step is wrong") {
  // Pivots of 4 x 4 matrices cost 7, 12, 15 and dense 16: the first step is the dearest one. The
  // losses are 8.7, 5.7, 2.8 and 0 of the flat spectrum, 4.2, 0.2, 0.1 and 0 of the steep one.
  level_options options;
  options.step = 1;
  options.bytes_each = 1;
  std::vector<double> const flat{9, 3, 2.9, 2.8};
  std::vector<double> const steep{9, 4, 0.1, 0.1};
  items const list{levels({4, 4}, std::span<double const>(flat), options),
                   levels({4, 4}, std::span<double const>(steep), options)};
  std::uint64_t const budget = 24;
  CHECK(steepest_steps(list, budget) == doctest::Approx(5.7 + 0.2));
  auto const made = allocate_items(list, budget);
  CHECK(made.loss == doctest::Approx(4.2));
  CHECK(made.cost == 16 + 7);
  CHECK(chosen(made) == std::vector<index_t>{0, 1});  // dense, and rank 1
  CHECK(made.exact);
}

TEST_CASE("a group is stacked where that is better, and each member has its choice where not") {
  groups const list{
      {{choice(10, 4), choice(14, 1)}, {{choice(4, 5), choice(8, 0)}, {choice(4, 3)}}}};
  auto const small = allocate_groups(list, 8);
  CHECK(small.groups[0] == group_allocation{false, {0, 0}});
  CHECK(small.loss == 8);
  auto const middle = allocate_groups(list, 11);
  CHECK(middle.groups[0] == group_allocation{true, {0}});
  CHECK(middle.loss == 4);
  auto const more = allocate_groups(list, 13);
  CHECK(more.groups[0] == group_allocation{false, {1, 0}});
  CHECK(more.loss == 3);
  auto const most = allocate_groups(list, 1000);
  CHECK(most.groups[0] == group_allocation{true, {1}});
  CHECK(chosen_from(list[0], most.groups[0]) == std::vector{choice(14, 1)});
  CHECK(chosen_from(list[0], more.groups[0]) == std::vector{choice(8, 0), choice(4, 3)});
}

TEST_CASE("ties: the lower cost, the earlier of equal choices, the stack before its members") {
  auto const equal = allocate_items({{choice(3, 1), choice(2, 1), choice(2, 1), choice(2, 5)}}, 9);
  CHECK(chosen(equal) == std::vector<index_t>{1});
  auto const group = allocate_groups({{{choice(5, 2)}, {{choice(2, 1)}, {choice(3, 1)}}}}, 9);
  CHECK(group.groups[0].together);
  random_instances random(9);
  for (int i = 0; i < 20; ++i) {
    auto const list = random.instance(1);
    CHECK(allocate_groups(list, 500) == allocate_groups(list, 500));
  }
}

TEST_CASE("a larger budget never loses more while costs are exact") {
  random_instances random(10);
  for (int i = 0; i < 10; ++i) {
    items list;
    for (int matrix = 0; matrix < 6; ++matrix) {
      list.push_back(random.list(8, 3));
      list.back().push_back(choice(0, 50));
    }
    auto before = std::numeric_limits<double>::infinity();
    for (std::uint64_t budget = 0; budget < 450; budget += 5) {
      auto const made = allocate_items(list, budget);
      REQUIRE(made.exact);
      CHECK(made.loss <= before);
      CHECK(made.cost <= budget);
      before = made.loss;
    }
  }
}

TEST_CASE("one matrix gets the best choice that fits") {
  items const list{{choice(100, 0), choice(50, 3), choice(20, 9)}};
  CHECK(chosen(allocate_items(list, 100)) == std::vector<index_t>{0});
  CHECK(chosen(allocate_items(list, 99)) == std::vector<index_t>{1});
  CHECK(chosen(allocate_items(list, 50)) == std::vector<index_t>{1});
  CHECK(chosen(allocate_items(list, 20)) == std::vector<index_t>{2});
  auto const all = allocate_items(list, std::numeric_limits<std::uint64_t>::max());
  CHECK(chosen(all) == std::vector<index_t>{0});
  CHECK(all.cost == 100);
}

TEST_CASE("choices may cost nothing, and a budget of nothing is one") {
  items const free{{choice(0, 2), choice(0, 1)}, {choice(0, 4), choice(7, 0)}};
  auto const made = allocate_items(free, 0);
  CHECK(chosen(made) == std::vector<index_t>{1, 0});
  CHECK(made.cost == 0);
  CHECK(made.loss == 5);
  CHECK(allocate_items(free, 7).loss == 1);
  CHECK(allocate_items({}, 0) == allocation{});
}

TEST_CASE("the unit is the divisor of what choices cost beyond the cheapest one") {
  items const list{{choice(1007, 9), choice(1049, 0)}, {choice(3, 5), choice(31, 0)}};
  auto const made = allocate_items(list, 1052);
  CHECK(made.unit == 14);  // of 42 and 28
  CHECK(made.exact);
  CHECK(made.loss == 5);
  auto const coarse = allocate_items(list, 1079, {2});
  CHECK(coarse.unit == 28);  // 69 beyond the cheapest: 4 bins of 14, or 2 of 28
  CHECK_FALSE(coarse.exact);
  CHECK(coarse.cost <= 1079);
  CHECK(allocate_items(list, 1079, {3}).unit == 28);
  CHECK(allocate_items(list, 1079, {4}).unit == 14);
  // Nothing that cannot be chosen makes the unit smaller.
  CHECK(allocate_items({{choice(4, 3), choice(1004, 1), choice(5001, 0)}}, 2000).unit == 1000);
}

TEST_CASE("costs are counted to the last one beyond what a double holds") {
  constexpr auto large = std::uint64_t{1} << 60;
  items const list{{choice(large, 3), choice(large + 1, 2), choice(large + 2, 0)}};
  CHECK(chosen(allocate_items(list, large + 1)) == std::vector<index_t>{1});
  CHECK(chosen(allocate_items(list, large + 2)) == std::vector<index_t>{2});
  // A choice that is priced out of reach takes part in nothing.
  constexpr auto never = std::numeric_limits<std::uint64_t>::max();
  items const priced{{choice(4, 1), choice(never, 0)}, {choice(never, 0), choice(6, 1)}};
  CHECK(chosen(allocate_items(priced, 10)) == std::vector<index_t>{0, 1});
  CHECK(allocate_items(priced, 10).exact);
}

TEST_CASE("a stack alone, and members of which one is too dear, leave the other way") {
  groups const list{{{choice(9, 1)}, {}},
                    {{choice(9, 7)}, {{choice(1, 0)}, {choice(30, 0), choice(40, 0)}}}};
  auto const made = allocate_groups(list, 18);
  CHECK(made.groups[0] == group_allocation{true, {0}});
  CHECK(made.groups[1] == group_allocation{true, {0}});
  CHECK(allocate_groups(list, 40).groups[1] == group_allocation{false, {0, 0}});
}

TEST_CASE("a budget below the least cost is refused with both figures") {
  items const list{{choice(30, 0), choice(20, 1)}, {choice(45, 0)}};
  CHECK(refusal<shape_error>([&] { allocate_items(list, 64); }) ==
        "allocate: the budget 64 is below the least possible cost 65");
  CHECK(allocate_items(list, 65).cost == 65);
}

TEST_CASE("what cannot be allocated is refused by name") {
  auto const refused = [](groups const& list) {
    return refusal<shape_error>([&] { allocate_groups(list, 100); });
  };
  storage_group const good{{}, {{choice(1, 1)}}};
  CHECK(refused({good, {}}) == "allocate: group 1 has no choice");
  CHECK(refused({good, {{choice(1, 1)}, {{choice(1, 1)}, {}}}}) ==
        "allocate: member 1 of group 1 has no choice");
  CHECK(refused({{{choice(1, 1), choice(2, -1)}, {}}}) ==
        "allocate: choice 1 of group 0 has the loss -1");
  for (auto const loss : {std::numeric_limits<double>::infinity(), support::not_a_number<double>}) {
    CHECK_THROWS_AS(allocate_groups({{{choice(1, loss)}, {}}}, 100), shape_error);
  }
  constexpr auto huge = std::numeric_limits<double>::max();
  CHECK(refused({{{choice(1, huge)}, {}}, {{choice(1, huge)}, {}}}) ==
        "allocate: the losses overflow when added");
  constexpr auto never = std::numeric_limits<std::uint64_t>::max();
  CHECK(refused({{{choice(never, 1)}, {}}, good}) ==
        "allocate: the costs 18446744073709551615 and 1 overflow when added");
  CHECK(refusal<shape_error>([&] { allocate_groups({good}, 100, {0}); }) ==
        "allocate: max_bins is 0");
  storage_group many;
  for (std::uint64_t i = 0; i < 65536; ++i) {
    many.together.push_back(choice(i, static_cast<double>(65536 - i)));
  }
  CHECK(refusal<shape_error>([&] { allocate_groups({many}, 70'000); }) ==
        "allocate: a matrix has 65536 choices, more than 65535");
  CHECK(allocate_groups({many}, 70'000, {1000}).groups[0].together);  // few differ by a unit
}

TEST_CASE("a whole model is allocated over many blocks of bins, well and within its budget") {
  random_instances random(11);
  items list;
  std::uint64_t dense = 0;
  for (int matrix = 0; matrix < 130; ++matrix) {
    std::vector<storage_choice> levels_of_one;
    for (std::uint32_t k = 1; k <= 24; ++k) {
      // Pivots of a 384 x 384 matrix, 16 ranks a step.
      auto const cost = std::uint64_t{16 * k} * (768 - 16 * k);
      auto const left = 1.0 - k / 24.0;
      levels_of_one.push_back(
          {form::pivoted, 16 * index_t{k}, cost, left * (1 + 0.1 * random.below(100))});
    }
    dense += levels_of_one.back().cost;
    list.push_back(levels_of_one);
  }
  auto const budget = dense / 2;
  auto const exact = allocate_items(list, budget);
  CHECK(exact.exact);
  CHECK(exact.cost <= budget);
  auto const coarse = allocate_items(list, budget, {5000});
  CHECK_FALSE(coarse.exact);
  CHECK(coarse.cost <= budget);
  CHECK(coarse.loss >= exact.loss);
  CHECK(coarse.loss <= 1.1 * exact.loss);
  // Better than the largest rank that all can have alike.
  auto even = 0.0;
  std::size_t rank = 0;
  while (list[0][rank + 1].cost * list.size() <= budget) {
    ++rank;
  }
  for (auto const& levels_of_one : list) {
    even += levels_of_one[rank].loss;
  }
  CHECK(exact.loss < even);
}
