#pragma once

#include <eckart/core/view.hpp>

#include <string_view>
#include <vector>

namespace program {

/// The ranks that a list names, falling, each once. Parts stand between commas: a rank "192", or
/// "FIRST:LAST:STEP" from the first towards the last, which belongs to it if the steps hit it.
/// "384:64:-16" and "64:384:16" are the same. Throws shape_error for anything else: no rank below
/// 1, no step of 0 or away from the last, at most 10,000 ranks in a part.
auto parse_ranks(std::string_view list) -> std::vector<eckart::index_t>;

}  // namespace program
