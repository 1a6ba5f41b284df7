#include "report.hpp"

#include "report_charts.hpp"
#include "report_style.hpp"
#include "terminal.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace program {

namespace {

/// Escaped, with a real minus sign before numbers.
auto text_of(std::string_view text) -> std::string {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto const before = i == 0 || text[i - 1] == ' ' || text[i - 1] == '(';
    auto const is_minus =
        text[i] == '-' && before && i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9';
    result += is_minus ? "\u2212" : text.substr(i, 1);
  }
  return escaped(result);
}

auto class_attribute(std::string_view name) -> std::string {
  return name.empty() ? std::string() : fmt::format(" class=\"{}\"", name);
}

// --- header

void write_tile(std::ostream& out, std::string_view term, std::string const& value,
                std::string const& beside) {
  fmt::print(out, "<div><dt>{}</dt><dd>{} <span>{}</span></dd></div>\n", escaped(term),
             text_of(value), text_of(beside));
}

void write_tiles(std::ostream& out, sweep_point const& p, sweep_point const& dense) {
  auto const percent = [](std::uint64_t a, std::uint64_t b) {
    return fmt::format("{} %", fixed(100.0 * static_cast<double>(a) / static_cast<double>(b), 1));
  };
  out << "<dl class=\"tiles\">\n";
  write_tile(out, "Rank", fmt::format("{}", p.rank),
             fmt::format("{}, {}", p.targets, eckart::name_of(p.stored_as)));
  write_tile(out, "ROUGE-1", fixed(p.quality.rouge[0].mean, 2),
             fmt::format("dense {}", fixed(dense.quality.rouge[0].mean, 2)));
  write_tile(out, "Bytes", percent(p.bytes, dense.bytes),
             fmt::format("{} of {}", size_text(p.bytes), size_text(dense.bytes)));
  if (p.seconds && dense.seconds) {
    write_tile(out, "Time", fmt::format("{} %", fixed(100 * *p.seconds / *dense.seconds, 0)),
               fmt::format("{} s of {} s", fixed(*p.seconds, 1), fixed(*dense.seconds, 1)));
  } else {
    write_tile(out, "FLOPs a source token", percent(p.encoder_flops, dense.encoder_flops),
               "of dense");
  }
  out << "</dl>\n";
}

void write_fact(std::ostream& out, std::string_view term, std::string_view value) {
  if (!value.empty()) {
    fmt::print(out, "<dt>{}</dt><dd>{}</dd>\n", escaped(term), escaped(value));
  }
}

/// "svd"; several in the order in which they come first.
auto methods_of(sweep_result const& r) -> std::string {
  std::string methods;
  std::set<std::string> seen;
  for (auto const& p : r.points) {
    if (seen.insert(p.method).second) {
      methods += fmt::format("{}{}", methods.empty() ? "" : ", ", p.method);
    }
  }
  return methods;
}

void write_header(std::ostream& out, sweep_result const& r, sweep_finding const& found) {
  fmt::print(out,
             "<header>\n<p class=\"kind\">Rank sweep of {}</p>\n<h1>How far can the rank "
             "fall?</h1>\n<div class=\"finding\" id=\"finding\">\n<p>{}</p>\n",
             escaped(r.model), text_of(found.sentence));
  if (!found.caution.empty()) {
    fmt::print(out, "<p class=\"caution\">{}</p>\n", text_of(found.caution));
  }
  out << "</div>\n";
  if (found.point != nullptr) {
    write_tiles(out, *found.point, r.dense);
  }
  out << "<dl class=\"facts\">\n";
  write_fact(out, "Model", r.model);
  write_fact(out, "Data", r.data);
  write_fact(out, "Fingerprint", r.fingerprint);
  write_fact(out, "Examples", grouped(r.examples));
  write_fact(out, "Generation", r.generation);
  if (r.device != "cpu") {
    write_fact(out, "Device", fmt::format("{}, {}", r.device, r.precision));
  }
  write_fact(out, "Ranks by", methods_of(r));
  write_fact(out, "Intervals", percent_text(r.level));
  out << "</dl>\n<nav aria-label=\"Contents\"><ul>\n";
  if (!r.points.empty()) {
    out << "<li><a href=\"#charts\">Charts</a></li>\n";
  }
  out << "<li><a href=\"#figures\">All figures</a></li>\n";
  if (!r.shown.empty()) {
    out << "<li><a href=\"#summaries\">Summaries at every rank</a></li>\n";
  }
  out << "<li><a href=\"#terms\">How to read this</a></li>\n</ul></nav>\n</header>\n";
}

