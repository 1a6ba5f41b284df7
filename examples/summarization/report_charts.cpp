#include "report_charts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

namespace program {

namespace {

using value_of = std::function<double(sweep_point const&)>;
using note_of = std::function<std::string(sweep_point const&)>;

auto megabytes(std::uint64_t bytes) -> double {
  return static_cast<double>(bytes) / 1e6;
}

auto rank_of(sweep_point const& p) -> double {
  return static_cast<double>(p.rank);
}

/// A line of a chart: a group, or the groups of one method and targets where all forms agree.
struct curve {
  std::string name;
  std::size_t style = 0;  ///< of the first group in it
  std::vector<sweep_point const*> points;
};

auto curves_of(std::vector<sweep_group> const& groups) -> std::vector<curve> {
  std::vector<curve> curves;
  for (auto const& g : groups) {
    curves.push_back({g.name, curves.size(), g.points});
  }
  return curves;
}

/// Curves of a figure that does not depend on the form but for rounding, and how far apart at most
/// forms are that share a curve.
struct joined_curves {
  std::vector<curve> curves;
  double apart = 0;
  bool is_joined = false;
};

/// Joins forms whose figures differ by less than `tolerance` at every rank.
auto join_forms(std::vector<sweep_group> const& groups, value_of const& y,
                value_of const& tolerance) -> joined_curves {
  joined_curves joined;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    auto const& group = groups[g];
    double apart = 0;
    auto const agrees = [&](curve const& c) {
      auto const& other = *c.points.front();
      apart = 0;
      return other.method == group.front().method && other.targets == group.front().targets &&
             std::ranges::equal(c.points, group.points, [&](auto const* a, auto const* b) {
               apart = std::max(apart, std::abs(y(*a) - y(*b)));
               return a->rank == b->rank && std::abs(y(*a) - y(*b)) < tolerance(*a);
             });
    };
    auto const found = std::ranges::find_if(joined.curves, agrees);
    if (found == joined.curves.end()) {
      joined.curves.push_back({group.name, g, group.points});
    } else {
      found->name += fmt::format(" / {}", eckart::name_of(group.front().stored_as));
      joined.apart = std::max(joined.apart, apart);
      joined.is_joined = true;
    }
  }
  return joined;
}

/// Curves as lines, ranks rising.
auto lines_of(std::vector<curve> const& curves, value_of const& x, value_of const& y,
              note_of const& note) -> std::vector<chart_series> {
  std::vector<chart_series> lines;
  for (auto const& c : curves) {
    chart_series line;
    line.label = c.name;
    line.style = c.style;
    for (auto i = c.points.rbegin(); i != c.points.rend(); ++i) {
      auto const& p = **i;
      line.x.push_back(x(p));
      line.y.push_back(y(p));
      line.notes.push_back(fmt::format("{}, rank {}: {}", c.name, p.rank, note(p)));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

/// "attention, two-factor: 39.50 at rank 64, ..., 44.20 at rank 256. Dense: 43.79."
auto description(std::vector<curve> const& curves, value_of const& y, double dense, int digits)
    -> std::string {
  std::string text;
  for (auto const& c : curves) {
    fmt::format_to(std::back_inserter(text), "{}: ", c.name);
    for (auto i = c.points.rbegin(); i != c.points.rend(); ++i) {
      fmt::format_to(std::back_inserter(text), "{}{} at rank {}",
                     i == c.points.rbegin() ? "" : ", ", fixed(y(**i), digits), (*i)->rank);
    }
    text += ". ";
  }
  return fmt::format("{}Dense: {}.", text, fixed(dense, digits));
}

auto joined_text(joined_curves const& joined, int digits) -> std::string {
  return joined.is_joined
             ? fmt::format(" Forms on one line are at most {} apart.", fixed(joined.apart, digits))
             : std::string();
}

auto interval_text(eckart::mean_estimate const& e) -> std::string {
  return fmt::format("{} ({} to {})", fixed(e.mean, 2), fixed(e.low, 2), fixed(e.high, 2));
}

auto rouge_figure(sweep_result const& r, std::vector<sweep_group> const& groups,
                  std::size_t measure, std::string const& name) -> report_figure {
  auto const estimate = [measure](sweep_point const& p) -> eckart::mean_estimate const& {
    return p.quality.rouge[measure];
  };
  auto const mean = [&](sweep_point const& p) { return estimate(p).mean; };
  auto const tolerance = [&](sweep_point const& p) {
    return (estimate(p).high - estimate(p).low) / 10;
  };
  auto const joined = join_forms(groups, mean, tolerance);
  report_figure f;
  f.id = fmt::format("chart-rouge-{}", measure);
  f.caption = fmt::format(
      "Higher is better. The bands are {} intervals of the mean over the "
      "examples.{}",
      percent_text(r.level), joined_text(joined, 2));
  f.picture.title = fmt::format("{} against rank", name);
  f.picture.description = description(joined.curves, mean, mean(r.dense), 2);
  f.picture.x_label = "rank";
  f.picture.y_label = fmt::format("{}, F1 in %", name);
  f.picture.series = lines_of(joined.curves, rank_of, mean,
                              [&](sweep_point const& p) { return interval_text(estimate(p)); });
  for (std::size_t c = 0; c < joined.curves.size(); ++c) {
    auto& line = f.picture.series[c];
    auto const& points = joined.curves[c].points;
    for (auto i = points.rbegin(); i != points.rend(); ++i) {
      line.low.push_back(estimate(**i).low);
      line.high.push_back(estimate(**i).high);
    }
  }
  f.picture.reference = {mean(r.dense), fmt::format("dense {}", fixed(mean(r.dense), 2))};
  f.reference_meaning = "dense model";
  return f;
}

auto loss_figure(sweep_result const& r, std::vector<sweep_group> const& groups) -> report_figure {
  auto const loss = [](sweep_point const& p) { return p.quality.loss; };
  auto const joined = join_forms(groups, loss, [](sweep_point const&) { return 0.005; });
  report_figure f;
  f.id = "chart-loss";
  f.caption =
      std::string(
          "Lower is better. Teacher-forced on the reference summaries; it tells models apart that "
          "ROUGE cannot.") +
      joined_text(joined, 4);
  f.picture.title = "Loss against rank";
  f.picture.description = description(joined.curves, loss, loss(r.dense), 3);
  f.picture.x_label = "rank";
  f.picture.y_label = "loss, nats a reference token";
  f.picture.series = lines_of(joined.curves, rank_of, loss,
                              [&](sweep_point const& p) { return fixed(loss(p), 3); });
  f.picture.reference = {loss(r.dense), fmt::format("dense {}", fixed(loss(r.dense), 3))};
  f.reference_meaning = "dense model";
  return f;
}

/// A vertical line for each form and last saving rank, once for all targets that share it.
auto marks_of(sweep_result const& r, std::vector<sweep_group> const& groups)
    -> std::vector<chart_mark> {
  std::vector<chart_mark> marks;
  for (auto const& m : r.marks) {
    auto const shows = [&](sweep_group const& g) {
      return g.front().targets == m.targets && g.front().stored_as == m.stored_as;
    };
    auto const found = std::ranges::find_if(groups, shows);
    auto const label = fmt::format("{} {}", eckart::name_of(m.stored_as), m.rank);
    auto const is_known = std::ranges::find(marks, label, &chart_mark::label) != marks.end();
    if (found != groups.end() && !is_known) {
      marks.push_back(
          {static_cast<double>(m.rank), label, static_cast<std::size_t>(found - groups.begin())});
    }
  }
  return marks;
}

auto bytes_figure(sweep_result const& r, std::vector<sweep_group> const& groups) -> report_figure {
  auto const size = [](sweep_point const& p) { return megabytes(p.bytes); };
  report_figure f;
  f.id = "chart-bytes";
  f.caption = "Less is better: all parameters of the model in memory.";
  f.picture.title = "Bytes against rank";
  f.picture.description = description(curves_of(groups), size, size(r.dense), 1);
  f.picture.x_label = "rank";
  f.picture.y_label = "size, MB";
  f.picture.series = lines_of(curves_of(groups), rank_of, size,
                              [](sweep_point const& p) { return size_text(p.bytes); });
  f.picture.marks = marks_of(r, groups);
  if (!f.picture.marks.empty()) {
    f.caption +=
        " The dotted lines stand at the break-even ranks, the last at which a form saves storage "
        "and FLOPs on every layer.";
    f.picture.description += " Break-even ranks:";
    for (auto const& m : f.picture.marks) {
      f.picture.description += " " + m.label + ".";
    }
  }
  f.picture.reference = {size(r.dense), fmt::format("dense {}", size_text(r.dense.bytes))};
  f.reference_meaning = "dense model";
  return f;
}

auto trade_figure(sweep_result const& r, std::vector<sweep_group> const& groups) -> report_figure {
  auto const size = [](sweep_point const& p) { return megabytes(p.bytes); };
  auto const mean = [](sweep_point const& p) { return p.quality.rouge[0].mean; };
  report_figure f;
  f.id = "chart-trade";
  f.caption =
      "What the bytes buy; up and to the left is better. The numbers beside the points are ranks.";
  f.picture.title = "ROUGE-1 against bytes";
  f.picture.description = description(curves_of(groups), mean, mean(r.dense), 2) +
                          " The sizes are those of the chart of bytes.";
  f.picture.x_label = "size, MB";
  f.picture.y_label = "ROUGE-1, F1 in %";
  f.picture.series = lines_of(curves_of(groups), size, mean, [&](sweep_point const& p) {
    return fmt::format("{} in {}", fixed(mean(p), 2), size_text(p.bytes));
  });
  for (std::size_t g = 0; g < groups.size(); ++g) {
    for (auto i = groups[g].points.rbegin(); i != groups[g].points.rend(); ++i) {
      f.picture.series[g].labels.push_back(fmt::format("{}", (*i)->rank));
    }
  }
  f.picture.reference = {mean(r.dense), "dense", size(r.dense)};
  f.reference_meaning = "dense model";
  return f;
}

auto seconds_figure(sweep_result const& r, std::vector<sweep_group> const& groups)
    -> report_figure {
  auto const time = [](sweep_point const& p) { return p.seconds.value_or(NAN); };
  report_figure f;
  f.id = "chart-seconds";
  f.caption = fmt::format(
      "Less is better: all {} summaries, on the machine that made this report. A model that stops "
      "early looks faster than it is; see the lengths below.",
      r.examples);
  f.picture.title = "Time against rank";
  f.picture.description = description(curves_of(groups), time, time(r.dense), 1);
  f.picture.x_label = "rank";
  f.picture.y_label = "generation, seconds";
  f.picture.series = lines_of(curves_of(groups), rank_of, time, [&](sweep_point const& p) {
    return fmt::format("{} s", fixed(time(p), 1));
  });
  if (r.dense.seconds) {
    f.picture.reference = {*r.dense.seconds, fmt::format("dense {} s", fixed(*r.dense.seconds, 1))};
    f.reference_meaning = "dense model";
  }
  return f;
}

}  // namespace

auto charts_of(sweep_result const& r, std::vector<sweep_group> const& groups)
    -> std::vector<report_figure> {
  std::vector<report_figure> figures;
  if (groups.empty()) {
    return figures;
  }
  figures.push_back(rouge_figure(r, groups, 0, "ROUGE-1"));
  figures.push_back(trade_figure(r, groups));
  figures.push_back(bytes_figure(r, groups));
  figures.push_back(loss_figure(r, groups));
  figures.push_back(rouge_figure(r, groups, 1, "ROUGE-2"));
  figures.push_back(rouge_figure(r, groups, 2, "ROUGE-L"));
  if (std::ranges::any_of(r.points, [](sweep_point const& p) { return p.seconds.has_value(); })) {
    figures.push_back(seconds_figure(r, groups));
  }
  return figures;
}

}  // namespace program
