#include "report.hpp"

#include "chart.hpp"
#include "program/sample_sweep.hpp"
#include "support/matrix_check.hpp"
#include "sweep_summary.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using support::sample_point;
using support::sample_sweep;

auto html_of(program::sweep_result const& r) -> std::string {
  std::ostringstream out;
  program::write_html(out, r);
  return out.str();
}

auto contains(std::string_view text, std::string_view part) -> bool {
  return text.find(part) != std::string_view::npos;
}

auto count(std::string_view text, std::string_view part) -> std::size_t {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++n;
  }
  return n;
}

/// The parts of the text from `open` to the next `close`.
auto parts_between(std::string_view text, std::string_view open, std::string_view close)
    -> std::vector<std::string> {
  std::vector<std::string> parts;
  for (auto at = text.find(open); at != std::string_view::npos; at = text.find(open, at + 1)) {
    parts.emplace_back(text.substr(at, text.find(close, at) - at));
  }
  return parts;
}

/// What is wrong with the nesting of the tags, "" if nothing. Strict where HTML is not: all that is
/// opened is closed, but for <meta>; a < begins a tag, an & a known reference.
auto nesting_fault(std::string_view html) -> std::string {
  std::vector<std::string_view> open;
  constexpr std::string_view begin = "<!DOCTYPE html>";
  if (!html.starts_with(begin)) {
    return "no doctype";
  }
  for (auto i = begin.size(); i < html.size(); ++i) {
    if (html[i] == '&') {
      auto const reference = html.substr(i, html.find(';', i) + 1 - i);
      constexpr std::array<std::string_view, 5> known{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
      if (std::ranges::find(known, reference) == known.end()) {
        return "reference " + std::string(html.substr(i, 10));
      }
    }
    if (html[i] != '<') {
      continue;
    }
    auto const end = html.find('>', i);
    auto const tag = html.substr(i + 1, end - i - 1);
    auto const name = tag.substr(0, tag.find_first_of(" \n"));
    if (end == std::string_view::npos || name.find_first_of("<\"") != std::string_view::npos ||
        count(tag, "\"") % 2 != 0) {
      return "tag " + std::string(tag.substr(0, 40));
    }
    if (tag.ends_with('/') || name == "meta") {
    } else if (!tag.starts_with('/')) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name.substr(1)) {
      return "closing " + std::string(tag) + " in " + std::string(open.empty() ? "" : open.back());
    } else {
      open.pop_back();
    }
    i = name == "style" ? html.find("</style>", end) - 1 : end;
  }
  return open.empty() ? "" : "left open: " + std::string(open.back());
}

}  // namespace

TEST_CASE("the checker of nesting sees what is wrong") {
  CHECK(nesting_fault("<!DOCTYPE html><p>a &amp; b<meta x=\"y\"></p>") == "");
  CHECK(nesting_fault("<!DOCTYPE html><p>a & b</p>") != "");
  CHECK(nesting_fault("<!DOCTYPE html><p><b></p></b>") != "");
  CHECK(nesting_fault("<!DOCTYPE html><p>") != "");
  CHECK(nesting_fault("<!DOCTYPE html><p x=\"></p>") != "");
}

TEST_CASE("the report is well-formed whatever is in the texts") {
  auto r = sample_sweep();
  CHECK(nesting_fault(html_of(r)) == "");
  r.points[2].summaries = {"</td></table><b>&nbsp;\x01\xFF", ""};
  r.points[2].targets = "<q>,\"&\"";
  r.generation = "'<i>'";
  r.data = "</dd>";
  CHECK(nesting_fault(html_of(r)) == "");
}

TEST_CASE("texts are shown, not interpreted") {
  auto const html = html_of(sample_sweep());
  CHECK_FALSE(contains(html, "<script"));
  CHECK_FALSE(contains(html, "<b onload"));
  CHECK(contains(html, "&lt;script&gt;alert(1)&lt;/script&gt;"));
  CHECK(contains(html, "<title>Rank sweep of model &lt;1&gt; &amp; &quot;2&quot;</title>"));
  CHECK(contains(html, "<b>Ben:</b> \xF0\x9F\x98\x80 &amp; &#39;bye&#39;</p>"));
  CHECK(contains(html, "<p dir=\"auto\">no speaker</p>"));
}

