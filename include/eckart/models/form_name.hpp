#pragma once

#include "eckart/core/error.hpp"
#include "eckart/factor/cost.hpp"

#include <optional>
#include <string>
#include <string_view>

/// Forms by the names that files use, dense among them.
namespace eckart {
inline namespace v0 {

/// Nothing for a name that is none.
inline auto form_named(std::string_view name) -> std::optional<form> {
  if (name == name_of(form::dense)) {
    return form::dense;
  }
  for (auto const f : all_factor_forms) {
    if (name == name_of(f)) {
      return f;
    }
  }
  return std::nullopt;
}

/// "dense, full-core, ..."
inline auto known_form_names() -> std::string {
  std::string known(name_of(form::dense));
  for (auto const f : all_factor_forms) {
    known += message(", ", name_of(f));
  }
  return known;
}

}  // namespace v0
}  // namespace eckart
