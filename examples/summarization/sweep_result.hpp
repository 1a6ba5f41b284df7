#pragma once

#include "comparison.hpp"
#include "evaluation.hpp"

#include <optional>
#include <string>
#include <vector>

namespace program {

/// One dialogue of the table that shows what falling ranks do to a summary.
struct shown_dialogue {
  std::string id;
  std::string dialogue;
  std::string reference;
};

/// One model of a sweep: the dense one, or one rank in one form.
struct sweep_point {
  std::string method;   ///< "dense", or how ranks are truncated: "svd"
  std::string targets;  ///< "attention", "linear", "all", or a list; empty for dense
  eckart::form stored_as = eckart::form::dense;
  eckart::index_t rank = 0;  ///< as asked for; smaller matrices are cut to min(m, n). 0: dense
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;
  std::uint64_t encoder_flops = 0;  ///< linear layers, a source token
  std::uint64_t decoder_flops = 0;  ///< linear layers and output table, a written token
  quality_figures quality;
  double identical = 1;             ///< share of the outputs that are the dense ones
  eckart::model_likeness likeness;  ///< to the dense model, on the first examples
  std::array<eckart::difference_estimate, 4> difference;  ///< to dense, percent points
  std::optional<double> seconds;       ///< generation of all examples; absent if not to be told
  std::vector<std::string> summaries;  ///< of the shown dialogues, in their order
};

/// The last rank at which a form saves on every target matrix, storage and FLOPs.
struct break_even_mark {
  std::string targets;
  eckart::form stored_as;
  eckart::index_t rank = 0;
};

/// Everything that a report says.
struct sweep_result {
  std::string model;        ///< name of the directory
  std::string data;         ///< name of the data file
  std::string fingerprint;  ///< of the data
  std::size_t examples = 0;
  std::string device = "cpu";      ///< name
  std::string precision = "fp32";  ///< of the numbers there
  std::string generation;          ///< "4 beams, no repeated 3-grams, ..."
  double level = 0.95;             ///< of the intervals
  std::vector<shown_dialogue> shown;
  std::vector<break_even_mark> marks;
  sweep_point dense;
  std::vector<sweep_point> points;  ///< method, targets, form; within them ranks falling
};

}  // namespace program