TEST_CASE("the report needs no other file and no script") {
  auto const html = html_of(sample_sweep());
  for (auto const* outside : {"http:", "https:", "src=", "url(", "@import", "<link", "<script"}) {
    CAPTURE(outside);
    CHECK_FALSE(contains(html, outside));
  }
}

TEST_CASE("the report has what phones, readers aloud and paper need") {
  auto const html = html_of(sample_sweep());
  for (auto const* needed : {"<html lang=\"en\">", "<meta charset=\"utf-8\">",
                             "name=\"viewport\" content=\"width=device-width, initial-scale=1\"",
                             "@media print", "prefers-color-scheme: dark"}) {
    CAPTURE(needed);
    CHECK(contains(html, needed));
  }
  CHECK(count(html, "<h1>") == 1);
  auto const charts = parts_between(html, "<svg class=\"chart\"", "</svg>");
  CHECK(charts.size() == 7);
  CHECK(count(html, "<figcaption>") == charts.size());
  for (auto const& chart : charts) {
    CHECK(contains(chart, "role=\"img\""));
    auto const label = parts_between(chart, "aria-labelledby=\"", "-title ");
    REQUIRE(label.size() == 1);
    auto const id = label[0].substr(17);
    CHECK(count(html, "<title id=\"" + id + "-title\">") == 1);
    CHECK(count(html, "<desc id=\"" + id + "-desc\">attention") == 1);
    CHECK_FALSE(contains(chart, "nan"));
    CHECK_FALSE(contains(chart, "inf"));
  }
}

TEST_CASE("every rank stands in every table") {
  auto const html = html_of(sample_sweep());
  auto const numbers = parts_between(html, "<table class=\"numbers\"", "</table>");
  CHECK(numbers.size() == 4);
  for (auto const& table : numbers) {
    for (auto const* rank : {"64", "32", "16"}) {
      CHECK(count(table, "scope=\"row\">" + std::string(rank) + "<") == 2);  // once a form
    }
  }
  auto const summaries = parts_between(html, "<table class=\"summaries\"", "</table>");
  CHECK(summaries.size() == 2);
  for (auto const& table : summaries) {
    for (auto const* rank : {"64", "32", "16"}) {
      CHECK(contains(table, "scope=\"row\">" + std::string(rank) + "<"));
    }
    CHECK(contains(table, ">reference<"));
    CHECK(contains(table, ">dense<"));
  }
}

TEST_CASE("summaries mark the words that dense did not write, and only those") {
  auto r = sample_sweep();
  r.shown.resize(1);
  r.dense.summaries = {"Anna will call Ben."};
  for (auto& p : r.points) {
    p.summaries = {"Anna will call Ben."};
  }
  auto const same = html_of(r);
  auto const rows_of = [](std::string_view html, std::string_view css_class) {
    return count(html, "<tr class=\"" + std::string(css_class) + "\">");
  };
  CHECK(rows_of(same, "same") == 3);  // both forms agree at each rank
  CHECK(rows_of(same, "changed") == 0);
  r.points[5].summaries = {"Ben and Anna will not call"};
  auto const html = html_of(r);
  CHECK(rows_of(html, "same") == 3);
  CHECK(rows_of(html, "changed") == 1);
  CHECK(contains(html,
                 "16<small>pivoted</small></th><td dir=\"auto\"><mark>Ben and</mark> Anna will "
                 "<mark>not</mark> call</td>"));
  CHECK(contains(html, "16<small>two-factor</small></th><td dir=\"auto\">Anna will call Ben."));
}

TEST_CASE("the same result gives the same bytes, in every locale") {
  auto const r = sample_sweep();
  std::ostringstream out;
  out.imbue(std::locale(std::locale::classic(), new support::dots_between_thousands));
  program::write_html(out, r);
  CHECK(out.str() == html_of(r));
}