// --- charts

void write_legend(std::ostream& out, report_figure const& figure) {
  out << "<ul class=\"legend\">\n";
  for (auto const& line : figure.picture.series) {
    fmt::print(out, "<li>{}{}</li>\n", svg_swatch(line.style), escaped(line.label));
  }
  if (auto const& reference = figure.picture.reference) {
    auto const* path = reference->x ? R"(<path class="dense-point" d="M14 8h12M20 2v12"/>)"
                                    : R"(<path class="dense" d="M1 8H39"/>)";
    fmt::print(out,
               "<li><svg class=\"swatch\" viewBox=\"0 0 40 16\" aria-hidden=\"true\">{}</svg>{}"
               "</li>\n",
               path, escaped(figure.reference_meaning));
  }
  out << "</ul>\n";
}

void write_charts(std::ostream& out, sweep_result const& r,
                  std::vector<sweep_group> const& groups) {
  auto const figures = charts_of(r, groups);
  if (figures.empty()) {
    return;
  }
  out << "<section id=\"charts\">\n<h2>Charts</h2>\n<p class=\"lead\">Axes begin where the data "
         "do, not at zero.";
  if (!r.dense.seconds) {
    out << " Times were not recorded, so that the report is the same on every machine.";
  }
  out << "</p>\n<div class=\"charts\">\n";
  for (auto const& figure : figures) {
    fmt::print(out, "<figure>\n<figcaption><h3>{}</h3><p>{}</p></figcaption>\n",
               escaped(figure.picture.title), escaped(figure.caption));
    write_legend(out, figure);
    out << svg_of(figure.picture, figure.id) << "</figure>\n";
  }
  out << "</div>\n</section>\n";
}

// --- figures

/// Cells of a model, and those of the dense one.
struct numbers_table {
  std::string_view caption;
  std::vector<std::string_view> columns;
  std::vector<std::string> (*cells)(sweep_point const& p, sweep_point const& dense);
  bool has_dense = true;
};

auto cell(std::string const& value, std::string const& below = {}) -> std::string {
  return below.empty()
             ? fmt::format("<td>{}</td>", text_of(value))
             : fmt::format("<td>{}<small>{}</small></td>", text_of(value), text_of(below));
}

auto estimate_cell(eckart::mean_estimate const& e, int digits) -> std::string {
  return cell(fixed(e.mean, digits),
              fmt::format("{} to {}", fixed(e.low, digits), fixed(e.high, digits)));
}

auto quality_cells(sweep_point const& p, sweep_point const&) -> std::vector<std::string> {
  std::vector<std::string> cells;
  for (auto const& rouge : p.quality.rouge) {
    cells.push_back(estimate_cell(rouge, 2));
  }
  cells.push_back(estimate_cell(p.quality.length, 1));
  cells.push_back(cell(fixed(p.quality.loss, 3)));
  cells.push_back(cell(fixed(p.quality.perplexity, 2)));
  return cells;
}

auto difference_cells(sweep_point const& p, sweep_point const&) -> std::vector<std::string> {
  std::vector<std::string> cells;
  for (auto const& d : p.difference) {
    cells.push_back(cell(with_sign(d.difference.mean, 2),
                         fmt::format("{} to {}, p {}{}", with_sign(d.difference.low, 2),
                                     with_sign(d.difference.high, 2), d.p_value < 0.001 ? "" : "= ",
                                     p_text(d.p_value))));
  }
  return cells;
}

auto likeness_cells(sweep_point const& p, sweep_point const&) -> std::vector<std::string> {
  std::vector<std::string> cells{cell(fmt::format("{} %", fixed(100 * p.identical, 1)))};
  for (auto const* s : {&p.likeness.encoder, &p.likeness.decoder}) {
    for (auto const value : {s->pooled, s->mean_token, s->worst_token}) {
      cells.push_back(cell(fixed(value, 4)));
    }
  }
  cells.push_back(cell(fixed(p.likeness.logits.mean, 4)));
  cells.push_back(cell(fixed(p.likeness.logits.worst, 4)));
  return cells;
}

