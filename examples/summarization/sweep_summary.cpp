#include "sweep_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace program {

namespace {

auto share_of(std::uint64_t bytes, std::uint64_t dense) -> double {
  return static_cast<double>(bytes) / static_cast<double>(dense);
}

/// "attention layers, two-factor form"
auto what_of(sweep_point const& p) -> std::string {
  return fmt::format("{} layers, {} form", p.targets, eckart::name_of(p.stored_as));
}

/// "-0.09 points (95 % interval -0.52 to +0.33)"
auto difference_text(sweep_point const& p, double level) -> std::string {
  auto const& d = p.difference[0].difference;
  return fmt::format("{} points ({} interval {} to {})", with_sign(d.mean, 2), percent_text(level),
                     with_sign(d.low, 2), with_sign(d.high, 2));
}

auto bytes_text(sweep_point const& p, sweep_point const& dense) -> std::string {
  auto const change = 100 * (share_of(p.bytes, dense.bytes) - 1);
  if (p.bytes < dense.bytes) {
    return fmt::format("The model then takes {} instead of {}, {:.1f} % less.", size_text(p.bytes),
                       size_text(dense.bytes), -change);
  }
  if (p.bytes == dense.bytes) {
    return fmt::format("But the model then takes {}, as much as the dense one.",
                       size_text(p.bytes));
  }
  return fmt::format("But the model then takes {}, {:.1f} % more than the dense {}.",
                     size_text(p.bytes), change, size_text(dense.bytes));
}

/// The last point, going down, until which the interval of the difference always reaches 0.
auto last_without_loss(sweep_group const& group) -> sweep_point const* {
  sweep_point const* last = nullptr;
  for (auto const* p : group.points) {
    if (!(p->difference[0].difference.high >= 0)) {
      break;
    }
    last = p;
  }
  return last;
}

auto finding_without_candidate(sweep_result const& result) -> sweep_finding {
  auto const best = std::ranges::max_element(result.points, {}, [](sweep_point const& p) {
    auto const mean = p.difference[0].difference.mean;
    return std::isfinite(mean) ? mean : -1e300;
  });
  if (best == result.points.end()) {
    return {"Only the dense model was run.", "", nullptr};
  }
  if (!std::isfinite(best->difference[0].difference.high)) {
    return {"ROUGE-1 could not be compared with that of the dense model.", "", nullptr};
  }
  return {fmt::format("At the largest rank already, ROUGE-1 is below that of the dense model by "
                      "more than chance explains; the smallest difference is {}, at rank {} ({}).",
                      difference_text(*best, result.level), best->rank, what_of(*best)),
          "", nullptr};
}

}  // namespace

auto groups_of(sweep_result const& result) -> std::vector<sweep_group> {
  std::vector<sweep_group> groups;
  for (auto const& p : result.points) {
    auto const belongs = [&](sweep_group const& g) {
      auto const& q = g.front();
      return q.method == p.method && q.targets == p.targets && q.stored_as == p.stored_as;
    };
    auto found = std::ranges::find_if(groups, belongs);
    if (found == groups.end()) {
      found = groups.insert(groups.end(),
                            {fmt::format("{}, {}", p.targets, eckart::name_of(p.stored_as)), {}});
    }
    found->points.push_back(&p);
  }
  auto const same_method = [&](sweep_group const& g) {
    return g.front().method == groups.front().front().method;
  };
  if (!std::ranges::all_of(groups, same_method)) {
    for (auto& g : groups) {
      g.name = fmt::format("{}, {}", g.front().method, g.name);
    }
  }
  return groups;
}

auto finding_of(sweep_result const& result) -> sweep_finding {
  sweep_point const* best = nullptr;
  for (auto const& group : groups_of(result)) {
    auto const* last = last_without_loss(group);
    if (last != nullptr && (best == nullptr || last->bytes < best->bytes)) {
      best = last;
    }
  }
  if (best == nullptr) {
    return finding_without_candidate(result);
  }
  auto const& d = best->difference[0].difference;
  sweep_finding found{
      fmt::format("Down to rank {} ({}) no loss of ROUGE-1 could be shown on {} examples: the "
                  "difference to the dense model is {}. {}",
                  best->rank, what_of(*best), result.examples, difference_text(*best, result.level),
                  bytes_text(*best, result.dense)),
      "", best};
  if (d.low < 0) {
    found.caution = fmt::format(
        "That is not a proof that nothing is lost: the interval leaves room "
        "for a loss of up to {:.2f} points.",
        -d.low);
  }
  return found;
}

auto fixed(double value, int digits) -> std::string {
  if (!std::isfinite(value)) {
    return "-";
  }
  auto text = fmt::format("{:.{}f}", value, digits);
  // -0.001 is no negative zero.
  auto const is_zero = text.find_first_not_of("-0.") == std::string::npos;
  return is_zero && text.front() == '-' ? text.substr(1) : text;
}

auto with_sign(double value, int digits) -> std::string {
  auto text = fixed(value, digits);
  auto const is_zero = text.find_first_not_of("-0.") == std::string::npos;
  return value > 0 && !is_zero ? text.insert(0, "+") : text;
}

auto size_text(std::uint64_t bytes) -> std::string {
  auto const b = static_cast<double>(bytes);
  return b >= 1e9   ? fmt::format("{:.2f} GB", b / 1e9)
         : b >= 1e6 ? fmt::format("{:.1f} MB", b / 1e6)
                    : fmt::format("{:.1f} kB", b / 1e3);
}

auto percent_text(double share) -> std::string {
  return fmt::format("{:.6g} %", 100 * share);
}

auto p_text(double p) -> std::string {
  return p < 0.001 ? "< 0.001" : fixed(p, 3);
}

}  // namespace program