TEST_CASE("a sweep without times has no chart of them") {
  auto r = sample_sweep();
  r.dense.seconds.reset();
  for (auto& p : r.points) {
    p.seconds.reset();
  }
  auto const html = html_of(r);
  CHECK_FALSE(contains(html, "chart-seconds"));
  CHECK_FALSE(contains(html, ">Seconds<"));
  CHECK(contains(html, "Times were not recorded"));
  CHECK(nesting_fault(html) == "");
}

TEST_CASE("a sweep of the dense model alone, or of one rank, still makes a report") {
  auto r = sample_sweep();
  r.points.resize(1);
  CHECK(nesting_fault(html_of(r)) == "");
  CHECK_FALSE(contains(html_of(r), "\"nan"));
  r.points.clear();
  r.shown.clear();
  auto const html = html_of(r);
  CHECK(nesting_fault(html) == "");
  CHECK(contains(html, "Only the dense model was run."));
  CHECK_FALSE(contains(html, "<svg class=\"chart\""));
}

TEST_CASE("break-even ranks stand in the chart of bytes, once a form and rank") {
  auto r = sample_sweep();
  auto const chart_of_bytes = [&r]() {
    auto const html = html_of(r);
    auto const at = html.find("<title id=\"chart-bytes-title\"");
    REQUIRE(at != std::string::npos);
    return html.substr(at, html.find("</svg>", at) - at);
  };
  CHECK(contains(chart_of_bytes(), ">two-factor 47</text>"));
  CHECK(contains(chart_of_bytes(), ">pivoted 95</text>"));
  r.marks.push_back(r.marks[0]);
  r.marks.push_back({"attention", eckart::form::full_core, 33});  // no line of this form
  CHECK(count(chart_of_bytes(), ">two-factor 47</text>") == 1);
  CHECK_FALSE(contains(chart_of_bytes(), "full-core"));
}

TEST_CASE("forms share a line of ROUGE just if they agree") {
  auto r = sample_sweep();
  CHECK(contains(html_of(r), "</svg>attention, two-factor / pivoted</li>"));
  r.points[4].quality.rouge[0] = support::around(39);  // half of its interval away
  auto const html = html_of(r);
  auto const chart = parts_between(html, "<title id=\"chart-rouge-0-title\"", "</svg>");
  REQUIRE(chart.size() == 1);
  CHECK(contains(chart[0], "attention, two-factor: "));
  CHECK(contains(chart[0], "attention, pivoted: "));
}

TEST_CASE("the finding is the smallest model without a loss that could be shown") {
  auto const r = sample_sweep();
  auto const found = program::finding_of(r);
  CHECK(found.point == &r.points[4]);
  CHECK(found.sentence ==
        "Down to rank 32 (attention layers, pivoted form) no loss of ROUGE-1 could be shown on 100 "
        "examples: the difference to the dense model is -0.50 points (95 % interval -1.50 to "
        "+0.50). The model then takes 850.0 kB instead of 1.0 MB, 15.0 % less.");
  CHECK(contains(found.caution, "a loss of up to 1.50 points"));
}

TEST_CASE("the finding stops at the first loss, though a lower rank may look well again") {
  auto r = sample_sweep();
  r.points[4].difference[0].difference = {-2, -3, -1};
  r.points[5].difference[0].difference = {0.5, -0.5, 1.5};
  CHECK(program::finding_of(r).point == &r.points[1]);
}

TEST_CASE("the finding says so if the model is not smaller than dense") {
  auto r = sample_sweep();
  r.points.resize(1);
  CHECK(contains(program::finding_of(r).sentence, "But the model then takes 1.1 MB, 10.0 % more"));
  r.points[0].bytes = r.dense.bytes;
  CHECK(contains(program::finding_of(r).sentence, "as much as the dense one"));
}

