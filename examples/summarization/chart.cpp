#include "chart.hpp"

#include "../textbook/support/axis.hpp"

#include <eckart/core/error.hpp>
#include <eckart/text/utf8.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace program {

namespace {

namespace axes = textbook::detail;

// The picture, in its own units: as wide as a phone. Text is 14 high on a narrow screen and 11 on
// a wide one, which shows a unit larger (chart_style_sheet); room is kept for 14.
constexpr double width = 360;
constexpr double left = 50;
constexpr double right = 350;
constexpr double plot_height = 200;
constexpr double text_height = 16;
constexpr double below = 47;  // tick labels and the label of the x axis

struct box {
  double x0, y0, x1, y1;
};

auto overlap(box const& a, box const& b) -> bool {
  return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
}

/// About the width of a text of 14 units; counts characters, not bytes.
auto text_width(std::string_view text) -> double {
  auto const characters = std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
  return 7.6 * static_cast<double>(characters);
}

/// The marker of a style around a point; those of odd styles are hollow, so that a line that runs
/// over another one hides no points.
auto marker(std::size_t style, double x, double y) -> std::string {
  auto const hollow = style % 2 == 1 ? R"( class="hollow")" : "";
  switch (style % chart_styles) {
    case 0:
      return fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3.6"{}>)", x, y, hollow);
    case 1:
      return fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="10" height="10"{}>)", x - 5, y - 5,
                         hollow);
    case 2:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l5 9h-10z"{}>)", x, y - 5.5, hollow);
    case 3:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l6.5 6.5l-6.5 6.5l-6.5-6.5z"{}>)", x, y - 6.5,
                         hollow);
    case 4:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}h7v7h-7z"{}>)", x - 3.5, y - 3.5, hollow);
    default:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l-6-10.4h12z"{}>)", x, y + 7, hollow);
  }
}

auto closing_tag(std::string_view element) -> std::string {
  return fmt::format("</{}>", element.substr(1, element.find(' ') - 1));
}

auto finite(double a, double b) -> bool {
  return std::isfinite(a) && std::isfinite(b);
}

void check(chart_series const& s) {
  auto const fits = [&](std::size_t size) { return size == 0 || size == s.x.size(); };
  if (s.y.size() != s.x.size() || s.low.size() != s.high.size() || !fits(s.low.size()) ||
      !fits(s.notes.size()) || !fits(s.labels.size())) {
    throw eckart::shape_error(eckart::message("chart: series ", s.label, " has ", s.x.size(),
                                              " x, ", s.y.size(), " y, ", s.low.size(), " low, ",
                                              s.high.size(), " high, ", s.notes.size(), " notes, ",
                                              s.labels.size(), " labels"));
  }
}

/// All ticks of an axis with the digits that its steps need.
auto tick_text(axes::axis const& a, double tick) -> std::string {
  auto const step = a.ticks.size() < 2 ? 1.0 : a.ticks[1] - a.ticks[0];
  auto const digits = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 9);
  return fmt::format("{:.{}f}", tick, digits);
}

class writer {
 public:
  explicit writer(chart const& c) : chart_(c) {
    std::ranges::for_each(c.series, check);
    choose_ranges();
    place_mark_labels();
  }

  auto text(std::string_view id) -> std::string {
    std::ranges::for_each(chart_.series, [this](auto const& s) { band(s); });
    frame();
    marks();
    reference_line();
    std::ranges::for_each(chart_.series, [this](auto const& s) { line(s); });
    std::ranges::for_each(chart_.series, [this](auto const& s) { points(s); });
    reference_label();
    std::ranges::for_each(chart_.series, [this](auto const& s) { point_labels(s); });
    return fmt::format(
        "<svg class=\"chart\" viewBox=\"0 0 {0} {1}\" role=\"img\" aria-labelledby=\"{2}-title "
        "{2}-desc\">\n<title id=\"{2}-title\">{3}</title>\n<desc id=\"{2}-desc\">{4}</desc>\n"
        "{5}</svg>\n",
        width, bottom_ + below, escaped(id), escaped(chart_.title), escaped(chart_.description),
        body_);
  }

 private:
  template <class... Values>
  void add(fmt::format_string<Values const&...> format, Values const&... values) {
    fmt::format_to(std::back_inserter(body_), format, values...);
  }

  auto across(double x) const -> double { return left + x_.position(x) * (right - left); }
  auto down(double y) const -> double { return bottom_ - y_.position(y) * (bottom_ - top_); }

