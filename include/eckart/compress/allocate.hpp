#pragma once

#include "eckart/compress/knapsack.hpp"
#include "eckart/compress/storage_choice.hpp"
#include "eckart/core/concepts.hpp"
#include "eckart/core/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

/// One budget for many matrices: how each is to be stored so that all together cost no more than
/// the budget and lose the least. A multiple-choice knapsack, solved by dynamic programming over
/// the cost, because a greedy choice is wrong where the cost is concave in the rank, as k (m+n-k)
/// of pivots is, or where "dense" is one of the choices.
namespace eckart {
inline namespace v0 {

/// Matrices that are stored either all together, as one stack, or each by itself. A single matrix
/// has nothing together and is alone apart.
struct storage_group {
  std::vector<storage_choice> together;            ///< of the stack; empty if it must not be made
  std::vector<std::vector<storage_choice>> apart;  ///< of each member; empty if only the stack may
};

struct allocation {
  std::vector<group_allocation> groups;
  std::uint64_t cost = 0;  ///< of all, never above the budget
  double loss = 0;         ///< of all, added in the order of groups and members
  std::uint64_t unit = 1;  ///< of the cost axis
  bool exact = true;       ///< no cost had to be rounded: nothing that fits loses less

  auto operator==(allocation const&) const -> bool = default;
};

struct allocate_options {
  /// Steps of the cost axis, beyond which costs are rounded up to a coarser unit.
  index_t max_bins = index_t{1} << 18;
};

namespace detail {

/// The choices that no other one equals or beats in both cost and loss, dearer and better ones
/// last; of equal ones the first. O(c log c). Throws shape_error for a loss that is none.
inline auto undominated(std::span<storage_choice const> choices, std::size_t group)
    -> kept_choices {
  kept_choices kept;
  kept.reserve(choices.size());
  for (auto const& c : choices) {
    if (!(c.loss >= 0 && std::isfinite(c.loss))) {
      throw shape_error(
          message("allocate: choice ", kept.size(), " of group ", group, " has the loss ", c.loss));
    }
    kept.push_back({c.cost, c.loss, static_cast<index_t>(kept.size())});
  }
  std::ranges::sort(kept, [](kept_choice const& a, kept_choice const& b) {
    return std::tie(a.extra, a.loss, a.index) < std::tie(b.extra, b.loss, b.index);
  });
  std::size_t count = 0;
  for (auto const& c : kept) {
    if (count == 0 || c.loss < kept[count - 1].loss) {
      kept[count++] = c;
    }
  }
  kept.resize(count);
  return kept;
}

inline auto added_costs(std::uint64_t a, std::uint64_t b) -> std::uint64_t {
  if (b > std::numeric_limits<std::uint64_t>::max() - a) {
    throw shape_error(message("allocate: the costs ", a, " and ", b, " overflow when added"));
  }
  return a + b;
}

/// A group's choices that matter, and what it costs at least.
inline auto keep(storage_group const& group, std::size_t number) -> kept_group {
  kept_group kept{0, undominated(group.together, number), {}};
  std::uint64_t least_apart = 0;
  for (auto const& member : group.apart) {
    if (member.empty()) {
      throw shape_error(
          message("allocate: member ", kept.apart.size(), " of group ", number, " has no choice"));
    }
    kept.apart.push_back(undominated(member, number));
    least_apart = added_costs(least_apart, kept.apart.back().front().extra);
  }
  if (kept.together.empty() && kept.apart.empty()) {
    throw shape_error(message("allocate: group ", number, " has no choice"));
  }
  constexpr auto never = std::numeric_limits<std::uint64_t>::max();
  kept.base = std::min(kept.together.empty() ? never : kept.together.front().extra,
                       kept.apart.empty() ? never : least_apart);
  for (auto& c : kept.together) {
    c.extra -= kept.base;
  }
  auto more = least_apart - kept.base;  // only used by a first member
  for (auto& member : kept.apart) {
    auto const cheapest = member.front().extra;
    for (auto& c : member) {
      c.extra = saturating_sum(c.extra - cheapest, more);
    }
    more = 0;
  }
  return kept;
}

/// Calls f(choices) for the stack and for each member.
template <class Group, class F>
void for_each_list(Group& group, F f) {
  if (!group.together.empty()) {
    f(group.together);
  }
  for (auto& member : group.apart) {
    f(member);
  }
}

/// Leaves out what does not fit even if all other groups are as cheap as they can be; members of
/// which one has nothing left go all.
inline void leave_out_beyond(std::uint64_t slack, kept_group& group) {
  auto const is_beyond = [slack](kept_choice const& c) { return c.extra > slack; };
  for_each_list(group, [&](kept_choices& list) { std::erase_if(list, is_beyond); });
  if (std::ranges::any_of(group.apart, &kept_choices::empty)) {
    group.apart.clear();
  }
}

/// Extras in units, rounded up. Of the choices that then cost the same only the best one stays.
inline void count_in_units(kept_choices& choices, std::uint64_t unit) {
  std::size_t count = 0;
  for (auto c : choices) {
    c.extra = c.extra / unit + (c.extra % unit != 0 ? 1 : 0);
    count -= count > 0 && choices[count - 1].extra == c.extra ? 1 : 0;
    choices[count++] = c;
  }
  choices.resize(count);
  if (count > picked_apart) {
    throw shape_error(
        message("allocate: a matrix has ", count, " choices, more than ", picked_apart));
  }
}

/// The greatest common divisor of all extras; 1 if all are 0. Throws shape_error if the losses
/// overflow when added.
inline auto common_divisor(std::span<kept_group const> groups) -> std::uint64_t {
  std::uint64_t divisor = 0;
  double losses = 0;
  for (auto const& group : groups) {
    for_each_list(group, [&](kept_choices const& list) {
      losses += list.front().loss;
      for (auto const& c : list) {
        divisor = std::gcd(divisor, c.extra);
      }
    });
  }
  if (!std::isfinite(losses)) {
    throw shape_error("allocate: the losses overflow when added");
  }
  return std::max<std::uint64_t>(divisor, 1);
}

}  // namespace detail

/// The choices that were made for a group: one for the stack, or one for each member.
inline auto chosen_from(storage_group const& group, group_allocation const& made)
    -> std::vector<storage_choice> {
  std::vector<storage_choice> result;
  for (auto const index : made.chosen) {
    auto const& list = made.together ? group.together : group.apart[result.size()];
    result.push_back(list[static_cast<std::size_t>(index)]);
  }
  return result;
}

/// For each group the stack or the members, and a choice for each, such that the cost of all is at
/// most the budget and the loss the least. Of equal losses the lower cost counts; what still ties
/// is always decided alike, equal choices by their order.
///
/// The cost axis counts from the cheapest choices, in the greatest common divisor of all
/// differences to them. If that makes more than max_bins, the differences are rounded up to a
/// coarser unit: the budget still holds for the true costs, and the loss is at most the least one
/// for a budget that is smaller by a unit for each matrix. Exact losses never rise with the budget;
/// rounded ones may, by as much, where the unit changes.
///
/// Time O(choices x bins): 130 matrices of 100 choices and 2^18 bins take a few seconds. Memory 2
/// bytes a bin for each matrix and stack, and 24 a bin. Throws shape_error for a budget below the
/// least cost, a group or member without choices, more than 65535 choices that matter for one
/// matrix, a loss that is negative or not finite, and sums that overflow.
inline auto allocate(std::span<storage_group const> groups, std::uint64_t budget,
                     allocate_options options = {}) -> allocation {
  if (options.max_bins < 1) {
    throw shape_error(message("allocate: max_bins is ", options.max_bins));
  }
  std::vector<detail::kept_group> kept;
  std::uint64_t least = 0;
  for (auto const& group : groups) {
    kept.push_back(detail::keep(group, kept.size()));
    least = detail::added_costs(least, kept.back().base);
  }
  if (budget < least) {
    throw shape_error(
        message("allocate: the budget ", budget, " is below the least possible cost ", least));
  }
  for (auto& group : kept) {
    detail::leave_out_beyond(budget - least, group);
  }
  allocation result;
  auto const divisor = detail::common_divisor(kept);
  auto const room = std::min(budget - least, detail::largest_extra(kept)) / divisor;
  auto const most = static_cast<std::uint64_t>(options.max_bins);
  auto const coarser = room / most + (room % most != 0 ? 1 : 0);
  result.exact = coarser <= 1;
  result.unit = result.exact ? divisor : divisor * coarser;
  for (auto& group : kept) {
    detail::for_each_list(
        group, [&](detail::kept_choices& list) { detail::count_in_units(list, result.unit); });
  }
  // Rounded up, all dearest choices together may need a few units more than `room`.
  auto const bins = std::min((budget - least) / result.unit, detail::largest_extra(kept));
  detail::knapsack program(static_cast<std::size_t>(bins));
  for (auto const& group : kept) {
    program.add(group);
  }
  result.groups = program.solution(kept);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    for (auto const& choice : chosen_from(groups[g], result.groups[g])) {
      result.cost += choice.cost;
      result.loss += choice.loss;
    }
  }
  return result;
}

/// The same for matrices that each are stored by themselves, by their choices: every group of the
/// result has one choice.
inline auto allocate(std::span<std::vector<storage_choice> const> items, std::uint64_t budget,
                     allocate_options options = {}) -> allocation {
  std::vector<storage_group> groups;
  groups.reserve(items.size());
  for (auto const& choices : items) {
    groups.push_back({{}, {choices}});
  }
  return allocate(groups, budget, options);
}

}  // namespace v0
}  // namespace eckart