TEST_CASE("the finding names the smallest difference if every rank loses") {
  auto r = sample_sweep();
  for (auto& p : r.points) {
    p.difference[0].difference = {-5.0 - static_cast<double>(p.rank) / 64, -7, -4};
  }
  auto const found = program::finding_of(r);
  CHECK(found.point == nullptr);
  CHECK(contains(found.sentence, "the smallest difference is -5.25 points"));
  CHECK(contains(found.sentence, "at rank 16 (attention layers, two-factor form)"));
}

TEST_CASE("a comparison with NaN is no finding") {
  auto r = sample_sweep();
  for (auto& p : r.points) {
    auto const nan = std::numeric_limits<double>::quiet_NaN();
    p.difference[0].difference = {nan, nan, nan};
  }
  CHECK(program::finding_of(r).point == nullptr);
  CHECK(contains(program::finding_of(r).sentence, "could not be compared"));
  CHECK(nesting_fault(html_of(r)) == "");
}

TEST_CASE("numbers are written short, without negative zeros") {
  CHECK(program::fixed(-0.001, 2) == "0.00");
  CHECK(program::fixed(-1.005, 1) == "-1.0");
  CHECK(program::fixed(std::numeric_limits<double>::quiet_NaN(), 2) == "-");
  CHECK(program::with_sign(0.31, 2) == "+0.31");
  CHECK(program::with_sign(0.001, 2) == "0.00");
  CHECK(program::size_text(94'620'672) == "94.6 MB");
  CHECK(program::size_text(1'624'000'000) == "1.62 GB");
  CHECK(program::size_text(1536) == "1.5 kB");
  CHECK(program::percent_text(0.95) == "95 %");
  CHECK(program::p_text(0.0002) == "< 0.001");
  CHECK(program::p_text(0.0314) == "0.031");
}

TEST_CASE("a chart leaves a gap at a point that is not finite") {
  auto const nan = std::numeric_limits<double>::quiet_NaN();
  program::chart c;
  c.series = {{"a", 0, {1, 2, 3, 4, 5}, {1, 2, nan, 2, 1}, {}, {}, {}, {}}};
  auto const svg = program::svg_of(c, "c");
  auto const line = parts_between(svg, "<path class=\"line", "/>");
  REQUIRE(line.size() == 1);
  CHECK(count(line[0], "M") == 2);
  CHECK(count(line[0], "L") == 2);
  CHECK(count(svg, "<circle") == 4);
  CHECK_FALSE(contains(svg, "nan"));
}

TEST_CASE("a chart places larger values higher and further right") {
  program::chart c;
  c.series = {{"a", 0, {1, 2}, {10, 20}, {}, {}, {}, {}}};
  auto const circles = parts_between(program::svg_of(c, "c"), "<circle", ">");
  REQUIRE(circles.size() == 2);
  auto const number = [](std::string_view circle, std::string const& name) {
    return std::stod(std::string(circle.substr(circle.find(name + "=\"") + name.size() + 2)));
  };
  CHECK(number(circles[0], " cx") < number(circles[1], " cx"));
  CHECK(number(circles[0], " cy") > number(circles[1], " cy"));
}

TEST_CASE("a chart refuses lists of unequal lengths") {
  program::chart c;
  c.series = {{"odd", 0, {1, 2}, {1}, {}, {}, {}, {}}};
  auto const refusal = [&c] {
    return support::refusal<eckart::shape_error>(
        [&] { static_cast<void>(program::svg_of(c, "c")); });
  };
  CHECK(contains(refusal(), "odd has 2 x, 1 y"));
  c.series = {{"odd", 0, {1, 2}, {1, 2}, {0, 0}, {}, {}, {}}};
  CHECK(contains(refusal(), "2 low, 0 high"));
}

TEST_CASE("escaping leaves no control characters and no invalid UTF-8") {
  CHECK(program::escaped("<a href=\"x\">&'") == "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  CHECK(program::escaped(std::string_view("a\0b\x1B[1m\x7F", 8)) == "a b [1m ");
  CHECK(program::escaped("\xFF\xC3\xA9\n") == "\xEF\xBF\xBD\xC3\xA9\n");
}
