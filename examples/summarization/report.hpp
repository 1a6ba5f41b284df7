#pragma once

#include "sweep_result.hpp"

#include <ostream>

namespace program {

/// The sweep as one HTML page that needs nothing else: finding, charts, figures, summaries at every
/// rank, definitions. No scripts, no other files; for phones, screens, paper, light and dark. The
/// same result gives the same bytes.
void write_html(std::ostream& out, sweep_result const& result);

}  // namespace program