  void choose_ranges() {
    auto low = std::numeric_limits<double>::infinity();
    auto high = -low;
    auto const include = [&](double x) {
      if (std::isfinite(x)) {
        low = std::min(low, x), high = std::max(high, x);
      }
    };
    for (auto const& s : chart_.series) {
      for (std::size_t i = 0; i < s.x.size(); ++i) {
        if (finite(s.x[i], s.y[i])) {
          include(s.x[i]);
          y_.include(s.y[i]);
          if (!s.low.empty() && finite(s.low[i], s.high[i])) {
            y_.include(s.low[i]);
            y_.include(s.high[i]);
          }
        }
      }
    }
    std::ranges::for_each(chart_.marks, [&](auto const& m) { include(m.x); });
    if (auto const& r = chart_.reference) {
      y_.include(r->y);
      include(r->x.value_or(low));
    }
    auto const margin = 0.04 * (high - low);
    x_.include(low - margin);
    x_.include(high + margin);
    x_.finish(axes::axis_ends::exact);
    y_.finish(axes::axis_ends::at_ticks);
  }

  // Labels of the vertical lines stand above the frame: over their line or beside it, in the lowest
  // row where they meet no other label and no other line.
  void place_mark_labels() {
    std::vector<std::vector<box>> rows;
    for (auto const& m : chart_.marks) {
      auto const x = across(m.x);
      auto const size = text_width(m.label);
      for (std::size_t row = 0;; ++row) {
        rows.resize(std::max(rows.size(), row + 1));
        auto const starts = std::array{x - size / 2, x - 5 - size, x + 5};
        auto const* const start = std::ranges::find_if(starts, [&](double from) {
          box const area{from - 4, 0, from + size + 4, 1};
          return from >= 0 && from + size <= width &&
                 std::ranges::none_of(rows[row], [&](box const& b) { return overlap(b, area); }) &&
                 (row > 0 || meets_no_line(area, m));
        });
        if (start != starts.end()) {
          rows[row].push_back({*start, 0, *start + size, 1});
          mark_places_.push_back({m, *start + size / 2, row});
          break;
        }
        if (row > chart_.marks.size()) {  // wider than the picture
          mark_places_.push_back({m, width / 2, row});
          break;
        }
      }
    }
    top_ = 30 + text_height * static_cast<double>(rows.size());
    bottom_ = top_ + plot_height;
  }

  auto meets_no_line(box const& area, chart_mark const& own) const -> bool {
    return std::ranges::none_of(chart_.marks, [&](chart_mark const& other) {
      return other.x != own.x && across(other.x) > area.x0 && across(other.x) < area.x1;
    });
  }

  void frame() {
    add("<text class=\"name\" x=\"4\" y=\"15\">{}</text>\n", escaped(chart_.y_label));
    for (auto const tick : y_.ticks) {
      add("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>", left, down(tick), right);
      add("<text class=\"tick\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left - 7,
          down(tick) + 4.5, tick_text(y_, tick));
    }
    for (auto const tick : x_.ticks) {
      add("<path class=\"axis\" d=\"M{:.1f} {}v5\"/>", across(tick), bottom_);
      add("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
          across(tick), bottom_ + 20, tick_text(x_, tick));
    }
    add("<path class=\"axis\" d=\"M{} {}H{}\"/>\n", left, bottom_, right);
    add("<text class=\"name\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", right,
        bottom_ + 41, escaped(chart_.x_label));
  }

  void marks() {
    for (auto const& place : mark_places_) {
      auto const x = across(place.mark.x);
      auto const y = top_ - 7 - text_height * static_cast<double>(place.row);
      add("<g class=\"s{}\"><path class=\"mark\" d=\"M{:.1f} {:.1f}V{}\"/>",
          place.mark.style % chart_styles, x, y + 3, bottom_);
      add("<text class=\"marked\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text></g>\n",
          place.label_x, y, escaped(place.mark.label));
    }
  }

  void reference_line() {
    if (auto const& r = chart_.reference; r && std::isfinite(r->y)) {
      if (!r->x) {
        add("<path class=\"dense\" d=\"M{} {:.1f}H{}\"/>\n", left, down(r->y), right);
      } else if (std::isfinite(*r->x)) {
        auto const x = across(*r->x);
        add("<path class=\"dense-point\" d=\"M{0:.1f} {1:.1f}h12M{2:.1f} {3:.1f}v12\"/>\n", x - 6,
            down(r->y), x, down(r->y) - 6);
        taken_.push_back({x - 6, down(r->y) - 6, x + 6, down(r->y) + 6});
      }
    }
  }

