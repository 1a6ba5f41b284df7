#pragma once

#include "eckart/compress/statistics.hpp"

#include <functional>
#include <map>
#include <string>

namespace eckart {
inline namespace v0 {

/// The moments of the inputs of all linear layers: one for each site, by its name, for layers with
/// a common input have them in common. "lm_head" is the decoder's output.
using bart_moments = std::map<std::string, input_moments>;

/// Called with the number of sites that are done, the number of all, and the name of the next.
using site_progress = std::function<void(index_t, index_t, std::string const&)>;

}  // namespace v0
}  // namespace eckart