auto cost_cells(sweep_point const& p, sweep_point const& dense) -> std::vector<std::string> {
  auto const percent = [&](double part, double whole) {
    return fmt::format("{} %", fixed(100 * part / whole, 1));
  };
  auto const count = [&](std::uint64_t own, std::uint64_t other) {
    return cell(grouped(own), percent(static_cast<double>(own), static_cast<double>(other)));
  };
  std::vector<std::string> cells{count(p.parameters, dense.parameters), count(p.bytes, dense.bytes),
                                 count(p.encoder_flops, dense.encoder_flops),
                                 count(p.decoder_flops, dense.decoder_flops)};
  cells.push_back(cell(grouped(p.quality.generated_tokens)));
  if (dense.seconds) {
    cells.push_back(p.seconds ? cell(fixed(*p.seconds, 1), percent(*p.seconds, *dense.seconds))
                              : cell("-"));
  }
  return cells;
}

void write_numbers_row(std::ostream& out, numbers_table const& table, std::string_view name,
                       std::string_view row_class, sweep_point const& p, sweep_point const& dense) {
  fmt::print(out, "<tr{}><th scope=\"row\">{}</th>", class_attribute(row_class), escaped(name));
  for (auto const& one : table.cells(p, dense)) {
    out << one;
  }
  out << "</tr>\n";
}

void write_numbers(std::ostream& out, numbers_table const& table, sweep_result const& r,
                   std::vector<sweep_group> const& groups, sweep_point const* best) {
  fmt::print(out,
             "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{0}\">\n"
             "<table class=\"numbers\">\n<caption>{0}</caption>\n"
             "<thead><tr><th scope=\"col\">Rank</th>",
             escaped(table.caption));
  for (auto const column : table.columns) {
    fmt::print(out, "<th scope=\"col\">{}</th>", escaped(column));
  }
  out << "</tr></thead>\n";
  if (table.has_dense) {
    out << "<tbody>\n";
    write_numbers_row(out, table, "dense", "", r.dense, r.dense);
    out << "</tbody>\n";
  }
  for (auto const& group : groups) {
    fmt::print(out,
               "<tbody>\n<tr><th class=\"group\" scope=\"rowgroup\" colspan=\"{}\"><span>{}"
               "</span></th></tr>\n",
               table.columns.size() + 1, escaped(group.name));
    for (auto const* p : group.points) {
      write_numbers_row(out, table, fmt::format("{}", p->rank), p == best ? "best" : "", *p,
                        r.dense);
    }
    out << "</tbody>\n";
  }
  out << "</table>\n</div>\n";
}

void write_figures(std::ostream& out, sweep_result const& r, std::vector<sweep_group> const& groups,
                   sweep_point const* best) {
  out << "<section id=\"figures\">\n<h2>All figures</h2>\n";
  if (best != nullptr) {
    out << "<p class=\"lead\">The shaded row is the model of the finding. Small numbers below a "
           "figure are its interval, or its share of the dense figure.</p>\n";
  }
  std::vector<numbers_table> tables{
      {"Quality",
       {"ROUGE-1, %", "ROUGE-2, %", "ROUGE-L, %", "ROUGE-Lsum, %", "Length, tokens", "Loss, nats",
        "Perplexity"},
       quality_cells},
      {"Difference to dense, points",
       {"ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum"},
       difference_cells,
       false},
      {"Size, work and time",
       {"Parameters", "Bytes", "FLOPs a source token", "FLOPs a written token", "Written tokens"},
       cost_cells},
      {"Likeness to dense",
       {"Same summary", "Encoder, pooled", "Encoder, mean", "Encoder, worst", "Decoder, pooled",
        "Decoder, mean", "Decoder, worst", "Logits, mean", "Logits, worst"},
       likeness_cells,
       false}};
  if (r.dense.seconds) {
    tables[2].columns.emplace_back("Seconds");
  }
  for (auto const& table : tables) {
    if (r.points.empty() && !table.has_dense) {
      continue;
    }
    write_numbers(out, table, r, groups, best);
  }
  out << "</section>\n";
}

// --- summaries