  // Above or below the line, as far to the left as there is room; a point's label beside it.
  void reference_label() {
    auto const& r = chart_.reference;
    if (!r || !std::isfinite(r->y) || !std::isfinite(r->x.value_or(0))) {
      return;
    }
    auto const y = down(r->y);
    auto const size = text_width(r->label);
    if (r->x) {
      place_label(r->label, "label", around(*r->x, r->y, size), true);
      return;
    }
    std::vector<label_place> places;
    for (auto const below_line : {false, true}) {
      auto const base = below_line ? y + 16 : y - 6;
      for (auto x = left + 6; x + size < right; x += 12) {
        places.push_back({x, base, "start", {x, base - 11, x + size, base + 2}});
      }
    }
    place_label(r->label, "label", places, true);
  }

  struct label_place {
    double x, y;
    std::string_view anchor;
    box area;
  };

  /// Above, below, left and right of a point.
  auto around(double at_x, double at_y, double size) const -> std::vector<label_place> {
    auto const x = across(at_x);
    auto const y = down(at_y);
    return {{{x, y - 10, "middle", {x - size / 2, y - 21, x + size / 2, y - 8}},
             {x, y + 20, "middle", {x - size / 2, y + 9, x + size / 2, y + 22}},
             {x - 10, y + 5, "end", {x - 10 - size, y - 6, x - 10, y + 7}},
             {x + 10, y + 5, "start", {x + 10, y - 6, x + 10 + size, y + 7}}}};
  }

  // The first place where nothing stands yet. If there is none: where least stands if it must be
  // somewhere, or nowhere.
  void place_label(std::string_view text, std::string_view css_class,
                   std::vector<label_place> const& places, bool must) {
    auto const obstacles = [this](label_place const& p) {
      auto const is_outside =
          p.area.x0 < left || p.area.x1 > width || p.area.y0 < top_ - 6 || p.area.y1 > bottom_ + 2;
      return is_outside
                 ? 1000
                 : std::ranges::count_if(taken_, [&](box const& b) { return overlap(b, p.area); });
    };
    auto const found = std::ranges::min_element(places, {}, obstacles);
    if (found == places.end() || (!must && obstacles(*found) > 0)) {
      return;
    }
    auto const& p = *found;
    add("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", css_class,
        p.x, p.y, p.anchor, escaped(text));
    taken_.push_back(p.area);
  }

  void band(chart_series const& s) {
    auto const has = [&](std::size_t i) {
      return finite(s.x[i], s.y[i]) && finite(s.low[i], s.high[i]);
    };
    for (std::size_t i = 0; i < s.low.size();) {
      if (!has(i)) {
        ++i;
        continue;
      }
      std::string outline;
      auto const first = i;
      for (; i < s.low.size() && has(i); ++i) {
        fmt::format_to(std::back_inserter(outline), "{}{:.1f} {:.1f}", i == first ? 'M' : 'L',
                       across(s.x[i]), down(s.high[i]));
      }
      for (auto back = i; back-- > first;) {
        fmt::format_to(std::back_inserter(outline), "L{:.1f} {:.1f}", across(s.x[back]),
                       down(s.low[back]));
      }
      add("<path class=\"band s{}\" d=\"{}z\"/>\n", s.style % chart_styles, outline);
    }
  }

  void line(chart_series const& s) {
    std::string path;
    bool drawing = false;
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!finite(s.x[i], s.y[i])) {
        drawing = false;
        continue;
      }
      auto const x = across(s.x[i]);
      auto const y = down(s.y[i]);
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", drawing ? 'L' : 'M', x, y);
      if (drawing) {
        take_segment(across(s.x[i - 1]), down(s.y[i - 1]), x, y);
      }
      drawing = true;
    }
    if (!path.empty()) {
      add("<path class=\"line s{0} d{0}\" d=\"{1}\"/>\n", s.style % chart_styles, path);
    }
  }

  /// Keeps labels off a piece of line.
  void take_segment(double x0, double y0, double x1, double y1) {
    auto const steps = std::max(1.0, std::ceil(std::hypot(x1 - x0, y1 - y0) / 4));
    for (double i = 0; i <= steps; ++i) {
      auto const x = x0 + (x1 - x0) * i / steps;
      auto const y = y0 + (y1 - y0) * i / steps;
      taken_.push_back({x - 1, y - 1, x + 1, y + 1});
    }
  }

  void points(chart_series const& s) {
    add("<g class=\"points s{}\">", s.style % chart_styles);
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (finite(s.x[i], s.y[i])) {
        auto const x = across(s.x[i]);
        auto const y = down(s.y[i]);
        auto const element = marker(s.style, x, y);
        auto const note = s.notes.empty() ? std::string() : escaped(s.notes[i]);
        add("{}<title>{}</title>{}", element, note, closing_tag(element));
        taken_.push_back({x - 5, y - 5, x + 5, y + 5});
      }
    }
    add("</g>\n");
  }

  void point_labels(chart_series const& s) {
    for (std::size_t i = 0; i < s.labels.size(); ++i) {
      if (finite(s.x[i], s.y[i])) {
        place_label(s.labels[i], fmt::format("marked s{}", s.style % chart_styles),
                    around(s.x[i], s.y[i], text_width(s.labels[i])), false);
      }
    }
  }

  struct mark_place {
    chart_mark mark;
    double label_x;
    std::size_t row;
  };

  chart const& chart_;
  axes::axis x_{false}, y_{false};
  double top_ = 0, bottom_ = 0;
  std::vector<mark_place> mark_places_;
  std::vector<box> taken_;  // by points and labels
  std::string body_;
};

}  // namespace

