#pragma once

#include "sweep_result.hpp"

#include <string>
#include <string_view>
#include <vector>

/// What the report and the terminal's table say about a sweep in words and short numbers.
namespace program {

/// The points of one method, targets and form, ranks falling: one line of a chart.
struct sweep_group {
  std::string name;  ///< "attention, two-factor", after the method if there is more than one
  std::vector<sweep_point const*> points;

  auto front() const -> sweep_point const& { return *points.front(); }
};

/// Groups in the order in which they come first. They point into `result`.
auto groups_of(sweep_result const& result) -> std::vector<sweep_group>;

/// What a sweep found, in one sentence and one of caution.
struct sweep_finding {
  std::string sentence;
  std::string caution;                 ///< empty if there is nothing to say
  sweep_point const* point = nullptr;  ///< the model that the sentence is about; none found: null
};

/// The smallest model of which no loss of ROUGE-1 could be shown. In each group the ranks are gone
/// down as long as the interval of the difference to dense reaches 0; of the groups' last models
/// the one of the fewest bytes is taken.
auto finding_of(sweep_result const& result) -> sweep_finding;

/// "43.79", "-" if it is not finite.
auto fixed(double value, int digits) -> std::string;
/// "+0.31", "-0.09", "0.00".
auto with_sign(double value, int digits) -> std::string;
/// 94620672 as "94.6 MB"; also kB and GB, all of them powers of 1000.
auto size_text(std::uint64_t bytes) -> std::string;
/// 0.95 as "95 %".
auto percent_text(double share) -> std::string;
/// "0.031", "< 0.001".
auto p_text(double p) -> std::string;

}  // namespace program
