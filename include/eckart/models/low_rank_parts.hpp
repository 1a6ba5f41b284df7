#pragma once

#include "eckart/factor/cost.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

/// Names and shapes of the tensors that a matrix in factors or in 8 bits is stored as:
/// low_rank_tensors.hpp.
namespace eckart {
inline namespace v0 {
namespace detail {

/// What stands behind NAME in the names of a form's tensors.
inline auto low_rank_parts(form f) -> std::vector<std::string_view> {
  switch (f) {
    case form::full_core:
      return {".u", ".core", ".vt"};
    case form::diagonal_core:
      return {".u", ".s", ".vt"};
    case form::two_factor:
      return {".left", ".right"};
    case form::pivoted:
      return {".kept", ".combinations", ".rows"};
    case form::int8:
      return {".int8", ".scales"};
    case form::dense:
      break;
  }
  return {};
}

/// The shapes of those tensors for an m x n matrix of rank k, in the same order.
inline auto low_rank_shapes(form f, shape2 w, index_t k) -> std::vector<std::vector<index_t>> {
  switch (f) {
    case form::full_core:
      return {{w.rows, k}, {k, k}, {k, w.cols}};
    case form::diagonal_core:
      return {{w.rows, k}, {k}, {k, w.cols}};
    case form::two_factor:
      return {{w.rows, k}, {k, w.cols}};
    case form::pivoted:
      return {{k, w.cols}, {w.rows - k, k}, {w.rows}};
    case form::int8:
      return {{w.rows, w.cols}, {w.rows}};
    case form::dense:
      break;
  }
  return {};
}

/// Of all forms.
inline constexpr std::array<std::string_view, 11> all_low_rank_parts{
    ".u",    ".s",    ".core",  ".vt", ".left", ".right", ".kept", ".combinations",
    ".rows", ".int8", ".scales"};

inline auto part_name(std::string_view name, std::string_view part) -> std::string {
  return std::string(name).append(part);
}

}  // namespace detail
}  // namespace v0
}  // namespace eckart