auto escaped(std::string_view text) -> std::string {
  std::string result;
  for (auto const c : eckart::replace_invalid_utf8(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default: {
        auto const code = static_cast<unsigned char>(c);
        auto const is_control = (code < ' ' && c != '\n' && c != '\t') || code == 0x7F;
        result += is_control ? ' ' : c;
      }
    }
  }
  return result;
}

auto svg_of(chart const& c, std::string_view id) -> std::string {
  return writer(c).text(id);
}

auto svg_swatch(std::size_t style) -> std::string {
  auto const s = style % chart_styles;
  auto const element = marker(s, 20, 8);
  return fmt::format(
      "<svg class=\"swatch\" viewBox=\"0 0 40 16\" aria-hidden=\"true\"><path class=\"line s{0} "
      "d{0}\" d=\"M1 8H39\"/><g class=\"points s{0}\">{1}{2}</g></svg>",
      s, element, closing_tag(element));
}

// Hues of Okabe and Ito 2008, which the colour-blind can tell apart, made darker for 3:1 against
// white and lighter against the dark page.
auto chart_style_sheet() -> std::string_view {
  return R"css(
:root { --s0: #0067a3; --s1: #c04a00; --s2: #007a59; --s3: #a8437f; --s4: #7a6000; --s5: #3c6fd1; }
@media screen and (prefers-color-scheme: dark) {
  :root { --s0: #62b6ef; --s1: #f58a4b; --s2: #3fc69b; --s3: #e79ac6; --s4: #e3c04a; --s5: #9db7ff; }
}
.s0 { --s: var(--s0); } .s1 { --s: var(--s1); } .s2 { --s: var(--s2); }
.s3 { --s: var(--s3); } .s4 { --s: var(--s4); } .s5 { --s: var(--s5); }
svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
svg.swatch { width: 40px; height: 16px; flex: none; }
svg text { font-family: inherit; font-size: 14px; fill: var(--ink); }
svg .tick { fill: var(--muted); font-variant-numeric: tabular-nums; }
svg .name { fill: var(--muted); }
svg .label, svg .marked { paint-order: stroke; stroke: var(--paper); stroke-width: 3px;
  stroke-linejoin: round; }
svg .marked { fill: var(--s); }
svg .grid { stroke: var(--grid); fill: none; }
svg .axis { stroke: var(--muted); fill: none; }
svg .dense { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 7 4; fill: none; }
svg .dense-point { stroke: var(--ink); stroke-width: 2.6; fill: none; }
svg .mark { stroke: var(--s); stroke-width: 1.3; stroke-dasharray: 2 3; fill: none; }
svg .line { stroke: var(--s); stroke-width: 2.2; stroke-linejoin: round; fill: none; }
svg .band { fill: var(--s); opacity: 0.14; }
svg .points > * { fill: var(--s); stroke: var(--s); stroke-width: 1; }
svg .points > .hollow { fill: none; stroke-width: 1.8; }
svg .points > *:hover { stroke-width: 5; }
svg .d1 { stroke-dasharray: 8 5; } svg .d2 { stroke-dasharray: 2.5 3.5; }
svg .d3 { stroke-dasharray: 10 4 2.5 4; } svg .d4 { stroke-dasharray: 16 4; }
svg .d5 { stroke-dasharray: 5 3; }
@media screen and (min-width: 700px) { svg text { font-size: 11px; } }
@media print { svg text { font-size: 12px; } }
)css";
}

}  // namespace program
