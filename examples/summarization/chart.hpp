#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Line charts as SVG inside of an HTML page, and the escaping of text that stands in either.
namespace program {

/// The text with <, >, &, quotes and control characters made harmless; invalid UTF-8 becomes
/// U+FFFD.
auto escaped(std::string_view text) -> std::string;

/// One line of a chart. Points that are not finite leave a gap.
struct chart_series {
  std::string label;
  std::size_t style = 0;  ///< colour, marker and dashes; they repeat after chart_styles
  std::vector<double> x, y;
  std::vector<double> low, high;    ///< of a band around the line; empty: none
  std::vector<std::string> notes;   ///< shown when a point is pointed at; empty: none
  std::vector<std::string> labels;  ///< beside the points, where there is room; empty: none
};

/// A vertical line at a position of the x axis.
struct chart_mark {
  double x = 0;
  std::string label;
  std::size_t style = 0;
};

/// A horizontal line across the chart, or a single point if x is given.
struct chart_reference {
  double y = 0;
  std::string label;
  std::optional<double> x{};
};

struct chart {
  std::string title;
  std::string description;  ///< what a reader who cannot see the chart is told
  std::string x_label, y_label;
  std::vector<chart_series> series;
  std::vector<chart_mark> marks;
  std::optional<chart_reference> reference;
};

inline constexpr std::size_t chart_styles = 6;

/// The chart as an <svg> element without a fixed size. `id` must be unique in the page; colours and
/// text sizes come from chart_style_sheet(). Throws eckart::shape_error for lists of unequal
/// lengths in a series.
auto svg_of(chart const& c, std::string_view id) -> std::string;

/// A piece of line with its marker, for a legend.
auto svg_swatch(std::size_t style) -> std::string;

/// CSS of charts and swatches. It uses the page's variables --paper, --ink, --muted and --grid and
/// defines --s0 ... --s5.
auto chart_style_sheet() -> std::string_view;

}  // namespace program
