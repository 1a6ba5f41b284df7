#pragma once

#include "chart.hpp"
#include "sweep_summary.hpp"

#include <string>
#include <vector>

namespace program {

/// A chart of the report, what is said above it, and which groups it shows.
struct report_figure {
  std::string id;
  std::string caption;
  chart picture;
  std::string reference_meaning;  ///< of the dashed line or the cross in the legend
};

/// The charts of a sweep in the order of the report: ROUGE-1, -2 and -L, loss, bytes and ROUGE-1
/// over rank or bytes, and seconds if they are known. None without points.
auto charts_of(sweep_result const& result, std::vector<sweep_group> const& groups)
    -> std::vector<report_figure>;

}  // namespace program