auto words_of(std::string_view text) -> std::vector<std::string_view> {
  constexpr std::string_view spaces = " \t\r\n";
  std::vector<std::string_view> words;
  for (auto first = text.find_first_not_of(spaces); first != std::string_view::npos;) {
    auto const end = std::min(text.find_first_of(spaces, first), text.size());
    words.push_back(text.substr(first, end - first));
    first = text.find_first_not_of(spaces, end);
  }
  return words;
}

/// Which words of b belong to no longest common subsequence with a. O(|a| |b|).
auto new_words(std::vector<std::string_view> const& a, std::vector<std::string_view> const& b)
    -> std::vector<bool> {
  auto const columns = b.size() + 1;
  // length[i][j]: of the longest common subsequence of a[i..] and b[j..]
  std::vector<std::size_t> length((a.size() + 1) * columns);
  for (auto i = a.size(); i-- > 0;) {
    for (auto j = b.size(); j-- > 0;) {
      auto const at = i * columns + j;
      length[at] = a[i] == b[j] ? length[at + columns + 1] + 1
                                : std::max(length[at + columns], length[at + 1]);
    }
  }
  std::vector<bool> is_new(b.size(), true);
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    auto const at = i * columns + j;
    if (a[i] == b[j]) {
      is_new[j] = false;
      ++i, ++j;
    } else {
      length[at + columns] >= length[at + 1] ? ++i : ++j;
    }
  }
  return is_new;
}

/// The text with its words that dense did not write marked; neighbours share a mark.
auto marked(std::string_view dense, std::string_view text) -> std::string {
  auto const words = words_of(text);
  auto const is_new = new_words(words_of(dense), words);
  std::string result;
  for (std::size_t i = 0; i < words.size(); ++i) {
    auto const opens = is_new[i] && (i == 0 || !is_new[i - 1]);
    auto const closes = is_new[i] && (i + 1 == words.size() || !is_new[i + 1]);
    fmt::format_to(std::back_inserter(result), "{}{}{}{}", i == 0 ? "" : " ", opens ? "<mark>" : "",
                   escaped(words[i]), closes ? "</mark>" : "");
  }
  return result;
}

auto summary_of(sweep_point const& p, std::size_t shown) -> std::string_view {
  return shown < p.summaries.size() ? std::string_view(p.summaries[shown]) : std::string_view();
}

void write_summary(std::ostream& out, eckart::index_t rank, std::string const& form,
                   std::string_view dense, std::string_view text) {
  auto const is_same = text == dense;
  auto const below = form.empty() ? std::string() : fmt::format("<small>{}</small>", form);
  if (is_same) {
    fmt::print(out,
               "<tr class=\"same\"><th scope=\"row\">{}{}</th><td dir=\"auto\">{} <span "
               "class=\"verdict\">= dense</span></td></tr>\n",
               rank, below, escaped(text));
    return;
  }
  fmt::print(out,
             "<tr class=\"changed\"><th scope=\"row\">{}{}</th><td dir=\"auto\">{}</td></tr>\n",
             rank, below, text.empty() ? "<mark>(nothing)</mark>" : marked(dense, text));
}

/// Points of one method and targets at one rank; forms that wrote the same share a row.
void write_rank(std::ostream& out, std::vector<sweep_point const*> const& points, std::size_t shown,
                std::string_view dense) {
  std::vector<std::string_view> written;
  for (auto const* p : points) {
    auto const text = summary_of(*p, shown);
    if (std::ranges::find(written, text) != written.end()) {
      continue;
    }
    written.push_back(text);
    std::string forms;
    for (auto const* q : points) {
      if (summary_of(*q, shown) == text) {
        forms += fmt::format("{}{}", forms.empty() ? "" : ", ", eckart::name_of(q->stored_as));
      }
    }
    auto const all_agree = std::ranges::all_of(
        points, [&](sweep_point const* q) { return summary_of(*q, shown) == text; });
    write_summary(out, p->rank, all_agree ? std::string() : forms, dense, text);
  }
}

