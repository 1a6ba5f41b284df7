#pragma once

#include <string>
#include <string_view>

namespace support {

/// What the error says that `f` throws; "nothing thrown" if it does not. Other exceptions pass.
template <class Error, class F>
auto refusal(F&& f) -> std::string {
  try {
    f();
  } catch (Error const& e) {
    return e.what();
  }
  return "nothing thrown";
}

inline auto has(std::string_view text, std::string_view part) -> bool {
  return text.find(part) != std::string_view::npos;
}

}  // namespace support
