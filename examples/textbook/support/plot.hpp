#pragma once

#include "eckart/core/error.hpp"
#include "eckart/io/file.hpp"
#include "support/axis.hpp"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Line plots of the textbook programs, as SVG.
namespace textbook {

/// One line of a plot. A point that is not finite, or not positive on a log axis, leaves a gap.
struct series {
  std::string label{};
  std::vector<double> x{}, y{};
};

struct plot {
  std::string title{}, x_label{}, y_label{};
  bool log_x = false, log_y = false;
  std::vector<series> lines{};
  std::vector<std::pair<double, std::string>> marks{};  ///< vertical lines: where, label
};

namespace detail {

// The frame around the lines, in units of the picture; the legend stands between title and frame.
constexpr double frame_left = 92, frame_right = 700, frame_height = 340, picture_width = 720;

inline auto escaped(std::string_view text) -> std::string {
  std::string result;
  for (auto const c : text) {
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
      default:
        result += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return result;
}

/// Writes the elements of one plot. fmt formats numbers without the locale.
class svg_writer {
 public:
  explicit svg_writer(plot const& p) : plot_(p), x_{p.log_x}, y_{p.log_y} {
    for (auto const& line : p.lines) {
      if (line.x.size() != line.y.size()) {
        throw eckart::shape_error(eckart::message("write_svg: series ", line.label, " has ",
                                                  line.x.size(), " x and ", line.y.size(), " y"));
      }
      for (std::size_t i = 0; i < line.x.size(); ++i) {
        if (x_.shows(line.x[i]) && y_.shows(line.y[i])) {
          x_.include(line.x[i]);
          y_.include(line.y[i]);
        }
      }
    }
    for (auto const& [where, label] : p.marks) {
      x_.include(where);
    }
    x_.finish(axis_ends::exact);
    y_.finish(axis_ends::at_ticks);
  }

  auto text() -> std::string {
    legend();
    frame();
    for (std::size_t i = 0; i < plot_.lines.size(); ++i) {
      line(plot_.lines[i], style(i));
    }
    marks();
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" font-size=\"14\" "
        "font-family=\"Helvetica, Arial, sans-serif\">\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
        "<text x=\"{2}\" y=\"26\" font-size=\"17\" text-anchor=\"middle\">{3}</text>\n{4}</svg>\n",
        picture_width, bottom() + 58, (frame_left + frame_right) / 2, escaped(plot_.title), body_);
  }

 private:
  template <class... Values>
  void add(fmt::format_string<Values const&...> format, Values const&... values) {
    fmt::format_to(std::back_inserter(body_), format, values...);
  }

  // Seven colours that the colour-blind can tell apart (Okabe and Ito 2008), five kinds of dashes.
  static auto style(std::size_t i) -> std::string {
    constexpr std::array colours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#e69f00", "#56b4e9", "#000000"};
    constexpr std::array dashes = {"none", "9 4", "3 3", "12 4 3 4", "6 2"};
    return fmt::format("stroke=\"{0}\" fill=\"{0}\" stroke-dasharray=\"{1}\"",
                       colours[i % colours.size()], dashes[i % dashes.size()]);
  }

  auto bottom() const -> double { return top_ + frame_height; }
  auto across(double x) const -> double {
    return frame_left + x_.position(x) * (frame_right - frame_left);
  }
  auto down(double y) const -> double { return bottom() - y_.position(y) * frame_height; }

  // Entries side by side, in as many rows as they need; decides where the frame begins.
  void legend() {
    auto x = frame_left;
    top_ = 48;
    for (std::size_t i = 0; i < plot_.lines.size(); ++i) {
      auto const& label = plot_.lines[i].label;
      if (label.empty()) {
        continue;
      }
      auto const width = 56 + 7.2 * static_cast<double>(label.size());
      if (x > frame_left && x + width > frame_right + 20) {
        x = frame_left, top_ += 20;
      }
      add("<path d=\"M{} {}h32\" stroke-width=\"2.2\" {}/>\n", x, top_ - 5, style(i));
      add("<text x=\"{}\" y=\"{}\">{}</text>\n", x + 38, top_, escaped(label));
      x += width;
    }
    top_ += 14;
  }

  void frame() {
    for (auto const tick : x_.ticks) {
      add("<path d=\"M{:.2f} {}V{}\" stroke=\"#dddddd\"/>\n", across(tick), top_, bottom());
      add("<text x=\"{:.2f}\" y=\"{}\" text-anchor=\"middle\">{:.6g}</text>\n", across(tick),
          bottom() + 20, tick);
    }
    for (auto const tick : y_.ticks) {
      add("<path d=\"M{} {:.2f}H{}\" stroke=\"#dddddd\"/>\n", frame_left, down(tick), frame_right);
      add("<text x=\"{}\" y=\"{:.2f}\" text-anchor=\"end\">{:.6g}</text>\n", frame_left - 8,
          down(tick) + 5, tick);
    }
    add("<path d=\"M{} {}H{}V{}H{}Z\" stroke=\"#444444\" fill=\"none\"/>\n", frame_left, top_,
        frame_right, bottom(), frame_left);
    add("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
        (frame_left + frame_right) / 2, bottom() + 44, escaped(plot_.x_label));
    add("<text transform=\"translate(20 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
        top_ + frame_height / 2, escaped(plot_.y_label));
  }

  // A line through the points, with dots if they are few.
  void line(series const& s, std::string const& style) {
    std::string path, dots;
    auto command = 'M';
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!x_.shows(s.x[i]) || !y_.shows(s.y[i])) {
        command = 'M';
        continue;
      }
      auto const x = across(s.x[i]);
      auto const y = down(s.y[i]);
      path += fmt::format("{}{:.2f} {:.2f}", command, x, y);
      dots += fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"3\"/>", x, y);
      command = 'L';
    }
    add("<g stroke-width=\"2.2\" {}><path d=\"{}\" fill=\"none\"/>", style, path);
    add("<g stroke=\"none\">{}</g></g>\n", s.x.size() <= 24 ? dots : "");
  }

  // A label stands upright beside its line, on the left where there is room.
  void marks() {
    for (auto const& [where, label] : plot_.marks) {
      if (x_.shows(where)) {
        auto const x = across(where);
        add("<path d=\"M{:.2f} {}V{}\" stroke=\"#444444\" stroke-dasharray=\"2 3\"/>\n", x, top_,
            bottom());
        // First in thick white, so that lines do not cross the letters.
        for (auto const* const paint : {"stroke=\"white\" stroke-width=\"5\"", "fill=\"black\""}) {
          add("<text transform=\"translate({:.2f} {}) rotate(-90)\" text-anchor=\"end\" "
              "{}>{}</text>\n",
              x < frame_left + 20 ? x + 15 : x - 5, top_ + 6, paint, escaped(label));
        }
      }
    }
  }

  plot const& plot_;
  axis x_;
  axis y_;
  double top_ = 0;
  std::string body_;
};

}  // namespace detail

/// Writes a plot as SVG that scales to any size. The file appears under its name only when it is
/// complete. Throws shape_error for a series with more x than y or the reverse, and io_error.
inline void write_svg(std::filesystem::path const& file, plot const& p) {
  auto const text = detail::svg_writer(p).text();
  eckart::write_atomically(file, [&](std::ostream& out) { out << text; });
}

}  // namespace textbook
