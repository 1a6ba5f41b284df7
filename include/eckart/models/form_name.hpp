#pragma once

#include "eckart/core/error.hpp"
#include "eckart/factor/cost.hpp"

#include <optional>
#include <string>
#include <string_view>

/// Forms by the names that files use, dense and int8 among them.
namespace eckart {
inline namespace v0 {

/// Nothing for a name that is none.
inline auto form_named(std::string_view name) -> std::optional<form> {
  for (auto const f : {form::dense, form::int8}) {
    if (name == name_of(f)) {
      return f;
    }
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
  return known + message(", ", name_of(form::int8));
}

}  // namespace v0
}  // namespace eckart
