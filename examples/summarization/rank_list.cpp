#include "rank_list.hpp"

#include <eckart/core/error.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <string>
#include <system_error>

namespace program {

namespace {

using eckart::index_t;
using eckart::message;
using eckart::shape_error;

constexpr index_t most_ranks = 10'000;         // a part that names more was not meant
constexpr index_t largest_number = 1'000'000;  // no matrix is that large, and sums stay small

auto split(std::string_view text, char separator) -> std::vector<std::string_view> {
  std::vector<std::string_view> parts;
  for (;;) {
    auto const end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

auto number(std::string_view text, std::string_view part) -> index_t {
  index_t value = 0;
  auto const* const end = text.data() + text.size();
  auto const [stop, fault] = std::from_chars(text.data(), end, value);
  auto const is_far = value > largest_number || value < -largest_number;
  if (fault == std::errc::result_out_of_range || (fault == std::errc() && is_far)) {
    throw shape_error(message("ranks: '", part, "': ", text, " is beyond ", largest_number));
  }
  if (fault != std::errc() || stop != end) {
    throw shape_error(message("ranks: '", part, "': '", text, "' is no whole number; a part is a ",
                              "rank or FIRST:LAST:STEP"));
  }
  return value;
}

auto rank(std::string_view text, std::string_view part) -> index_t {
  auto const value = number(text, part);
  if (value < 1) {
    throw shape_error(message("ranks: '", part, "': rank ", value, " is below 1"));
  }
  return value;
}

void append_range(std::vector<index_t>& ranks, std::string_view part,
                  std::vector<std::string_view> const& numbers) {
  auto const first = rank(numbers[0], part);
  auto const last = rank(numbers[1], part);
  auto const step = number(numbers[2], part);
  if (step == 0 || (step > 0 && last < first) || (step < 0 && last > first)) {
    throw shape_error(
        message("ranks: '", part, "': steps of ", step, " do not lead from ", first, " to ", last));
  }
  auto const count = (last - first) / step + 1;
  if (count > most_ranks) {
    throw shape_error(
        message("ranks: '", part, "': ", count, " ranks, more than ", most_ranks, " at once"));
  }
  for (index_t i = 0; i < count; ++i) {
    ranks.push_back(first + i * step);
  }
}

}  // namespace

auto parse_ranks(std::string_view list) -> std::vector<index_t> {
  std::vector<index_t> ranks;
  for (auto const part : split(list, ',')) {
    auto const numbers = split(part, ':');
    if (numbers.size() == 1) {
      ranks.push_back(rank(part, part));
    } else if (numbers.size() == 3) {
      append_range(ranks, part, numbers);
    } else {
      throw shape_error(message("ranks: '", part, "' has ", numbers.size(),
                                " numbers; a part is a rank or FIRST:LAST:STEP"));
    }
  }
  std::ranges::sort(ranks, std::greater<>());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

}  // namespace program
