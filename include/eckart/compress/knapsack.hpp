#pragma once

#include "eckart/core/concepts.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

/// The dynamic program of allocate.hpp, on costs that are counted in units.
namespace eckart {
inline namespace v0 {

/// What was chosen for a group.
struct group_allocation {
  bool together = false;
  std::vector<index_t> chosen;  ///< the choice of the stack, or one for each member

  auto operator==(group_allocation const&) const -> bool = default;
};

namespace detail {

/// A choice that is worth considering. Costs count from the cheapest way to store the group.
struct kept_choice {
  std::uint64_t extra;
  double loss;
  index_t index;  // in the caller's list
};
using kept_choices = std::vector<kept_choice>;

/// A group without dominated choices. What the stack or the members cost at least beyond `base` is
/// in the extras of the stack and of the first member.
struct kept_group {
  std::uint64_t base;
  kept_choices together;
  std::vector<kept_choices> apart;
};

inline auto saturating_sum(std::uint64_t a, std::uint64_t b) -> std::uint64_t {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  return b > most - a ? most : a + b;
}

/// The dearest that a group can be, beyond its base.
inline auto largest_extra(kept_group const& group) -> std::uint64_t {
  std::uint64_t apart = 0;
  for (auto const& member : group.apart) {
    apart = saturating_sum(apart, member.back().extra);
  }
  return group.together.empty() ? apart : std::max(apart, group.together.back().extra);
}

inline auto largest_extra(std::span<kept_group const> groups) -> std::uint64_t {
  return std::accumulate(
      groups.begin(), groups.end(), std::uint64_t{0},
      [](std::uint64_t sum, kept_group const& g) { return saturating_sum(sum, largest_extra(g)); });
}

using bin_losses = std::vector<double>;         // least loss by the units that may be spent
using bin_picks = std::vector<std::uint16_t>;   // place of the choice in its kept list
constexpr std::uint16_t picked_apart = 0xffff;  // in the table of a stack: the members instead

/// to[b] = min over the choices c of from[b - c.extra] + c.loss, and in picks[b] the first such c;
/// infinite where not even the cheapest one fits. Bins go in blocks that stay in the first cache
/// while all choices pass over them; picks are as wide as losses there, so that both are selected
/// by one mask. Vectorizes; allocates nothing.
inline void shifted_min(kept_choices const& choices, bin_losses const& from, bin_losses& to,
                        bin_picks& picks) {
  constexpr std::size_t block = 1024;
  std::array<double, block> best;
  std::array<std::int64_t, block> pick;
  for (std::size_t first = 0; first < picks.size(); first += block) {
    auto const length = std::min(block, picks.size() - first);
    best.fill(std::numeric_limits<double>::infinity());
    pick.fill(0);
    for (std::size_t c = 0; c < choices.size() && choices[c].extra < first + length; ++c) {
      auto const shift = static_cast<std::size_t>(choices[c].extra);
      auto const start = std::max(first, shift);
      auto const* const before = from.data() + (start - shift);
      auto* const least = best.data() + (start - first);
      auto* const which = pick.data() + (start - first);
      auto const loss = choices[c].loss;
      auto const number = static_cast<std::int64_t>(c);
      for (std::size_t i = 0; i < first + length - start; ++i) {
        auto const candidate = before[i] + loss;
        auto const better = candidate < least[i];
        which[i] = better ? number : which[i];
        least[i] = better ? candidate : least[i];
      }
    }
    for (std::size_t i = 0; i < length; ++i) {
      to[first + i] = best[i];
      picks[first + i] = static_cast<std::uint16_t>(pick[i]);
    }
  }
}

/// The dynamic program. least_[b] is the least loss of the groups so far with b units to spend at
/// most. It is constant from reach_ on, where every group has its dearest choice.
class knapsack {
 public:
  explicit knapsack(std::size_t bins)
      : bins_(bins), least_(bins + 1, 0.0), stacked_(bins + 1), before_(bins + 1) {}

  /// Takes the next group, whose extras are in units.
  void add(kept_group const& group) {
    auto const reach = static_cast<std::size_t>(
        std::min<std::uint64_t>(bins_, saturating_sum(reach_, largest_extra(group))));
    std::fill(least_.begin() + static_cast<std::ptrdiff_t>(reach_ + 1),
              least_.begin() + static_cast<std::ptrdiff_t>(reach + 1), least_[reach_]);
    reach_ = reach;
    tables entry;
    if (!group.together.empty()) {
      entry.together.resize(reach + 1);
      shifted_min(group.together, least_, stacked_, entry.together);
    }
    for (auto const& member : group.apart) {
      std::swap(before_, least_);
      shifted_min(member, before_, least_, entry.apart.emplace_back(reach + 1));
    }
    if (group.apart.empty()) {
      std::swap(stacked_, least_);
    } else if (!group.together.empty()) {
      for (std::size_t b = 0; b <= reach; ++b) {
        if (least_[b] < stacked_[b]) {
          entry.together[b] = picked_apart;
        } else {
          least_[b] = stacked_[b];
        }
      }
    }
    tables_.push_back(std::move(entry));
  }

  /// The best choices, by their place in the caller's lists; of equally good ones the cheapest.
  auto solution(std::span<kept_group const> groups) const -> std::vector<group_allocation> {
    // Where the loss falls, what is chosen costs exactly so many units, or fewer would do. Hence
    // all earlier groups find their bin in their tables, which end where all of them are dearest.
    auto left = reach_;
    while (left > 0 && least_[left - 1] == least_[left]) {
      --left;
    }
    std::vector<group_allocation> result(groups.size());
    auto const take = [&left](bin_picks const& picks, kept_choices const& choices) {
      auto const& choice = choices[picks[left]];
      left -= static_cast<std::size_t>(choice.extra);
      return choice.index;
    };
    for (auto g = groups.size(); g-- > 0;) {
      auto const& table = tables_[g];
      if (!table.together.empty() && table.together[left] != picked_apart) {
        result[g] = {true, {take(table.together, groups[g].together)}};
        continue;
      }
      result[g].chosen.resize(table.apart.size());
      for (auto m = table.apart.size(); m-- > 0;) {
        result[g].chosen[m] = take(table.apart[m], groups[g].apart[m]);
      }
    }
    return result;
  }

 private:
  struct tables {
    bin_picks together;
    std::vector<bin_picks> apart;
  };

  std::size_t bins_;
  std::size_t reach_ = 0;
  bin_losses least_;
  bin_losses stacked_;  // least_, if the newest group is stacked
  bin_losses before_;   // least_ before the newest member
  std::vector<tables> tables_;
};

}  // namespace detail
}  // namespace v0
}  // namespace eckart