/// What forms have in common: method and targets.
void write_summaries_of(std::ostream& out, std::vector<sweep_group> const& groups,
                        std::size_t shown, std::string_view dense) {
  std::set<std::string> done;
  auto const family = [](sweep_point const& p) {
    return fmt::format("{} layers, {}", p.targets, p.method);
  };
  for (auto const& first : groups) {
    auto const name = family(first.front());
    if (!done.insert(name).second) {
      continue;
    }
    fmt::print(out,
               "<tbody>\n<tr><th class=\"group\" scope=\"rowgroup\" colspan=\"2\">{}</th>"
               "</tr>\n",
               escaped(name));
    std::set<eckart::index_t, std::greater<>> ranks;
    std::vector<sweep_point const*> members;
    for (auto const& g : groups) {
      if (family(g.front()) == name) {
        members.insert(members.end(), g.points.begin(), g.points.end());
      }
    }
    for (auto const* p : members) {
      ranks.insert(p->rank);
    }
    for (auto const rank : ranks) {
      std::vector<sweep_point const*> at_rank;
      std::ranges::copy_if(members, std::back_inserter(at_rank),
                           [&](sweep_point const* p) { return p->rank == rank; });
      write_rank(out, at_rank, shown, dense);
    }
    out << "</tbody>\n";
  }
}

/// A line of a dialogue, the speaker before the first colon in bold.
void write_line(std::ostream& out, std::string_view line) {
  auto const colon = line.find(": ");
  if (colon != std::string_view::npos && colon > 0 && colon <= 40) {
    fmt::print(out, "<p dir=\"auto\"><b>{}:</b>{}</p>\n", escaped(line.substr(0, colon)),
               escaped(line.substr(colon + 1)));
  } else {
    fmt::print(out, "<p dir=\"auto\">{}</p>\n", escaped(line));
  }
}

void write_dialogue(std::ostream& out, sweep_result const& r,
                    std::vector<sweep_group> const& groups, std::size_t shown) {
  auto const& one = r.shown[shown];
  auto const dense = summary_of(r.dense, shown);
  fmt::print(out,
             "<article>\n<h3>Dialogue {}</h3>\n<details open><summary>What was said</summary>\n"
             "<blockquote>\n",
             escaped(one.id));
  std::string_view const text = one.dialogue;
  for (std::size_t first = 0; first < text.size();) {
    auto const end = std::min(text.find('\n', first), text.size());
    auto line = text.substr(first, end - first);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    write_line(out, line);
    first = end + 1;
  }
  fmt::print(out,
             "</blockquote></details>\n<table class=\"summaries\">\n<thead><tr><th "
             "scope=\"col\">Rank</th><th scope=\"col\">Summary</th></tr></thead>\n<tbody>\n"
             "<tr class=\"reference\"><th scope=\"row\">reference</th><td dir=\"auto\">{}</td>"
             "</tr>\n<tr><th scope=\"row\">dense</th><td dir=\"auto\">{}</td></tr>\n</tbody>\n",
             escaped(one.reference), escaped(dense));
  write_summaries_of(out, groups, shown, dense);
  out << "</table>\n</article>\n";
}

void write_summaries(std::ostream& out, sweep_result const& r,
                     std::vector<sweep_group> const& groups) {
  if (r.shown.empty()) {
    return;
  }
  out << "<section id=\"summaries\">\n<h2>Summaries at every rank</h2>\n<p class=\"lead\">Words "
         "that the dense model did not write are <mark>marked</mark>; grey rows are word for word "
         "the dense summary. Forms are named only where they disagree.</p>\n";
  for (std::size_t i = 0; i < r.shown.size(); ++i) {
    write_dialogue(out, r, groups, i);
  }
  out << "</section>\n";
}

// --- definitions

void write_term(std::ostream& out, std::string_view term, std::string_view meaning) {
  fmt::print(out, "<dt>{}</dt><dd>{}</dd>\n", escaped(term), text_of(meaning));
}

auto form_meaning(eckart::form f) -> std::string_view {
  switch (f) {
    case eckart::form::full_core:
      return "U (m x k), S (k x k) and V\u1d40 (k x n), the textbook's: k(m + k + n) numbers.";
    case eckart::form::diagonal_core:
      return "U (m x k), k singular values and V\u1d40 (k x n): k(m + n + 1) numbers.";
    case eckart::form::two_factor:
      return "L (m x k) and R (k x n), the singular values multiplied in: k(m + n) numbers.";
    case eckart::form::pivoted:
      return "k rows of the rank-k matrix and the others as combinations of them: k(m + n - k) "
             "numbers, fewer than m n at every rank below min(m, n).";
    case eckart::form::int8:
    case eckart::form::dense:
      break;
  }
  return "";
}

