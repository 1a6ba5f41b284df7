#include "sweep_plan.hpp"

#include "rank_list.hpp"

#include <eckart/factor/break_even.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <utility>

namespace program {

namespace {

using eckart::message;
using eckart::shape_error;
using strings = std::vector<std::string>;

constexpr std::array<std::string_view, 1> known_methods{"svd"};

/// The parts of all lists, each once.
auto parts_of(strings const& lists) -> strings {
  strings parts;
  for (auto const& list : lists) {
    for (auto const& part : CLI::detail::split(list, ',')) {
      if (std::ranges::find(parts, part) == parts.end()) {
        parts.push_back(part);
      }
    }
  }
  return parts;
}

auto methods_of(strings const& lists) -> strings {
  auto methods = parts_of(lists);
  for (auto const& method : methods) {
    if (std::ranges::find(known_methods, method) == known_methods.end()) {
      throw shape_error(
          fmt::format("sweep: no method '{}'; known: {}", method, fmt::join(known_methods, ", ")));
    }
  }
  return methods;
}

auto forms_of(strings const& lists) -> std::vector<eckart::form> {
  std::vector<eckart::form> forms;
  for (auto const& name : parts_of(lists)) {
    auto const found = std::ranges::find(eckart::all_factor_forms, name, eckart::name_of);
    if (found == eckart::all_factor_forms.end()) {
      strings known;
      for (auto const f : eckart::all_factor_forms) {
        known.emplace_back(eckart::name_of(f));
      }
      throw shape_error(
          fmt::format("sweep: no form '{}'; known: {}", name, fmt::join(known, ", ")));
    }
    forms.push_back(*found);
  }
  return forms;
}

auto set_of_keyword(std::string const& name) -> target_set {
  return {name, name == "attention" ? eckart::attention_targets()
                : name == "linear"  ? eckart::linear_targets()
                                    : eckart::all_targets()};
}

/// The sets that one --targets names.
auto sets_of(std::string const& list) -> std::vector<target_set> {
  auto const parts = parts_of({list});
  auto const is_keyword = [](std::string const& part) {
    return part == "attention" || part == "linear" || part == "all";
  };
  if (std::ranges::none_of(parts, is_keyword)) {
    return {{list, parts}};
  }
  if (!std::ranges::all_of(parts, is_keyword)) {
    throw shape_error(message("sweep: targets '", list,
                              "' mix 'attention', 'linear' or 'all' with ",
                              "names of layers; give --targets once for each set"));
  }
  std::vector<target_set> sets;
  for (auto const& part : parts) {
    sets.push_back(set_of_keyword(part));
  }
  return sets;
}

auto targets_of(strings const& lists) -> std::vector<target_set> {
  std::vector<target_set> sets;
  for (auto const& list : lists) {
    for (auto& set : sets_of(list)) {
      if (std::ranges::find(sets, set.name, &target_set::name) == sets.end()) {
        sets.push_back(std::move(set));
      }
    }
  }
  return sets;
}

/// Shapes of the matrices of a set.
auto shapes_of(target_set const& set, eckart::bart<float> const& model)
    -> std::vector<eckart::shape2> {
  std::vector<eckart::shape2> shapes;
  for (auto const& target : set.names) {
    bool found = false;
    for (auto const& layer : eckart::bart_layers(model)) {
      if (eckart::matches_target(layer.name(), std::span(&target, 1))) {
        found = true;
        shapes.push_back(layer.shape());
      }
    }
    if (!found) {
      throw shape_error(message("sweep: no linear layer is named '", target, "'"));
    }
  }
  return shapes;
}

void check_rank(eckart::index_t rank, target_set const& set,
                std::vector<eckart::shape2> const& shapes) {
  eckart::index_t full = 0;
  for (auto const w : shapes) {
    full = std::max(full, std::min(w.rows, w.cols));
  }
  if (rank > full) {
    throw shape_error(message("sweep: rank ", rank, " exceeds ", full,
                              ", the largest min(m, n) of the targets '", set.name, "'"));
  }
}

auto mark_of(target_set const& set, std::vector<eckart::shape2> const& shapes, eckart::form f)
    -> break_even_mark {
  auto rank = std::numeric_limits<eckart::index_t>::max();
  for (auto const w : shapes) {
    rank = std::min(rank, eckart::break_even(w)[f].all());
  }
  return {set.name, f, rank};
}

auto joined(strings const& lists) -> std::string {
  return fmt::format("{}", fmt::join(lists, ","));
}

}  // namespace

auto description(sweep_step const& step) -> std::string {
  return fmt::format("rank {}, {}, {}", step.rank, step.targets.name,
                     eckart::name_of(step.stored_as));
}

void sweep_choice::add_to(CLI::App& command) {
  auto const list = [&command](char const* name, strings& values, char const* text,
                               char const* help) {
    return command.add_option(name, values, help)->option_text(text)->allow_extra_args(false);
  };
  list("--ranks", ranks, "A:B:STEP|LIST",
       "ranks: from A to B, such as 384:64:-16, or a list; parts of both kinds between commas")
      ->required();
  list("--methods", methods, "LIST", "how weights are truncated: svd (default)");
  list("--targets", targets, "attention|linear|all|LIST",
       "layers to replace (default: attention): attention,linear for one after the other, all "
       "for these and the output layer lm_head, or names such as q_proj,fc1; may be given several "
       "times");
  list("--forms", forms, "LIST",
       "how factors are stored: two-factor (default), pivoted, diagonal-core, full-core (the "
       "textbook's)");
}

auto plan_sweep(sweep_choice const& choice, eckart::bart<float> const& model) -> sweep_plan {
  auto const ranks = parse_ranks(joined(choice.ranks));
  auto const forms = forms_of(choice.forms);
  sweep_plan plan;
  auto const sets = targets_of(choice.targets);
  for (auto const& set : sets) {
    auto const shapes = shapes_of(set, model);
    check_rank(ranks.front(), set, shapes);
    for (auto const f : forms) {
      plan.marks.push_back(mark_of(set, shapes, f));
    }
  }
  for (auto const& method : methods_of(choice.methods)) {
    for (auto const& set : sets) {
      for (auto const f : forms) {
        for (auto const rank : ranks) {
          plan.steps.push_back({method, set, f, rank});
        }
      }
    }
  }
  return plan;
}

auto choose_rank(at_most_rank const& policy, eckart::spectrum, eckart::shape2 shape)
    -> eckart::index_t {
  return std::min({policy.rank, shape.rows, shape.cols});
}

}  // namespace program
