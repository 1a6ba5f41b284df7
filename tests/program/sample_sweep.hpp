#pragma once

#include "sweep_result.hpp"

#include <locale>
#include <string>

namespace support {

/// How some languages write numbers, which files must not follow.
struct dots_between_thousands : std::numpunct<char> {
  auto do_decimal_point() const -> char override { return ','; }
  auto do_thousands_sep() const -> char override { return '.'; }
  auto do_grouping() const -> std::string override { return "\3"; }
};

/// A mean with an interval of +-1.
inline auto around(double mean) -> eckart::mean_estimate {
  return {mean, mean - 1, mean + 1};
}

/// A point with the given ROUGE-1, its difference to 40 as sure as +-1; other figures follow.
inline auto sample_point(eckart::form form, eckart::index_t rank, double rouge, std::uint64_t bytes)
    -> program::sweep_point {
  program::sweep_point p;
  p.method = "svd";
  p.targets = "attention";
  p.stored_as = form;
  p.rank = rank;
  p.parameters = bytes / 4;
  p.bytes = bytes;
  p.encoder_flops = bytes / 2;
  p.decoder_flops = bytes / 3;
  p.quality.rouge = {around(rouge), around(rouge / 2), around(rouge - 5), around(rouge - 4)};
  p.quality.length = around(20);
  p.quality.loss = 4 - rouge / 20;
  p.quality.perplexity = 8;
  p.quality.generated_tokens = 2000;
  p.identical = rouge / 50;
  p.likeness = {{0.99, 0.98, 0.9}, {0.97, 0.96, 0.8}, {0.95, 0.7}, 32};
  for (auto& d : p.difference) {
    d = {around(rouge - 40), 0.25, 0.75, 0.5};
  }
  p.seconds = 10 + static_cast<double>(rank) / 10;
  p.summaries = {"Anna will call Ben.", "They meet at 7."};
  return p;
}

/// Two forms at ranks 64, 32 and 16: the last loses ROUGE for certain, two-factor at 64 saves
/// nothing. Texts hold everything that HTML and CSV must quote.
inline auto sample_sweep() -> program::sweep_result {
  using eckart::form;
  program::sweep_result r;
  r.model = "model <1> & \"2\"";
  r.data = "dialogues.jsonl";
  r.fingerprint = "0123456789abcdef";
  r.examples = 100;
  r.generation = "4 beams, no repeated 3-grams";
  r.shown = {{"d<1>", "Anna: Hi <b onload=\"x\">\nBen: \xF0\x9F\x98\x80 & 'bye'\r\nno speaker",
              "A, \"B\""},
             {"d2", "Cleo: 7?", "They meet."}};
  r.marks = {{"attention", form::two_factor, 47}, {"attention", form::pivoted, 95}};
  r.dense = sample_point(form::dense, 0, 40, 1'000'000);
  r.dense.method = "dense";
  r.dense.targets = "";
  r.dense.identical = 1;
  r.dense.likeness = {};
  r.dense.difference = {};
  r.dense.seconds = 15.5;
  r.points = {sample_point(form::two_factor, 64, 40.25, 1'100'000),
              sample_point(form::two_factor, 32, 39.5, 900'000),
              sample_point(form::two_factor, 16, 30, 800'000),
              sample_point(form::pivoted, 64, 40.25, 950'000),
              sample_point(form::pivoted, 32, 39.5, 850'000),
              sample_point(form::pivoted, 16, 30, 790'000)};
  r.points[1].summaries[0] = "Anna <script>alert(1)</script> will,\nsaid \"Ben\",\r\ncall Ben.";
  return r;
}

}  // namespace support