void write_quality_terms(std::ostream& out, sweep_result const& r) {
  write_term(out, "ROUGE-1, ROUGE-2",
             "Overlap of single words and of pairs of neighbouring words between a summary and "
             "its reference: F1, the harmonic mean of precision and recall, in percent, averaged "
             "over the examples. With several references the best one counts.");
  write_term(out, "ROUGE-L, ROUGE-Lsum",
             "The same with the longest common subsequence of words: of the whole text (L), or "
             "line by line and united (Lsum).");
  write_term(out, "Interval",
             fmt::format("The {} percentile interval of the bootstrap: examples are drawn again "
                         "and again with replacement. It says how much the mean depends on which "
                         "examples happened to be in the data; it says nothing about other data.",
                         percent_text(r.level)));
  write_term(out, "Difference and p",
             "Mean of model minus dense over the same examples, in percentage points, with its "
             "paired bootstrap interval. p is the two-sided bootstrap p value of no difference. "
             "Every rank is a test of its own: among many ranks some fall below 0.05 by chance.");
  write_term(out, "Loss, perplexity",
             "Mean of -log p over the tokens of the first reference, in nats, when the decoder "
             "reads the reference itself (teacher forcing); perplexity is exp(loss).");
  write_term(out, "Length, written tokens",
             "Mean and total number of tokens in the generated summaries, special tokens counted.");
  write_term(out, "Same summary",
             "Share of the examples for which the model wrote the same tokens as the dense one.");
  write_term(
      out, "Encoder, decoder, logits",
      fmt::format("Cosines between the states of the model and of the dense one on the first "
                  "{} examples, the decoder reading the reference: of the mean state "
                  "(pooled), mean over the tokens, and of the worst token. 1 is the same "
                  "direction.",
                  r.points.empty() ? 0 : r.points.front().likeness.examples));
}

void write_cost_terms(std::ostream& out, sweep_result const& r) {
  write_term(out, "Rank",
             "k, the number of singular values that are kept of each replaced weight matrix "
             "W (m x n). Matrices with min(m, n) below k keep full rank.");
  if (std::ranges::find(r.points, "svd", &sweep_point::method) != r.points.end()) {
    write_term(out, "Ranks by svd",
               "Of each weight the k largest singular values and their vectors are kept: the best "
               "approximation of rank k of the weight itself.");
  }
  write_term(out, "Targets",
             "Which layers are replaced: attention (query, key, value and output projections), "
             "linear (these and the feed-forward layers), or a list of names.");
  std::set<eckart::form> forms;
  for (auto const& p : r.points) {
    forms.insert(p.stored_as);
  }
  for (auto const f : forms) {
    write_term(out, fmt::format("Form {}", eckart::name_of(f)), form_meaning(f));
  }
  write_term(out, "Break-even rank",
             "The last rank at which a form stores fewer numbers and needs fewer FLOPs than the "
             "dense matrix, on every replaced layer.");
  write_term(out, "Parameters, bytes",
             "Of the whole model, with its embeddings, biases and norms, which are never replaced. "
             "1 MB is 1,000,000 bytes.");
  write_term(out, "FLOPs",
             "Additions and multiplications in the linear layers for one token of the source "
             "(encoder, and the keys and values of the cross-attention), and for one written token "
             "(decoder and output table). Attention scores are not counted.");
  if (r.dense.seconds) {
    write_term(out, "Seconds",
               "Time on the clock to generate all summaries. It depends on the machine and on how "
               "long the summaries are.");
  }
}

}  // namespace

void write_html(std::ostream& out, sweep_result const& r) {
  auto const groups = groups_of(r);
  auto const found = finding_of(r);
  fmt::print(
      out,
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Rank sweep of {}</title>\n",
      escaped(r.model));
  out << "<style>" << report_style_sheet << chart_style_sheet() << "</style>\n</head>\n<body>\n";
  write_header(out, r, found);
  out << "<main>\n";
  write_charts(out, r, groups);
  write_figures(out, r, groups, found.point);
  write_summaries(out, r, groups);
  out << "<section id=\"terms\">\n<h2>How to read this</h2>\n<dl class=\"terms\">\n";
  write_cost_terms(out, r);
  write_quality_terms(out, r);
  out << "</dl>\n</section>\n</main>\n<footer>Written by eckart, low-rank approximation in "
         "C++.</footer>\n</body>\n</html>\n";
}

}  // namespace program
